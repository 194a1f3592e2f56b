// Parquet as a program writes it that knows nothing of Arrow's types: `writer OUTDIR HOUR`.
//
// `cpp_low_level-HOUR.json` beside it is as write.py describes. The file is unlike pyarrow's: columns that may not be null, no ARROW:schema, a note
// on the order of rows, a page index, pages of version 2, and other encodings.

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <arrow/io/file.h>
#include <parquet/api/writer.h>
#include <parquet/exception.h>

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kHourNs = 3600 * kSecondNs;
constexpr int64_t kDayNs = 1'704'067'200 * kSecondNs;  // 2024-01-01
constexpr size_t kGroupRows = 4;

struct Trade {
  int64_t ts;
  double price;
  std::optional<int64_t> quantity;
  std::string side;
};

// The first moment of the hour and its last are among them.
std::vector<Trade> TradesOf(int hour) {
  const int64_t start = kDayNs + hour * kHourNs;
  const std::string sides[] = {"buy", "sell", ""};
  std::vector<Trade> trades;
  for (int64_t nth = 0; nth < 9; ++nth) {
    const auto quantity = nth % 4 == 1 ? std::nullopt : std::optional(hour * 100 + nth - 4);
    trades.push_back({start + nth * (kHourNs / 9) + nth, hour * 100 + nth + 0.1, quantity, sides[nth % 3]});
  }
  trades.push_back({start + kHourNs - 1, hour * 100 + 9.5, INT64_MAX - hour, "gehört 東京"});
  return trades;
}

std::shared_ptr<parquet::schema::GroupNode> Schema() {
  using parquet::LogicalType;
  using parquet::Repetition;
  using parquet::schema::GroupNode;
  using parquet::schema::PrimitiveNode;
  parquet::schema::NodeVector fields = {
      PrimitiveNode::Make("ts", Repetition::REQUIRED, LogicalType::Timestamp(true, LogicalType::TimeUnit::NANOS), parquet::Type::INT64),
      PrimitiveNode::Make("price", Repetition::REQUIRED, LogicalType::None(), parquet::Type::DOUBLE),
      PrimitiveNode::Make("quantity", Repetition::OPTIONAL, LogicalType::None(), parquet::Type::INT64),
      PrimitiveNode::Make("side", Repetition::REQUIRED, LogicalType::String(), parquet::Type::BYTE_ARRAY),
  };
  return std::static_pointer_cast<GroupNode>(GroupNode::Make("trades", Repetition::REQUIRED, fields));
}

std::shared_ptr<parquet::WriterProperties> Properties() {
  parquet::WriterProperties::Builder builder;
  builder.disable_dictionary()
      ->encoding("ts", parquet::Encoding::DELTA_BINARY_PACKED)
      ->encoding("price", parquet::Encoding::BYTE_STREAM_SPLIT)
      ->encoding("quantity", parquet::Encoding::DELTA_BINARY_PACKED)
      ->encoding("side", parquet::Encoding::DELTA_BYTE_ARRAY)
      ->data_page_version(parquet::ParquetDataPageVersion::V2)
      ->set_sorting_columns({{.column_idx = 0, .descending = false, .nulls_first = false}})
      ->enable_write_page_index();
  return builder.build();
}

template <typename Writer>
Writer& NextColumn(parquet::RowGroupWriter& group) {
  return static_cast<Writer&>(*group.NextColumn());
}

void WriteGroup(parquet::RowGroupWriter& group, const std::vector<Trade>& trades) {
  std::vector<int64_t> times, quantities;
  std::vector<double> prices;
  std::vector<int16_t> present;
  std::vector<parquet::ByteArray> sides;
  for (const Trade& trade : trades) {
    times.push_back(trade.ts);
    prices.push_back(trade.price);
    present.push_back(trade.quantity.has_value());
    if (trade.quantity) quantities.push_back(*trade.quantity);
    sides.emplace_back(trade.side);
  }
  const auto rows = static_cast<int64_t>(trades.size());
  NextColumn<parquet::Int64Writer>(group).WriteBatch(rows, nullptr, nullptr, times.data());
  NextColumn<parquet::DoubleWriter>(group).WriteBatch(rows, nullptr, nullptr, prices.data());
  NextColumn<parquet::Int64Writer>(group).WriteBatch(rows, present.data(), nullptr, quantities.data());
  NextColumn<parquet::ByteArrayWriter>(group).WriteBatch(rows, nullptr, nullptr, sides.data());
  group.Close();
}

void WriteParquet(const std::string& path, const std::vector<Trade>& trades) {
  PARQUET_ASSIGN_OR_THROW(auto sink, arrow::io::FileOutputStream::Open(path));
  auto writer = parquet::ParquetFileWriter::Open(sink, Schema(), Properties());
  for (size_t first = 0; first < trades.size(); first += kGroupRows) {
    const auto last = std::min(first + kGroupRows, trades.size());
    WriteGroup(*writer->AppendRowGroup(), {trades.begin() + first, trades.begin() + last});
  }
  writer->Close();
  PARQUET_THROW_NOT_OK(sink->Close());
}

std::string TimeText(int64_t ns) {
  const std::time_t seconds = ns / kSecondNs;
  char date[32], text[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", std::gmtime(&seconds));
  std::snprintf(text, sizeof text, "%s.%09" PRId64 "Z", date, ns % kSecondNs);
  return text;
}

std::string DoubleText(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

void WriteExpected(const std::string& path, const std::vector<Trade>& trades) {
  const auto column = [&](const char* name, auto text_of) {
    std::string json = '"' + std::string(name) + "\": [";
    for (const Trade& trade : trades) {
      const std::optional<std::string> text = text_of(trade);
      json += (&trade == &trades.front() ? "" : ", ") + (text ? '"' + *text + '"' : std::string("null"));
    }
    return json + "]";
  };
  std::ofstream out(path, std::ios::binary);
  out.exceptions(std::ios::failbit | std::ios::badbit);
  out << "{\"rows\": " << trades.size() << ", \"columns\": {"
      << column("ts", [](const Trade& trade) { return TimeText(trade.ts); }) << ", "
      << column("price", [](const Trade& trade) { return DoubleText(trade.price); }) << ", "
      << column("quantity", [](const Trade& trade) { return trade.quantity ? std::optional(std::to_string(*trade.quantity)) : std::nullopt; }) << ", "
      << column("side", [](const Trade& trade) { return trade.side; }) << "}}";
  out.close();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string hour = argc == 3 ? argv[2] : "";
  if (hour != "0" && hour != "1") {
    std::cerr << "usage: writer OUTDIR 0|1\n";
    return 2;
  }
  try {
    const auto trades = TradesOf(std::stoi(hour));
    const std::string stem = std::string(argv[1]) + "/cpp_low_level-" + hour;
    WriteParquet(stem + ".parquet", trades);
    WriteExpected(stem + ".json", trades);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

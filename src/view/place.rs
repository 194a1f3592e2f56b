//! Where an output's file stands in a view. The only place where names of datasets, instruments and outputs become paths.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::options::ViewLayout;
use crate::instrument::Instrument;
use crate::interval::Time;

/// The directory of an entry's files, below the view's.
pub(super) fn directory_of(layout: ViewLayout, dataset: &str, instrument: &Instrument, start: Time) -> PathBuf {
    let (dataset, market, pair) = (encoded(dataset), encoded(instrument.market()), encoded(instrument.pair()));
    // A time stands as it is written everywhere, colons and all: DuckDB and Polars know it for a time by that, and no time needs to be encoded.
    Path::new(&dataset).join(match layout {
        ViewLayout::Hive => format!("market={market}/pair={pair}/start={start}"),
        ViewLayout::Plain => format!("{market}/{pair}/{start}"),
    })
}

/// The name of an output's file.
pub(super) fn file_name_of(output: &str) -> String {
    format!("{}.parquet", encoded(output))
}

/// A name as one step of a path, from which readers of hive partitions get it back: a byte of ASCII that is no letter, digit, `-`, `.`, `_` or `~` is
/// written as `%` and two digits. So is a `.` or `_` at the beginning: tools leave files aside that are called so.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (at, character) in name.char_indices() {
        let stands = match character {
            '.' | '_' => at > 0,
            '-' | '~' => true,
            character => character.is_ascii_alphanumeric() || !character.is_ascii(),
        };
        if stands {
            text.push(character);
        } else {
            write!(text, "%{:02X}", u32::from(character)).expect("writing to a string does not fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            if *byte == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(*byte);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        /// Two names never share a place, and none leads out of the view or hides.
        #[test]
        fn a_name_is_one_step_of_a_path_and_comes_back(name in "\\PC{1,64}") {
            let step = encoded(&name);
            prop_assert_eq!(decoded(&step), name);
            prop_assert!(!step.contains(['/', '=', '\0', '*', '?', '[', '{', ' ']), "{}", step);
            prop_assert!(!step.starts_with(['.', '_']), "{}", step);
        }
    }

    #[test]
    fn usual_names_stand_as_they_are() {
        let place = |layout, instrument: &str| {
            let directory = directory_of(layout, "md", &instrument.parse().unwrap(), "2024-01-01T12:00".parse().unwrap());
            directory.join(file_name_of("trades")).to_str().unwrap().to_owned()
        };
        assert_eq!(place(ViewLayout::Hive, "binance/BTC-USDT"), "md/market=binance/pair=BTC-USDT/start=2024-01-01T12:00:00Z/trades.parquet");
        assert_eq!(place(ViewLayout::Plain, "kraken/BTC/USD"), "md/kraken/BTC%2FUSD/2024-01-01T12:00:00Z/trades.parquet");
    }
}

//! A recorded feed: a Databento DBN file of schema `mbo`, compressed with zstd or not.
//!
//! The only file that names the crate `dbn`. A message's time is `ts_recv`, which the file is ordered by; where a
//! recorder's clock went back (or gave no time), the time before it stands.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::PathBuf,
};

use dbn::{
    MboMsg, Schema, SymbolIndex, TsSymbolMap,
    decode::{DbnDecoder, DbnMetadata, DecodeRecordRef, DynReader},
};

use super::{Action, Message, Side};
use crate::error::{Error, Result};

/// The messages of one instrument in a DBN file.
pub(crate) struct Recorded {
    path: PathBuf,
    decoder: DbnDecoder<Whole<DynReader<'static, BufReader<File>>>>,
    pair: String,
    /// Which instrument a number means on which day; empty when the file does not say.
    symbols: TsSymbolMap,
    /// The publisher and instrument number of the first message: a book holds one of each.
    source: Option<(u16, u32)>,
    /// Read already, to see whether a snapshot ends with the message before.
    ahead: Option<(Message, bool)>,
    ts: i64,
}

impl Recorded {
    /// Opens a file and checks that it is of the right schema and holds the pair.
    pub(crate) fn open(path: PathBuf, pair: &str) -> Result<Self> {
        if !path.exists() {
            return Err(Error::MissingFeed { path });
        }
        let damaged = |source| Error::Feed { path: path.clone(), source };
        let reader = DynReader::from_file(&path).map_err(damaged)?;
        let decoder = DbnDecoder::new(Whole(reader)).map_err(damaged)?;
        let metadata = decoder.metadata();
        if let Some(schema) = metadata.schema.filter(|&schema| schema != Schema::Mbo) {
            let holds = format!("the schema {schema:?}");
            return Err(Error::OtherFeed { path, holds, wanted: "\"mbo\"".into() });
        }
        let symbols = metadata.symbol_map().map_err(damaged)?;
        let mut names: Vec<&str> = symbols.inner().values().flat_map(|s| s.intervals()).map(|s| s.symbol.as_str()).collect();
        if names.is_empty() {
            names = metadata.symbols.iter().map(String::as_str).collect();
        }
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() && !names.contains(&pair) {
            let more = if names.len() > 5 { ", …" } else { "" };
            let holds = format!("{}{more}", names[..names.len().min(5)].join(", "));
            return Err(Error::OtherFeed { path, holds, wanted: pair.to_owned() });
        }
        Ok(Self { decoder, pair: pair.to_owned(), symbols, source: None, ahead: None, ts: 0, path })
    }

    /// The next message of the pair. A snapshot that the recorder put into the feed is an event also where its last
    /// message does not say so: it ends where the live messages begin.
    pub(crate) fn next(&mut self) -> Result<Option<Message>> {
        let current = match self.ahead.take() {
            Some(current) => Some(current),
            None => self.read()?,
        };
        let Some((mut message, snapshot)) = current else {
            return Ok(None);
        };
        if snapshot {
            self.ahead = self.read()?;
            message.last |= self.ahead.is_some_and(|(_, snapshot)| !snapshot);
        }
        Ok(Some(message))
    }

    /// The next message, and whether it is part of a snapshot.
    fn read(&mut self) -> Result<Option<(Message, bool)>> {
        loop {
            let record = match self.decoder.decode_record_ref() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(None),
                Err(source) => return Err(Error::Feed { path: self.path.clone(), source }),
            };
            // Other records are about the recording, such as a gateway's heartbeat.
            let Some(mbo) = record.get::<MboMsg>() else { continue };
            if !self.symbols.is_empty() && self.symbols.get_for_rec(mbo) != Some(&self.pair) {
                continue;
            }
            let source = (mbo.hd.publisher_id, mbo.hd.instrument_id);
            let first = *self.source.get_or_insert(source);
            let unplayable = |reason| Error::Unplayable { path: self.path.clone(), reason };
            if first != source {
                return Err(unplayable(format!(
                    "it mixes instrument {} of publisher {} with instrument {} of publisher {}, which have separate books",
                    first.1, first.0, source.1, source.0
                )));
            }
            self.ts = i64::try_from(mbo.ts_recv).unwrap_or(self.ts).max(self.ts);
            let message = Message {
                ts: self.ts,
                action: action(mbo).ok_or_else(|| unplayable(format!("message {} has an unknown action {}", mbo.sequence, mbo.action)))?,
                side: match mbo.side() {
                    Ok(dbn::Side::Bid) => Side::Bid,
                    Ok(dbn::Side::Ask) => Side::Ask,
                    _ => Side::None,
                },
                order_id: mbo.order_id,
                price: mbo.price,
                size: mbo.size,
                sequence: mbo.sequence,
                last: mbo.flags.is_last(),
            };
            return Ok(Some((message, mbo.flags.is_snapshot())));
        }
    }
}

fn action(mbo: &MboMsg) -> Option<Action> {
    Some(match mbo.action().ok()? {
        dbn::Action::Add => Action::Add,
        dbn::Action::Cancel => Action::Cancel,
        dbn::Action::Modify => Action::Modify,
        dbn::Action::Clear => Action::Clear,
        dbn::Action::Trade => Action::Trade,
        dbn::Action::Fill => Action::Fill,
        dbn::Action::None => Action::None,
    })
}

/// Reads on behalf of `dbn`, which takes an unexpected end of the data for the end of the feed: a file of which only a
/// part was copied would pass for a short one. Here it is an error, where the file can tell: one that is not compressed
/// says nothing of its length.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, "the file is cut off"),
            _ => error,
        })
    }
}

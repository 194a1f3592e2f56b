//! How a run's spans are written, beside the run itself: some hundred bytes for 64 entries, so that coverage reads no entries.
//!
//! A row is the names of the datasets that the entries were made under, nearly always one, and then each entry's span in their order: how far it starts
//! behind the end of the one before, how long it is, whether it is empty.

use serde::{Deserialize, Serialize};

use super::Broken;
use crate::interval::Time;
use crate::store::manifest::Empty;
use crate::store::record::{EntryRecord, Span};

const EARLY: u16 = 1;
const ZERO_ROWS: u16 = 1 << 1;
const NO_DATA: u16 = 2 << 1;
/// And the exit code behind it.
const EXIT_CODE: u16 = 3 << 1;

#[derive(Serialize, Deserialize)]
struct Packed {
    after_ns: i64,
    length_ns: i64,
    state: u16,
    /// Which of the names.
    name: u16,
}

pub(super) fn pack(run: &[EntryRecord]) -> Result<Vec<u8>, Broken> {
    let mut names: Vec<&str> = Vec::new();
    let mut end = 0i64;
    let mut packed = Vec::with_capacity(run.len());
    for entry in run {
        let name = names.iter().position(|name| **name == *entry.dataset).unwrap_or_else(|| {
            names.push(&entry.dataset);
            names.len() - 1
        });
        let name = u16::try_from(name).map_err(|_| Broken("a run has more names than entries".to_owned()))?;
        let span = Span::of(entry);
        // Wrapping, as it is undone: any two times have a difference so.
        packed.push(Packed {
            after_ns: span.start.ns().wrapping_sub(end),
            length_ns: span.end.ns().wrapping_sub(span.start.ns()),
            state: state_of(span),
            name,
        });
        end = span.end.ns();
    }
    Ok(postcard::to_stdvec(&(names, packed))?)
}

/// The names in a row, and what is left to be read.
pub(super) fn names(row: &[u8]) -> Result<(Vec<&str>, &[u8]), Broken> {
    Ok(postcard::take_from_bytes(row)?)
}

/// The spans behind the names, each with the number of its name.
pub(super) fn spans(rest: &[u8]) -> Result<impl Iterator<Item = Result<(usize, Span), Broken>>, Broken> {
    let packed: Vec<Packed> = postcard::from_bytes(rest)?;
    let mut end = 0i64;
    Ok(packed.into_iter().map(move |Packed { after_ns, length_ns, state, name }| {
        let start = end.wrapping_add(after_ns);
        end = start.wrapping_add(length_ns);
        let span = Span { start: Time::from_ns(start), end: Time::from_ns(end), empty: empty_of(state)?, early: state & EARLY != 0 };
        Ok((usize::from(name), span))
    }))
}

fn state_of(span: Span) -> u16 {
    let empty = match span.empty {
        None => 0,
        Some(Empty::ZeroRows) => ZERO_ROWS,
        Some(Empty::NoData) => NO_DATA,
        Some(Empty::ExitCode(code)) => EXIT_CODE + (u16::from(code) << 1),
    };
    empty | u16::from(span.early)
}

fn empty_of(state: u16) -> Result<Option<Empty>, Broken> {
    Ok(match state & !EARLY {
        0 => None,
        ZERO_ROWS => Some(Empty::ZeroRows),
        NO_DATA => Some(Empty::NoData),
        state => {
            let code = u8::try_from((state - EXIT_CODE) >> 1).map_err(|_| Broken("a span is in a state that is none".to_owned()))?;
            Some(Empty::ExitCode(code))
        }
    })
}

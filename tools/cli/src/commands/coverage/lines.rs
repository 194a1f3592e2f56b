//! What `tickbarn coverage --json` prints, a line each, and the records of `--gaps`.

use serde::Serialize;
use tickbarn::inspect::{Coverage, InstrumentCoverage, Totals};
use tickbarn::{Instrument, Interval, IntervalSet, Time};
use tickbarn_terminal::records::PlaceFields;

/// One instrument.
#[derive(Serialize)]
#[serde(tag = "type", rename = "coverage")]
pub(crate) struct CoverageLine<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
    /// Entries in the interval that count, empty ones among them.
    entries: usize,
    empty_entries: usize,
    #[serde(flatten)]
    lengths: Lengths,
    gaps: Vec<GapFields>,
    /// With `--by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cells: Option<Vec<CellFields>>,
}

impl<'a> CoverageLine<'a> {
    pub(crate) fn of(coverage: &'a Coverage, one: &'a InstrumentCoverage, cells: Option<&[Interval]>) -> Self {
        let cell =
            |cell: &Interval| CellFields { start: cell.start(), end: cell.end(), lengths: Lengths::of(&one.totals_in(&coverage.closed, *cell)) };
        Self {
            place: PlaceFields::new(&coverage.dataset, &one.instrument, coverage.interval),
            entries: one.entries,
            empty_entries: one.empty_entries,
            lengths: Lengths::of(&one.totals(&coverage.closed)),
            gaps: gaps_of(one).into_iter().map(|(gap, state)| GapFields { start: gap.start(), end: gap.end(), state }).collect(),
            cells: cells.map(|cells| cells.iter().map(cell).collect()),
        }
    }
}

/// All instruments together.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(crate) struct CoverageSummaryLine<'a> {
    dataset: &'a str,
    /// Whether a dataset file defines it; otherwise everything counts that the store holds under the name.
    defined: bool,
    start: Time,
    end: Time,
    instruments: usize,
    entries: usize,
    #[serde(flatten)]
    lengths: Lengths,
    gaps: usize,
    /// Entries of the same name that do not count, made by another program or configuration.
    elsewhere: usize,
}

impl<'a> CoverageSummaryLine<'a> {
    pub(crate) fn of(coverage: &'a Coverage) -> Self {
        Self {
            dataset: &coverage.dataset,
            defined: coverage.generator.is_some(),
            start: coverage.interval.start(),
            end: coverage.interval.end(),
            instruments: coverage.instruments.len(),
            entries: coverage.instruments.iter().map(|one| one.entries).sum(),
            lengths: Lengths::of(&coverage.totals()),
            gaps: coverage.instruments.iter().map(|one| gaps_of(one).len()).sum(),
            elsewhere: coverage.elsewhere,
        }
    }
}

/// Lengths of time in seconds, and the part of the open time that is there, from 0 to 1; null where all of it is closed.
#[derive(Serialize)]
struct Lengths {
    have_seconds: f64,
    empty_seconds: f64,
    failed_seconds: f64,
    missing_seconds: f64,
    closed_seconds: f64,
    share: Option<f64>,
}

impl Lengths {
    fn of(totals: &Totals) -> Self {
        let seconds = |ns: u128| ns as f64 / 1e9;
        Self {
            have_seconds: seconds(totals.have_ns),
            empty_seconds: seconds(totals.empty_ns),
            failed_seconds: seconds(totals.failed_ns),
            missing_seconds: seconds(totals.missing_ns),
            closed_seconds: seconds(totals.closed_ns),
            share: totals.share_there(),
        }
    }
}

#[derive(Serialize)]
struct GapFields {
    start: Time,
    end: Time,
    /// `missing` or `failed`.
    state: &'static str,
}

#[derive(Serialize)]
struct CellFields {
    start: Time,
    end: Time,
    #[serde(flatten)]
    lengths: Lengths,
}

/// What is missing and what failed of an instrument, in order of time, with the word for it.
pub(super) fn gaps_of(one: &InstrumentCoverage) -> Vec<(Interval, &'static str)> {
    let of = |set: &IntervalSet, word| set.into_iter().map(move |gap| (gap, word)).collect::<Vec<_>>();
    let mut gaps = of(&one.missing, "missing");
    gaps.extend(of(&one.failed, "failed"));
    gaps.sort_unstable();
    gaps
}

/// A record of an intervals file.
#[derive(Serialize)]
pub(crate) struct GapRecord<'a> {
    instrument: InstrumentFields<'a>,
    start: Time,
    end: Time,
}

#[derive(Serialize)]
struct InstrumentFields<'a> {
    market: &'a str,
    pair: &'a str,
}

impl<'a> GapRecord<'a> {
    pub(crate) fn of(instrument: &'a Instrument, gap: Interval) -> Self {
        Self { instrument: InstrumentFields { market: instrument.market(), pair: instrument.pair() }, start: gap.start(), end: gap.end() }
    }
}

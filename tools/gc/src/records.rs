//! The JSON lines: what programs read. Fields are added, never renamed or taken away.

use std::io::{self, Write};

use serde::Serialize;
use tickbarn::gc::{GcEntry, GcFailure, GcLeftover, GcPlan, Kept, Price, Swept};
use tickbarn::{Address, Time};
use tickbarn_terminal::records::{PlaceFields, write_line};

/// Writes a line for all that goes.
pub(crate) fn write_plan(mut out: &mut dyn Write, plan: &GcPlan) -> io::Result<()> {
    plan.entries().try_for_each(|entry| write_line(&mut out, &EntryLine::of(&entry)))?;
    plan.failures().iter().try_for_each(|failure| write_line(&mut out, &FailureLine::of(failure)))?;
    plan.leftovers().iter().try_for_each(|leftover| write_line(&mut out, &LeftoverLine::of(leftover)))
}

/// Writes the sums, with what was removed where something was to be.
pub(crate) fn write_summary(mut out: &mut dyn Write, totals: &Totals, swept: Option<&Swept>) -> io::Result<()> {
    let removed = match swept {
        Some(swept) => Some(RemovedText::of(swept)),
        None => (!totals.dry_run).then(RemovedText::default),
    };
    write_line(&mut out, &SummaryLine { totals, removed })
}

/// An entry that goes.
#[derive(Serialize)]
#[serde(tag = "type", rename = "entry")]
struct EntryLine<'a> {
    address: Address,
    #[serde(flatten)]
    place: PlaceFields<'a>,
    bytes: u64,
    bytes_freed: u64,
    seconds: f64,
    last_used: Time,
    /// Null where it is infinite.
    value: Option<f64>,
    reason: &'static str,
}

impl<'a> EntryLine<'a> {
    fn of(entry: &'a GcEntry) -> Self {
        let GcEntry { address, dataset, instrument, interval, bytes, bytes_freed, seconds, last_used, value, reason, .. } = entry;
        Self {
            address: *address,
            place: PlaceFields::new(dataset, instrument, *interval),
            bytes: *bytes,
            bytes_freed: *bytes_freed,
            seconds: *seconds,
            last_used: *last_used,
            value: value.is_finite().then_some(*value),
            reason: reason.as_str(),
        }
    }
}

/// A record of a failure that goes.
#[derive(Serialize)]
#[serde(tag = "type", rename = "failure")]
struct FailureLine<'a> {
    address: Address,
    #[serde(flatten)]
    place: PlaceFields<'a>,
    last: Time,
    bytes: u64,
}

impl<'a> FailureLine<'a> {
    fn of(failure: &'a GcFailure) -> Self {
        let GcFailure { address, dataset, instrument, interval, last, bytes, .. } = failure;
        Self { address: *address, place: PlaceFields::new(dataset, instrument, *interval), last: *last, bytes: *bytes }
    }
}

/// Something that lies about, and goes.
#[derive(Serialize)]
#[serde(tag = "type", rename = "leftover")]
struct LeftoverLine {
    kind: &'static str,
    path: String,
    bytes: u64,
}

impl LeftoverLine {
    fn of(leftover: &GcLeftover) -> Self {
        Self { kind: leftover.kind.as_str(), path: leftover.path.display().to_string(), bytes: leftover.bytes }
    }
}

/// The sums of a plan, which outlive it.
#[derive(Serialize)]
pub(crate) struct Totals {
    dry_run: bool,
    entries: usize,
    bytes: u64,
    seconds: f64,
    failures: usize,
    failure_bytes: u64,
    leftovers: usize,
    leftover_bytes: u64,
    kept: KeptText,
    store_bytes: u64,
    shortfall_bytes: u64,
}

impl Totals {
    pub(crate) fn of(plan: &GcPlan, dry_run: bool) -> Self {
        let Price { entries, bytes, seconds, .. } = plan.price();
        let Kept { leased, pinned, recent, last, .. } = plan.kept();
        Self {
            dry_run,
            entries,
            bytes,
            seconds,
            failures: plan.failures().len(),
            failure_bytes: plan.failures().iter().map(|failure| failure.bytes).sum(),
            leftovers: plan.leftovers().len(),
            leftover_bytes: plan.leftovers().iter().map(|leftover| leftover.bytes).sum(),
            kept: KeptText { leased, pinned, recent, last },
            store_bytes: plan.store_bytes(),
            shortfall_bytes: plan.shortfall_bytes(),
        }
    }
}

#[derive(Serialize)]
struct KeptText {
    leased: usize,
    pinned: usize,
    recent: usize,
    last: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct SummaryLine<'a> {
    #[serde(flatten)]
    totals: &'a Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedText>,
}

/// What was really removed.
#[derive(Serialize, Default)]
struct RemovedText {
    entries: usize,
    bytes: u64,
    seconds: f64,
    failures: usize,
    leftovers: usize,
    leftover_bytes: u64,
    kept: usize,
    cancelled: bool,
    longest_hold_seconds: f64,
    elapsed_seconds: f64,
}

impl RemovedText {
    fn of(swept: &Swept) -> Self {
        let Swept { price, failures, leftovers, leftover_bytes, kept, cancelled, longest_hold, elapsed, .. } = swept;
        Self {
            entries: price.entries,
            bytes: price.bytes,
            seconds: price.seconds,
            failures: *failures,
            leftovers: *leftovers,
            leftover_bytes: *leftover_bytes,
            kept: *kept,
            cancelled: *cancelled,
            longest_hold_seconds: longest_hold.as_secs_f64(),
            elapsed_seconds: elapsed.as_secs_f64(),
        }
    }
}

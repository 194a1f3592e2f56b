//! What `tickbarn why --json` prints.

use serde::Serialize;
use tickbarn::inspect::{Compared, ComparedAddress, Difference, Generated, MissingUpstream, Neighbour, Standing, Why};
use tickbarn::{Address, Empty, FailureRecord, Time, Value};
use tickbarn_terminal::records::PlaceFields;

use crate::records::FailureText;

/// One partition, and why it is generated.
#[derive(Serialize)]
#[serde(tag = "type", rename = "why")]
pub(crate) struct WhyLine<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
    /// Null for a derived partition whose upstream is not there.
    address: Option<Address>,
    /// `usable`, `unusable` (there, and counts as missing), `absent` or `blocked` (its upstream is not there).
    standing: &'static str,
    /// Why what is there counts as missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(flatten)]
    generated: Option<GeneratedFields>,
    /// What is missing upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<MissingText<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<RecordText<'a>>,
    nearest: Vec<NeighbourText<'a>>,
    /// How many more entries there are at the same place.
    others: usize,
}

impl<'a> WhyLine<'a> {
    pub(crate) fn of(why: &'a Why) -> Self {
        let Why { dataset, instrument, interval, address, standing, failure, nearest, others, .. } = why;
        let (word, reason, generated, missing) = match standing {
            Standing::Usable(generated) => ("usable", None, Some(*generated), None),
            Standing::Unusable { generated, reason } => ("unusable", Some(reason.as_str()), *generated, None),
            Standing::Blocked { missing } => ("blocked", None, None, Some(missing.iter().map(MissingText::of).collect())),
            _ => ("absent", None, None, None),
        };
        Self {
            place: PlaceFields::new(dataset, instrument, *interval),
            address: *address,
            standing: word,
            reason,
            generated: generated.map(GeneratedFields::of),
            missing,
            failure: failure.as_ref().map(RecordText::of),
            nearest: nearest.iter().map(NeighbourText::of).collect(),
            others: *others,
        }
    }
}

/// Two entries or failures, compared.
#[derive(Serialize)]
#[serde(tag = "type", rename = "comparison")]
pub(crate) struct ComparisonLine<'a> {
    before: SubjectText<'a>,
    after: SubjectText<'a>,
    differences: Vec<DifferenceText<'a>>,
}

impl<'a> ComparisonLine<'a> {
    pub(crate) fn of(compared: &'a Compared) -> Self {
        let Compared { before, after, differences, .. } = compared;
        Self { before: SubjectText::of(before), after: SubjectText::of(after), differences: differences.iter().map(DifferenceText::of).collect() }
    }
}

#[derive(Serialize)]
struct SubjectText<'a> {
    address: Address,
    #[serde(flatten)]
    place: PlaceFields<'a>,
    #[serde(flatten)]
    generated: Option<GeneratedFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<RecordText<'a>>,
}

impl<'a> SubjectText<'a> {
    fn of(subject: &'a ComparedAddress) -> Self {
        let ComparedAddress { address, dataset, instrument, interval, generated, failure, .. } = subject;
        Self {
            address: *address,
            place: PlaceFields::new(dataset, instrument, *interval),
            generated: generated.map(GeneratedFields::of),
            failure: failure.as_ref().map(RecordText::of),
        }
    }
}

#[derive(Serialize)]
struct GeneratedFields {
    /// When its generator was started, and how long it ran.
    generated: Time,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<Empty>,
}

impl GeneratedFields {
    fn of(generated: Generated) -> Self {
        let Generated { started, seconds, empty, .. } = generated;
        Self { generated: started, seconds, empty }
    }
}

#[derive(Serialize)]
struct MissingText<'a> {
    #[serde(flatten)]
    place: PlaceFields<'a>,
    address: Option<Address>,
    reason: Option<&'a str>,
}

impl<'a> MissingText<'a> {
    fn of(missing: &'a MissingUpstream) -> Self {
        let MissingUpstream { dataset, instrument, interval, address, reason, .. } = missing;
        Self { place: PlaceFields::new(dataset, instrument, *interval), address: *address, reason: reason.as_deref() }
    }
}

#[derive(Serialize)]
struct RecordText<'a> {
    count: u32,
    first: Time,
    last: Time,
    attempts: u32,
    #[serde(flatten)]
    failure: FailureText<'a>,
}

impl<'a> RecordText<'a> {
    fn of(record: &'a FailureRecord) -> Self {
        let FailureRecord { count, first, last, attempts, failure, .. } = record;
        Self { count: *count, first: *first, last: *last, attempts: *attempts, failure: FailureText::of(failure) }
    }
}

#[derive(Serialize)]
struct NeighbourText<'a> {
    address: Address,
    start: Time,
    end: Time,
    #[serde(flatten)]
    generated: GeneratedFields,
    /// In what its key, as `before`, differs from the partition's.
    differences: Vec<DifferenceText<'a>>,
}

impl<'a> NeighbourText<'a> {
    fn of(neighbour: &'a Neighbour) -> Self {
        let Neighbour { address, interval, generated, differences, .. } = neighbour;
        Self {
            address: *address,
            start: interval.start(),
            end: interval.end(),
            generated: GeneratedFields::of(*generated),
            differences: differences.iter().map(DifferenceText::of).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct DifferenceText<'a> {
    field: &'a str,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    words: &'a str,
    /// Of an upstream that changed: why it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    because: Vec<DifferenceText<'a>>,
}

impl<'a> DifferenceText<'a> {
    pub(crate) fn of(difference: &'a Difference) -> Self {
        let Difference { field, before, after, words, because, .. } = difference;
        let because = because.iter().map(DifferenceText::of).collect();
        Self { field, before: before.as_ref(), after: after.as_ref(), words, because }
    }
}

//! Why a load generates what was there under another key: the one line that it says of each dataset.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::error::Result;
use crate::inspect::difference::{Difference, Side, differences, in_words};
use crate::inspect::nearest::{Sources, add_reasons, addresses_of, canonical_value, known_files, known_program, readable};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::load::Absent;
use crate::store::{Manifest, Neighbour, Site, Store};

/// So many entries at the place of the first partition are compared with it, the youngest first.
const CANDIDATES_MAX: usize = 3;

/// Why a load generates partitions that were there under another key.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Again {
    /// The dataset's name.
    pub dataset: String,
    /// The instrument of the first of them.
    pub instrument: Instrument,
    /// The first of them.
    pub interval: Interval,
    /// Whether that is less than the whole cell that its dataset cuts there, since the request began or ended inside of it.
    pub clipped: bool,
    /// How many there are.
    pub partitions: usize,
    /// In what their keys differ from what was there.
    pub differences: Vec<Difference>,
    /// How many more partitions of the dataset were there under other keys than those.
    pub others: usize,
}

/// `58 partitions are generated again because config.orderbook_levels 40 → 20`.
impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = in_words(&self.differences);
        match self.partitions {
            1 => write!(f, "1 partition is generated again because {because}")?,
            many => write!(f, "{many} partitions are generated again because {because}")?,
        }
        match self.others {
            0 => Ok(()),
            others => write!(f, ", and {others} more that differ otherwise"),
        }
    }
}

/// Of what a load is to generate, what was there under another key, and why that does not answer: one for each dataset, in the order in which they come.
/// Reads a few manifests for each dataset, however many partitions there are.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the store cannot be read.
pub fn again(store: &Store, absent: &[Absent<'_>]) -> Result<Vec<Again>> {
    again_at(store, absent, |sites| store.neighbours(sites))
}

/// As [`again`], by whoever says what there is at some sites.
pub(super) fn again_at(store: &Store, absent: &[Absent<'_>], neighbours: impl FnOnce(&[Site]) -> Result<Vec<Vec<Neighbour>>>) -> Result<Vec<Again>> {
    // The same name may stand for two definitions in one load.
    let mut datasets: Vec<(usize, Vec<&Absent<'_>>)> = Vec::new();
    for one in absent {
        let id = one.dataset.definition_id();
        match datasets.iter_mut().find(|(of, _)| *of == id) {
            Some((_, all)) => all.push(one),
            None => datasets.push((id, vec![one])),
        }
    }
    let mut sites = Vec::new();
    for (_, absent) in &datasets {
        let mut ends: BTreeMap<&Instrument, (Time, Time)> = BTreeMap::new();
        for place in absent.iter().map(|one| one.place) {
            let start = place.interval.start();
            let (first, last) = ends.entry(place.instrument).or_insert((start, start));
            (*first, *last) = ((*first).min(start), (*last).max(start));
        }
        for (instrument, (first, last)) in ends {
            let starts = Interval::new(first, Time::from_ns(last.ns().saturating_add(1)))?;
            sites.push(Site { dataset: absent[0].place.dataset.into(), instrument: instrument.clone(), starts });
        }
    }
    let mut there = There::new();
    for (site, found) in sites.iter().zip(neighbours(&sites)?) {
        for neighbour in found {
            there.entry((&site.dataset, &site.instrument, neighbour.interval)).or_default().push(neighbour);
        }
    }
    let mut found = Vec::new();
    for (_, absent) in &datasets {
        found.extend(again_of_dataset(store, absent, &there)?);
    }
    Ok(found)
}

/// What there is at the places of what is to be generated, by dataset, instrument and interval.
type There<'a> = HashMap<(&'a str, &'a Instrument, Interval), Vec<Neighbour>>;

/// What there is under other keys. Under its own there is nothing, whatever was told of it.
fn at<'a>(there: &'a There<'a>, one: &'a Absent<'a>) -> impl Iterator<Item = &'a Neighbour> {
    let found = there.get(&(one.place.dataset, one.place.instrument, one.place.interval));
    found.into_iter().flatten().filter(|neighbour| neighbour.address != one.address)
}

fn again_of_dataset(store: &Store, absent: &[&Absent<'_>], there: &There<'_>) -> Result<Option<Again>> {
    let Some(first) = absent.iter().find(|one| at(there, one).next().is_some()) else { return Ok(None) };
    let mut candidates: Vec<Neighbour> = at(there, first).copied().collect();
    candidates.sort_by_key(|neighbour| Reverse(neighbour.started));
    let key = canonical_value(first.key)?;
    let mut best: Option<(Manifest, usize)> = None;
    for neighbour in candidates.iter().take(CANDIDATES_MAX) {
        let Some(manifest) = readable(store, &neighbour.address)? else { continue };
        let count = differences(Side::bare(manifest.key()), Side::bare(&key)).len();
        if best.as_ref().is_none_or(|(_, fewest)| count < *fewest) {
            best = Some((manifest, count));
        }
    }
    let Some((manifest, _)) = best else { return Ok(None) };
    let (program, inputs) = known_files(first.dataset, first.identified);
    let old_program = known_program(store, &manifest, program.as_ref().zip(first.identified.program()));
    let mut differences = differences(
        Side { program: old_program.as_ref(), ..Side::bare(manifest.key()) },
        Side { key: &key, program: program.as_ref(), inputs: Some(&inputs) },
    );
    let upstream = addresses_of(first.upstream);
    let old = Sources { key: manifest.key(), addresses: &manifest.provenance.upstream };
    add_reasons(store, &mut differences, old, Sources { key: &key, addresses: &upstream }, 0)?;

    let generator = manifest.key.generator();
    let (mut partitions, mut others) = (0, 0);
    for one in absent.iter().filter(|one| at(there, one).next().is_some()) {
        let is_like_it = at(there, one).any(|neighbour| neighbour.generator == generator);
        *(if is_like_it { &mut partitions } else { &mut others }) += 1;
    }
    Ok(Some(Again {
        dataset: first.place.dataset.to_owned(),
        instrument: first.place.instrument.clone(),
        interval: first.place.interval,
        clipped: first.dataset.split().cell_at(first.place.interval.start())? != first.place.interval,
        partitions,
        differences,
        others,
    }))
}

//! What a store holds, in sums: by dataset and instrument, by dataset, and over all.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::instrument::Instrument;
use crate::parallel::{self, machine_parallelism};
use crate::store::{Named, Store, Summed, Sums};

/// What a store holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Survey {
    /// By dataset and instrument: those of the most bytes first, then in order of their names.
    pub places: Vec<HeldPlace>,
    /// By dataset, in the same order.
    pub datasets: Vec<HeldDataset>,
    /// Everything. An artifact that several datasets or instruments share is in the sums of each of them, and once in this one: it may be less than the
    /// sums of what is above.
    pub total: Holding,
}

/// What is held of an instrument of a dataset.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeldPlace {
    /// The dataset's name when its entries were generated.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// What is held of it.
    pub holding: Holding,
}

/// What is held of a dataset.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeldDataset {
    /// The dataset's name when its entries were generated.
    pub dataset: Arc<str>,
    /// What is held of it.
    pub holding: Holding,
}

/// Sums over some entries.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Holding {
    /// How many there are.
    pub entries: u64,
    /// For how many of them the generator said that there is no data.
    pub empty: u64,
    /// How many artifacts they name, each counted once: their tables, and logs that are too long for a manifest.
    pub artifacts: u64,
    /// The sizes of those, each counted once. Manifests, journal and index are not in it, nor what a disk rounds up.
    pub bytes: u64,
    /// The same sizes, each counted as often as an entry names the artifact: what the entries would take without sharing.
    pub bytes_named: u64,
    /// How long their generators ran, in seconds: what it would take one worker to make all of it again.
    pub seconds: f64,
}

impl Holding {
    /// What sharing artifacts saves, in bytes.
    pub fn bytes_saved(&self) -> u64 {
        self.bytes_named - self.bytes
    }

    fn add_sums(&mut self, sums: Sums) {
        self.entries += sums.entries;
        self.empty += sums.empty;
        self.seconds += sums.seconds;
    }

    fn add(&mut self, other: &Holding) {
        let Self { entries, empty, artifacts, bytes, bytes_named, seconds } = *other;
        self.entries += entries;
        self.empty += empty;
        self.artifacts += artifacts;
        self.bytes += bytes;
        self.bytes_named += bytes_named;
        self.seconds += seconds;
    }
}

/// Adds up what a store holds. Whether the artifacts are there is not looked at, which is what [`Store::verify`] is for.
///
/// A million entries take some tenths of a second where this process may have an index, and about a second where not. Artifacts are told apart by 64 bits
/// of their digests: with a million of them, the chance that two count as one is one in forty millions, and nothing but these sums depends on it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the journal or the directories of entries cannot be read. An entry with a damaged manifest may be left out, which
/// is traced.
pub fn survey(store: &Store) -> Result<Survey> {
    let threads = machine_parallelism();
    Ok(surveyed(store.summed_up(threads)?, threads))
}

fn surveyed(mut summed: Summed, threads: usize) -> Survey {
    let mut surveyed = Surveyed::of_places(&summed);
    let shares: Vec<Mutex<Vec<Vec<Named>>>> = summed.shares(threads).into_iter().map(Mutex::new).collect();
    let counted = parallel::map(threads, &shares, |share| {
        let mut counted = Counted::none(&surveyed);
        // Sorted where they lie, by the one thread that has them.
        share.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(|part| counted.add(part, &surveyed.dataset_of));
        counted
    });
    counted.iter().for_each(|counted| surveyed.add(counted));
    surveyed.in_order()
}

/// A survey in the making.
struct Surveyed {
    places: Vec<HeldPlace>,
    datasets: Vec<HeldDataset>,
    total: Holding,
    /// By the numbers of places, the numbers of their datasets.
    dataset_of: Vec<usize>,
}

impl Surveyed {
    /// With what is known without the artifacts.
    fn of_places(summed: &Summed) -> Self {
        let mut surveyed = Self { places: Vec::new(), datasets: Vec::new(), total: Holding::default(), dataset_of: Vec::new() };
        let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
        for place in &summed.places {
            let name: Arc<str> = (&*place.dataset).into();
            let dataset = *numbers.entry(Arc::clone(&name)).or_insert_with(|| {
                surveyed.datasets.push(HeldDataset { dataset: Arc::clone(&name), holding: Holding::default() });
                surveyed.datasets.len() - 1
            });
            surveyed.dataset_of.push(dataset);
            let dataset = &mut surveyed.datasets[dataset];
            let mut holding = Holding::default();
            for holding in [&mut holding, &mut dataset.holding, &mut surveyed.total] {
                holding.add_sums(place.sums);
            }
            surveyed.places.push(HeldPlace { dataset: Arc::clone(&dataset.dataset), instrument: place.instrument.clone(), holding });
        }
        surveyed
    }

    fn add(&mut self, counted: &Counted) {
        self.places.iter_mut().zip(&counted.places).for_each(|(held, counted)| held.holding.add(counted));
        self.datasets.iter_mut().zip(&counted.datasets).for_each(|(held, counted)| held.holding.add(counted));
        self.total.add(&counted.total);
    }

    fn in_order(self) -> Survey {
        let Self { mut places, mut datasets, total, .. } = self;
        // Of what has lost its last entry nothing is held.
        places.retain(|held| held.holding.entries > 0);
        datasets.retain(|held| held.holding.entries > 0);
        places.sort_by(|left, right| {
            let key = |held: &HeldPlace| (Reverse(held.holding.bytes), Arc::clone(&held.dataset), held.instrument.clone());
            key(left).cmp(&key(right))
        });
        datasets.sort_by(|left, right| (Reverse(left.holding.bytes), &left.dataset).cmp(&(Reverse(right.holding.bytes), &right.dataset)));
        Survey { places, datasets, total }
    }
}

/// The artifacts of one share.
struct Counted {
    places: Vec<Holding>,
    datasets: Vec<Holding>,
    total: Holding,
}

impl Counted {
    fn none(surveyed: &Surveyed) -> Self {
        let none = |count| vec![Holding::default(); count];
        Self { places: none(surveyed.places.len()), datasets: none(surveyed.datasets.len()), total: Holding::default() }
    }

    fn add(&mut self, named: &mut [Named], dataset_of: &[usize]) {
        let dataset = |named: &Named| dataset_of[named.place as usize];
        named.sort_unstable_by_key(|named| named.artifact);
        for same in named.chunk_by_mut(|left, right| left.artifact == right.artifact) {
            // Nearly always it is one alone.
            same.sort_unstable_by_key(|named| (dataset(named), named.place));
            let mut last: Option<Named> = None;
            for named in same {
                let in_dataset = last.filter(|last| dataset(last) == dataset(named));
                let in_place = in_dataset.filter(|last| last.place == named.place);
                for (holding, known) in [
                    (&mut self.places[named.place as usize], in_place.is_some()),
                    (&mut self.datasets[dataset(named)], in_dataset.is_some()),
                    (&mut self.total, last.is_some()),
                ] {
                    holding.bytes_named += named.bytes;
                    if !known {
                        holding.artifacts += 1;
                        holding.bytes += named.bytes;
                    }
                }
                last = Some(*named);
            }
        }
    }
}

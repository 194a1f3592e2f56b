//! What the entries of a store name, place by place, without knowing them one by one: for sums over a million of them.
//!
//! The index tells where in the journal their records stand, which are decoded only as far as is needed. Where it does not hold just the entries that have
//! names in `entries/`, and where there is none, the [`Inventory`] tells it instead, in several times the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::address::Digest;
use crate::error::Result;
use crate::instrument::Instrument;
use crate::parallel;
use crate::store::Store;
use crate::store::index::{Index, Told};
use crate::store::inventory::{Inventory, OnDamaged};
use crate::store::journal::RecordAt;
use crate::store::layout::ArtifactKind;
use crate::store::packed::{Bytes, PackedPlace, PackedRecord};

/// Below so many bytes of the journal, some hundred thousand entries, opening an index takes longer than reading that.
const INDEX_WORTH_JOURNAL_BYTES: u64 = 32 << 20;
/// Artifacts are kept apart by the first byte of their digests, so that several threads can count them.
const PARTS: usize = 256;

/// What entries name.
#[derive(Debug)]
pub(crate) struct Summed {
    /// Every dataset and instrument, in no order.
    pub(crate) places: Vec<SummedPlace>,
    /// What names which artifact, in no order but by the first byte of the digest: an artifact is in one part only.
    pub(crate) parts: Vec<Vec<Named>>,
}

/// The entries of a dataset and instrument.
#[derive(Debug, Clone)]
pub(crate) struct SummedPlace {
    pub(crate) dataset: Box<str>,
    pub(crate) instrument: Instrument,
    pub(crate) sums: Sums,
}

/// What is added up over entries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) entries: u64,
    pub(crate) empty: u64,
    /// How long their generators ran.
    pub(crate) seconds: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: Sums) {
        self.entries += other.entries;
        self.empty += other.empty;
        self.seconds += other.seconds;
    }
}

/// An artifact that an entry of a place names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// Tells artifacts apart: the first half of the digest's first half, other bits of it where the artifact is a log. That two of a million artifacts
    /// are taken for one is as likely as one in 40 million, and would make the sums wrong by one of them.
    pub(crate) artifact: u64,
    pub(crate) place: u32,
    pub(crate) bytes: u64,
}

impl Named {
    fn part_of(digest: &Digest) -> usize {
        usize::from(digest.as_bytes()[0])
    }

    fn new((digest, bytes, kind): &(Digest, u64, ArtifactKind), place: u32) -> Self {
        let log = match kind {
            ArtifactKind::Parquet => 0,
            // A log and a table of the same bytes are two files.
            ArtifactKind::Log => u64::MAX,
        };
        Self { artifact: first_half(digest.as_bytes()) ^ log, place, bytes: *bytes }
    }
}

fn first_half(hash: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

impl Summed {
    /// What was named, for so many threads: no artifact is in two of the shares.
    pub(crate) fn shares(&mut self, threads: usize) -> Vec<Vec<Vec<Named>>> {
        let mut parts = std::mem::take(&mut self.parts).into_iter();
        let count = PARTS.div_ceil(threads.clamp(1, PARTS));
        std::iter::from_fn(|| Some(parts.by_ref().take(count).collect())).take_while(|share: &Vec<_>| !share.is_empty()).collect()
    }
}

impl Store {
    /// Tells what the entries name, with so many threads. Takes no lock: what is published or removed meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the journal or a directory of entries cannot be read. A damaged manifest that neither index nor journal tells
    /// is traced and left out.
    pub(crate) fn summed_up(&self, threads: usize) -> Result<Summed> {
        if self.journal().size()?.is_some_and(|bytes| bytes > INDEX_WORTH_JOURNAL_BYTES)
            && let Some(index) = self.index().following(self, u64::MAX)
            && index.is_complete(self.layout()) == Some(true)
            && let Some(summed) = of_index(index, threads)
        {
            return Ok(summed);
        }
        let inventory = Inventory::take_with(self, threads, OnDamaged::LeaveOut)?;
        Ok(of_inventory(&inventory))
    }
}

/// What an index tells; nothing where it is broken.
fn of_index(index: &mut Index, threads: usize) -> Option<Summed> {
    let known = Known::default();
    let Told { records, at, untold } = index.told(threads)?;
    let shares: Vec<&[RecordAt]> = at.chunks(at.len().div_ceil(threads).max(1)).collect();
    let of_share = |share: &&[RecordAt]| {
        let mut decoded = Decoded::with_room_for(share.len());
        let mut places = Places::default();
        let whole = records.each(share, |_, payload| {
            let mut bytes = Bytes(payload);
            match bytes.record()? {
                PackedRecord::Published(place) => decoded.take(&mut bytes, |dataset| places.number_of(&known, place, dataset)),
                PackedRecord::Removed { .. } => None,
            }
        });
        whole.inspect_err(|error| tracing::warn!(%error, "the journal cannot be read")).is_ok_and(|whole| whole).then_some(decoded)
    };
    let mut decoded = parallel::map(threads, &shares, of_share).into_iter().collect::<Option<Vec<Decoded>>>()?;
    let mut others = Decoded::default();
    for (instrument, record) in untold {
        others.take(&mut Bytes(&record), |dataset| Some(known.number_of(std::str::from_utf8(dataset).ok()?, &instrument)))?;
    }
    decoded.push(others);
    Some(known.summed_up(decoded))
}

/// The numbers of places that one thread has met.
#[derive(Default)]
struct Places {
    numbers: HashMap<Box<[u8]>, u32>,
    key: Vec<u8>,
}

impl Places {
    fn number_of(&mut self, known: &Known, place: PackedPlace<'_>, dataset: &[u8]) -> Option<u32> {
        self.key.clear();
        // Names hold no zero byte.
        [dataset, &[0], place.market, &[0], place.pair].into_iter().for_each(|part| self.key.extend_from_slice(part));
        if let Some(number) = self.numbers.get(&*self.key) {
            return Some(*number);
        }
        let number = known.number_of(std::str::from_utf8(dataset).ok()?, &place.instrument()?);
        self.numbers.insert(self.key.as_slice().into(), number);
        Some(number)
    }
}

/// The places that were met, for all threads.
#[derive(Default)]
struct Known(Mutex<HashMap<(Box<str>, Instrument), u32>>);

impl Known {
    fn number_of(&self, dataset: &str, instrument: &Instrument) -> u32 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(known.len()).expect("there are fewer than four billion places");
        *known.entry((dataset.into(), instrument.clone())).or_insert(next)
    }

    fn summed_up(self, decoded: Vec<Decoded>) -> Summed {
        let known = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut numbered: Vec<((Box<str>, Instrument), u32)> = known.into_iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| *number);
        let place = |((dataset, instrument), _)| SummedPlace { dataset, instrument, sums: Sums::default() };
        let mut places: Vec<SummedPlace> = numbered.into_iter().map(place).collect();
        let mut parts = vec![Vec::new(); PARTS];
        for decoded in decoded {
            places.iter_mut().zip(decoded.sums).for_each(|(place, sums)| place.sums.add(sums));
            for (part, named) in parts.iter_mut().zip(decoded.parts) {
                if part.is_empty() { *part = named } else { part.extend(named) }
            }
        }
        Summed { places, parts }
    }
}

/// What one thread has decoded.
struct Decoded {
    /// By the numbers of places.
    sums: Vec<Sums>,
    parts: Vec<Vec<Named>>,
    artifacts: Vec<(Digest, u64, ArtifactKind)>,
}

impl Default for Decoded {
    fn default() -> Self {
        Self { sums: Vec::new(), parts: vec![Vec::new(); PARTS], artifacts: Vec::new() }
    }
}

impl Decoded {
    /// With room for what so many entries of two outputs name.
    fn with_room_for(entries: usize) -> Self {
        let each = entries * 2 / PARTS;
        Self { parts: (0..PARTS).map(|_| Vec::with_capacity(each + each / 8)).collect(), ..Self::default() }
    }

    /// Adds up an entry's record, of a place that has a number.
    fn take(&mut self, bytes: &mut Bytes<'_>, number: impl FnOnce(&[u8]) -> Option<u32>) -> Option<()> {
        self.artifacts.clear();
        let entry = bytes.entry(&mut self.artifacts)?;
        let place = number(entry.dataset)?;
        if self.sums.len() <= place as usize {
            self.sums.resize(place as usize + 1, Sums::default());
        }
        self.sums[place as usize].add(Sums { entries: 1, empty: entry.empty.is_some().into(), seconds: entry.seconds.into() });
        for (nth, artifact) in self.artifacts.iter().enumerate() {
            // Two outputs of the same bytes are one artifact.
            if !self.artifacts[..nth].contains(artifact) {
                self.parts[Named::part_of(&artifact.0)].push(Named::new(artifact, place));
            }
        }
        Some(())
    }
}

fn of_inventory(inventory: &Inventory) -> Summed {
    let known = Known::default();
    let places: Vec<u32> = inventory.places().iter().map(|place| known.number_of(&place.dataset, &place.instrument)).collect();
    let mut decoded = Decoded { sums: vec![Sums::default(); places.len()], ..Decoded::default() };
    for item in inventory.there().map(|nth| inventory.item(nth)) {
        let place = places[inventory.place_number(item) as usize];
        decoded.sums[place as usize].add(Sums { entries: 1, empty: item.empty.into(), seconds: item.seconds.into() });
        for artifact in inventory.named_by(item).iter().map(|nth| inventory.artifact(*nth)) {
            let named = Named::new(&(artifact.digest, artifact.bytes, artifact.kind), place);
            decoded.parts[Named::part_of(&artifact.digest)].push(named);
        }
    }
    known.summed_up(vec![decoded])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::address::Address;
    use crate::dataset::GeneratorId;
    use crate::interval::Time;
    use crate::store::manifest::Empty;
    use crate::store::record::{EntryRecord, JournalRecord, LogRecord, OutputRecord, Published};

    fn published(nth: u32) -> Published {
        // Few artifacts, so that entries share them, also within one entry, and some logs with the bytes of tables.
        let output = |name: &str, of: u32| {
            let digest = Digest::of(&of.to_le_bytes());
            OutputRecord { name: name.into(), digest, schema: digest, bytes: u64::from(of) * 1_000, rows: 1, bounds: [].into() }
        };
        let outputs = if nth.is_multiple_of(7) { Vec::new() } else { vec![output("book", nth % 50), output("trades", nth % 35)] };
        let log = nth.is_multiple_of(5).then(|| LogRecord { digest: Digest::of(&(nth % 50).to_le_bytes()), bytes: u64::from(nth % 50) * 1_000 });
        let start = Time::from_ns(i64::from(nth / 6) * 3_600);
        Published {
            generator: GeneratorId::from_bytes([u8::try_from(nth % 2).unwrap(); 32]),
            instrument: Instrument::new("binance", ["A", "B", "C"][nth as usize % 3]).unwrap(),
            entry: EntryRecord {
                start,
                end: start,
                address: Address::of_canonical(&nth.to_string()),
                dataset: if nth.is_multiple_of(11) { "renamed" } else { "md" }.into(),
                outputs,
                empty: nth.is_multiple_of(7).then_some(Empty::ExitCode(3)),
                started: start,
                seconds: 0.5,
                upstream_seconds: 1.0,
                upstream: if nth.is_multiple_of(3) { vec![Address::of_canonical("up")] } else { Vec::new() },
                log,
            },
        }
    }

    type Plain = BTreeMap<(String, Instrument), (Sums, Vec<(u64, u64)>)>;

    /// What sums say, in an order that can be compared.
    fn plain(summed: &Summed) -> Plain {
        let mut plain: Plain =
            summed.places.iter().map(|place| ((place.dataset.to_string(), place.instrument.clone()), (place.sums, Vec::new()))).collect();
        for named in summed.parts.iter().flatten() {
            let place = &summed.places[named.place as usize];
            plain.get_mut(&(place.dataset.to_string(), place.instrument.clone())).unwrap().1.push((named.artifact, named.bytes));
        }
        plain.values_mut().for_each(|(_, named)| named.sort_unstable());
        plain
    }

    /// What a store is said to hold would depend on whether an index was to be had.
    #[test]
    fn index_and_inventory_tell_the_same() {
        const ENTRIES: u32 = 3_000;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        let all: Vec<Published> = (0..ENTRIES).map(published).collect();
        let name = |published: &Published| std::fs::write(store.layout().entry(&published.entry.address), "").unwrap();
        all.iter().for_each(name);
        let records: Vec<JournalRecord> = all.iter().cloned().map(JournalRecord::Published).collect();
        store.journal().append(&records).unwrap();
        let mut index = Index::open(store.layout(), store.journal()).unwrap();

        let expected = of_inventory(&Inventory::take(&store, 2).unwrap());
        for threads in [1, 3] {
            assert_eq!(plain(&of_index(&mut index, threads).unwrap()), plain(&expected));
        }
        let sums = expected.places.iter().fold(Sums::default(), |mut sums, place| {
            sums.add(place.sums);
            sums
        });
        assert_eq!((sums.entries, sums.empty, sums.seconds), (3_000, 429, 1_500.0));

        // What the journal told last is in it.
        store.journal().append(&[all[7].removed()]).unwrap();
        std::fs::remove_file(store.layout().entry(&all[7].entry.address)).unwrap();
        assert!(index.follow(store.journal()));
        let told = of_index(&mut index, 2).unwrap();
        assert_eq!(plain(&told), plain(&of_inventory(&Inventory::take(&store, 2).unwrap())));
    }
}

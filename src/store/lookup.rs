//! Looking entries up: the index answers, the manifest decides, the artifacts' presence confirms.

use std::collections::HashSet;

use crate::address::Address;
use crate::dataset::GeneratorId;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::options::{IndexMode, StoreOptions, Verify};
use crate::parallel;
use crate::store::artifact;
use crate::store::index::Index;
use crate::store::lease::{Leased, promised_by};
use crate::store::manifest::Manifest;
use crate::store::record::{EntryRecord, Published};
use crate::store::sweep::Sweep;
use crate::store::{Entry, Store, walk};

/// Opening sled and following the journal costs tens of milliseconds, and more the more entries there are; a manifest about ten microseconds. Below so
/// many lookups, and one more for so many bytes of the journal, manifests are quicker.
const INDEX_WORTH_LOOKUPS: u64 = 1_000;
const INDEX_COSTS_JOURNAL_BYTES: u64 = 50_000;
/// The same for a listing, in bytes of the journal: about a thousand entries.
pub(super) const INDEX_WORTH_JOURNAL_BYTES: u64 = 200 << 10;

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) generator: GeneratorId,
    pub(crate) instrument: Instrument,
    pub(crate) interval: Interval,
    pub(crate) address: Address,
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A whole entry: its artifacts are there with the recorded sizes.
    Entry(Entry),
    /// Nothing.
    Absent,
    /// An entry that fails its check, and how. It counts as missing.
    Damaged(String),
}

impl Found {
    fn of(entry: Option<Entry>) -> Self {
        entry.map_or(Found::Absent, Found::Entry)
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Found::Entry(entry) => Some(entry),
            Found::Absent | Found::Damaged(_) => None,
        }
    }
}

/// This process's index, opened when it is worth it.
#[derive(Default)]
pub(super) struct IndexState {
    lookups: u64,
    opened: Option<Option<Index>>,
}

impl IndexState {
    /// The index, followed up to now, once `lookups` more make it worth opening.
    pub(super) fn following(&mut self, store: &Store, lookups: u64) -> Option<&mut Index> {
        if store.options().index == IndexMode::Off {
            return None;
        }
        self.lookups = self.lookups.saturating_add(lookups);
        if self.opened.is_none() && !self.is_worth_opening(store) {
            return None;
        }
        let index = self.opened.get_or_insert_with(|| Index::open(store.layout(), store.journal()));
        if index.as_mut().is_some_and(|index| !index.follow(store.journal())) {
            *index = None;
        }
        index.as_mut()
    }

    fn is_worth_opening(&self, store: &Store) -> bool {
        self.lookups >= INDEX_WORTH_LOOKUPS
            && self.lookups >= INDEX_WORTH_LOOKUPS + store.journal().size().ok().flatten().unwrap_or(0) / INDEX_COSTS_JOURNAL_BYTES
    }
}

impl Store {
    /// Looks a batch up, in order. Neighbours of one generator and instrument that stand together are found together. What is found is leased.
    pub(crate) fn lookup(&self, wanted: &[Wanted]) -> Result<Vec<Found>> {
        self.leased(wanted.iter().map(|wanted| wanted.address), || self.find(wanted))
    }

    /// Looks one address up through its manifest alone: what the holder of a claim asks, who must see the truth. What is found is leased.
    pub(crate) fn lookup_one(&self, address: &Address) -> Result<Found> {
        let found = self.leased([*address], || Ok(vec![self.find_by_manifest(address)?.map_or_else(Found::Damaged, Found::of)]));
        found.map(|mut found| found.pop().expect("one was looked for"))
    }

    /// As [`Store::lookup_one`], but for reading any artifact: for who looks again and again.
    pub(crate) fn glance(&self, address: &Address) -> Result<Found> {
        let by_size = StoreOptions { verify: Verify::Size, ..self.options() };
        self.clone().with_options(by_size).lookup_one(address)
    }

    /// Finds entries, and promises to keep what is found: under the sweep lock, unless all of it was promised before.
    fn leased(&self, addresses: impl IntoIterator<Item = Address>, find: impl Fn() -> Result<Vec<Found>>) -> Result<Vec<Found>> {
        let lease = self.lease();
        let hold = || {
            // A store that cannot be written is still read.
            Sweep::shared_to_read(self.layout()).inspect_err(|error| tracing::debug!(%error, "looking up without the sweep lock")).ok()
        };
        let promised = |found: &[Found]| -> Vec<Leased> { found.iter().filter_map(Found::entry).flat_map(promised_by).collect() };
        let known = lease.covers(addresses.into_iter().map(Leased::Entry));
        let mut sweep = if known { None } else { hold() };
        let mut found = find()?;
        let mut promises = promised(&found);
        if !lease.covers(promises.iter().copied()) {
            if known {
                // Replaced since it was promised.
                sweep = hold();
                found = find()?;
                promises = promised(&found);
            }
            lease.add(self.layout(), promises);
        }
        drop(sweep);
        self.verify_if_asked(&mut found)?;
        Ok(found)
    }

    /// Looks as closely as this handle's options say.
    pub(super) fn verify_if_asked(&self, found: &mut [Found]) -> Result<()> {
        if self.options().verify == Verify::Digest { self.verify_digests(found) } else { Ok(()) }
    }

    /// Reads every artifact of what was found, and finds those damaged that hold other bytes than they should.
    fn verify_digests(&self, found: &mut [Found]) -> Result<()> {
        let problems = parallel::map(parallel::machine_parallelism(), found, |found| {
            let mut outputs = found.entry().map_or(&[][..], |entry| &entry.outputs).iter();
            outputs.find_map(|output| artifact::digest_problem(&output.path, &output.digest).transpose()).transpose()
        });
        for (found, problem) in found.iter_mut().zip(problems) {
            if let Some(problem) = problem? {
                *found = Found::Damaged(problem);
            }
        }
        Ok(())
    }

    pub(super) fn find(&self, wanted: &[Wanted]) -> Result<Vec<Found>> {
        let records = self.lookup_in_index(wanted);
        let mut found = Vec::with_capacity(wanted.len());
        let mut unknown_to_index = Vec::new();
        for (wanted, record) in wanted.iter().zip(records) {
            if let Some(record) = record
                && self.problem_of(&record)?.is_none()
            {
                found.push(Found::Entry(self.entry_of(&record)));
                continue;
            }
            found.push(match self.lookup_manifest(&wanted.address)? {
                Ok(Some(published)) => {
                    let entry = self.entry_of(&published.entry);
                    unknown_to_index.push(published);
                    Found::Entry(entry)
                }
                Ok(None) => Found::Absent,
                Err(reason) => Found::Damaged(reason),
            });
        }
        if !unknown_to_index.is_empty()
            && self.options().index == IndexMode::Auto
            && let Some(Some(index)) = &mut self.index().opened
        {
            index.put_back(&unknown_to_index);
        }
        Ok(found)
    }

    fn find_by_manifest(&self, address: &Address) -> Result<Result<Option<Entry>, String>> {
        Ok(self.lookup_manifest(address)?.map(|published| published.map(|published| self.entry_of(&published.entry))))
    }

    /// Every entry's record, in no order that callers may rely on.
    pub(crate) fn published(&self) -> Result<Vec<Published>> {
        let mut published = Vec::new();
        if self.journal().size()?.is_some_and(|bytes| bytes > INDEX_WORTH_JOURNAL_BYTES)
            && let Some(all) = self.index().following(self, u64::MAX).and_then(Index::all)
        {
            published = all;
        }
        // Not in the index is not yet not there: what the directories name besides is read from its manifest.
        let mut listed: HashSet<Address> = published.iter().map(|published| published.entry.address).collect();
        let addresses = walk::addresses(self.layout(), None)?;
        let unlisted: Vec<Address> = addresses.into_iter().filter(|address| !listed.remove(address)).collect();
        let gone: Vec<Published> = published.extract_if(.., |published| listed.contains(&published.entry.address)).collect();
        let told = published.len();
        for one in walk::published(self.layout(), unlisted) {
            match one {
                Ok(one) => published.push(one),
                Err(error @ Error::Damaged { .. }) => tracing::warn!(%error, "left out of the listing"),
                Err(error) => return Err(error),
            }
        }
        if let Some(Some(index)) = &mut self.index().opened {
            // So that it misses nothing the next time, and a part of it may be believed.
            index.forget(&gone);
            index.put_back(&published[told..]);
        }
        Ok(published)
    }

    fn lookup_in_index(&self, wanted: &[Wanted]) -> Vec<Option<EntryRecord>> {
        let mut records = Vec::with_capacity(wanted.len());
        let mut state = self.index();
        if let Some(index) = state.following(self, wanted.len() as u64) {
            for group in wanted.chunk_by(|left, right| left.generator == right.generator && left.instrument == right.instrument) {
                let Some(mut entries) = range_of(group).and_then(|range| index.range(&group[0].generator, &group[0].instrument, range)) else {
                    break;
                };
                records.extend(group.iter().map(|wanted| take(&mut entries, wanted)));
            }
        }
        records.resize_with(wanted.len(), || None);
        records
    }

    /// What the manifest of an address says, or how it or its artifacts fail their check.
    fn lookup_manifest(&self, address: &Address) -> Result<Result<Option<Published>, String>> {
        if let Some(problem) = self.entry_shards().problem(address.as_bytes()[0]) {
            return Ok(Err(problem));
        }
        match Manifest::read_published(self.layout(), address) {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(published)) => Ok(match self.problem_of(&published.entry)? {
                None => Ok(Some(published)),
                Some(problem) => Err(problem),
            }),
            Err(error @ Error::Damaged { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    fn problem_of(&self, record: &EntryRecord) -> Result<Option<String>> {
        record.outputs.iter().find_map(|output| self.presence().problem(&output.digest, output.bytes).transpose()).transpose()
    }
}

/// The interval in which all of a group start.
fn range_of(group: &[Wanted]) -> Option<Interval> {
    let start = group.iter().map(|wanted| wanted.interval.start()).min()?;
    let end = group.iter().map(|wanted| wanted.interval.end()).max()?;
    Interval::new(start, end).ok()
}

/// Takes the record of one address out of a range in order of start.
fn take(entries: &mut [EntryRecord], wanted: &Wanted) -> Option<EntryRecord> {
    let start = wanted.interval.start();
    let first = entries.partition_point(|entry| entry.start < start);
    entries[first..].iter().take_while(|entry| entry.start == start).find(|entry| entry.address == wanted.address).cloned()
}

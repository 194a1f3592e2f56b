//! Everything that is in a store, in short: what whoever decides over all of it needs to know, a million entries in a few hundred megabytes.
//!
//! The journal tells it, and the names in `entries/` what of that is still true; manifests are read only of entries that the journal does not tell. So
//! it is as complete as a walk of all manifests, at a fraction of the time.
//!
//! # Invariants
//! * An entry whose manifest was there before the look began and is still there is in it, with every artifact that it names; a manifest that cannot be
//!   read is an error, and so is a directory of them that cannot be listed, or in whose place a link stands: what is in it is not known.
//! * Artifacts that were named once and are named no more are in it too, as far as the journal remembers: whoever was stopped while removing them is
//!   found out by that.

mod told;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashTable, hash_table};

use crate::address::{Address, Digest};
use crate::dataset::GeneratorId;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::parallel;
use crate::store::journal::{Cursor, Read};
use crate::store::layout::{ArtifactKind, Layout};
use crate::store::lease::USE_SECONDS;
use crate::store::record::{LogRecord, Published};
use crate::store::usage::{Prefix, Seconds, prefix_of};
use crate::store::{Store, disk, walk};
use told::{Change, Piece};

/// What is in a store.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    entries: Vec<Item>,
    artifacts: Vec<Artifact>,
    /// Which artifacts entries name, by the entries' ranges.
    named: Vec<u32>,
    places: Vec<Place>,
    /// Of derived entries, what they were derived from.
    upstream: HashMap<u32, Upstream>,
    by_address: HashTable<u32>,
    by_digest: HashTable<u32>,
    by_place: HashMap<Place, u32>,
    /// How many records of the journal say nothing that is still true, and how many there are.
    pub(crate) journal: JournalUse,
    /// How far the journal was read; nothing where there was none that could be believed.
    pub(crate) journal_read: Option<Cursor>,
}

/// What to do about a damaged manifest that the journal does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDamaged {
    /// What it names is not known, so nothing may be decided.
    Refuse,
    /// Who only looks at what there is does without, and says so.
    LeaveOut,
}

/// How much of the journal is of use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct JournalUse {
    pub(crate) records: usize,
    pub(crate) live: usize,
}

/// An entry in short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) address: Address,
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) started: Time,
    /// How long its generator ran.
    pub(crate) seconds: f32,
    /// When it was last used, at least when it was made.
    pub(crate) used: Seconds,
    place: u32,
    named: u32,
    named_count: u16,
    pub(crate) state: State,
    /// Whether its generator said that there is no data.
    pub(crate) empty: bool,
    /// Whether the journal tells it so, rather than its manifest alone.
    pub(crate) told: bool,
}

/// Whether an entry is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The journal tells it; whether it is there is still to be seen.
    Told,
    /// It is there.
    There,
    /// It is no more.
    Gone,
}

/// An artifact that something names, or named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Artifact {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) kind: ArtifactKind,
    /// How many entries name it.
    pub(crate) names: u32,
}

impl Artifact {
    /// Its file.
    pub(crate) fn path(&self, layout: &Layout) -> PathBuf {
        layout.artifact(&self.digest, self.kind)
    }

    pub(crate) fn is_there(&self, layout: &Layout) -> bool {
        self.path(layout).symlink_metadata().is_ok()
    }
}

/// What neighbours share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) generator: GeneratorId,
    pub(crate) dataset: Arc<str>,
    pub(crate) instrument: Instrument,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Upstream {
    pub(crate) addresses: Box<[Address]>,
    pub(crate) seconds: f32,
}

impl Inventory {
    /// Looks at a store, by so many threads. Takes no lock: what is published or removed meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::Io`] where something cannot be read, [`Error::Damaged`] where a manifest that the journal does not tell is.
    pub(crate) fn take(store: &Store, threads: usize) -> Result<Self> {
        Self::take_with(store, threads, OnDamaged::Refuse)
    }

    /// The same for who says what is to be done about damaged manifests.
    ///
    /// # Errors
    /// As [`Inventory::take`].
    pub(crate) fn take_with(store: &Store, threads: usize, on_damaged: OnDamaged) -> Result<Self> {
        let mut inventory = Self::default();
        inventory.fold_journal(store, threads)?;
        inventory.compare_with_manifests(store, threads, on_damaged)?;
        inventory.journal.live = inventory.there().count();
        Ok(inventory)
    }

    /// The entries that are there, by their places here.
    pub(crate) fn there(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.entries).filter(|(_, item)| item.is_there()).map(|(nth, _)| nth)
    }

    pub(crate) fn item(&self, nth: u32) -> &Item {
        &self.entries[nth as usize]
    }

    pub(crate) fn items_len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn place(&self, item: &Item) -> &Place {
        &self.places[item.place as usize]
    }

    /// The number of an entry's place in [`Inventory::places`].
    pub(crate) fn place_number(&self, item: &Item) -> u32 {
        item.place
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn upstream(&self, nth: u32) -> Option<&Upstream> {
        self.upstream.get(&nth)
    }

    /// The artifacts that an entry names, by their places here, each once.
    pub(crate) fn named_by(&self, item: &Item) -> &[u32] {
        &self.named[item.named as usize..][..usize::from(item.named_count)]
    }

    pub(crate) fn artifact(&self, nth: u32) -> &Artifact {
        &self.artifacts[nth as usize]
    }

    pub(crate) fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// The place of an entry that is there.
    pub(crate) fn find(&self, address: &Address) -> Option<u32> {
        self.find_any(address).filter(|nth| self.item(*nth).is_there())
    }

    fn find_any(&self, address: &Address) -> Option<u32> {
        self.by_address.find(hash_of(address.as_bytes()), |nth| self.entries[*nth as usize].address == *address).copied()
    }

    /// The places of an artifact: more than one, where a log has the bytes of a table.
    pub(crate) fn find_artifacts(&self, digest: &Digest) -> impl Iterator<Item = u32> {
        self.by_digest.iter_hash(hash_of(digest.as_bytes())).copied().filter(|nth| self.artifacts[*nth as usize].digest == *digest)
    }

    /// The artifacts that nothing names any more, by their places here.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.artifacts).filter(|(_, artifact)| artifact.names == 0).map(|(nth, _)| nth)
    }

    /// Takes out an entry that is no more. Gives the artifacts that nothing names since.
    pub(crate) fn withdraw(&mut self, nth: u32) -> Vec<u32> {
        self.let_go(nth);
        self.named_by(self.item(nth)).iter().copied().filter(|artifact| self.artifact(*artifact).names == 0).collect()
    }

    /// Whether an entry is there whose address begins so.
    pub(crate) fn holds_prefix(&self, prefix: &Prefix) -> bool {
        self.find_prefix(prefix).is_some_and(|nth| self.item(nth).is_there())
    }

    fn find_prefix(&self, prefix: &Prefix) -> Option<u32> {
        self.by_address.find(hash_of(prefix), |nth| prefix_of(&self.entries[*nth as usize].address) == *prefix).copied()
    }

    /// Says that an entry was used, if it is there.
    pub(crate) fn note_use(&mut self, prefix: &Prefix, at: Seconds) {
        if let Some(nth) = self.find_prefix(prefix) {
            let item = &mut self.entries[nth as usize];
            item.used = item.used.max(at);
        }
    }

    /// Says that everything was used.
    pub(crate) fn note_use_of_all(&mut self, at: Seconds) {
        if at > Seconds::default() {
            self.entries.iter_mut().for_each(|item| item.used = item.used.max(at));
        }
    }

    /// Begins anew, in the room that was made.
    fn forget(&mut self) {
        let Self { entries, artifacts, named, places, upstream, by_address, by_digest, by_place, journal, journal_read } = self;
        entries.clear();
        artifacts.clear();
        named.clear();
        places.clear();
        upstream.clear();
        by_address.clear();
        by_digest.clear();
        by_place.clear();
        *journal = JournalUse::default();
        *journal_read = None;
    }

    /// Makes room for what a journal of so many bytes may tell, so that nothing grows by copying.
    fn reserve(&mut self, journal_bytes: u64) {
        const RECORD_BYTES: u64 = 450;
        let entries = usize::try_from(journal_bytes / RECORD_BYTES).unwrap_or(0);
        let Self { by_address, by_digest, entries: items, artifacts, .. } = self;
        by_address.reserve(entries, |nth| hash_of(items[*nth as usize].address.as_bytes()));
        by_digest.reserve(entries * 2, |nth| hash_of(artifacts[*nth as usize].digest.as_bytes()));
    }

    fn fold_journal(&mut self, store: &Store, threads: usize) -> Result<()> {
        let journal = store.journal();
        self.reserve(journal.size()?.unwrap_or(0));
        let mut read = || journal.read_pieces(None, threads, Piece::decode, |piece| self.fold(piece));
        let read = match read()? {
            // A record in the making, or what a crash left of one; what stands beside the journal may have been caught half-written.
            Read::Torn(_) | Read::Damaged(_) => journal.while_nobody_appends(read)?,
            read => read,
        };
        match read {
            // Behind what was torn nothing was ever acknowledged; its manifest tells what was committed.
            Read::To(cursor) | Read::Torn(cursor) => self.journal_read = Some(cursor),
            Read::Absent => self.forget(),
            Read::Damaged(reason) => {
                tracing::warn!(reason, "the journal is damaged: every manifest is read instead");
                self.forget();
            }
        }
        Ok(())
    }

    /// Folds in a piece of the journal; begins again where there is none.
    fn fold(&mut self, piece: Option<Piece>) -> Result<()> {
        let Some(piece) = piece else {
            self.forget();
            return Ok(());
        };
        let places: Vec<u32> = piece.places.into_iter().map(|place| self.place_of(place)).collect();
        let (mut artifacts, mut upstream) = (piece.artifacts.into_iter(), piece.upstream.into_iter());
        self.journal.records += piece.changes.len();
        for change in piece.changes {
            match change {
                Change::Removed(address) => self.remove(&address),
                Change::Published { item, artifacts: count, upstream: derived } => {
                    let item = Item { place: places[item.place as usize], ..item };
                    let derived = derived.then(|| upstream.next()).flatten();
                    self.put(item, artifacts.by_ref().take(count), derived);
                }
            }
        }
        Ok(())
    }

    fn place_of(&mut self, place: Place) -> u32 {
        let next = u32::try_from(self.places.len()).expect("there are fewer than four billion places");
        *self.by_place.entry(place).or_insert_with_key(|place| {
            self.places.push(place.clone());
            next
        })
    }

    /// Puts an entry in the place of what the address meant before.
    fn put(&mut self, item: Item, artifacts: impl Iterator<Item = (Digest, u64, ArtifactKind)>, upstream: Option<Upstream>) {
        let named = self.named.len();
        for (digest, bytes, kind) in artifacts {
            let nth = self.artifact_of(digest, bytes, kind);
            // Two outputs of the same bytes are one artifact.
            if !self.named[named..].contains(&nth) {
                self.named.push(nth);
                self.artifacts[nth as usize].names += 1;
            }
        }
        let count = u16::try_from(self.named.len() - named).expect("a dataset has fewer than 65,536 outputs");
        let item = Item { named: u32::try_from(named).expect("fewer than four billion outputs are named"), named_count: count, ..item };
        let next = u32::try_from(self.entries.len()).expect("there are fewer than four billion entries");
        let Self { by_address, entries, .. } = self;
        let slot = by_address.entry(
            hash_of(item.address.as_bytes()),
            |nth| entries[*nth as usize].address == item.address,
            |nth| hash_of(entries[*nth as usize].address.as_bytes()),
        );
        let nth = match slot {
            hash_table::Entry::Vacant(slot) => {
                slot.insert(next);
                self.entries.push(item);
                next
            }
            hash_table::Entry::Occupied(slot) => {
                let nth = *slot.get();
                self.let_go(nth);
                self.entries[nth as usize] = item;
                self.upstream.remove(&nth);
                nth
            }
        };
        if let Some(upstream) = upstream {
            self.upstream.insert(nth, upstream);
        }
    }

    fn artifact_of(&mut self, digest: Digest, bytes: u64, kind: ArtifactKind) -> u32 {
        let next = u32::try_from(self.artifacts.len()).expect("there are fewer than four billion artifacts");
        let Self { by_digest, artifacts, .. } = self;
        let same = |nth: &u32| artifacts[*nth as usize].digest == digest && artifacts[*nth as usize].kind == kind;
        match by_digest.entry(hash_of(digest.as_bytes()), same, |nth| hash_of(artifacts[*nth as usize].digest.as_bytes())) {
            hash_table::Entry::Occupied(slot) => *slot.get(),
            hash_table::Entry::Vacant(slot) => {
                slot.insert(next);
                self.artifacts.push(Artifact { digest, bytes, kind, names: 0 });
                next
            }
        }
    }

    fn remove(&mut self, address: &Address) {
        if let Some(nth) = self.find_any(address) {
            self.let_go(nth);
        }
    }

    /// An entry is gone: takes its names off what it names, if it is not gone already.
    fn let_go(&mut self, nth: u32) {
        let Item { named, named_count, state, .. } = &mut self.entries[nth as usize];
        let (named, named_count) = (*named, *named_count);
        if std::mem::replace(state, State::Gone) != State::Gone {
            for artifact in &self.named[named as usize..][..usize::from(named_count)] {
                self.artifacts[*artifact as usize].names -= 1;
            }
        }
    }

    /// Keeps of what the journal tells what is there, and reads what it does not tell.
    fn compare_with_manifests(&mut self, store: &Store, threads: usize, on_damaged: OnDamaged) -> Result<()> {
        const SHARDS_AT_ONCE: usize = 32;
        let layout = store.layout();
        // Were it gone, or another, every entry would seem to be.
        drop(disk::open_directory(&layout.entries())?);
        let shards: Vec<String> = (0..=u8::MAX).map(|shard| format!("{shard:02x}")).collect();
        let mut untold = Vec::new();
        for some in shards.chunks(SHARDS_AT_ONCE) {
            let look = |shard: &String| {
                let mut untold = walk::addresses_of_shard(&layout.entries(), shard)?;
                let mut told = Vec::with_capacity(untold.len());
                untold.retain(|address| match self.find_any(address) {
                    Some(nth) if self.entries[nth as usize].state == State::Told => {
                        told.push(nth);
                        false
                    }
                    _ => true,
                });
                Ok::<_, Error>((told, untold))
            };
            for looked in parallel::map(threads, some, look) {
                let (told, more) = looked?;
                told.into_iter().for_each(|nth| self.entries[nth as usize].state = State::There);
                untold.extend(more);
            }
        }
        for nth in 0..u32::try_from(self.entries.len()).expect("there are fewer than four billion entries") {
            if self.item(nth).state == State::Told {
                self.let_go(nth);
            }
        }
        let read = |addresses: &&[Address]| walk::published(layout, addresses.to_vec()).collect::<Vec<_>>();
        const READ_AT_ONCE: usize = 256;
        let untold: Vec<&[Address]> = untold.chunks(READ_AT_ONCE).collect();
        for some in untold.chunks(threads.max(1) * 4) {
            for published in parallel::map(threads, some, read).into_iter().flatten() {
                match published {
                    Ok(published) => self.put_published(published),
                    Err(error @ Error::Damaged { .. }) if on_damaged == OnDamaged::LeaveOut => tracing::warn!(%error, "an entry is left out"),
                    Err(error) => return Err(unknown(error)),
                }
            }
        }
        Ok(())
    }

    /// What a store holds whose manifests say this.
    #[cfg(test)]
    pub(crate) fn of(published: impl IntoIterator<Item = Published>) -> Self {
        let mut inventory = Self::default();
        published.into_iter().for_each(|published| inventory.put_published(published));
        inventory
    }

    /// Says that an entry was last used then, if not since.
    #[cfg(test)]
    pub(crate) fn used_at(mut self, address: &Address, at: Seconds) -> Self {
        self.note_use(&prefix_of(address), at);
        self
    }

    fn put_published(&mut self, published: Published) {
        let Published { generator, instrument, entry } = published;
        let place = self.place_of(Place { generator, dataset: entry.dataset, instrument });
        let item = Item {
            address: entry.address,
            start: entry.start,
            end: entry.end,
            started: entry.started,
            seconds: entry.seconds,
            used: made(entry.started, entry.seconds),
            place,
            named: 0,
            named_count: 0,
            state: State::There,
            empty: entry.empty.is_some(),
            told: false,
        };
        let outputs = entry.outputs.iter().map(|output| (output.digest, output.bytes, ArtifactKind::Parquet));
        let log = entry.log.map(|LogRecord { digest, bytes }| (digest, bytes, ArtifactKind::Log));
        let derived = !entry.upstream.is_empty();
        let upstream = derived.then(|| Upstream { addresses: entry.upstream.clone().into(), seconds: entry.upstream_seconds });
        self.put(item, outputs.chain(log), upstream);
    }
}

impl Item {
    pub(crate) fn is_there(&self) -> bool {
        self.state == State::There
    }

    /// When it was made.
    pub(crate) fn made(&self) -> Seconds {
        made(self.started, self.seconds)
    }

    /// For how long it was not used, at least, in seconds: use is known to some minutes only.
    pub(crate) fn idle_seconds_min(&self, now: Seconds) -> u64 {
        u64::from(now.0).saturating_sub(u64::from(self.used.0) + u64::from(USE_SECONDS))
    }

    /// The partition; `None` where it is none, which no manifest says.
    pub(crate) fn interval(&self) -> Option<Interval> {
        Interval::new(self.start, self.end).ok()
    }
}

/// Of a manifest that cannot be read: what it names is not known.
fn unknown(error: Error) -> Error {
    match error {
        Error::Damaged { path, reason } => {
            let reason = format!("{reason}; what it names is not known, so nothing is collected: `tickbarn verify --repair` first");
            Error::Damaged { path, reason }
        }
        error => error,
    }
}

/// When an entry was made: its use is at least as recent. A time ahead of the clock counts as now.
fn made(started: Time, seconds: f32) -> Seconds {
    let ran_ns = (f64::from(seconds.max(0.0)) * 1e9) as i64;
    Seconds::of(Time::from_ns(started.ns().saturating_add(ran_ns)))
}

/// Addresses and digests are hashes already.
fn hash_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("a hash has 32 bytes, a prefix of it 16"))
}

#[cfg(test)]
mod tests;

//! Taking entries out of a store: the one way out, beside running work.
//!
//! Order, and why: first the journal is told, so that no index goes on answering with what goes; then manifests go, while nobody hands anything out, and
//! their going is made durable; then, in the same way, the artifacts that no manifest names any more. Stopped anywhere, it leaves entries that lookups
//! find by their manifests, or artifacts that the journal remembers and the next collector removes.
//!
//! # Invariants
//! * One collector at a time. From before it looks until it is done it has the lock of dead leases, so that whatever is published meanwhile stands in a
//!   lease that it reads.
//! * Each removal happens under the sweep lock held alone, after leases and pins were read there. That lock is held for milliseconds; nothing is read,
//!   synced or unlinked under it that takes longer.
//! * Any error while gathering what may not go comes before the first removal; one that comes later ends the collecting where it is.
//! * Nothing here needs space or inodes: where the journal cannot be told for want of space, it is told when some has become free; what cannot be moved
//!   to the trash is unlinked in its place.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::ErrorKind;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::address::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::disk;
use crate::store::inventory::{Inventory, JournalUse};
use crate::store::journal::Worth;
use crate::store::layout::ArtifactKind;
use crate::store::lease::{DeadLeases, Follower};
use crate::store::lock::{self, Lock, PassingLock};
use crate::store::manifest::Manifest;
use crate::store::record::{JournalRecord, Published};
use crate::store::roots::Roots;
use crate::store::sweep::Sweep;
use crate::store::usage::{Seconds, prefix_of};

/// For how long the sweep lock is held alone at a time.
const HOLD_MAX: Duration = Duration::from_millis(8);
/// For how long the gate before it stands open each time: whoever waits there looks again every two milliseconds, and once through is waited for.
const OPEN_MIN: Duration = Duration::from_millis(6);
/// A larger file is moved to the trash first: unlinking it takes long. Tests have no files as large, and many of them.
const UNLINK_BYTES_MAX: u64 = if cfg!(test) { 8 << 10 } else { 8 << 20 };

/// The right to take things out of a store, and what there is in it.
pub(crate) struct Collector {
    store: Store,
    inventory: Inventory,
    roots: Roots,
    follower: Follower,
    /// What is to be removed once nobody has it: artifacts that nothing names, by their places in the inventory.
    unnamed: Vec<u32>,
    /// What was not, since somebody has it.
    held_unnamed: Vec<u32>,
    /// Whether it is durable which entries there are.
    entries_synced: bool,
    /// When the gate was last opened.
    opened: Option<Instant>,
    longest_hold: Duration,
    freed_bytes: u64,
    /// Whether something was moved to the trash, and is still there.
    in_trash: bool,
    /// What lay in the trash when it began, and how many bytes that had.
    emptied: (usize, u64),
    dead: DeadLeases,
    cancellation: CancellationToken,
    _lock: Lock,
}

impl Collector {
    /// Looks at a store, to take something out of it until that is cancelled.
    ///
    /// # Errors
    /// [`Error::Collecting`] where another one is at it; whatever keeps entries, leases or pins from being read.
    pub(crate) fn begin(store: &Store, threads: usize, cancellation: &CancellationToken) -> Result<Self> {
        let layout = store.layout();
        let path = layout.collector_lock();
        let lock =
            Lock::try_exclusive(&path)?.ok_or_else(|| Error::Collecting { store: store.path().to_path_buf(), holders: lock::holders(&path) })?;
        let dead = DeadLeases::lock(layout)?;
        let departed = dead.remove(layout)?;
        let mut inventory = Inventory::take(store, threads)?;
        departed.uses.iter().for_each(|(address, at)| inventory.note_use(&prefix_of(address), *at));
        let mut follower = Follower::new(departed.left);
        let roots = Roots::follow(layout, &mut inventory, &mut follower)?;
        let unnamed: Vec<u32> = inventory.unnamed().filter(|nth| inventory.artifact(*nth).is_there(layout)).collect();
        let mut collector = Self {
            store: store.clone(),
            inventory,
            roots,
            follower,
            unnamed,
            held_unnamed: Vec::new(),
            opened: None,
            entries_synced: false,
            longest_hold: Duration::ZERO,
            freed_bytes: 0,
            in_trash: false,
            emptied: (0, 0),
            dead,
            cancellation: cancellation.clone(),
            _lock: lock,
        };
        let trash = store.trash()?;
        collector.empty_trash()?;
        collector.emptied = (trash.len(), trash.iter().map(|(_, bytes)| bytes).sum());
        Ok(collector)
    }

    pub(crate) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// How much of the journal is still of use.
    pub(crate) fn journal_use(&self) -> JournalUse {
        JournalUse { live: self.inventory.there().count(), ..self.inventory.journal }
    }

    /// How much lay in the trash when it began, which is gone, and how many bytes that had.
    pub(crate) fn emptied(&self) -> (usize, u64) {
        self.emptied
    }

    /// For how long the sweep lock was held alone at most, or kept shut for others.
    pub(crate) fn longest_hold(&self) -> Duration {
        self.longest_hold
    }

    /// How many bytes the files had that were removed.
    pub(crate) fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// Takes entries out of the store, by their places in the inventory, and removes what nothing names then. Gives back those that are gone: the others
    /// were handed out or pinned, or are gone already.
    pub(crate) fn withdraw(&mut self, entries: &[u32]) -> Result<Vec<u32>> {
        let layout = self.store.layout().clone();
        // Those of one directory together.
        let mut entries: Vec<u32> = entries.iter().copied().filter(|nth| !self.is_held(*nth)).collect();
        entries.sort_unstable_by_key(|nth| self.inventory.item(*nth).address);
        let removals: Vec<JournalRecord> = entries.iter().map(|nth| self.removal_of(*nth)).collect();
        // Looked at before and after: where it was written anew meanwhile, nobody knows which of the two was told.
        let journal = self.store.journal().id()?;
        let is_told = self.tell(&removals)?;
        let told_to = if is_told { self.store.journal().id()?.filter(|id| journal == Some(*id)) } else { None };
        let mut gone = Vec::with_capacity(entries.len());
        let mut kept = Vec::new();
        let removed = self.remove_manifests(&entries, &mut gone, &mut kept);
        self.tell_again(&kept);
        removed?;
        let directories: BTreeSet<PathBuf> =
            gone.iter().map(|nth| disk::parent(&layout.entry(&self.inventory.item(*nth).address)).to_path_buf()).collect();
        directories.iter().try_for_each(|directory| disk::sync_directory(directory))?;
        self.remove_unnamed()?;
        // For want of space it was not told, or it was written anew before the manifests went.
        if told_to.is_none() || self.store.journal().id()? != told_to {
            let removals: Vec<JournalRecord> = gone.iter().map(|nth| self.removal_of(*nth)).collect();
            if !self.tell(&removals)? {
                // Manifests answer without one, and whoever opens the store next writes it anew.
                tracing::info!("the disk is full, and the journal cannot be told of what is gone: it goes, too");
                self.store.journal().remove()?;
            }
        }
        Ok(gone)
    }

    /// Removes the artifacts that nothing names, but for those that somebody was handed or has just published. Says how many.
    pub(crate) fn remove_unnamed(&mut self) -> Result<usize> {
        let mut unnamed = std::mem::take(&mut self.unnamed);
        if !unnamed.is_empty() {
            self.sync_entries()?;
        }
        unnamed.sort_unstable_by_key(|nth| self.inventory.artifact(*nth).digest);
        let mut left = unnamed.into_iter().peekable();
        let mut removed = 0;
        let done = self.in_turns(&mut left, |this, nth, directory| {
            if this.roots.is_artifact_leased(nth) {
                this.held_unnamed.push(nth);
            } else {
                let path = this.inventory.artifact(nth).path(this.store.layout());
                removed += usize::from(this.remove_file(&path, directory)?);
            }
            Ok(())
        })?;
        if !done {
            // Still to be removed, by whoever goes on.
            self.unnamed.extend(left);
        }
        Ok(removed)
    }

    /// Removes artifacts that no manifest named when they were looked for, which was after this collector began. Says how many, and how many bytes.
    pub(crate) fn remove_orphans(&mut self, paths: &[PathBuf]) -> Result<(usize, u64)> {
        if !paths.is_empty() {
            self.sync_entries()?;
        }
        let parsed = |path: &PathBuf| Some((path.clone(), path.file_name().and_then(|name| name.to_str()).and_then(ArtifactKind::parse)?.0));
        self.remove_free(paths.iter().filter_map(parsed), |this, digest| {
            let has_name = |nth| this.inventory.artifact(nth).names > 0 || this.roots.is_artifact_leased(nth);
            !this.inventory.find_artifacts(digest).any(has_name) && !this.roots.is_other_leased(digest)
        })
    }

    /// Removes kept programs that no process uses which lives. Says how many, and how many bytes.
    pub(crate) fn remove_programs(&mut self, programs: &[(PathBuf, Digest)]) -> Result<(usize, u64)> {
        self.remove_free(programs.iter().cloned(), |this, digest| !this.roots.is_program_leased(digest))
    }

    /// Removes those files of which that is so when it is their turn. Says how many, and how many bytes.
    fn remove_free(&mut self, files: impl Iterator<Item = (PathBuf, Digest)>, is_free: impl Fn(&Self, &Digest) -> bool) -> Result<(usize, u64)> {
        let before = self.freed_bytes;
        let mut removed = 0;
        self.in_turns(&mut files.peekable(), |this, (path, digest), directory| {
            if is_free(this, &digest) {
                removed += usize::from(this.remove_file(&path, directory)?);
            }
            Ok(())
        })?;
        Ok((removed, self.freed_bytes - before))
    }

    /// Writes down when what is held by living processes was used, which may hold it for weeks, and forgets the uses of what is gone.
    pub(crate) fn note_uses(&self) {
        let now = Seconds::now();
        let held = self.inventory.there().filter(|nth| self.roots.is_leased(*nth) && !self.roots.everything_is_held());
        let uses: Vec<_> = held.map(|nth| (self.inventory.item(nth).address, now)).collect();
        let keep = |prefix: &_| self.inventory.holds_prefix(prefix);
        if let Err(error) = self.dead.note_uses(self.store.layout(), &uses, keep) {
            tracing::debug!(%error, "uses are not written down");
        }
    }

    /// Writes the journal anew without what it says of entries that are gone. It grows where that is not done, and nothing else.
    pub(crate) fn compact_journal(&self) -> Result<()> {
        let Some(known) = self.inventory.journal_read else { return Ok(()) };
        let held = self.held_unnamed.iter().map(|nth| self.inventory.artifact(*nth)).filter(|artifact| artifact.is_there(self.store.layout()));
        let held: HashSet<Digest> = held.map(|artifact| artifact.digest).collect();
        let worth = |Published { entry, .. }: &Published| {
            // Not what only its manifest told: somebody may be replacing it, and has told the old journal so.
            let found = self.inventory.find(&entry.address).map(|nth| self.inventory.item(nth));
            let is_live = found.is_some_and(|item| item.told && item.started == entry.started);
            let mut named = entry.outputs.iter().map(|output| output.digest).chain(entry.log.map(|log| log.digest));
            match is_live {
                true => Worth::Live,
                false if !held.is_empty() && named.any(|digest| held.contains(&digest)) => Worth::Remembered,
                false => Worth::Nothing,
            }
        };
        self.store.journal().compact(known, worth, |address| self.inventory.find(address).is_some())
    }

    fn is_held(&self, nth: u32) -> bool {
        self.roots.is_leased(nth) || self.roots.is_pinned(nth)
    }

    /// Says which are gone and which are held, also where it does not come to the end of them.
    fn remove_manifests(&mut self, entries: &[u32], gone: &mut Vec<u32>, kept: &mut Vec<u32>) -> Result<()> {
        let mut left = entries.iter().copied().peekable();
        let done = self.in_turns(&mut left, |this, nth, directory| {
            if this.is_held(nth) {
                kept.push(nth);
                return Ok(());
            }
            let path = this.store.layout().entry(&this.inventory.item(nth).address);
            // Gone already, where a load set it aside.
            disk::remove_in(directory.of(&path)?, &path)?;
            this.unnamed.extend(this.inventory.withdraw(nth));
            gone.push(nth);
            Ok(())
        });
        kept.extend(left);
        done.map(drop)
    }

    /// Makes durable which entries there are, once: whoever took a manifest away or replaced it may have ended before that was, and what it named goes now.
    fn sync_entries(&mut self) -> Result<()> {
        if !self.entries_synced {
            let is_directory = |shard: &PathBuf| shard.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            self.store.layout().shards_of_entries().filter(is_directory).try_for_each(|shard| disk::sync_directory(&shard))?;
            self.entries_synced = true;
        }
        Ok(())
    }

    fn removal_of(&self, nth: u32) -> JournalRecord {
        let item = self.inventory.item(nth);
        let place = self.inventory.place(item);
        JournalRecord::Removed { generator: place.generator, instrument: place.instrument.clone(), start: item.start, address: item.address }
    }

    /// Tells the journal, durably. Says whether there was space for it.
    fn tell(&self, records: &[JournalRecord]) -> Result<bool> {
        if records.is_empty() {
            return Ok(true);
        }
        match self.store.journal().append(records) {
            Ok(()) => Ok(true),
            Err(Error::Io { source, .. }) if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells the journal of entries that stay after all. Where that fails, lookups find them by their manifests.
    fn tell_again(&self, kept: &[u32]) {
        const CLAIMS_AT_ONCE: usize = 64;
        let layout = self.store.layout();
        for some in kept.chunks(CLAIMS_AT_ONCE) {
            // Whoever has the claim replaces it, and tells what it is then: not to be followed by what it was before.
            let claimed = |nth: &u32| {
                let address = self.inventory.item(*nth).address;
                let claim = PassingLock::try_exclusive(&layout.claim(&address)).ok().flatten()?;
                Some((claim, Manifest::read_published(layout, &address).ok().flatten()?))
            };
            let (_claims, published): (Vec<PassingLock>, Vec<Published>) = some.iter().filter_map(claimed).unzip();
            let records: Vec<JournalRecord> = published.into_iter().map(JournalRecord::Published).collect();
            match self.tell(&records) {
                Ok(true) => {}
                told => tracing::debug!(?told, "the journal is not told of entries that stay"),
            }
        }
    }

    /// Does something with one after the other while nobody publishes or hands anything out, with all that holds anything known: as many at a time as
    /// keep nobody waiting, one at least. Says whether it came to the end of them; where it was cancelled, or fails, the others are left.
    fn in_turns<T>(
        &mut self,
        left: &mut Peekable<impl Iterator<Item = T>>,
        mut work: impl FnMut(&mut Self, T, &mut Shard) -> Result<()>,
    ) -> Result<bool> {
        let layout = self.store.layout().clone();
        while left.peek().is_some() {
            thread::sleep(OPEN_MIN.saturating_sub(self.opened.map_or(OPEN_MIN, |opened| opened.elapsed())));
            let stop = || self.cancellation.is_cancelled();
            let Some((sweep, shut, in_vain)) = Sweep::alone_for_a_moment(&layout, stop)? else { return Ok(false) };
            self.opened = Some(Instant::now());
            let pins_are_known = self.roots.read_on(&layout, &self.inventory, &mut self.follower)?;
            let done = if pins_are_known { self.take_turn(left, &mut work) } else { Ok(()) };
            drop(sweep);
            self.longest_hold = self.longest_hold.max(in_vain).max(shut.elapsed());
            done?;
            if !pins_are_known {
                // Over all entries, which takes long.
                self.roots.read_pins(&layout, &self.inventory)?;
            }
            if std::mem::take(&mut self.in_trash) {
                self.empty_trash()?;
            }
        }
        Ok(true)
    }

    fn take_turn<T>(&mut self, left: &mut impl Iterator<Item = T>, work: &mut impl FnMut(&mut Self, T, &mut Shard) -> Result<()>) -> Result<()> {
        let until = Instant::now() + HOLD_MAX;
        let mut directory = Shard::default();
        for one in left {
            work(self, one, &mut directory)?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Removes a file, a large one by way of the trash. Says whether it was there.
    fn remove_file(&mut self, path: &Path, directory: &mut Shard) -> Result<bool> {
        let directory = match directory.of(path) {
            // A shard that is not there holds nothing.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(false),
            directory => directory?,
        };
        let Some(bytes) = disk::size_in(directory, path)? else { return Ok(false) };
        let name = path.file_name().expect("a file of the store has a name");
        let moved = bytes > UNLINK_BYTES_MAX
            && disk::rename(path, &self.store.layout().trash().join(name))
                // Without space for its new name.
                .inspect_err(|error| tracing::debug!(%error, "unlinked in its place"))
                .is_ok();
        if moved {
            self.in_trash = true;
        } else {
            disk::remove_in(directory, path)?;
        }
        self.freed_bytes += bytes;
        Ok(true)
    }

    fn empty_trash(&self) -> Result<()> {
        let trash = self.store.layout().trash();
        for name in disk::names_in(&trash)? {
            let path = trash.join(name);
            disk::remove_tree(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }
}

/// The directory in which removals happen, opened once for those that follow each other: never through a link.
#[derive(Default)]
struct Shard {
    open: Option<(PathBuf, File)>,
}

impl Shard {
    fn of(&mut self, path: &Path) -> Result<&File> {
        let parent = disk::parent(path);
        if self.open.as_ref().is_none_or(|(open, _)| open != parent) {
            self.open = Some((parent.to_path_buf(), disk::open_directory(parent)?));
        }
        Ok(&self.open.as_ref().expect("it was just opened").1)
    }
}

#[cfg(test)]
mod gathering;
#[cfg(test)]
mod races;
#[cfg(test)]
mod tests {
    //! Invariants 3 and 14 of ARCHITECTURE.md.

    use super::*;
    use crate::gc;
    use crate::retention::Retention;
    use crate::store::sweeps::{Calls, NEW, OLD, copy, dataset, hours, instrument, load};

    /// A store of some hours, the first of which was replaced in other bytes.
    fn replaced(root: &Path) -> Store {
        let store = Store::open(root).unwrap();
        load(&store, &dataset(OLD, &Calls::default()), 3).unwrap();
        replace(&store, NEW);
        store
    }

    fn replace(store: &Store, from: i64) {
        let loaded = store.load().request(&dataset(from, &Calls::default()), &instrument(), hours(1)).refresh().blocking().unwrap();
        assert_eq!(loaded.summary().generated, 1);
    }

    #[track_caller]
    fn is_clean(store: &Store) {
        let verified = store.verify().digests().run().unwrap();
        assert!(verified.is_clean(), "{:#?}", verified.findings);
    }

    #[test]
    fn a_journal_written_anew_still_tells_what_was_replaced_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let store = replaced(&directory.path().join("barn"));
        let collector = Collector::begin(&store, 1, &CancellationToken::new()).unwrap();
        // Each is a removal and a publication that the collector has not read.
        replace(&store, OLD);
        load(&store, &dataset(OLD, &Calls::default()), 4).unwrap();
        let (_, before) = store.journal_file().unwrap();
        collector.compact_journal().unwrap();
        drop(collector);
        assert!(store.journal_file().unwrap().1 < before, "it was written anew");
        is_clean(&store);
        let inventory = Inventory::take(&store, 1).unwrap();
        assert_eq!(inventory.there().count(), 4);
        for nth in inventory.there() {
            let item = inventory.item(nth);
            let manifest = Manifest::read_published(store.layout(), &item.address).unwrap().unwrap();
            assert_eq!(item.started, manifest.entry.started, "what the journal tells is what is there");
        }
    }

    #[test]
    fn what_is_held_while_the_journal_is_written_anew_goes_once_nobody_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().join("barn");
        let store = replaced(&here);
        let mut collector = Collector::begin(&store, 1, &CancellationToken::new()).unwrap();
        assert_eq!(collector.unnamed.len(), 1);
        assert_eq!(collector.remove_unnamed().unwrap(), 0, "this process has it");
        let inode = || std::os::unix::fs::MetadataExt::ino(&store.layout().journal().metadata().unwrap());
        let before = inode();
        collector.compact_journal().unwrap();
        drop(collector);
        assert_ne!(inode(), before, "it was written anew");
        is_clean(&store);
        // Nobody holds anything in a copy.
        let there = directory.path().join("copy");
        copy(&here, &there);
        let store = Store::open(&there).unwrap();
        let retention = Retention { max_bytes: Some(u64::MAX), grace: Duration::ZERO, ..Retention::default() };
        let plan = gc::plan(&store, &retention).unwrap();
        assert_eq!(plan.leftovers().iter().map(|leftover| leftover.kind).collect::<Vec<_>>(), [gc::LeftoverKind::Replaced]);
        assert_eq!(gc::sweep(plan).unwrap().leftovers, 1);
        let verified = store.verify().digests().run().unwrap();
        assert!(verified.findings.is_empty() && verified.entries == 3, "{:#?}", verified.findings);
    }

    #[test]
    fn an_entry_that_is_claimed_is_told_by_who_has_the_claim() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        load(&store, &dataset(OLD, &Calls::default()), 2).unwrap();
        let collector = Collector::begin(&store, 1, &CancellationToken::new()).unwrap();
        let entries: Vec<u32> = collector.inventory().there().collect();
        let address = |nth: u32| collector.inventory().item(nth).address;
        collector.tell(&entries.iter().map(|nth| collector.removal_of(*nth)).collect::<Vec<_>>()).unwrap();
        let claim = PassingLock::try_exclusive(&store.layout().claim(&address(entries[0]))).unwrap().unwrap();
        collector.tell_again(&entries);
        drop(claim);
        let mut told = BTreeSet::new();
        let read = store.journal().read(None, |record| {
            match record {
                Some(JournalRecord::Published(published)) => drop(told.insert(published.entry.address)),
                Some(JournalRecord::Removed { address, .. }) => drop(told.remove(&address)),
                None => told.clear(),
            }
            Ok(())
        });
        assert!(matches!(read.unwrap(), crate::store::journal::Read::To(_)));
        assert_eq!(told, BTreeSet::from([address(entries[1])]));
        assert_eq!(Inventory::take(&store, 1).unwrap().there().count(), 2, "its manifest tells the other");
    }
}

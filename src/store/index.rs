//! The index: the journal folded into order, in a sled database that may vanish at any time. The only place that names sled.
//!
//! A row holds a [*run*](run) of neighbouring entries of one generator and instrument, so that loading a range is a short scan: where each lies in time,
//! and where its record stands in the journal, which is read there. The row's key is `e · generator id (32) · market · 0 · pair · 0 · start of the
//! first entry (10, [`in_order`])`; names hold no zero byte.
//!
//! # Invariants
//! * Each process has its own slot, held by a lock. With none free, or with sled failing in any way, [`Index::open`] gives `None` and the process goes
//!   on from manifests.
//! * Every call into sled is under `catch_unwind`; a call that panics or fails closes the index for good.
//! * The cursor is written behind what it covers.
//! * A record is read from the very journal that the cursor is into, kept open, and taken only with its checksum right, and, but for sums, with the address
//!   that it is looked for by.
//! * What is counted of the entries ([`tally`]) is written when the index is closed in order, and no other index is opened again.
//! * sled is given only files that it closed itself: a slot without a whole [`seal`] is emptied first, and filled from the journal.

mod fold;
mod run;
mod scan;
mod seal;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use fold::{Change, Piece, Waiting};
use run::{Noted, Place, mark_of};
pub(crate) use scan::{Held, Look, Told, Window};
use serde::{Deserialize, Serialize};
use tally::Tallies;

use crate::address::Address;
use crate::dataset::GeneratorId;
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::parallel;
use crate::store::disk;
use crate::store::journal::{Cursor, Journal, Read, Records};
use crate::store::layout::{INDEX_SLOTS, Layout};
use crate::store::lock::Lock;
use crate::store::packed::Bytes;
use crate::store::record::{EntryRecord, Published};

/// Runs are written with at most about so many bytes, 256 entries (16 in tests, so that few entries make many rows). sled keeps up to 16 rows together, and
/// writes what is then larger than 128 KiB as a file of its own, every time.
const RUN_BYTES: usize = if cfg!(test) { 16 * run::ENTRY_BYTES } else { 256 * run::ENTRY_BYTES };
/// How many entries' records are read together, where all are.
const READ_RECORDS: usize = 262_144;
/// How many journal records are folded in at a time.
const FOLD_RECORDS: usize = 65_536;
const CACHE_BYTES: u64 = 64 << 20;
/// The row that says how far the journal was read. Its first byte is that of no other row, so it is never in the way of a scan.
const CURSOR_KEY: &[u8] = b"cursor";
/// The row that says what the rows hold.
const TALLIES_KEY: &[u8] = b"tallies";
/// The first byte of the keys of runs.
const ENTRIES: u8 = b'e';
/// How many bytes of a key its start takes.
const START_BYTES: usize = 10;
/// The version of rows; another one is emptied.
pub(super) const ROWS_VERSION: u32 = 5;

/// One process's view of the journal, in order of place and time.
pub(crate) struct Index {
    /// `None` once it is closed.
    database: Option<sled::Db>,
    cursor: Option<Cursor>,
    /// The journal that the cursor is into. Kept open: another one may take its name, and its space is not given back before the journal is followed again.
    records: Option<Records>,
    healthy: bool,
    layout: Layout,
    slot: usize,
    lock: Lock,
    /// Addresses whose removal was folded in and whose publication was not: what an old manifest shows of them is not put back.
    removed: HashSet<Address>,
    tallies: Tallies,
    /// As they stand in their row.
    noted_tallies: Option<Tallies>,
}

#[derive(Serialize, Deserialize)]
struct Position {
    version: u32,
    cursor: Cursor,
}

/// A row's key and its entries in order.
type Run = (Vec<u8>, Vec<Noted>);

/// Why the index cannot go on. Never shown as an error: manifests answer instead.
struct Broken(String);

impl From<sled::Error> for Broken {
    fn from(error: sled::Error) -> Self {
        Broken(error.to_string())
    }
}

impl From<postcard::Error> for Broken {
    fn from(error: postcard::Error) -> Self {
        Broken(format!("a row does not decode: {error}"))
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken(error.to_string())
    }
}

impl Index {
    /// Opens the first free slot and folds in the journal. `None` where that cannot be had; the reason is traced.
    pub(crate) fn open(layout: &Layout, journal: &Journal) -> Option<Self> {
        if !sled_works_here() {
            tracing::info!("this process was forked from one with an index open: going on from manifests");
            return None;
        }
        if let Err(error) = disk::ensure_directory(&layout.indexes()) {
            tracing::info!(%error, "no place for an index: going on from manifests");
            return None;
        }
        for slot in 0..INDEX_SLOTS {
            let owner = layout.index_slot(slot).symlink_metadata().map(|metadata| metadata.uid());
            if owner.is_ok_and(|owner| owner != rustix::process::geteuid().as_raw()) {
                // Another user's, which cannot be opened here.
                continue;
            }
            let lock = match Lock::try_exclusive(&layout.index_slot_lock(slot)) {
                Ok(Some(lock)) => lock,
                Ok(None) => continue,
                Err(error) => {
                    tracing::info!(slot, %error, "an index slot cannot be taken");
                    continue;
                }
            };
            match Self::open_slot(layout, slot, lock) {
                Ok(mut index) => return index.follow(journal).then_some(index),
                // Another user's, perhaps: the next one may be ours.
                Err(Broken(reason)) => tracing::info!(slot, reason, "an index slot cannot be opened"),
            }
        }
        tracing::info!(slots = INDEX_SLOTS, "no index slot is free: going on from manifests");
        None
    }

    fn open_slot(layout: &Layout, slot: usize, lock: Lock) -> Result<Self, Broken> {
        let path = layout.index_slot(slot);
        if !seal::break_open(layout, slot)? {
            empty(&path)?;
        }
        if path.symlink_metadata().is_err() {
            disk::create_private_directory(&path)?;
        }
        let database = match open_database(&path) {
            Ok(database) => database,
            Err(Broken(reason)) => {
                tracing::warn!(slot, reason, "the index is damaged: it is made anew");
                empty(&path)?;
                disk::create_private_directory(&path)?;
                open_database(&path)?
            }
        };
        let mut index = Self {
            database: Some(database),
            cursor: None,
            records: None,
            healthy: true,
            layout: layout.clone(),
            slot,
            lock,
            removed: HashSet::new(),
            tallies: Tallies::default(),
            noted_tallies: None,
        };
        match guarded(|| index.position()) {
            Ok(Some((cursor, tallies))) => {
                index.cursor = Some(cursor);
                index.noted_tallies = Some(tallies.clone());
                index.tallies = tallies;
            }
            Ok(None) => {}
            Err(broken) => {
                index.healthy = false;
                return Err(broken);
            }
        }
        Ok(index)
    }

    fn database(&self) -> Result<&sled::Db, Broken> {
        self.database.as_ref().ok_or_else(|| Broken("it is closed".to_owned()))
    }

    /// Folds in what the journal has gained. Costs an `open` and an `fstat` where that is nothing. Says whether the index is still healthy.
    pub(crate) fn follow(&mut self, journal: &Journal) -> bool {
        let outcome = guarded(AssertUnwindSafe(|| {
            self.fold_tail(journal)?;
            if !self.open_records(journal)? {
                // Another one has taken its name meanwhile.
                self.fold_tail(journal)?;
                self.open_records(journal)?;
            }
            Ok(())
        }));
        self.settle(outcome, "following the journal").is_some()
    }

    /// The entries of a generator and instrument that start inside an interval, in order. `None` where the index is broken.
    pub(crate) fn range(&mut self, generator: &GeneratorId, instrument: &Instrument, interval: Interval) -> Option<Vec<EntryRecord>> {
        if !self.has_records() {
            return None;
        }
        let outcome = guarded(AssertUnwindSafe(|| self.starting(generator, instrument, interval)));
        self.settle(outcome, "scanning a range")
    }

    /// The same of every generator, each in order: one seek from generator to generator. `None` where the index is broken.
    pub(crate) fn of_any_generator(&mut self, instrument: &Instrument, interval: Interval) -> Option<Vec<(GeneratorId, EntryRecord)>> {
        if !self.has_records() {
            return None;
        }
        let outcome = guarded(AssertUnwindSafe(|| {
            let mut entries = Vec::new();
            let mut from = vec![ENTRIES];
            while let Some((key, _)) = self.database()?.range(from..vec![ENTRIES + 1]).next().transpose()? {
                let (generator, _) = parse_place(&key).ok_or_else(|| Broken("a row has no place".to_owned()))?;
                entries.extend(self.starting(&generator, instrument, interval)?.into_iter().map(|entry| (generator, entry)));
                // Behind every place of this generator: names are no such bytes.
                from = [&[ENTRIES], &generator.as_bytes()[..], &[0xff]].concat();
            }
            Ok(entries)
        }));
        self.settle(outcome, "looking at a place")
    }

    /// Every entry in order of place. `None` where the index is broken.
    pub(crate) fn all(&mut self) -> Option<Vec<Published>> {
        if !self.has_records() {
            return None;
        }
        let outcome = guarded(AssertUnwindSafe(|| {
            let mut all = Vec::new();
            let (mut places, mut noted) = (Vec::new(), Vec::new());
            for row in self.database()?.scan_prefix([ENTRIES]) {
                let (key, row) = row?;
                let place = parse_place(&key).ok_or_else(|| Broken("a row has no place".to_owned()))?;
                noted.extend(run::unpack(&row)?);
                places.resize(noted.len(), place);
                if noted.len() >= READ_RECORDS {
                    all.extend(self.published_of(std::mem::take(&mut places), &std::mem::take(&mut noted))?);
                }
            }
            all.extend(self.published_of(places, &noted)?);
            Ok(all)
        }));
        self.settle(outcome, "scanning all")
    }

    /// Puts entries back that manifests showed and the journal did not. Where the journal says anything of an address, that is newer than a manifest
    /// which was read before it.
    pub(crate) fn put_back(&mut self, published: &[Published]) {
        if !self.healthy {
            return;
        }
        let outcome = guarded(AssertUnwindSafe(|| {
            let mut waiting = Waiting::default();
            for one in published {
                if !self.removed.contains(&one.entry.address) && !self.holds(one)? {
                    let change = Change::Put { noted: Noted::untold(&one.entry)?, address: one.entry.address };
                    waiting.push(place_prefix(&one.generator, &one.instrument), one.entry.start, change);
                }
            }
            self.fold(waiting)
        }));
        self.settle(outcome, "putting entries back");
    }

    fn starting(&self, generator: &GeneratorId, instrument: &Instrument, interval: Interval) -> Result<Vec<EntryRecord>, Broken> {
        let prefix = place_prefix(generator, instrument);
        let mut noted = Vec::new();
        let first = self.run_at(&prefix, interval.start())?.map_or_else(|| key_of(&prefix, interval.start()), |(key, _)| key);
        for row in self.database()?.range(first..key_of(&prefix, interval.end())) {
            noted.extend(run::unpack(&row?.1)?.into_iter().filter(|noted| interval.holds(noted.span.start)));
        }
        self.records_of(&noted)
    }

    /// Entries with their places.
    fn published_of(&self, places: Vec<(GeneratorId, Instrument)>, noted: &[Noted]) -> Result<impl Iterator<Item = Published> + use<>, Broken> {
        let published = |((generator, instrument), entry)| Published { generator, instrument, entry };
        Ok(places.into_iter().zip(self.records_of(noted)?).map(published))
    }

    /// The records of entries, in their order.
    fn records_of(&self, noted: &[Noted]) -> Result<Vec<EntryRecord>, Broken> {
        let mut records: Vec<Option<EntryRecord>> = Vec::with_capacity(noted.len());
        let (mut told, mut places) = (Vec::with_capacity(noted.len()), Vec::with_capacity(noted.len()));
        for (nth, noted) in noted.iter().enumerate() {
            records.push(match &noted.record {
                Place::Row(record) => Some(postcard::from_bytes(record)?),
                Place::Journal(at) => {
                    told.push(*at);
                    places.push(nth);
                    None
                }
            });
        }
        let take = |nth: usize, payload: &[u8]| {
            let nth: usize = places[nth];
            let mut bytes = Bytes(payload);
            bytes.record()?;
            let record: EntryRecord = postcard::from_bytes(bytes.0).ok()?;
            (mark_of(&record.address) == noted[nth].mark).then(|| records[nth] = Some(record))
        };
        if !told.is_empty() && !self.records()?.each(&told, take)? {
            return Err(Broken("the journal does not hold what was read of it".to_owned()));
        }
        records.into_iter().collect::<Option<_>>().ok_or_else(|| Broken("a record was not read".to_owned()))
    }

    fn records(&self) -> Result<&Records, Broken> {
        self.records.as_ref().ok_or_else(|| Broken("the journal is gone".to_owned()))
    }

    /// Opens the journal that the cursor is into, unless it is open. Says whether it is open then: not where another one has taken its name.
    fn open_records(&mut self, journal: &Journal) -> Result<bool, Broken> {
        let Some(cursor) = &self.cursor else { return Ok(true) };
        self.records.take_if(|records| !records.are_of(cursor));
        if self.records.as_ref().is_none_or(|records| !journal.is_named(records)) {
            // Where it has lost its name it is read on.
            self.records = journal.records(cursor)?.or(self.records.take());
        }
        Ok(self.records.is_some())
    }

    /// Whether there is anything that records can be read of: not where the journal is gone, which others may write anew.
    fn has_records(&self) -> bool {
        self.records.is_some() || self.cursor.is_none()
    }

    fn settle<T>(&mut self, outcome: Result<T, Broken>, doing: &str) -> Option<T> {
        match outcome {
            Ok(value) if self.healthy => Some(value),
            Ok(_) => None,
            Err(Broken(reason)) => {
                tracing::warn!(reason, doing, "the index fails: going on from manifests");
                self.healthy = false;
                None
            }
        }
    }

    fn position(&self) -> Result<Option<(Cursor, Tallies)>, Broken> {
        let Some(row) = self.database()?.get(CURSOR_KEY)? else { return Ok(None) };
        let Ok(Position { version: ROWS_VERSION, cursor }) = postcard::from_bytes::<Position>(&row) else { return Ok(None) };
        let tallies = self.database()?.get(TALLIES_KEY)?.and_then(|row| postcard::from_bytes::<Tallies>(&row).ok());
        Ok(tallies.filter(Tallies::are_whole).map(|tallies| (cursor, tallies)))
    }

    fn fold_tail(&mut self, journal: &Journal) -> Result<(), Broken> {
        match self.fold_read(journal)? {
            Read::To(cursor) => return self.note(cursor),
            Read::Absent => return Ok(()),
            Read::Torn(cursor) => {
                self.note(cursor)?;
                journal.replace_damaged(self.cursor)?;
            }
            Read::Damaged(reason) => {
                tracing::warn!(reason, "the journal is damaged: it is written anew from the manifests");
                journal.replace_damaged(self.cursor)?;
            }
        }
        match self.fold_read(journal)? {
            // Torn again: by another writer, who is at it now.
            Read::To(cursor) | Read::Torn(cursor) => self.note(cursor),
            Read::Absent | Read::Damaged(_) => Err(Broken("the journal cannot be followed".to_owned())),
        }
    }

    /// Writes down how far the journal is folded in.
    fn note(&mut self, cursor: Cursor) -> Result<(), Broken> {
        if self.cursor != Some(cursor) {
            let position = postcard::to_stdvec(&Position { version: ROWS_VERSION, cursor })?;
            self.database()?.insert(CURSOR_KEY, position)?;
            self.cursor = Some(cursor);
        }
        Ok(())
    }

    fn fold_read(&mut self, journal: &Journal) -> Result<Read, Broken> {
        let mut waiting = Waiting::default();
        let mut broken = None;
        let read = journal.read_pieces(self.cursor, parallel::machine_parallelism(), Piece::decode, |piece| {
            match piece {
                None => broken = self.clear().err(),
                Some(piece) => {
                    self.note_removed(&piece);
                    waiting.add(piece);
                }
            }
            if waiting.count >= FOLD_RECORDS && broken.is_none() {
                broken = self.fold(std::mem::take(&mut waiting)).err();
            }
            Ok(())
        })?;
        if let Some(broken) = broken {
            return Err(broken);
        }
        self.fold(waiting)?;
        Ok(read)
    }

    fn note_removed(&mut self, piece: &Piece) {
        for change in piece.changes() {
            match change {
                Change::Put { address, .. } if !self.removed.is_empty() => drop(self.removed.remove(address)),
                Change::Put { .. } => {}
                Change::Drop(address) => drop(self.removed.insert(*address)),
            }
        }
    }

    fn clear(&mut self) -> Result<(), Broken> {
        self.cursor = None;
        self.removed.clear();
        (self.tallies, self.noted_tallies) = (Tallies::default(), None);
        Ok(self.database()?.clear()?)
    }

    /// Merges changes into their runs, a place at a time in order.
    fn fold(&mut self, waiting: Waiting) -> Result<(), Broken> {
        for (prefix, mut changes) in waiting.places {
            changes.sort_by_key(|(start, _)| *start);
            let mut changes = changes.into_iter().peekable();
            while let Some((start, change)) = changes.next() {
                // What lies before the first run is added to it, so that entries which come in any order still end up in long runs.
                let run = match self.run_at(&prefix, start)? {
                    Some(run) => Some(run),
                    None => self.row_behind(&prefix, &prefix)?.map(parse_run).transpose()?,
                };
                let (key, mut run) = run.map_or_else(|| (None, Vec::new()), |(key, run)| (Some(key), run));
                let next = self.row_behind(&prefix, key.as_deref().unwrap_or(&key_of(&prefix, start)))?.map(|(key, _)| key);
                let in_order = run.last().is_none_or(|last| last.span.start <= start);
                change.apply(start, &mut run, &mut self.tallies);
                while let Some((start, change)) = changes.next_if(|(start, _)| next.as_ref().is_none_or(|next| *key_of(&prefix, *start) < **next)) {
                    change.apply(start, &mut run, &mut self.tallies);
                }
                self.write_runs(&prefix, key, run, in_order)?;
            }
        }
        Ok(())
    }

    /// Writes what a run has become, in as many as it takes. What comes in order fills them; else they are left with room for more.
    fn write_runs(&mut self, prefix: &[u8], old_key: Option<Vec<u8>>, mut run: Vec<Noted>, in_order: bool) -> Result<(), Broken> {
        run.sort_by_key(|noted| (noted.span.start, noted.span.end, noted.mark));
        let all_bytes: usize = run.iter().map(Noted::bytes).sum();
        let row_bytes = if in_order { RUN_BYTES } else { all_bytes.div_ceil(all_bytes.div_ceil(RUN_BYTES).max(1)) };
        let mut changes = sled::Batch::default();
        let mut kept_key = false;
        let mut rest = run.as_slice();
        while let Some(first) = rest.first() {
            let (mut count, mut bytes) = (1, first.bytes());
            // Entries that start together stay together: the key tells runs apart by their start alone.
            while let Some(next) = rest.get(count)
                && (bytes + next.bytes() <= row_bytes || next.span.start == rest[count - 1].span.start)
            {
                (count, bytes) = (count + 1, bytes + next.bytes());
            }
            let key = key_of(prefix, first.span.start);
            let (row, behind) = rest.split_at(count);
            kept_key |= old_key.as_ref() == Some(&key);
            changes.insert(key, run::pack(row)?);
            rest = behind;
        }
        if let Some(key) = old_key.filter(|_| !kept_key) {
            changes.remove(key);
        }
        Ok(self.database()?.apply_batch(changes)?)
    }

    fn holds(&self, published: &Published) -> Result<bool, Broken> {
        let prefix = place_prefix(&published.generator, &published.instrument);
        let run = self.run_at(&prefix, published.entry.start)?;
        let is_it = |noted: &Noted| noted.span.start == published.entry.start && noted.mark == mark_of(&published.entry.address);
        Ok(run.is_some_and(|(_, run)| run.iter().any(is_it)))
    }

    /// The run that an entry with this start belongs to: the last that begins at or before it.
    fn run_at(&self, prefix: &[u8], start: Time) -> Result<Option<Run>, Broken> {
        self.database()?.range(prefix.to_vec()..=key_of(prefix, start)).next_back().transpose()?.map(parse_run).transpose()
    }

    /// The first row of a place behind a key.
    fn row_behind(&self, prefix: &[u8], key: &[u8]) -> Result<Option<(sled::IVec, sled::IVec)>, Broken> {
        let after = [key, &[0]].concat();
        Ok(self.database()?.range(after..scan::behind(prefix)).next().transpose()?)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let Some(database) = self.database.take() else { return };
        if !self.lock.is_held_here() {
            // It is the parent's, and its threads are not here.
            std::mem::forget(database);
            return;
        }
        // Flushed here, because sled's own drop hides its failure.
        let flushed = guarded(AssertUnwindSafe(|| {
            if self.noted_tallies.as_ref() != Some(&self.tallies) {
                database.insert(TALLIES_KEY, postcard::to_stdvec(&self.tallies)?)?;
            }
            Ok(database.flush()?)
        }))
        .and_then(|_| Ok(seal::sync(&self.layout, self.slot)?));
        let closed = match flushed {
            Ok(()) => guarded(AssertUnwindSafe(|| {
                drop(database);
                Ok(())
            })),
            Err(broken) => {
                // Its own drop would sync once more, and panic. What it holds is given back with the process.
                std::mem::forget(database);
                Err(broken)
            }
        };
        // Where the lock's file was removed, the slot may be another's by now.
        if closed.is_ok() && self.healthy && self.lock.has_its_name() {
            let _ =
                seal::close(&self.layout, self.slot).inspect_err(|error| tracing::debug!(%error, "the index stays open and is made anew next time"));
        }
    }
}

/// sled has threads that all of a process's databases share. A forked child has none of them, and would wait for them for ever: it goes without.
fn sled_works_here() -> bool {
    static STARTED_BY: AtomicU32 = AtomicU32::new(0);
    let this = std::process::id();
    match STARTED_BY.compare_exchange(0, this, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => true,
        Err(process) => process == this,
    }
}

fn parse_run((key, run): (sled::IVec, sled::IVec)) -> Result<Run, Broken> {
    Ok((key.to_vec(), run::unpack(&run)?))
}

fn open_database(path: &std::path::Path) -> Result<sled::Db, Broken> {
    // What is lost in a crash is read from the journal again: nothing is worth a sync while we run.
    guarded(|| Ok(sled::Config::new().path(path).cache_capacity(CACHE_BYTES).use_compression(false).flush_every_ms(None).open()?))
}

/// Runs a call into sled, which panics on damaged files.
fn guarded<T>(call: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Broken(format!("sled panicked: {}", said.unwrap_or("without a word"))))
    })
}

fn empty(path: &std::path::Path) -> Result<(), Broken> {
    disk::remove_tree(path).map_err(|error| Broken(format!("it cannot be removed: {error}")))
}

fn place_prefix(generator: &GeneratorId, instrument: &Instrument) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(1 + 32 + instrument.market().len() + instrument.pair().len() + 2 + START_BYTES);
    prefix.push(ENTRIES);
    prefix.extend_from_slice(generator.as_bytes());
    prefix.extend_from_slice(instrument.market().as_bytes());
    prefix.push(0);
    prefix.extend_from_slice(instrument.pair().as_bytes());
    prefix.push(0);
    prefix
}

fn key_of(prefix: &[u8], start: Time) -> Vec<u8> {
    [prefix, &in_order(start)].concat()
}

/// A time as bytes that are in order as the times are: its number with the sign flipped, seven bits a byte. So none of them is 255: behind four of those sled
/// does not find the row before (its `possible_predecessor` guesses no further), and panics.
fn in_order(time: Time) -> [u8; START_BYTES] {
    let mut bits = (time.ns() ^ i64::MIN).cast_unsigned();
    let mut bytes = [0; START_BYTES];
    for byte in bytes.iter_mut().rev() {
        *byte = (bits & 0x7f) as u8;
        bits >>= 7;
    }
    bytes
}

fn parse_place(key: &[u8]) -> Option<(GeneratorId, Instrument)> {
    let (_, key) = key.split_first()?;
    let (generator, rest) = key.split_first_chunk::<32>()?;
    let (names, _) = rest.split_last_chunk::<START_BYTES>()?;
    let mut names = names.split(|byte| *byte == 0);
    let (market, pair) = (str::from_utf8(names.next()?).ok()?, str::from_utf8(names.next()?).ok()?);
    Some((GeneratorId::from_bytes(*generator), Instrument::new(market, pair).ok()?))
}

//! Who is at work in a store at this moment, and what those left that are gone.

use std::path::Path;

use crate::address::Address;
use crate::error::Result;
use crate::store::{INDEX_SLOTS, Layout, disk, is_held, lock_holders, resolved};

/// What goes on in a store, and what lies about in it. As each thing was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// The locks of the store that are held.
    pub locks: Vec<HeldLock>,
    /// The slots of indexes that are held, or hold anything.
    pub slots: Vec<IndexSlot>,
    /// How many slots there may be.
    pub slots_max: usize,
    /// The leases of processes that live.
    pub leases: Vec<ProcessLease>,
    /// How many leases there are of processes that are gone.
    pub dead_leases: usize,
    /// The partitions that are being generated.
    pub claims: Vec<Address>,
    /// How many claims and work directories there are of processes that are gone.
    pub abandoned: usize,
    /// Files that a collector was removing, and their bytes.
    pub trash: (usize, u64),
    /// Files that failed a check, and their bytes.
    pub quarantine: (usize, u64),
}

/// A lock that some process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// What it is for: `sweep`, `gate`, `unlisted`, `dead-leases`, `collector` or `journal`.
    pub name: &'static str,
    /// The processes of this machine that hold it, as far as the system tells.
    pub holders: Vec<u32>,
}

/// A place for the index of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexSlot {
    /// Its number, counted from zero.
    pub nth: usize,
    /// Whether a process has it open.
    pub in_use: bool,
    /// The processes of this machine that have it open, as far as the system tells.
    pub holders: Vec<u32>,
    /// Whether it was closed in order: one that was not is made anew when it is next opened.
    pub is_sealed: bool,
    /// How many bytes its files have.
    pub bytes: u64,
}

/// What a process that lives was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessLease {
    /// The process, as its lease is called.
    pub process: Option<u32>,
    /// How large its lease is.
    pub bytes: u64,
}

impl Activity {
    /// Whether a lock of this name is held.
    pub fn is_held(&self, name: &str) -> bool {
        self.locks.iter().any(|lock| lock.name == name)
    }
}

/// Looks at what goes on in the store at a path, which need not be one that can be opened.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where a directory or a lock of it cannot be looked at.
pub fn activity(store: impl AsRef<Path>) -> Result<Activity> {
    let layout = Layout::new(resolved(store.as_ref())?);
    let named = [
        ("sweep", layout.sweep_lock()),
        ("gate", layout.sweep_gate()),
        ("unlisted", layout.unlisted_lock()),
        ("dead-leases", layout.dead_leases_lock()),
        ("collector", layout.collector_lock()),
        ("journal", layout.journal_lock()),
    ];
    let mut locks = Vec::new();
    for (name, path) in named {
        if is_held(&path)? {
            locks.push(HeldLock { name, holders: lock_holders(&path) });
        }
    }
    let mut slots = Vec::new();
    for nth in 0..INDEX_SLOTS {
        let (lock, slot) = (layout.index_slot_lock(nth), layout.index_slot(nth));
        let in_use = is_held(&lock)?;
        if in_use || slot.symlink_metadata().is_ok() {
            let holders = if in_use { lock_holders(&lock) } else { Vec::new() };
            let is_sealed = layout.index_slot_seal(nth).symlink_metadata().is_ok();
            slots.push(IndexSlot { nth, in_use, holders, is_sealed, bytes: disk::size_of_tree(&slot) });
        }
    }
    let mut activity = Activity {
        locks,
        slots,
        slots_max: INDEX_SLOTS,
        leases: Vec::new(),
        dead_leases: 0,
        claims: Vec::new(),
        abandoned: 0,
        trash: files_in(&layout.trash())?,
        quarantine: files_in(&layout.quarantine())?,
    };
    activity.look_at_leases(&layout)?;
    activity.look_at_claims(&layout)?;
    Ok(activity)
}

impl Activity {
    fn look_at_leases(&mut self, layout: &Layout) -> Result<()> {
        for name in disk::names_in(&layout.leases())?.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| Layout::is_lease(name)) {
            let path = layout.leases().join(&name);
            if is_held(&path)? {
                let process = name.split('-').next().and_then(|process| process.parse().ok());
                self.leases.push(ProcessLease { process, bytes: disk::size_of_tree(&path) });
            } else if path.symlink_metadata().is_ok() {
                self.dead_leases += 1;
            }
        }
        Ok(())
    }

    fn look_at_claims(&mut self, layout: &Layout) -> Result<()> {
        for address in addresses_in(&layout.claims())? {
            let path = layout.claim(&address);
            if is_held(&path)? {
                self.claims.push(address);
            } else if path.symlink_metadata().is_ok() {
                self.abandoned += 1;
            }
        }
        for address in addresses_in(&layout.work())? {
            // Of one whose claim lies there, too, that was counted.
            let abandoned = layout.claim(&address).symlink_metadata().is_err() && layout.work_of(&address).symlink_metadata().is_ok();
            self.abandoned += usize::from(abandoned);
        }
        self.claims.sort_unstable();
        Ok(())
    }
}

/// The addresses that names in a directory begin with, each once.
fn addresses_in(directory: &Path) -> Result<std::collections::BTreeSet<Address>> {
    let names = disk::names_in(directory)?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter_map(|name| name.split('.').next()?.parse().ok()).collect())
}

fn files_in(directory: &Path) -> Result<(usize, u64)> {
    let names = disk::names_in(directory)?;
    Ok((names.len(), names.iter().map(|name| disk::size_of_tree(&directory.join(name))).sum()))
}

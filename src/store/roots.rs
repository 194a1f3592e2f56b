//! Roots: what keeps entries from being collected, gathered over an inventory. Leases of processes that live, pins, and what pinned entries were derived
//! from: without its upstream a derived entry has no address to be found under.
//!
//! # Invariants
//! * What cannot be read is an error: what it keeps is not known.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::address::{Address, Digest};
use crate::dataset::FileStat;
use crate::error::Result;
use crate::store::inventory::Inventory;
use crate::store::layout::Layout;
use crate::store::lease::{self, Leased};
use crate::store::pins::{self, Pin};
use crate::store::usage::{self, Seconds};

/// What keeps what.
#[derive(Debug)]
pub(crate) struct Roots {
    /// By the places of entries and artifacts in the inventory.
    entries: Vec<bool>,
    artifacts: Vec<bool>,
    pinned: Vec<bool>,
    programs: HashSet<Digest>,
    /// What is not in the inventory: published since.
    others: HashSet<Leased>,
    /// Whether some process could not say what it holds.
    everything: bool,
    pins: Vec<Pin>,
    /// What `stat` said of the pins' files before they were read.
    stamps: HashMap<PathBuf, FileStat>,
    /// How many processes hold anything.
    pub(crate) processes: usize,
}

impl Roots {
    fn none(inventory: &Inventory) -> Self {
        Self {
            entries: vec![false; inventory.items_len()],
            artifacts: vec![false; inventory.artifacts().len()],
            pinned: Vec::new(),
            programs: HashSet::new(),
            others: HashSet::new(),
            everything: false,
            pins: Vec::new(),
            stamps: HashMap::new(),
            processes: 0,
        }
    }

    /// Looks at leases and pins, and notes in the inventory when entries were used. Takes no lock: what is handed out or pinned meanwhile may be missing.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and [`Error::Damaged`](crate::Error::Damaged) where a lease or a pin cannot be read.
    pub(crate) fn look(layout: &Layout, inventory: &mut Inventory) -> Result<Self> {
        let mut roots = Self::none(inventory);
        roots.everything = lease::is_anyone_unlisted(layout)?;
        let mut uses = Vec::new();
        let mut old_uses = Vec::new();
        roots.processes = lease::read_living(layout, |leased, at| roots.hold_leased(inventory, leased, at, &mut uses), |at| old_uses.push(at))?;
        note_uses(layout, inventory, uses.into_iter().chain(old_uses))?;
        roots.read_pins(layout, inventory)?;
        Ok(roots)
    }

    /// The roots of a store whose leases a follower reads, nothing of which was read yet.
    pub(crate) fn follow(layout: &Layout, inventory: &mut Inventory, follower: &mut lease::Follower) -> Result<Self> {
        let mut roots = Self::none(inventory);
        let mut uses = Vec::new();
        roots.everything = lease::is_anyone_unlisted(layout)?;
        follower.read_on(layout, |leased, at| roots.hold_leased(inventory, leased, at, &mut uses))?;
        roots.processes = follower.processes();
        note_uses(layout, inventory, uses)?;
        roots.read_pins(layout, inventory)?;
        Ok(roots)
    }

    /// Reads on what was handed out since. Says whether the pins are the same; where they are not, nothing of them was taken over.
    pub(crate) fn read_on(&mut self, layout: &Layout, inventory: &Inventory, follower: &mut lease::Follower) -> Result<bool> {
        self.everything |= lease::is_anyone_unlisted(layout)?;
        follower.read_on(layout, |leased, at| self.hold_leased(inventory, leased, at, &mut Vec::new()))?;
        self.processes = follower.processes();
        Ok(pins::stamps(layout)? == self.stamps)
    }

    /// Reads the pins once more.
    pub(crate) fn read_pins(&mut self, layout: &Layout, inventory: &Inventory) -> Result<()> {
        // Before they are read: one that comes meanwhile is seen by that.
        self.stamps = pins::stamps(layout)?;
        self.pin(inventory, pins::read_all(layout)?);
        Ok(())
    }

    /// What leases and pins hold of an inventory.
    #[cfg(test)]
    pub(crate) fn of(inventory: &Inventory, leased: impl IntoIterator<Item = Leased>, pins: Vec<Pin>) -> Self {
        let mut roots = Self::none(inventory);
        leased.into_iter().for_each(|leased| roots.hold_leased(inventory, leased, None, &mut Vec::new()));
        roots.pin(inventory, pins);
        roots
    }

    fn hold_leased(&mut self, inventory: &Inventory, leased: Leased, at: Option<(Address, Seconds)>, uses: &mut Vec<(Address, Seconds)>) {
        uses.extend(at);
        let mut known = false;
        match leased {
            Leased::Entry(address) => {
                if let Some(nth) = inventory.find(&address) {
                    (self.entries[nth as usize], known) = (true, true);
                }
            }
            Leased::Artifact(digest) => {
                for nth in inventory.find_artifacts(&digest) {
                    (self.artifacts[nth as usize], known) = (true, true);
                }
            }
            Leased::Program(digest) => {
                self.programs.insert(digest);
                known = true;
            }
        }
        if !known {
            self.others.insert(leased);
        }
    }

    fn pin(&mut self, inventory: &Inventory, pins: Vec<Pin>) {
        self.pinned = if pins.is_empty() { Vec::new() } else { vec![false; inventory.items_len()] };
        self.pins = pins;
        if self.pins.is_empty() {
            return;
        }
        let mut upstream = Vec::new();
        for nth in inventory.there() {
            let item = inventory.item(nth);
            let place = inventory.place(item);
            let covers = |pin: &Pin| item.interval().is_none_or(|interval| pin.covers(&place.dataset, &place.instrument, interval, &item.address));
            if self.pins.iter().any(covers) {
                self.pinned[nth as usize] = true;
                upstream.push(nth);
            }
        }
        while let Some(nth) = upstream.pop() {
            for address in inventory.upstream(nth).iter().flat_map(|upstream| &upstream.addresses) {
                if let Some(of) = inventory.find(address)
                    && !std::mem::replace(&mut self.pinned[of as usize], true)
                {
                    upstream.push(of);
                }
            }
        }
    }

    /// Whether some process holds things that it could not list, so that nothing may be collected.
    pub(crate) fn everything_is_held(&self) -> bool {
        self.everything
    }

    pub(crate) fn is_leased(&self, entry: u32) -> bool {
        self.everything || self.entries[entry as usize]
    }

    pub(crate) fn is_pinned(&self, entry: u32) -> bool {
        self.pinned.get(entry as usize).is_some_and(|pinned| *pinned)
    }

    pub(crate) fn is_artifact_leased(&self, artifact: u32) -> bool {
        self.everything || self.artifacts[artifact as usize]
    }

    pub(crate) fn is_program_leased(&self, digest: &Digest) -> bool {
        self.everything || self.programs.contains(digest)
    }

    /// Whether an artifact that the inventory does not know, or knows no name of, was handed out or published.
    pub(crate) fn is_other_leased(&self, digest: &Digest) -> bool {
        self.everything || self.others.contains(&Leased::Artifact(*digest))
    }
}

/// Notes what was used: as leases say, and as was written down of processes that are gone.
fn note_uses(layout: &Layout, inventory: &mut Inventory, uses: impl IntoIterator<Item = (Address, Seconds)>) -> Result<()> {
    uses.into_iter().for_each(|(address, at)| inventory.note_use(&usage::prefix_of(&address), at));
    let everything = usage::read(layout, |prefix, at| inventory.note_use(&prefix, at))?;
    inventory.note_use_of_all(everything);
    Ok(())
}

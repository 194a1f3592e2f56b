//! Whether an index holds every entry, without asking for each: how many it holds of each directory of `entries/`, and a sum of their addresses.
//!
//! Addresses are hashes: two sets of as many addresses with the same sum of 128 bits are the same set. A directory is listed and summed up anew only where
//! its times say that a name has come or gone since, so that a listing of a part of the store need not look at all of it to know that it misses nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::dataset::FileStat;
use crate::error::{Error, Result};
use crate::parallel;
use crate::store::layout::Layout;
use crate::store::walk;

const SHARDS: usize = 256;

/// A set of addresses, as far as two such sets need to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Tally {
    count: u64,
    sum: u128,
}

impl Tally {
    fn add(&mut self, address: &Address) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(half_of(address));
    }

    fn take(&mut self, address: &Address) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(half_of(address));
    }
}

fn half_of(address: &Address) -> u128 {
    u128::from_le_bytes(*address.as_bytes().first_chunk().expect("an address has 32 bytes"))
}

/// What an index holds, and what the directories held when they were last found to be the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tallies {
    told: Vec<Tally>,
    /// The state of a directory, and what was in it.
    compared: Vec<Option<(FileStat, Tally)>>,
}

impl Default for Tallies {
    fn default() -> Self {
        Self { told: vec![Tally::default(); SHARDS], compared: vec![None; SHARDS] }
    }
}

impl Tallies {
    /// Whether they are what this version writes.
    pub(super) fn are_whole(&self) -> bool {
        self.told.len() == SHARDS && self.compared.len() == SHARDS
    }

    pub(super) fn add(&mut self, address: &Address) {
        self.told[usize::from(address.as_bytes()[0])].add(address);
    }

    pub(super) fn take(&mut self, address: &Address) {
        self.told[usize::from(address.as_bytes()[0])].take(address);
    }

    /// How many entries the index holds.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.told.iter().map(|tally| tally.count).sum()
    }

    /// Whether the directories of entries hold the names of just these entries. Where that is not so, or a directory cannot be listed, whoever wants to
    /// know more reads the manifests.
    pub(super) fn agree_with(&mut self, layout: &Layout) -> Result<bool> {
        let shards: Vec<usize> = (0..SHARDS).collect();
        let looked = parallel::map(parallel::machine_parallelism(), &shards, |&shard| {
            let digits = format!("{shard:02x}");
            let path = Layout::shard(&layout.entries(), &digits);
            let stat = stat_of(&path)?;
            if stat.is_some_and(|stat| self.compared[shard] == Some((stat, self.told[shard]))) {
                return Ok((stat, self.told[shard]));
            }
            let mut there = Tally::default();
            walk::addresses_of_shard(&layout.entries(), &digits)?.iter().for_each(|address| there.add(address));
            Ok::<_, Error>((stat, there))
        });
        let mut agree = true;
        for (shard, looked) in looked.into_iter().enumerate() {
            let (stat, there) = looked?;
            let same = there == self.told[shard];
            agree &= same;
            // What was written just now may be written again within the same tick of the file system's clock.
            self.compared[shard] = stat.filter(|stat| same && stat.is_settled_now()).map(|stat| (stat, there));
        }
        Ok(agree)
    }
}

/// The state of a directory; `None` where there is none.
fn stat_of(path: &Path) -> Result<Option<FileStat>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(FileStat::of(&metadata))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read the status of", path)(error)),
    }
}

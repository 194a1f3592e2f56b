//! What manifests and the journal say of entries, in short, so that they can be compared.

use std::collections::{HashMap, HashSet};

use crate::address::Address;
use crate::error::Result;
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::store::Store;
use crate::store::artifact::Expected;
use crate::store::checksum;
use crate::store::journal::{Cursor, Read};
use crate::store::manifest::Manifest;
use crate::store::record::{JournalRecord, Published};

/// What a manifest says, in short.
pub(super) struct Said {
    pub(super) essence: u64,
    pub(super) artifacts: Vec<Expected>,
}

impl Said {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self { essence: essence(&manifest.published()), artifacts: manifest.artifacts().collect() }
    }
}

/// A checksum of what matters of an entry in journal and manifest.
fn essence(published: &Published) -> u64 {
    let Published { generator, instrument, entry } = published;
    let outputs: Vec<_> = entry.outputs.iter().map(|output| (&*output.name, output.digest.as_bytes(), output.bytes, output.rows)).collect();
    let text = format!("{generator:?} {instrument} {} {} {:?} {} {outputs:?}", entry.start, entry.end, entry.empty, entry.started);
    checksum::of(text.as_bytes())
}

/// What the journal says of each address.
#[derive(Default)]
pub(super) struct Fold {
    pub(super) said: HashMap<Address, u64>,
    /// Where entries lie, for those whose manifest cannot tell any more.
    pub(super) places: HashMap<Address, (String, Instrument, Interval)>,
    /// The addresses of which places are wanted.
    wanted: HashSet<Address>,
}

impl Fold {
    /// The places of some entries, as the journal has them.
    pub(super) fn places_of(store: &Store, wanted: HashSet<Address>) -> Result<Self> {
        let mut fold = Self { wanted, ..Self::default() };
        // What is wrong with it is a finding of its own.
        let _ = fold.read(store, None)?;
        Ok(fold)
    }

    /// Reads on from a cursor.
    pub(super) fn read(&mut self, store: &Store, from: Option<Cursor>) -> Result<Read> {
        let journal = store.journal();
        match journal.read(from, |record| self.take(record))? {
            // A record in the making, or what a crash left of one: nobody appends now.
            Read::Torn(at) => journal.read_alone(Some(at), |record| self.take(record)),
            // What stands beside it may have been caught half-written.
            Read::Damaged(_) => journal.read_alone(from, |record| self.take(record)),
            read => Ok(read),
        }
    }

    fn take(&mut self, record: Option<JournalRecord>) -> Result<()> {
        match record {
            None => self.said.clear(),
            Some(JournalRecord::Published(published)) => {
                let address = published.entry.address;
                self.said.insert(address, essence(&published));
                if self.wanted.contains(&address)
                    && let Ok(interval) = Interval::new(published.entry.start, published.entry.end)
                {
                    self.places.insert(address, (published.entry.dataset.to_string(), published.instrument, interval));
                }
            }
            Some(JournalRecord::Removed { address, .. }) => drop(self.said.remove(&address)),
        }
        Ok(())
    }
}

//! What the journal tells, as far as an inventory keeps it.

use hashbrown::HashTable;

use super::{Item, Place, State, Upstream, hash_of, made};
use crate::address::{Address, Digest};
use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::store::journal::Payload;
use crate::store::layout::ArtifactKind;
use crate::store::packed::{Bytes, PackedEntry, PackedPlace, PackedRecord};

/// Records that were decoded together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) places: Vec<Place>,
    pub(super) changes: Vec<Change>,
    /// Of each publication in order, as many as it says.
    pub(super) artifacts: Vec<(Digest, u64, ArtifactKind)>,
    pub(super) upstream: Vec<Upstream>,
}

#[derive(Debug)]
pub(super) enum Change {
    /// An item whose place is one of the piece's.
    Published {
        item: Item,
        artifacts: usize,
        upstream: bool,
    },
    Removed(Address),
}

impl Piece {
    /// Nothing where one of them is no record.
    pub(super) fn decode(payloads: &[Payload<'_>]) -> Option<Self> {
        let mut piece = Self { changes: Vec::with_capacity(payloads.len()), ..Self::default() };
        piece.artifacts.reserve(payloads.len() * 2);
        let mut places = HashTable::new();
        payloads.iter().try_for_each(|payload| piece.take(&mut Bytes(payload.bytes), &mut places))?;
        Some(piece)
    }

    fn take(&mut self, bytes: &mut Bytes<'_>, places: &mut HashTable<u32>) -> Option<()> {
        match bytes.record()? {
            PackedRecord::Removed { address, .. } => self.changes.push(Change::Removed(address)),
            PackedRecord::Published(place) => {
                let before = self.artifacts.len();
                let PackedEntry { start, end, address, dataset, empty, started, seconds, upstream_seconds, upstream } =
                    bytes.entry(&mut self.artifacts)?;
                if !upstream.is_empty() {
                    let addresses = upstream.iter().copied().map(Address::from_bytes).collect();
                    self.upstream.push(Upstream { addresses, seconds: upstream_seconds });
                }
                let place = self.place(places, place, dataset)?;
                let (used, empty) = (made(started, seconds), empty.is_some());
                let (named, named_count, state, told) = (0, 0, State::Told, true);
                let item = Item { address, start, end, started, seconds, used, place, named, named_count, state, empty, told };
                self.changes.push(Change::Published { item, artifacts: self.artifacts.len() - before, upstream: !upstream.is_empty() });
            }
        }
        Some(())
    }

    /// The number of a place, which is kept where it is new.
    fn place(&mut self, places: &mut HashTable<u32>, of: PackedPlace<'_>, dataset: &[u8]) -> Option<u32> {
        let hash = hash_of_place(&of, dataset);
        let same = |nth: &u32| {
            let Place { generator, dataset: name, instrument } = &self.places[*nth as usize];
            of == packed(*generator, instrument) && name.as_bytes() == dataset
        };
        if let Some(place) = places.find(hash, same) {
            return Some(*place);
        }
        let nth = u32::try_from(self.places.len()).ok()?;
        let name = std::str::from_utf8(dataset).ok()?;
        self.places.push(Place { generator: of.generator, dataset: name.into(), instrument: of.instrument()? });
        let kept = &self.places;
        places.insert_unique(hash, nth, |nth| {
            let Place { generator, dataset, instrument } = &kept[*nth as usize];
            hash_of_place(&packed(*generator, instrument), dataset.as_bytes())
        });
        Some(nth)
    }
}

fn packed(generator: GeneratorId, instrument: &Instrument) -> PackedPlace<'_> {
    PackedPlace { generator, market: instrument.market().as_bytes(), pair: instrument.pair().as_bytes() }
}

/// Places in one piece are few: a quick hash will do.
fn hash_of_place(place: &PackedPlace<'_>, dataset: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    };
    let mix =
        |hash: u64, text: &[u8]| text.chunks(8).fold(hash ^ text.len() as u64, |hash, part| (hash ^ word(part)).wrapping_mul(PRIME).rotate_left(29));
    [dataset, place.market, place.pair].into_iter().fold(hash_of(place.generator.as_bytes()), mix).wrapping_mul(PRIME)
}

//! Records of the journal, read without copying what is not needed: the same as [`JournalRecord`](crate::store::record::JournalRecord) in postcard's
//! encoding (<https://postcard.jamesmunns.com/wire-format>), field by field. A fifth of the time that decoding it whole takes.

use hashbrown::HashTable;

use super::{Item, Place, State, Upstream, hash_of, made};
use crate::address::{Address, Digest};
use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::interval::Time;
use crate::store::layout::ArtifactKind;

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
    pub(super) fn decode(payloads: &[&[u8]]) -> Option<Self> {
        let mut piece = Self { changes: Vec::with_capacity(payloads.len()), ..Self::default() };
        piece.artifacts.reserve(payloads.len() * 2);
        let mut places = HashTable::new();
        payloads.iter().try_for_each(|payload| piece.take(&mut Bytes(payload), &mut places))?;
        Some(piece)
    }

    fn take(&mut self, bytes: &mut Bytes<'_>, places: &mut HashTable<u32>) -> Option<()> {
        const PUBLISHED: u64 = 0;
        const REMOVED: u64 = 1;
        let kind = bytes.varint()?;
        let generator = GeneratorId::from_bytes(bytes.hash()?);
        let (market, pair) = (bytes.text()?, bytes.text()?);
        let start = bytes.time()?;
        match kind {
            REMOVED => {
                self.changes.push(Change::Removed(Address::from_bytes(bytes.hash()?)));
                Some(())
            }
            PUBLISHED => {
                let end = bytes.time()?;
                let address = Address::from_bytes(bytes.hash()?);
                let dataset = bytes.text()?;
                let before = self.artifacts.len();
                for _ in 0..bytes.varint()? {
                    self.artifacts.push(bytes.output()?);
                }
                bytes.skip_empty()?;
                let started = bytes.time()?;
                let seconds = bytes.float()?;
                let upstream_seconds = bytes.float()?;
                let upstream = bytes.varint()?;
                if upstream > 0 {
                    let addresses = (0..upstream).map(|_| bytes.hash().map(Address::from_bytes)).collect::<Option<_>>()?;
                    self.upstream.push(Upstream { addresses, seconds: upstream_seconds });
                }
                if bytes.is_some()? {
                    self.artifacts.push((Digest::from_bytes(bytes.hash()?), bytes.varint()?, ArtifactKind::Log));
                }
                let place = self.place(places, generator, dataset, market, pair)?;
                let used = made(started, seconds);
                let item = Item { address, start, end, started, seconds, used, place, named: 0, named_count: 0, state: State::Told, told: true };
                self.changes.push(Change::Published { item, artifacts: self.artifacts.len() - before, upstream: upstream > 0 });
                Some(())
            }
            _ => None,
        }
    }

    /// The number of a place, which is kept where it is new.
    fn place(&mut self, places: &mut HashTable<u32>, generator: GeneratorId, dataset: &[u8], market: &[u8], pair: &[u8]) -> Option<u32> {
        let hash = hash_of_place(&generator, dataset, market, pair);
        let same = |nth: &u32| {
            let Place { generator: of, dataset: name, instrument } = &self.places[*nth as usize];
            *of == generator && name.as_bytes() == dataset && instrument.market().as_bytes() == market && instrument.pair().as_bytes() == pair
        };
        if let Some(place) = places.find(hash, same) {
            return Some(*place);
        }
        let nth = u32::try_from(self.places.len()).ok()?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        self.places.push(Place { generator, dataset: text(dataset)?.into(), instrument: Instrument::new(text(market)?, text(pair)?).ok()? });
        let kept = &self.places;
        places.insert_unique(hash, nth, |nth| {
            let Place { generator, dataset, instrument } = &kept[*nth as usize];
            hash_of_place(generator, dataset.as_bytes(), instrument.market().as_bytes(), instrument.pair().as_bytes())
        });
        Some(nth)
    }
}

/// Places in one piece are few: a quick hash will do.
fn hash_of_place(generator: &GeneratorId, dataset: &[u8], market: &[u8], pair: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    };
    let mix =
        |hash: u64, text: &[u8]| text.chunks(8).fold(hash ^ text.len() as u64, |hash, part| (hash ^ word(part)).wrapping_mul(PRIME).rotate_left(29));
    [dataset, market, pair].into_iter().fold(hash_of(generator.as_bytes()), mix).wrapping_mul(PRIME)
}

/// What is left of a record's bytes. Everything gives nothing where they end too early.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    #[inline(always)]
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn hash(&mut self) -> Option<[u8; 32]> {
        let (hash, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*hash)
    }

    fn float(&mut self) -> Option<f32> {
        let (float, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f32::from_le_bytes(*float))
    }

    /// Seven bits a byte, the lowest first, the eighth where more follow.
    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    /// Reads over one: to its first byte without the eighth bit.
    #[inline(always)]
    fn skip_varint(&mut self) -> Option<()> {
        const EIGHTH_BITS: u64 = 0x8080_8080_8080_8080;
        if let Some(word) = self.0.first_chunk() {
            let last = !u64::from_le_bytes(*word) & EIGHTH_BITS;
            if last != 0 {
                return self.take(last.trailing_zeros() as usize / 8 + 1).map(drop);
            }
        }
        self.long_varint().map(drop)
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The sign in the lowest bit.
    fn time(&mut self) -> Option<Time> {
        let value = self.varint()?;
        Some(Time::from_ns((value >> 1) as i64 ^ -((value & 1) as i64)))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.varint()?).ok()?;
        self.take(count)
    }

    fn is_some(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn output(&mut self) -> Option<(Digest, u64, ArtifactKind)> {
        let _name = self.text()?;
        let digest = Digest::from_bytes(self.hash()?);
        let _schema = self.take(32)?;
        let bytes = self.varint()?;
        // Its rows.
        self.skip_varint()?;
        for _ in 0..self.varint()? {
            let _column = self.text()?;
            let _time = self.byte()?;
            // Its least and its greatest value, and how many are null.
            self.skip_varint()?;
            self.skip_varint()?;
            if self.is_some()? {
                self.skip_varint()?;
            }
        }
        Some((digest, bytes, ArtifactKind::Parquet))
    }

    /// How an entry is empty, if it is.
    fn skip_empty(&mut self) -> Option<()> {
        const EXIT_CODE: u64 = 0;
        const ZERO_ROWS: u64 = 1;
        const NO_DATA: u64 = 2;
        if !self.is_some()? {
            return Some(());
        }
        match self.varint()? {
            EXIT_CODE => self.byte().map(drop),
            ZERO_ROWS | NO_DATA => Some(()),
            _ => None,
        }
    }
}

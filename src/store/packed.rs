//! Records as they are packed, read without copying what is not needed: the same as [`EntryRecord`](crate::store::record::EntryRecord) in postcard's
//! encoding (<https://postcard.jamesmunns.com/wire-format>), field by field. A fifth of the time that decoding it whole takes.

use crate::address::{Address, Digest};
use crate::dataset::GeneratorId;
use crate::instrument::Instrument;
use crate::interval::Time;
use crate::store::layout::ArtifactKind;
use crate::store::manifest::Empty;

/// A record of the journal, the same as [`JournalRecord`](crate::store::record::JournalRecord).
pub(super) enum PackedRecord<'a> {
    /// The entry's record stands behind it.
    Published(PackedPlace<'a>),
    Removed {
        place: PackedPlace<'a>,
        start: Time,
        address: Address,
    },
}

/// What a record shares with its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PackedPlace<'a> {
    pub(super) generator: GeneratorId,
    pub(super) market: &'a [u8],
    pub(super) pair: &'a [u8],
}

impl PackedPlace<'_> {
    /// Nothing where its names are none.
    pub(super) fn instrument(&self) -> Option<Instrument> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Instrument::new(text(self.market)?, text(self.pair)?).ok()
    }
}

/// An entry's record, but for its artifacts.
pub(super) struct PackedEntry<'a> {
    pub(super) start: Time,
    pub(super) end: Time,
    pub(super) address: Address,
    pub(super) dataset: &'a [u8],
    pub(super) empty: Option<Empty>,
    pub(super) started: Time,
    pub(super) seconds: f32,
    pub(super) upstream_seconds: f32,
    /// The addresses of what it was derived from.
    pub(super) upstream: &'a [[u8; 32]],
}

/// Of eight bytes, the bits that say that more follow.
const EIGHTH_BITS: u64 = 0x8080_8080_8080_8080;

/// What is left of a record's bytes. Everything gives nothing where they end too early.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

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

    #[inline(always)]
    pub(super) fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    pub(super) fn hash(&mut self) -> Option<[u8; 32]> {
        self.chunk()
    }

    fn float(&mut self) -> Option<f32> {
        self.chunk().map(f32::from_le_bytes)
    }

    /// Seven bits a byte, the lowest first, the eighth where more follow.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Option<u64> {
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
    pub(super) fn skip_varint(&mut self) -> Option<()> {
        let Some(word) = self.0.first_chunk() else { return self.long_varint().map(drop) };
        let last = !u64::from_le_bytes(*word) & EIGHTH_BITS;
        if last != 0 {
            return self.take(last.trailing_zeros() as usize / 8 + 1).map(drop);
        }
        // Times of today have nine bytes.
        if *self.0.get(8)? < 0x80 { self.take(9).map(drop) } else { self.long_varint().map(drop) }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let Some(word) = self.0.first_chunk().map(|word| u64::from_le_bytes(*word)) else { return self.last_varint() };
        let last = !word & EIGHTH_BITS;
        if last != 0 {
            // All bits up to that one.
            let bits = word & (last ^ (last - 1));
            self.take(last.trailing_zeros() as usize / 8 + 1)?;
            return Some(sevens_together(bits));
        }
        self.take(8)?;
        let ninth = self.byte()?;
        let value = sevens_together(word) | u64::from(ninth & 0x7f) << 56;
        if ninth < 0x80 {
            return Some(value);
        }
        // The tenth byte has room for one bit.
        match self.byte()? {
            tenth @ 0..=1 => Some(value | u64::from(tenth) << 63),
            _ => None,
        }
    }

    /// One that fewer than eight bytes are left for.
    fn last_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The sign in the lowest bit.
    #[inline(always)]
    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn time(&mut self) -> Option<Time> {
        self.signed().map(Time::from_ns)
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.varint()?).ok()?;
        self.take(count)
    }

    /// Reads over a name, which is text. Nearly always ASCII, which is told in a fraction of the time.
    fn skip_name(&mut self) -> Option<()> {
        let name = self.text()?;
        (name.is_ascii() || std::str::from_utf8(name).is_ok()).then_some(())
    }

    fn is_some(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A record of the journal, of a publication up to the entry's record.
    #[inline(always)]
    pub(super) fn record(&mut self) -> Option<PackedRecord<'a>> {
        const PUBLISHED: u64 = 0;
        const REMOVED: u64 = 1;
        let kind = self.varint()?;
        let place = PackedPlace { generator: GeneratorId::from_bytes(self.hash()?), market: self.text()?, pair: self.text()? };
        match kind {
            PUBLISHED => Some(PackedRecord::Published(place)),
            REMOVED => Some(PackedRecord::Removed { place, start: self.time()?, address: Address::from_bytes(self.hash()?) }),
            _ => None,
        }
    }

    /// An entry's record; the artifacts that it names are added to `artifacts`, its log's last.
    #[inline(always)]
    pub(super) fn entry(&mut self, artifacts: &mut Vec<(Digest, u64, ArtifactKind)>) -> Option<PackedEntry<'a>> {
        let start = self.time()?;
        let end = self.time()?;
        let address = Address::from_bytes(self.hash()?);
        let dataset = self.text()?;
        for _ in 0..self.varint()? {
            artifacts.push(self.output()?);
        }
        let empty = self.empty()?;
        let started = self.time()?;
        let seconds = self.float()?;
        let upstream_seconds = self.float()?;
        let upstream = usize::try_from(self.varint()?).ok()?;
        let (upstream, _) = self.take(upstream.checked_mul(32)?)?.as_chunks();
        if self.is_some()? {
            artifacts.push((Digest::from_bytes(self.hash()?), self.varint()?, ArtifactKind::Log));
        }
        Some(PackedEntry { start, end, address, dataset, empty, started, seconds, upstream_seconds, upstream })
    }

    #[inline]
    fn output(&mut self) -> Option<(Digest, u64, ArtifactKind)> {
        self.skip_name()?;
        let digest = Digest::from_bytes(self.hash()?);
        let _schema = self.take(32)?;
        let bytes = self.varint()?;
        // Its rows.
        self.skip_varint()?;
        for _ in 0..self.varint()? {
            self.skip_name()?;
            // Whether it holds times.
            self.is_some()?;
            // Its least and its greatest value, and how many are null.
            self.skip_varint()?;
            self.skip_varint()?;
            if self.is_some()? {
                self.skip_varint()?;
            }
        }
        Some((digest, bytes, ArtifactKind::Parquet))
    }

    /// Whether an entry is empty, and in what way.
    fn empty(&mut self) -> Option<Option<Empty>> {
        const EXIT_CODE: u64 = 0;
        const ZERO_ROWS: u64 = 1;
        const NO_DATA: u64 = 2;
        if !self.is_some()? {
            return Some(None);
        }
        match self.varint()? {
            EXIT_CODE => self.byte().map(|code| Some(Empty::ExitCode(code))),
            ZERO_ROWS => Some(Some(Empty::ZeroRows)),
            NO_DATA => Some(Some(Empty::NoData)),
            _ => None,
        }
    }
}

/// The lower seven bits of each byte, without the room between them.
#[inline(always)]
fn sevens_together(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands behind it, and where it ends too early.
        #[test]
        fn a_number_is_read_as_it_was_written(shift in 0u32..64, number in any::<u64>(), behind in prop::collection::vec(any::<u8>(), 0..12)) {
            let number = number >> shift;
            let written = postcard::to_stdvec(&number).unwrap();
            let bytes = [&written[..], &behind].concat();
            let mut left = Bytes(&bytes);
            prop_assert_eq!(left.varint(), Some(number));
            prop_assert_eq!(left.0, &behind);
            let mut left = Bytes(&bytes);
            prop_assert_eq!(left.skip_varint(), Some(()));
            prop_assert_eq!(left.0, &behind);
            prop_assert_eq!(Bytes(&written[..written.len() - 1]).varint(), None);
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        assert_eq!(Bytes(&[0xff; 12]).varint(), None);
        assert_eq!(Bytes(&[0xff; 7]).varint(), None);
        assert_eq!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(), None, "more than 64 bits");
    }
}

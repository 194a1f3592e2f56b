//! Content addresses of entries and digests of bytes: two newtypes over BLAKE3 that must not be mixed up.
//!
//! An [`Address`] is derived from the canonical form of a key under a fixed context string, so that no file can be made whose digest is somebody's
//! address. A [`Digest`] is plain BLAKE3 of bytes, the same as `b3sum` prints. Both are 32 bytes, written as 64 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, shortened};

/// The context under which keys are hashed. Changing it changes every address: it is the version of the key format.
pub(crate) const KEY_CONTEXT: &str = "tickbarn 2026-11 entry key v1";

/// The fewest digits a prefix of an address may have.
pub(crate) const PREFIX_DIGITS_MIN: usize = 4;

const BYTES: usize = 32;
const DIGITS: usize = 2 * BYTES;

/// Where an entry is found: BLAKE3 (in key derivation mode) of the canonical form of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; BYTES]);

/// BLAKE3 of some bytes: an artifact, a program, an input file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; BYTES]);

impl Address {
    /// Finishes a hasher that was started in [`KEY_CONTEXT`] and fed a key's canonical form.
    pub(crate) fn of(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// The address of a key's canonical form.
    pub(crate) fn of_canonical(canonical: &str) -> Self {
        Self::of(blake3::Hasher::new_derive_key(KEY_CONTEXT).update(canonical.as_bytes()))
    }

    pub(crate) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The address of so many digits, if they are that.
    pub(crate) fn of_digits(text: &str) -> Option<Self> {
        parse_digits(text).map(Self)
    }

    /// The first 12 digits: enough to name an entry among many millions, and what messages show.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    pub(crate) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest of what was fed to `hasher`.
    pub(crate) fn of_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }
}

/// The start of an address, as users type it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPrefix(String);

impl AddressPrefix {
    /// The digits, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AddressPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = (PREFIX_DIGITS_MIN..=DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits { Ok(Self(text.to_ascii_lowercase())) } else { Err(Error::InvalidAddress { text: shortened(text) }) }
    }
}

/// Reads exactly 64 lower-case digits: one text for one value, so that an address in a path has one spelling.
fn parse_digits(text: &str) -> Option<[u8; BYTES]> {
    /// What each byte counts as a digit; more than 15 where it is none.
    const DIGIT: [u8; 256] = {
        let mut digit = [u8::MAX; 256];
        let mut value = 0;
        while value < 16 {
            digit[b"0123456789abcdef"[value] as usize] = value as u8;
            value += 1;
        }
        digit
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; BYTES] = pairs.try_into().ok()?;
    let mut wrong = 0;
    let bytes = pairs.map(|[high, low]| {
        let (high, low) = (DIGIT[usize::from(high)], DIGIT[usize::from(low)]);
        wrong |= high | low;
        high << 4 | low
    });
    (wrong < 16).then_some(bytes)
}

fn write_digits(bytes: &[u8; BYTES], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; DIGITS];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
}

macro_rules! hexadecimal {
    ($name:ident, $invalid:expr) => {
        impl $name {
            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_digits(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_digits(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_digits(text).map(Self).ok_or_else(|| Error::InvalidAddress { text: shortened(text) })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return <[u8; BYTES]>::deserialize(deserializer).map(Self);
                }
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                parse_digits(&text).map(Self).ok_or_else(|| serde::de::Error::custom(format_args!("{:?} is not {}", shortened(&text), $invalid)))
            }
        }
    };
}

hexadecimal!(Address, "an address of 64 lower-case hexadecimal digits");
hexadecimal!(Digest, "a digest of 64 lower-case hexadecimal digits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        let address = Address::of_canonical("{}");
        let text = address.to_string();
        assert_eq!(text.parse::<Address>().unwrap(), address);
        assert!(text.to_uppercase().parse::<Address>().is_err());
        assert!(text[1..].parse::<Address>().is_err());
        assert!(format!("{text}0").parse::<Address>().is_err());
        assert!("../../../../etc/passwd".parse::<Address>().is_err());
    }

    #[test]
    fn a_digest_is_what_b3sum_prints() {
        assert_eq!(Digest::of(b"").to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn no_file_has_the_digest_of_a_key() {
        assert_ne!(Address::of_canonical("{}").as_bytes(), Digest::of(b"{}").as_bytes());
    }

    #[test]
    fn a_prefix_may_be_typed_in_capitals_but_never_as_a_path() {
        assert_eq!("ABCD".parse::<AddressPrefix>().unwrap().as_str(), "abcd");
        for bad in ["", "abc", "../..", "abcd/", "abcg", &"a".repeat(65)] {
            assert!(bad.parse::<AddressPrefix>().is_err(), "{bad}");
        }
    }
}

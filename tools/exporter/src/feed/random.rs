//! Random numbers whose sequence never changes: both generators are written out here, in integer arithmetic, after the
//! reference implementations by David Blackman and Sebastiano Vigna, <https://prng.di.unimi.it/>.

/// SplitMix64: a good number from any number. For seeding, and as a hash of a few numbers.
pub(crate) fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One number from many, each of which changes it, as does their order.
pub(crate) fn hash(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |state, &part| splitmix64(state ^ splitmix64(part)))
}

/// A text as a number: FNV-1a.
pub(crate) fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A number from -1 to 1, exactly representable, from a well-mixed one.
pub(crate) fn signed_unit(hash: u64) -> f64 {
    unit(hash) * 2.0 - 1.0
}

fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// xoshiro256**.
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let step = |n: u64| splitmix64(seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n)));
        Self([step(0), step(1), step(2), step(3)])
    }

    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// From 0 to `n`, excluding `n`, which must not be 0. (The bias, below n/2^64, does not matter here.)
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// True in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        unit(self.next()) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Should one of these change, every simulated market would have another history.
    #[test]
    fn generators_give_the_published_numbers() {
        let splitmix: Vec<u64> = (0..3).map(|n| splitmix64(1_234_567_u64.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n)))).collect();
        assert_eq!(splitmix, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);

        let mut xoshiro = Random([1, 2, 3, 4]);
        let numbers: Vec<u64> = (0..4).map(|_| xoshiro.next()).collect();
        assert_eq!(numbers, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);

        assert_eq!(hash_text("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(7);
        for n in 1..1000 {
            assert!(random.below(n) < n);
        }
        assert_eq!((signed_unit(0), signed_unit(u64::MAX) < 1.0), (-1.0, true));
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
    }
}

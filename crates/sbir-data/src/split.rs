//! Seeded orders and splits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Sebastiano Vigna's SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>, public domain): small, and the same in a
/// few lines of any language, so that reference scripts can repeat every order drawn here.
///
/// ```python
/// def next(self):
///     self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
///     z = self.state
///     z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
///     z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
///     return z ^ (z >> 31)
/// ```
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator whose state is `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound` (0 for a bound of 0): the high 64 bits of the 128-bit product `next_u64() * bound`. The
    /// deviation from uniform is below `bound / 2^64`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// The order in which epoch `epoch` visits `len` pairs: a Fisher–Yates shuffle of `0..len`, a function of its arguments
/// alone.
///
/// The generator is [`SplitMix64`] whose state is the first output of a `SplitMix64` started at `seed`, plus `epoch`
/// times `0xD1342543DE82EF95` (modulo 2^64). For `i` from `len - 1` down to 1, element `i` changes places with element
/// `below(i + 1)`. In Python, with the class above:
///
/// ```python
/// def epoch_order(seed, epoch, length):
///     random = SplitMix64((SplitMix64(seed).next() + epoch * 0xD1342543DE82EF95) % 2**64)
///     order = list(range(length))
///     for i in range(length - 1, 0, -1):
///         j = random.next() * (i + 1) >> 64
///         order[i], order[j] = order[j], order[i]
///     return order
/// ```
#[must_use]
pub fn epoch_order(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    // The multiplier (an LCG constant of Steele and Vigna, 2021) keeps epochs of one seed from overlapping in the
    // generator's sequence, whose increment is another odd number.
    let start = SplitMix64::new(seed).next_u64();
    let mut random = SplitMix64::new(start.wrapping_add(epoch.wrapping_mul(0xD134_2543_DE82_EF95)));
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}

/// What is held out for validation where a dataset has no split of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldOut {
    /// Seed of the choice.
    pub seed: u64,
    /// Share of the photos, above 0 and below 1.
    pub share: f64,
}

impl Default for HoldOut {
    /// A tenth, by seed 42.
    fn default() -> Self {
        Self { seed: 42, share: Self::SHARE }
    }
}

impl HoldOut {
    /// The share where none is asked for: a tenth.
    pub const SHARE: f64 = 0.1;
}

impl fmt::Display for HoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.share == Self::SHARE {
            write!(f, "held-out tenth of the photos, seed {}", self.seed)
        } else {
            write!(f, "held-out share {} of the photos, seed {}", self.share, self.seed)
        }
    }
}

/// Which of the photos named `ids` are held out for validation: the share asked for, rounded, at least one; `true` is
/// held out.
///
/// The rule is by name, not by position: the photos are ranked by (hash, name), where the hash is the first output of
/// [`SplitMix64`] started at `seed XOR` the 64-bit FNV-1a hash of the name's UTF-8 bytes, and the first are held out.
/// So the order of listing changes nothing, and one photo more or less changes little.
#[must_use]
pub fn hold_out(ids: &[&str], HoldOut { seed, share }: HoldOut) -> Vec<bool> {
    let mut ranked: Vec<(u64, &str, usize)> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| (SplitMix64::new(seed ^ fnv1a(id.as_bytes())).next_u64(), *id, index))
        .collect();
    ranked.sort_unstable();
    let mut held = vec![false; ids.len()];
    let count = (ids.len() as f64 * share).round().max(1.0) as usize;
    let count = count.min(ids.len());
    for (_, _, index) in ranked.into_iter().take(count) {
        held[index] = true;
    }
    held
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        // First outputs of the reference implementation for the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn fnv1a_gives_the_published_hashes() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn an_epoch_visits_each_pair_once_in_its_own_order() {
        let orders = [(42, 0), (42, 1), (43, 0)].map(|(seed, epoch)| epoch_order(seed, epoch, 100));
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert!(orders[0] != orders[1] && orders[0] != orders[2] && orders[1] != orders[2]);
        assert_eq!(epoch_order(42, 0, 100), orders[0]);
        assert_eq!(epoch_order(42, 0, 0), Vec::<usize>::new());
        assert_eq!(epoch_order(42, 0, 1), [0]);
    }

    #[test]
    fn every_place_is_about_equally_likely() {
        // 6,000 draws of a shuffle of three: each of the six orders should come about 1,000 times (deviation 29).
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(epoch_order(7, epoch, 3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    fn seeded(seed: u64) -> HoldOut {
        HoldOut { seed, ..HoldOut::default() }
    }

    #[test]
    fn a_third_contains_the_tenth() {
        let names: Vec<String> = (0..90).map(|i| format!("photo{i:03}")).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let third = hold_out(&ids, HoldOut { seed: 42, share: 1.0 / 3.0 });
        assert_eq!(third.iter().filter(|held| **held).count(), 30);
        assert!(hold_out(&ids, seeded(42)).iter().zip(third).all(|(tenth, third)| !tenth || third));
    }

    #[test]
    fn a_tenth_is_held_out_whatever_the_order() {
        let names: Vec<String> = (0..95).map(|i| format!("photo{i:03}")).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let held = hold_out(&ids, seeded(42));
        assert_eq!(held.iter().filter(|held| **held).count(), 10);
        let reversed: Vec<&str> = ids.iter().rev().copied().collect();
        let held_reversed = hold_out(&reversed, seeded(42));
        assert!(held.iter().eq(held_reversed.iter().rev()));
        assert_ne!(held, hold_out(&ids, seeded(43)));
        // Without one photo, at most two others change sides.
        let fewer = hold_out(&ids[1..], seeded(42));
        let changed = fewer.iter().zip(&held[1..]).filter(|(a, b)| a != b).count();
        assert!(changed <= 2, "{changed} photos changed sides");
        assert_eq!(hold_out(&["only"], seeded(42)), [true]);
        assert!(hold_out(&[], seeded(42)).is_empty());
    }
}

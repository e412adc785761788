//! Which share of the work.

use std::fmt;
use std::str::FromStr;

/// One of several shares: shard `index` of `count`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// All of the work.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Which share it is.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// How many shares there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether a piece is of this share.
    #[must_use]
    pub fn takes(self, piece: u64) -> bool {
        piece % u64::from(self.count) == u64::from(self.index)
    }

    /// How many of some pieces are of this share.
    #[must_use]
    pub fn share(self, pieces: u64) -> u64 {
        pieces.saturating_sub(u64::from(self.index)).div_ceil(u64::from(self.count))
    }

    /// The share that a piece is of.
    #[must_use]
    pub fn of(piece: u64, count: u32) -> Self {
        let count = count.max(1);
        Self { index: (piece % u64::from(count)) as u32, count }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| -> Option<u32> {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let parts = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
        match parts {
            Some((_, 0)) | None => Err(format!(
                "{text:?} is no share of the work; give I/N, such as 0/4, I from 0 to N-1"
            )),
            Some((index, count)) if index >= count => Err(format!(
                "there is no shard {index} of {count}: they count from 0, so the last is {}/{count}",
                count - 1
            )),
            Some((index, count)) => Ok(Self { index, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_from_zero() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, count: 4 }));
        assert_eq!("0/1".parse(), Ok(Shard::default()));
        let error = "4/4".parse::<Shard>().unwrap_err();
        assert!(error.contains("count from 0") && error.contains("3/4"), "{error}");
        for text in
            ["", "1", "/", "1/", "/1", "0/0", "-1/2", "+0/2", "a/b", "1/2/3", "0/99999999999"]
        {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_piece_is_of_one_share() {
        for count in 1..6 {
            for pieces in 0..20_u64 {
                let shares = (0..count).map(|index| Shard { index, count });
                let taken =
                    |shard: Shard| (0..pieces).filter(|piece| shard.takes(*piece)).count() as u64;
                assert!(shares.clone().all(|shard| taken(shard) == shard.share(pieces)));
                assert_eq!(shares.map(taken).sum::<u64>(), pieces);
                assert!((0..pieces).all(|piece| Shard::of(piece, count).takes(piece)));
            }
        }
    }
}

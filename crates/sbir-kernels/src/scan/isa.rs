//! Which instructions a scan uses.

use super::exact::PaddedQuery;
use super::quantise::{Bound, QueryCodes};
use super::{BLOCK, GROUP, exact, portable};

/// A set of instructions that the scan is written for. All of them give the same results to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 with VNNI.
    Avx512,
    /// AVX2 with F16C.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        [Self::Avx512, Self::Avx2]
            .into_iter()
            .find(|isa| isa.is_available())
            .unwrap_or(Self::Portable)
    }

    /// Those that this processor has.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().filter(|isa| isa.is_available())
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
        }
    }

    /// The inner products of the codes of a block with those of a group of queries.
    ///
    /// # Shapes
    /// - `codes`: `[steps, BLOCK, 4]`
    pub(super) fn block_sums(
        self,
        codes: &[u8],
        group: &QueryCodes,
        sums: &mut [[i32; BLOCK]; GROUP],
    ) {
        assert_eq!(codes.len(), group.steps * BLOCK * 4);
        match self {
            // SAFETY: the features were asked for when the scan began (`search_with`); the length is checked above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { super::avx512::block_sums(codes, group, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { super::avx2::block_sums(codes, group, sums) },
            _ => portable::block_sums(codes, group, sums),
        }
    }

    /// Which vectors of a block can reach a score: a bit each.
    pub(super) fn reaching(
        self,
        sums: &[i32; BLOCK],
        scales: &[f32; BLOCK],
        errors: &[f32; BLOCK],
        bound: &Bound,
        threshold: f32,
    ) -> u64 {
        match self {
            // SAFETY: the features were asked for when the scan began (`search_with`).
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe {
                super::avx512::reaching(sums, scales, errors, bound, threshold)
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { super::avx2::reaching(sums, scales, errors, bound, threshold) },
            _ => portable::reaching(sums, scales, errors, bound, threshold),
        }
    }

    /// The inner product in f32: see [`super::score`].
    pub(super) fn score(self, query: &PaddedQuery, halves: &[u16]) -> f32 {
        assert_eq!(halves.len(), query.dimension);
        match self {
            // SAFETY: the features were asked for when the scan began (`search_with`); the length is checked above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { super::avx512::score(query, halves) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { super::avx2::score(query, halves) },
            _ => exact::portable(query, halves),
        }
    }
}

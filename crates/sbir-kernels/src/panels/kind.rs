//! Which instructions and operands products are computed with.

use super::buffer::Plain;
use super::lanes::{self, Lanes};
use crate::simd::Simd;

/// The values that products are made of. Sums, and everything else, are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
}

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Products {
    Avx512,
    /// By the processor's bf16 dot products.
    Avx512Bf16,
    /// Operands rounded to bf16, multiplied as f32.
    Avx512Rounded,
    Avx2,
    Portable,
    PortableBf16,
}

/// What is made for some [`Lanes`].
pub(crate) trait Make {
    type Output;

    fn make<L: Lanes<Operand: Plain>>(self) -> Self::Output;
}

impl Products {
    /// The fastest of a path.
    ///
    /// # Panics
    /// Where this processor lacks `simd`, or bf16 is asked of a path that has none.
    pub(crate) fn new(precision: Precision, simd: Simd) -> Self {
        assert!(simd.is_available(), "{simd}: not on this processor");
        match (precision, simd) {
            (Precision::F32, Simd::Avx512 | Simd::Avx512Bf16) => Self::Avx512,
            (Precision::F32, Simd::Avx2) => Self::Avx2,
            (Precision::F32, Simd::Portable) => Self::Portable,
            (Precision::Bf16, Simd::Avx512Bf16) if simd.bf16_pays() => Self::Avx512Bf16,
            (Precision::Bf16, Simd::Avx512Bf16) => Self::Avx512Rounded,
            (Precision::Bf16, Simd::Portable) => Self::PortableBf16,
            (Precision::Bf16, Simd::Avx512 | Simd::Avx2) => panic!("{simd} has no bf16 products"),
        }
    }

    /// Every way that this processor has, with what its products are made of.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<(Precision, Self)> {
        use Precision::{Bf16, F32};
        let mut all = vec![(F32, Self::Portable), (Bf16, Self::PortableBf16)];
        for simd in Simd::available() {
            all.extend(match simd {
                Simd::Avx512Bf16 => vec![(Bf16, Self::Avx512Bf16), (Bf16, Self::Avx512Rounded)],
                Simd::Avx512 => vec![(F32, Self::Avx512)],
                Simd::Avx2 => vec![(F32, Self::Avx2)],
                Simd::Portable => Vec::new(),
            });
        }
        all
    }

    /// Makes something for these instructions, which this processor has.
    pub(crate) fn make<M: Make>(self, what: M) -> M::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => what.make::<lanes::avx512::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => what.make::<lanes::avx512::Avx512Bf16>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Rounded => what.make::<lanes::avx512::Avx512Rounded>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => what.make::<lanes::avx2::Avx2>(),
            Self::PortableBf16 => what.make::<lanes::portable::PortableBf16>(),
            _ => what.make::<lanes::portable::Portable>(),
        }
    }
}

//! Which instructions the encoders' kernels use.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Environment variable that forces a path.
pub const VARIABLE: &str = "SBIR_SIMD";

/// A set of instructions that the encoders' kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// AVX-512 with its bf16 dot products.
    Avx512Bf16,
    /// AVX-512 (F, BW, DQ, VL).
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// Plain Rust.
    Portable,
}

/// Why a forced path can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimdError {
    /// The name is none of those known.
    Unknown {
        /// What was given.
        given: String,
    },
    /// This processor lacks the instructions.
    Missing {
        /// What was asked for.
        asked: Simd,
    },
}

impl fmt::Display for SimdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { given } => {
                write!(f, "{VARIABLE}={given}: one of avx512bf16, avx512, avx2 and portable")
            }
            Self::Missing { asked } => {
                let best = Simd::best();
                write!(
                    f,
                    "{VARIABLE}={asked}: this processor lacks it; the best that it has is {best}"
                )
            }
        }
    }
}

impl std::error::Error for SimdError {}

impl Simd {
    /// Every path, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512Bf16, Self::Avx512, Self::Avx2, Self::Portable];

    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Those that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|simd| simd.is_available())
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 =
                avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match self {
                Self::Avx512Bf16 => avx512 && has!("avx512bf16"),
                Self::Avx512 => avx512,
                Self::Avx2 => avx2,
                Self::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    /// Whether it computes products of bf16 values.
    #[must_use]
    pub fn has_bf16(self) -> bool {
        self == Self::Avx512Bf16
    }

    /// Whether its bf16 products outrun f32's on this processor. Intel's cores without matrix tiles do half as many bf16
    /// as f32 multiply-adds a cycle (measured on a Sapphire Rapids class Xeon: 87 against 175 GFLOP/s a thread), AMD's
    /// since Zen 4 twice as many.
    #[must_use]
    pub fn bf16_pays(self) -> bool {
        self.has_bf16() && is_amd()
    }

    /// The path that `SBIR_SIMD` names, else the fastest. The environment is read once.
    ///
    /// # Errors
    /// [`SimdError`] for a name that is not known, or instructions that this processor lacks.
    pub fn chosen() -> Result<Self, SimdError> {
        static CHOSEN: OnceLock<Result<Simd, SimdError>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var(VARIABLE) {
                Ok(name) if !name.is_empty() => {
                    let asked: Self = name.parse()?;
                    if asked.is_available() { Ok(asked) } else { Err(SimdError::Missing { asked }) }
                }
                _ => Ok(Self::best()),
            })
            .clone()
    }
}

/// Whether the processor names AMD as its maker.
fn is_amd() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let leaf = std::arch::x86_64::__cpuid(0);
        let name = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat();
        name == b"AuthenticAMD"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Bf16 => "avx512bf16",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}

impl FromStr for Simd {
    type Err = SimdError;

    fn from_str(text: &str) -> Result<Self, SimdError> {
        Self::ALL
            .into_iter()
            .find(|simd| simd.to_string() == text)
            .ok_or_else(|| SimdError::Unknown { given: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for simd in Simd::ALL {
            assert_eq!(simd.to_string().parse(), Ok(simd));
        }
        assert!("sse".parse::<Simd>().is_err());
        assert!(Simd::available().any(|simd| simd == Simd::Portable));
        assert!(Simd::best().is_available());
    }
}

//! Which numbers the arithmetic is done in.

use std::fmt;
use std::str::FromStr;

use sbir_kernels::Precision;
use sbir_kernels::simd::Simd;
use serde::{Deserialize, Serialize};

use crate::architecture::EncoderConfig;
use crate::device::{DeviceChoice, Selected};
use crate::error::Error;

/// What `--precision` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrecisionChoice {
    /// bf16 where the CPU computes and is faster in it, else f32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// Products of bfloat16 values; all else in 32-bit floats.
    Bf16,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Embeddings.
    Embed,
    /// Embeddings and gradients.
    Train,
}

impl PrecisionChoice {
    /// What is computed in, for an encoder on a device.
    ///
    /// # Errors
    /// [`Error::Precision`] where bf16 was asked for and cannot be had; [`Error::Simd`] where `SBIR_SIMD` names what
    /// is not there.
    pub fn resolve(
        self,
        work: Work,
        encoder: &EncoderConfig,
        device: &Selected,
    ) -> Result<Precision, Error> {
        if self == Self::F32 {
            return Ok(Precision::F32);
        }
        let simd = Simd::chosen()?;
        match obstacle(work, encoder, device.choice, simd) {
            Some(problem) if self == Self::Bf16 => Err(Error::Precision { problem }),
            None if self == Self::Bf16 || simd.bf16_pays() => Ok(Precision::Bf16),
            _ => Ok(Precision::F32),
        }
    }

    /// What [`Self::Auto`] is on the CPU.
    pub fn of_cpu(simd: Simd) -> Self {
        if simd.bf16_pays() { Self::Bf16 } else { Self::F32 }
    }
}

/// Why there is no bf16 here.
fn obstacle(
    work: Work,
    encoder: &EncoderConfig,
    device: DeviceChoice,
    simd: Simd,
) -> Option<String> {
    if device != DeviceChoice::Cpu {
        return Some(format!("{device} computes in f32, only the CPU has kernels for bf16"));
    }
    if matches!(encoder, EncoderConfig::Lite(_)) && work == Work::Train {
        return Some("an EfficientNet-Lite trains in f32 only".to_owned());
    }
    if !Simd::Avx512Bf16.is_available() {
        return Some("this processor lacks AVX-512 BF16 (avx512_bf16)".to_owned());
    }
    (!simd.has_bf16()).then(|| format!("SBIR_SIMD={simd} is without AVX-512 BF16"))
}

impl From<Precision> for PrecisionChoice {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::UnknownPrecision { given: text.to_owned() }),
        }
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_round_trip() {
        for text in ["auto", "f32", "bf16"] {
            assert_eq!(text.parse::<PrecisionChoice>().unwrap().to_string(), text);
        }
        for text in ["", "f16", "BF16", "fp32"] {
            assert!(text.parse::<PrecisionChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_obstacle_is_named() {
        let convnext: EncoderConfig = "convnext_atto".parse().unwrap();
        let lite: EncoderConfig = "efficientnet_lite0".parse().unwrap();
        let (cpu, gpu) = (DeviceChoice::Cpu, DeviceChoice::Vulkan(1));
        let problem =
            |work, encoder, device, simd| obstacle(work, encoder, device, simd).unwrap_or_default();
        let best = Simd::Avx512Bf16;
        for work in [Work::Embed, Work::Train] {
            assert!(problem(work, &convnext, gpu, best).contains("vulkan:1"));
            for simd in [Simd::Avx512, Simd::Avx2, Simd::Portable] {
                assert!(problem(work, &convnext, cpu, simd).contains("AVX-512 BF16"));
            }
            let free = problem(work, &convnext, cpu, best).is_empty();
            assert_eq!(free, best.is_available());
        }
        assert!(problem(Work::Train, &lite, cpu, best).contains("EfficientNet"));
        assert_eq!(problem(Work::Embed, &lite, cpu, best).is_empty(), best.is_available());
    }
}

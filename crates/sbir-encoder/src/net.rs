//! The form of an encoder that the CPU's kernels compute.

use sbir_kernels::Precision;
use sbir_kernels::convnext::{ConvNextNet, ConvNextSpec};
use sbir_kernels::lite::LiteNet;
use sbir_kernels::simd::Simd;

use crate::architecture::EncoderConfig;
use crate::convnext::{ConvNextConfig, Head, NORM_EPSILON};
use crate::lite;
use crate::parameters::Parameters;

/// How an encoder is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arithmetic {
    /// Whether kernels of our own compute what there are such for; else Burn's operations compute everything.
    pub(crate) kernels: bool,
    pub(crate) precision: Precision,
    pub(crate) simd: Simd,
    pub(crate) norm_epsilon: f64,
}

impl Default for Arithmetic {
    /// A bad `SBIR_SIMD` is for the program to report ([`Simd::chosen`]); here it counts as none.
    fn default() -> Self {
        let simd = Simd::chosen().unwrap_or_else(|_| Simd::best());
        Self { kernels: true, precision: Precision::F32, simd, norm_epsilon: NORM_EPSILON }
    }
}

/// A network ready to compute on the CPU.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one an encoder")]
pub enum Net {
    /// ConvNeXt.
    ConvNext(ConvNextNet),
    /// EfficientNet-Lite.
    Lite(LiteNet),
}

impl Net {
    /// `None` where Burn's operations compute.
    pub(crate) fn new(
        config: &EncoderConfig,
        parameters: &Parameters,
        arithmetic: &Arithmetic,
    ) -> Option<Self> {
        let Arithmetic { kernels, precision, simd, norm_epsilon } = *arithmetic;
        let slices = parameters.slices().filter(|_| kernels)?;
        Some(match config {
            EncoderConfig::ConvNext(config) => {
                let spec = spec(config, norm_epsilon);
                Self::ConvNext(ConvNextNet::new(spec, precision, simd, &slices))
            }
            EncoderConfig::Lite(config) => {
                Self::Lite(lite::net(config, parameters, precision, simd))
            }
        })
    }

    /// Takes other parameters over, in the memory that is there; false where it has to be made anew.
    pub(crate) fn update(&mut self, parameters: &Parameters) -> bool {
        match (self, parameters.slices()) {
            (Self::ConvNext(net), Some(slices)) => {
                net.update(&slices);
                true
            }
            _ => false,
        }
    }
}

fn spec(config: &ConvNextConfig, norm_epsilon: f64) -> ConvNextSpec {
    ConvNextSpec {
        depths: config.depths,
        dims: config.dims,
        projection: match config.head {
            Head::Pool => None,
            Head::Projection { width } => Some(width),
        },
        norm_epsilon: norm_epsilon as f32,
    }
}

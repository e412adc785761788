//! The form of an encoder that the CPU's kernels compute.

use sbir_kernels::convnext::{ConvNextNet, ConvNextSpec, Precision};
use sbir_kernels::lite::LiteNet;
use sbir_kernels::simd::Simd;

use crate::architecture::EncoderConfig;
use crate::convnext::{ConvNextConfig, Head, NORM_EPSILON};
use crate::lite;
use crate::parameters::Parameters;

/// Whether ConvNeXt has its kernels yet.
const CONVNEXT: bool = false;

/// How an encoder is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arithmetic {
    /// Whether the CPU's kernels compute; else Burn's operations do, as on every other device.
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
    /// `None` where there are no kernels.
    pub(crate) fn new(
        config: &EncoderConfig,
        parameters: &Parameters,
        arithmetic: &Arithmetic,
    ) -> Option<Self> {
        match config {
            _ if !arithmetic.kernels => None,
            EncoderConfig::ConvNext(_) if !CONVNEXT => None,
            EncoderConfig::ConvNext(config) => {
                Some(Self::ConvNext(with_slices(parameters, |all| {
                    let Arithmetic { precision, simd, norm_epsilon, .. } = *arithmetic;
                    ConvNextNet::new(spec(config, norm_epsilon), precision, simd, all)
                })))
            }
            EncoderConfig::Lite(config) => Some(Self::Lite(lite::net(config, parameters))),
        }
    }
}

fn with_slices<T>(parameters: &Parameters, work: impl FnOnce(&[&[f32]]) -> T) -> T {
    let values: Vec<_> = parameters.iter().map(|parameter| parameter.value.to_host()).collect();
    let slices: Vec<&[f32]> = values.iter().map(|values| &**values).collect();
    work(&slices)
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

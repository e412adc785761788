//! A list of numbers where it is computed with.

use std::borrow::Cow;

use burn_tensor::{Device, Tensor, TensorData};

/// Values of a parameter or of an optimiser's moment.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few hundred in a model, each of thousands of values"
)]
pub enum Values {
    /// On the CPU, whose kernels work on slices.
    Host(Vec<f32>),
    /// On any other device, flat.
    Device(Tensor<1>),
}

impl Values {
    /// Puts `data` where `device` computes.
    pub fn new(data: Vec<f32>, device: &Device) -> Self {
        if *device == Device::flex() {
            Self::Host(data)
        } else {
            Self::Device(tensor(data, device))
        }
    }

    /// As many zeros in the same place.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        match self {
            Self::Host(values) => Self::Host(vec![0.0; values.len()]),
            Self::Device(values) => Self::Device(values.clone().zeros_like()),
        }
    }

    /// The values on the host: a copy only where they are elsewhere.
    pub fn to_host(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Host(values) => Cow::Borrowed(values),
            Self::Device(values) => Cow::Owned(to_host(values)),
        }
    }

    /// The values as a tensor on `device`: a copy where they are on the host.
    pub fn tensor(&self, device: &Device) -> Tensor<1> {
        match self {
            Self::Host(values) => tensor(values.clone(), device),
            Self::Device(values) => values.clone(),
        }
    }
}

fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// A tensor's values on the host as f32, row-major.
///
/// # Panics
/// Where the device has failed: there is nothing left to compute with then.
pub fn to_host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    let data = tensor.clone().into_data().convert::<f32>();
    data.try_into_vec().expect("converted to f32 above")
}

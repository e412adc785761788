//! Gradients at a model's parameters.

use std::borrow::Cow;

use burn_tensor::Tensor;
use sbir_encoder::{Parameters, Values, to_host};

/// One gradient for each parameter, in their order, where the parameters are.
#[derive(Clone, Debug)]
pub enum Gradients {
    /// On the CPU; the memory is kept from step to step.
    Host(Vec<Vec<f32>>),
    /// On any other device; none after an optimiser's step.
    Device(Vec<Tensor<1>>),
}

impl Gradients {
    /// All zero, or none yet.
    pub fn zeros(parameters: &Parameters) -> Self {
        let on_host = parameters.iter().all(|parameter| matches!(parameter.value, Values::Host(_)));
        if on_host {
            Self::Host(parameters.iter().map(|parameter| vec![0.0; parameter.len()]).collect())
        } else {
            Self::Device(Vec::new())
        }
    }

    /// Number of parameters (tensors).
    pub fn len(&self) -> usize {
        match self {
            Self::Host(list) => list.len(),
            Self::Device(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The gradients on the host.
    pub fn to_host(&self) -> Vec<Cow<'_, [f32]>> {
        match self {
            Self::Host(list) => {
                list.iter().map(|values| Cow::Borrowed(values.as_slice())).collect()
            }
            Self::Device(list) => list.iter().map(|tensor| Cow::Owned(to_host(tensor))).collect(),
        }
    }

    /// Adds those of a graph.
    pub(crate) fn add(&mut self, new: impl Iterator<Item = Tensor<1>>) {
        match self {
            Self::Host(list) => {
                for (sum, new) in list.iter_mut().zip(new) {
                    sum.iter_mut().zip(to_host(&new)).for_each(|(sum, new)| *sum += new);
                }
            }
            Self::Device(list) if list.is_empty() => list.extend(new),
            Self::Device(list) => {
                for (sum, new) in list.iter_mut().zip(new) {
                    *sum = sum.clone() + new;
                }
            }
        }
    }
}

//! The parameters of an encoder, flat and by name.
//!
//! Every parameter is one flat list of values with its shape beside it. Optimiser, checkpoints and weight
//! files then need no knowledge of layers: they walk one list, and a name is a path such as
//! `stages.2.blocks.0.expand.weight`.

use burn_tensor::{Device, Tensor};

use crate::values::Values;

/// One named parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Canonical path, unique within the model.
    pub name: String,
    /// Shape in PyTorch's order, e.g. `[channels_out, channels_in]` of a linear layer.
    pub shape: Vec<usize>,
    /// Values in row-major order: `[shape.product()]`.
    pub value: Values,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All parameters of a model in the order of its definition.
#[derive(Clone, Debug)]
pub struct Parameters {
    items: Vec<Parameter>,
    device: Device,
}

impl Parameters {
    /// Parameters from `(name, shape, values)`, put on `device`.
    ///
    /// # Panics
    /// Where a value list's length is not the product of its shape: callers build both together.
    pub fn from_values(
        values: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
        device: &Device,
    ) -> Self {
        let items = values
            .into_iter()
            .map(|(name, shape, data)| {
                assert_eq!(data.len(), shape.iter().product::<usize>(), "length of {name}");
                Parameter { name, shape, value: Values::new(data, device) }
            })
            .collect();
        Self { items, device: device.clone() }
    }

    /// Every parameter in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.items.iter()
    }

    /// Every parameter's values in order; names and shapes stay.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Values> {
        self.items.iter_mut().map(|parameter| &mut parameter.value)
    }

    /// Number of parameters (tensors).
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of values in all.
    pub fn values(&self) -> usize {
        self.items.iter().map(Parameter::len).sum()
    }

    /// The device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The parameter at a place in the order, as a tensor.
    pub(crate) fn tensor(&self, index: usize) -> Tensor<1> {
        self.items[index].value.tensor(&self.device)
    }

    /// The parameter at a place, in a shape of its own number of values.
    pub(crate) fn shaped<const D: usize>(&self, index: usize, shape: [usize; D]) -> Tensor<D> {
        self.tensor(index).reshape(shape)
    }

    /// The same values as leaves of a graph, so that a backward pass reaches them.
    #[must_use]
    pub fn tracked(&self) -> Self {
        let mut tracked = self.clone();
        for value in tracked.values_mut() {
            let leaf = value.tensor(&self.device).autodiff().require_grad();
            *value = Values::Device(leaf);
        }
        tracked
    }

    /// Every parameter's values in order, where the CPU computes; `None` where they are on another device.
    pub fn slices(&self) -> Option<Vec<&[f32]>> {
        self.items
            .iter()
            .map(|parameter| match &parameter.value {
                Values::Host(values) => Some(values.as_slice()),
                Values::Device(_) => None,
            })
            .collect()
    }

    /// Copies every value to the host: `(name, shape, values)` in order.
    pub fn to_values(&self) -> impl Iterator<Item = (String, Vec<usize>, Vec<f32>)> + '_ {
        self.items.iter().map(|parameter| {
            let values = parameter.value.to_host().into_owned();
            (parameter.name.clone(), parameter.shape.clone(), values)
        })
    }
}

impl<'a> IntoIterator for &'a Parameters {
    type Item = &'a Parameter;
    type IntoIter = std::slice::Iter<'a, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

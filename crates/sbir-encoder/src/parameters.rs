//! The parameters of an encoder, flat and by name.
//!
//! Every parameter is one flat tensor with its shape beside it. Optimiser, checkpoints and weight
//! files then need no knowledge of layers: they walk one list, and a name is a path such as
//! `stages.2.blocks.0.expand.weight`.

use burn_tensor::{Device, Tensor, TensorData};

/// One named parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Canonical path, unique within the model.
    pub name: String,
    /// Shape in PyTorch's order, e.g. `[channels_out, channels_in]` of a linear layer.
    pub shape: Vec<usize>,
    /// Values in row-major order: `[shape.product()]`.
    pub value: Tensor<1>,
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
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    items: Vec<Parameter>,
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
                let length = data.len();
                let value = Tensor::from_data(TensorData::new(data, [length]), device);
                Parameter { name, shape, value }
            })
            .collect();
        Self { items }
    }

    /// Every parameter in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.items.iter()
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
    ///
    /// # Panics
    /// Where there is no parameter; every model has some.
    pub fn device(&self) -> Device {
        self.items.first().expect("a model has parameters").value.device()
    }

    /// The parameter at a place in the order.
    pub(crate) fn tensor(&self, index: usize) -> Tensor<1> {
        self.items[index].value.clone()
    }

    /// The parameter at a place, in a shape of its own number of values.
    pub(crate) fn shaped<const D: usize>(&self, index: usize, shape: [usize; D]) -> Tensor<D> {
        self.items[index].value.clone().reshape(shape)
    }

    /// Replaces every tensor by what `change` makes of it; names and shapes stay.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(usize, &Tensor<1>) -> Tensor<1>) -> Self {
        let items = self
            .items
            .iter()
            .enumerate()
            .map(|(index, parameter)| Parameter {
                value: change(index, &parameter.value),
                ..parameter.clone()
            })
            .collect();
        Self { items }
    }

    /// The same values as leaves of a graph, so that a backward pass reaches them.
    #[must_use]
    pub fn tracked(&self) -> Self {
        self.map(|_, value| value.clone().autodiff().require_grad())
    }

    /// Copies every value to the host: `(name, shape, values)` in order.
    pub fn to_values(&self) -> impl Iterator<Item = (String, Vec<usize>, Vec<f32>)> + '_ {
        self.items.iter().map(|parameter| {
            (parameter.name.clone(), parameter.shape.clone(), to_host(&parameter.value))
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

/// A tensor's values on the host as f32, row-major.
///
/// # Panics
/// Where the device has failed: there is nothing left to compute with then.
pub fn to_host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    let data = tensor.clone().into_data().convert::<f32>();
    data.try_into_vec().expect("converted to f32 above")
}

//! Adam.

use burn_tensor::{Device, Tensor};
use sbir_encoder::Parameters;
use serde::{Deserialize, Serialize};

/// Settings of [`Adam`]; the defaults are PyTorch's, and the origin's but for the rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment. Burn's own default is 1e-5.
    pub epsilon: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Adam (Kingma and Ba, 2015) without weight decay, in the order of operations that PyTorch uses.
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    /// Steps taken.
    steps: u64,
    /// First and second moment of each parameter, in the parameters' order.
    moments: Vec<(Tensor<1>, Tensor<1>)>,
}

impl Adam {
    /// A fresh optimiser: moments at zero.
    pub fn new(config: AdamConfig, parameters: &Parameters) -> Self {
        let moments = parameters
            .iter()
            .map(|parameter| {
                let zeros = parameter.value.clone().zeros_like();
                (zeros.clone(), zeros)
            })
            .collect();
        Self { config, steps: 0, moments }
    }

    /// An optimiser as it was after `steps` steps.
    pub fn restore(
        config: AdamConfig,
        steps: u64,
        moments: impl IntoIterator<Item = (Vec<f32>, Vec<f32>)>,
        device: &Device,
    ) -> Self {
        let tensor = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), device);
        let moments = moments.into_iter().map(|(m, v)| (tensor(m), tensor(v))).collect();
        Self { config, steps, moments }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First and second moments in the parameters' order.
    pub fn moments(&self) -> &[(Tensor<1>, Tensor<1>)] {
        &self.moments
    }

    /// One step down `gradients` (one per parameter, in order).
    #[must_use]
    pub fn step(&mut self, parameters: &Parameters, gradients: Vec<Tensor<1>>) -> Parameters {
        self.step_scaled(parameters, gradients, 1.0)
    }

    /// As [`Self::step`], with the learning rate times `factor`.
    #[must_use]
    pub fn step_scaled(
        &mut self,
        parameters: &Parameters,
        gradients: Vec<Tensor<1>>,
        factor: f64,
    ) -> Parameters {
        debug_assert_eq!(gradients.len(), parameters.len());
        self.steps += 1;
        let AdamConfig { learning_rate, beta1, beta2, epsilon } = self.config;
        let power = self.steps as f64;
        let step_size = factor * learning_rate / (1.0 - beta1.powf(power));
        let root_correction = (1.0 - beta2.powf(power)).sqrt();
        let mut gradients = gradients.into_iter();
        parameters.map(|index, value| {
            let gradient = gradients.next().expect("as many gradients as parameters");
            let (first, second) = &mut self.moments[index];
            *first = first.clone() * beta1 + gradient.clone() * (1.0 - beta1);
            *second = second.clone() * beta2 + gradient.square() * (1.0 - beta2);
            let denominator = second.clone().sqrt() / root_correction + epsilon;
            value.clone() - first.clone() / denominator * step_size
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sbir_encoder::to_host;

    // import torch
    // p = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    // o = torch.optim.Adam([p], lr=0.1)
    // for g in ([1.0, 1e-9, -2.0], [0.5, 1e-9, 0.0], [-1.0, 1e-9, 4.0]):
    //     p.grad = torch.tensor(g); o.step()
    // print(p.tolist())
    const EXPECTED: [f32; 3] = [0.795_703_8, -2.027_272_7, 3.133_002];

    fn run(epsilon: f64) -> Vec<f32> {
        let device = Device::flex();
        let start = vec![("p".to_owned(), vec![3], vec![1.0, -2.0, 3.0])];
        let mut parameters = Parameters::from_values(start, &device);
        let config = AdamConfig { learning_rate: 0.1, epsilon, ..AdamConfig::default() };
        let mut adam = Adam::new(config, &parameters);
        for gradient in [[1.0, 1e-9, -2.0], [0.5, 1e-9, 0.0], [-1.0, 1e-9, 4.0f32]] {
            parameters = adam.step(&parameters, vec![Tensor::from_floats(gradient, &device)]);
        }
        let first = parameters.iter().next().expect("one parameter");
        to_host(&first.value)
    }

    #[test]
    fn three_steps_match_pytorch_and_burns_epsilon_does_not() {
        let close = |values: &[f32]| {
            values.iter().zip(EXPECTED).all(|(value, expected)| (value - expected).abs() < 2e-6)
        };
        assert!(close(&run(1e-8)), "{:?}", run(1e-8));
        assert!(!close(&run(1e-5)), "{:?}", run(1e-5));
    }
}

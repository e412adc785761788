//! Adam.

use pulp::Arch;
use rayon::prelude::*;
use sbir_encoder::{Parameters, Values};
use serde::{Deserialize, Serialize};

use crate::gradients::Gradients;

/// Values that one thread works on at a time: three lists of them and a gradient fit a core's cache.
const CHUNK: usize = 1 << 14;

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
    moments: Vec<[Values; 2]>,
}

impl Adam {
    /// A fresh optimiser: moments at zero.
    pub fn new(config: AdamConfig, parameters: &Parameters) -> Self {
        let moments = parameters
            .iter()
            .map(|parameter| [parameter.value.zeros_like(), parameter.value.zeros_like()])
            .collect();
        Self { config, steps: 0, moments }
    }

    /// An optimiser as it was after `steps` steps, its moments where the parameters are.
    pub fn restore(
        config: AdamConfig,
        steps: u64,
        moments: impl IntoIterator<Item = [Values; 2]>,
    ) -> Self {
        Self { config, steps, moments: moments.into_iter().collect() }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First and second moments in the parameters' order.
    pub fn moments(&self) -> &[[Values; 2]] {
        &self.moments
    }

    /// One step down `gradients`, which are zero after it, with the learning rate times `factor`.
    ///
    /// # Panics
    /// Where parameters, gradients and moments are not of one model and in one place.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: &mut Gradients, factor: f64) {
        assert_eq!(parameters.len(), self.moments.len(), "a moment for each parameter");
        assert_eq!(parameters.len(), gradients.len(), "a gradient for each parameter");
        self.steps += 1;
        let update = Update::new(&self.config, self.steps, factor);
        match gradients {
            Gradients::Host(gradients) => {
                let mut work = Vec::new();
                for ((value, moments), gradient) in
                    parameters.values_mut().zip(&mut self.moments).zip(gradients)
                {
                    let [first, second] = moments;
                    let chunks = chunks(value).zip(chunks(first)).zip(chunks(second));
                    work.extend(chunks.zip(gradient.chunks_mut(CHUNK)));
                }
                work.into_par_iter().for_each(|(((value, first), second), gradient)| {
                    update.apply(value, first, second, gradient);
                });
            }
            Gradients::Device(gradients) => {
                for ((value, moments), gradient) in
                    parameters.values_mut().zip(&mut self.moments).zip(std::mem::take(gradients))
                {
                    let [Values::Device(first), Values::Device(second)] = moments else {
                        panic!("moments where the gradients are")
                    };
                    let Values::Device(value) = value else {
                        panic!("parameters where the gradients are")
                    };
                    let Update { beta1, beta2, .. } = update;
                    *first = first.clone() * beta1 + gradient.clone() * (1.0 - beta1);
                    *second = second.clone() * beta2 + gradient.square() * (1.0 - beta2);
                    let denominator =
                        second.clone().sqrt() / update.root_correction + update.epsilon;
                    *value = value.clone() - first.clone() / denominator * update.step_size;
                }
            }
        }
    }
}

fn chunks(values: &mut Values) -> std::slice::ChunksMut<'_, f32> {
    match values {
        Values::Host(values) => values.chunks_mut(CHUNK),
        Values::Device(_) => panic!("values where the gradients are"),
    }
}

/// The numbers of one step.
#[derive(Clone, Copy)]
struct Update {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    step_size: f64,
    root_correction: f64,
}

impl Update {
    fn new(config: &AdamConfig, steps: u64, factor: f64) -> Self {
        let AdamConfig { learning_rate, beta1, beta2, epsilon } = *config;
        let power = steps as f64;
        let step_size = factor * learning_rate / (1.0 - beta1.powf(power));
        let root_correction = (1.0 - beta2.powf(power)).sqrt();
        Self { beta1, beta2, epsilon, step_size, root_correction }
    }

    /// Reads and writes every number once; no operation is fused into another, so every processor gives the same.
    fn apply(
        &self,
        value: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradient: &mut [f32],
    ) {
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let (rest1, rest2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (epsilon, step_size) = (self.epsilon as f32, self.step_size as f32);
        let root_correction = self.root_correction as f32;
        let count = value.len();
        let (first, second) = (&mut first[..count], &mut second[..count]);
        let gradient = &mut gradient[..count];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for place in 0..count {
                    let g = gradient[place];
                    let m = first[place] * beta1 + g * rest1;
                    let v = second[place] * beta2 + g * g * rest2;
                    first[place] = m;
                    second[place] = v;
                    gradient[place] = 0.0;
                    value[place] -= m / (v.sqrt() / root_correction + epsilon) * step_size;
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_tensor::Device;

    // import torch
    // p = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    // o = torch.optim.Adam([p], lr=0.1)
    // for g in ([1.0, 1e-9, -2.0], [0.5, 1e-9, 0.0], [-1.0, 1e-9, 4.0]):
    //     p.grad = torch.tensor(g); o.step()
    // print(p.tolist())
    const EXPECTED: [f32; 3] = [0.795_703_8, -2.027_272_7, 3.133_002];

    fn run(epsilon: f64) -> Vec<f32> {
        let start = vec![("p".to_owned(), vec![3], vec![1.0, -2.0, 3.0])];
        let mut parameters = Parameters::from_values(start, &Device::flex());
        let config = AdamConfig { learning_rate: 0.1, epsilon, ..AdamConfig::default() };
        let mut adam = Adam::new(config, &parameters);
        for gradient in [[1.0, 1e-9, -2.0], [0.5, 1e-9, 0.0], [-1.0, 1e-9, 4.0f32]] {
            let mut gradients = Gradients::Host(vec![gradient.to_vec()]);
            adam.step(&mut parameters, &mut gradients, 1.0);
            assert_eq!(gradients.to_host()[0].as_ref(), [0.0; 3]);
        }
        let first = parameters.iter().next().expect("one parameter");
        first.value.to_host().into_owned()
    }

    #[test]
    fn three_steps_match_pytorch_and_burns_epsilon_does_not() {
        let close = |values: &[f32]| {
            values.iter().zip(EXPECTED).all(|(value, expected)| (value - expected).abs() < 2e-6)
        };
        assert!(close(&run(1e-8)), "{:?}", run(1e-8));
        assert!(!close(&run(1e-5)), "{:?}", run(1e-5));
    }

    #[test]
    fn chunks_and_tails_are_stepped_as_one_list() {
        let count = 2 * CHUNK + 37;
        let list = |factor: usize| -> Vec<f32> {
            (0..count).map(|place| ((place * factor) % 1013) as f32 / 500.0 - 1.0).collect()
        };
        let stepped = |values: Vec<f32>, gradients: Vec<f32>| -> Vec<f32> {
            let length = values.len();
            let start = vec![("p".to_owned(), vec![length], values)];
            let mut parameters = Parameters::from_values(start, &Device::flex());
            let mut adam = Adam::new(AdamConfig::default(), &parameters);
            adam.step(&mut parameters, &mut Gradients::Host(vec![gradients]), 0.5);
            parameters.iter().next().unwrap().value.to_host().into_owned()
        };
        let whole = stepped(list(7), list(31));
        for place in [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK, count - 1] {
            let alone = stepped(vec![list(7)[place]], vec![list(31)[place]]);
            assert_eq!(whole[place], alone[0], "{place}");
        }
    }

    #[test]
    fn a_devices_tensors_are_stepped_as_slices_are() {
        // The same operations in the same order; the tensors are the CPU's here, so that the test runs anywhere.
        let device = Device::flex();
        let tensor = |values: [f32; 3]| Values::Host(values.to_vec()).tensor(&device);
        let start = [("p".to_owned(), vec![3], vec![1.0, -2.0, 3.0])];
        let mut on_host = Parameters::from_values(start, &device);
        let mut on_device = on_host.clone();
        for value in on_device.values_mut() {
            *value = Values::Device(value.tensor(&device));
        }
        let mut host = Adam::new(AdamConfig::default(), &on_host);
        let mut other = Adam::new(AdamConfig::default(), &on_device);
        for gradient in [[1.0, 1e-9, -2.0], [0.5, 1e-9, 0.0f32]] {
            host.step(&mut on_host, &mut Gradients::Host(vec![gradient.to_vec()]), 1.0);
            other.step(&mut on_device, &mut Gradients::Device(vec![tensor(gradient)]), 1.0);
        }
        for (a, b) in on_host.iter().zip(&on_device) {
            for (a, b) in a.value.to_host().iter().zip(b.value.to_host().iter()) {
                assert!((a - b).abs() <= 1e-6 * b.abs(), "{a} {b}");
            }
        }
    }
}

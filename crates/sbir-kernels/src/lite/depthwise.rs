//! Depthwise convolution, NHWC, with TensorFlow's "same" padding, and its backward pass.

use pulp::{Arch, Simd, WithSimd};

/// Channels come in multiples of this: the widest register's lanes.
pub(crate) const LANES: usize = 16;

/// Sizes of one depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Channels, a multiple of [`LANES`].
    pub(crate) channels: usize,
    /// Side of the kernel, 3 or 5.
    pub(crate) kernel: usize,
    /// Step in both directions.
    pub(crate) stride: usize,
}

impl Geometry {
    /// Height and width of the output.
    pub(crate) fn output(&self) -> [usize; 2] {
        self.input.map(|side| side.div_ceil(self.stride))
    }

    /// Rows and columns of padding before the input; after it there are as many, or one more.
    pub(crate) fn padding(&self) -> [usize; 2] {
        self.input.map(|side| padding(side, self.kernel, self.stride))
    }

    fn check(&self, input: &[f32], output: &[f32], weight: &[f32]) {
        let ([height, width], [out_height, out_width]) = (self.input, self.output());
        assert!(self.channels.is_multiple_of(LANES), "{} channels", self.channels);
        assert_eq!(input.len(), height * width * self.channels, "length of the input");
        assert_eq!(output.len(), out_height * out_width * self.channels, "length of the output");
        assert_eq!(weight.len(), self.kernel.pow(2) * self.channels, "length of the weight");
    }
}

/// Padding before one side with TensorFlow's "same": the whole is split in two, the odd one comes after.
pub(crate) fn padding(side: usize, kernel: usize, stride: usize) -> usize {
    let out = side.div_ceil(stride);
    ((out - 1) * stride + kernel).saturating_sub(side) / 2
}

/// Places in the input and in the weight that meet in one pixel, as numbers of pixels and of taps.
#[derive(Default)]
struct Taps(Vec<(usize, usize)>);

/// `output = bias + weight ∗ input`, clamped to 0–6.
///
/// # Shapes
/// - `input`: `[height, width, channels]`
/// - `weight`: `[kernel, kernel, channels]`, `bias`: `[channels]`
/// - `output`: `[out_height, out_width, channels]`
pub(crate) fn forward(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    geometry.check(input, output, weight);
    let Geometry { input: [height, width], kernel, stride, .. } = *geometry;
    let [top, left] = geometry.padding();
    let reach = |place: usize, padding: usize, side: usize| {
        (0..kernel).filter_map(move |tap| {
            let at = (place * stride + tap).checked_sub(padding)?;
            (at < side).then_some((at, tap))
        })
    };
    let taps = |[y, x]: [usize; 2], taps: &mut Taps| {
        for (row, ky) in reach(y, top, height) {
            let columns = reach(x, left, width);
            taps.0.extend(columns.map(|(column, kx)| (row * width + column, ky * kernel + kx)));
        }
    };
    let out_width = geometry.output()[1];
    let channels = geometry.channels;
    assert_eq!(bias.len(), channels, "length of the bias");
    let bias = Some(bias);
    arch.dispatch(Gather { source: input, weight, bias, output, channels, out_width, taps });
}

/// Gradient at the input: `weight` turned around over `gradient`.
///
/// # Shapes
/// - `gradient`: `[out_height, out_width, channels]`
/// - `weight`: `[kernel, kernel, channels]`
/// - `at_input`: `[height, width, channels]`, overwritten
pub(crate) fn backward_input(
    arch: Arch,
    geometry: &Geometry,
    gradient: &[f32],
    weight: &[f32],
    at_input: &mut [f32],
) {
    geometry.check(at_input, gradient, weight);
    let Geometry { kernel, stride, .. } = *geometry;
    let ([top, left], [out_height, out_width]) = (geometry.padding(), geometry.output());
    let reach = |place: usize, padding: usize, side: usize| {
        (0..kernel).filter_map(move |tap| {
            let at = (place + padding).checked_sub(tap)?;
            (at.is_multiple_of(stride) && at / stride < side).then_some((at / stride, tap))
        })
    };
    let taps = |[y, x]: [usize; 2], taps: &mut Taps| {
        for (row, ky) in reach(y, top, out_height) {
            let columns = reach(x, left, out_width);
            taps.0.extend(columns.map(|(column, kx)| (row * out_width + column, ky * kernel + kx)));
        }
    };
    let (channels, out_width) = (geometry.channels, geometry.input[1]);
    let (source, output) = (gradient, at_input);
    arch.dispatch(Gather { source, weight, bias: None, output, channels, out_width, taps });
}

/// Each pixel is a sum over taps; with a bias it is clamped to 0–6, without it starts from zero.
struct Gather<'a, F> {
    source: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    output: &'a mut [f32],
    channels: usize,
    out_width: usize,
    taps: F,
}

impl<F: Fn([usize; 2], &mut Taps)> WithSimd for Gather<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { source, weight, bias, output, channels, out_width, taps } = self;
        let (source, _) = S::as_simd_f32s(source);
        let (weight, _) = S::as_simd_f32s(weight);
        let bias = bias.map(|bias| S::as_simd_f32s(bias).0);
        let (output, _) = S::as_mut_simd_f32s(output);
        let registers = channels / S::F32_LANES;
        let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
        let mut list = Taps::default();
        for (pixel, output) in output.chunks_exact_mut(registers).enumerate() {
            list.0.clear();
            taps([pixel / out_width, pixel % out_width], &mut list);
            for (channel, output) in output.iter_mut().enumerate() {
                let mut sum = match bias {
                    Some(bias) => bias[channel],
                    None => zero,
                };
                for &(at, tap) in &list.0 {
                    let value = source[at * registers + channel];
                    sum = simd.mul_add_f32s(value, weight[tap * registers + channel], sum);
                }
                *output =
                    if bias.is_some() { simd.min_f32s(simd.max_f32s(sum, zero), six) } else { sum };
            }
        }
    }
}

/// Adds the gradient at the weight.
///
/// # Shapes
/// - `input`: `[height, width, channels]`
/// - `gradient`: `[out_height, out_width, channels]`
/// - `at_weight`: `[kernel, kernel, channels]`, added to
pub(crate) fn backward_weight(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    gradient: &[f32],
    at_weight: &mut [f32],
) {
    geometry.check(input, gradient, at_weight);
    match geometry.kernel {
        3 => arch.dispatch(Weight::<3> { geometry, input, gradient, at_weight }),
        5 => arch.dispatch(Weight::<5> { geometry, input, gradient, at_weight }),
        other => panic!("a depthwise kernel of {other}"),
    }
}

/// One row of the gradient, one row of taps and one register of channels at a time: the taps' sums stay
/// in registers along the row.
struct Weight<'a, const K: usize> {
    geometry: &'a Geometry,
    input: &'a [f32],
    gradient: &'a [f32],
    at_weight: &'a mut [f32],
}

impl<const K: usize> WithSimd for Weight<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { geometry, input, gradient, at_weight } = self;
        let Geometry { input: [height, width], stride, channels, .. } = *geometry;
        let ([top, left], [_, out_width]) = (geometry.padding(), geometry.output());
        let registers = channels / S::F32_LANES;
        let (input, _) = S::as_simd_f32s(input);
        let (gradient, _) = S::as_simd_f32s(gradient);
        let (at_weight, _) = S::as_mut_simd_f32s(at_weight);
        for (y, gradient) in gradient.chunks_exact(out_width * registers).enumerate() {
            for ky in 0..K {
                let Some(row) = (y * stride + ky).checked_sub(top).filter(|&row| row < height)
                else {
                    continue;
                };
                let input = &input[row * width * registers..][..width * registers];
                for channel in 0..registers {
                    let mut sums = [simd.splat_f32s(0.0); K];
                    for (x, gradient) in gradient.chunks_exact(registers).enumerate() {
                        let gradient = gradient[channel];
                        let start = x * stride;
                        if start >= left && start + K <= width + left {
                            let window = &input[(start - left) * registers..];
                            for (kx, sum) in sums.iter_mut().enumerate() {
                                let value = window[kx * registers + channel];
                                *sum = simd.mul_add_f32s(value, gradient, *sum);
                            }
                        } else {
                            for (kx, sum) in sums.iter_mut().enumerate() {
                                let column = (start + kx).wrapping_sub(left);
                                if column < width {
                                    let value = input[column * registers + channel];
                                    *sum = simd.mul_add_f32s(value, gradient, *sum);
                                }
                            }
                        }
                    }
                    for (kx, sum) in sums.into_iter().enumerate() {
                        let place = &mut at_weight[(ky * K + kx) * registers + channel];
                        *place = simd.add_f32s(*place, sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// Every product of an output pixel, by the definition: `(output, input, weight)` places.
    fn products(geometry: &Geometry) -> Vec<[usize; 3]> {
        let Geometry { input: [height, width], channels, kernel, stride } = *geometry;
        let ([top, left], [out_height, out_width]) = (geometry.padding(), geometry.output());
        let mut list = Vec::new();
        for y in 0..out_height {
            for x in 0..out_width {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let row = (y * stride + ky) as isize - top as isize;
                        let column = (x * stride + kx) as isize - left as isize;
                        if (0..height as isize).contains(&row)
                            && (0..width as isize).contains(&column)
                        {
                            for channel in 0..channels {
                                list.push([
                                    (y * out_width + x) * channels + channel,
                                    (row as usize * width + column as usize) * channels + channel,
                                    (ky * kernel + kx) * channels + channel,
                                ]);
                            }
                        }
                    }
                }
            }
        }
        list
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-4, "{place}: {found} {expected}");
        }
    }

    #[test]
    fn all_passes_agree_with_the_definition() {
        for (input, kernel, stride) in [
            ([7, 9], 3, 1),
            ([7, 9], 3, 2),
            ([8, 6], 3, 2),
            ([8, 6], 5, 1),
            ([8, 9], 5, 2),
            ([2, 1], 5, 1),
            ([1, 1], 3, 2),
        ] {
            let geometry = Geometry { input, channels: 32, kernel, stride };
            let [out_height, out_width] = geometry.output();
            let pixels = input[0] * input[1];
            let source = values(pixels * 32, 1);
            let weight = values(kernel * kernel * 32, 2);
            let bias = values(32, 3);
            let gradient = values(out_height * out_width * 32, 4);
            let places = products(&geometry);
            let arch = Arch::new();

            let mut expected = bias.repeat(out_height * out_width);
            let mut expected_input = vec![0.0; source.len()];
            let mut expected_weight = vec![0.5; weight.len()];
            for &[out, at, tap] in &places {
                expected[out] += source[at] * weight[tap];
                expected_input[at] += gradient[out] * weight[tap];
                expected_weight[tap] += gradient[out] * source[at];
            }
            expected.iter_mut().for_each(|value| *value = value.clamp(0.0, 6.0));

            let mut found = vec![9.0; expected.len()];
            forward(arch, &geometry, &source, &weight, &bias, &mut found);
            close(&found, &expected);
            let mut found = vec![9.0; source.len()];
            backward_input(arch, &geometry, &gradient, &weight, &mut found);
            close(&found, &expected_input);
            let mut found = vec![0.5; weight.len()];
            backward_weight(arch, &geometry, &source, &gradient, &mut found);
            close(&found, &expected_weight);
        }
    }

    #[test]
    fn padding_is_tensorflows() {
        // 224 → 112 with a 3×3 kernel pads 0 before and 1 after; 5×5 pads 1 and 2.
        assert_eq!([padding(224, 3, 2), padding(224, 5, 2), padding(225, 3, 2)], [0, 1, 1]);
        assert_eq!([padding(10, 3, 1), padding(10, 5, 1)], [1, 2]);
    }
}

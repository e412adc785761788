//! 8-bit values to normalised floats.

use super::Pixels;

/// The normalised value of each 8-bit value, per channel: `(value / 255 − mean) / std`, each step in f32, which is the
/// order of torchvision's `ToTensor` and `Normalize`.
pub(crate) struct Lookup([[f32; 256]; 3]);

impl Lookup {
    pub(crate) fn new(mean: [f32; 3], std: [f32; 3]) -> Self {
        Self(std::array::from_fn(|channel| {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean[channel]) / std[channel])
        }))
    }

    /// Writes a picture as three planes, grey by repetition.
    ///
    /// # Shapes
    /// - `pixels`: `[side, side, channels]`
    /// - `values`: `[3, side, side]`
    pub(crate) fn write(&self, pixels: &Pixels, values: &mut [f32]) {
        let plane = values.len() / 3;
        if plane == 0 {
            return;
        }
        debug_assert_eq!(pixels.data.len(), plane * pixels.channels);
        for (channel, (table, plane)) in
            self.0.iter().zip(values.chunks_exact_mut(plane)).enumerate()
        {
            if pixels.channels == 1 {
                for (value, pixel) in plane.iter_mut().zip(&pixels.data) {
                    *value = table[usize::from(*pixel)];
                }
            } else {
                for (value, pixel) in plane.iter_mut().zip(pixels.data.chunks_exact(3)) {
                    *value = table[usize::from(pixel[channel])];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_torchvision() {
        // >>> t = torch.tensor([0, 1, 127, 255], dtype=torch.uint8).float().div(255).expand(3, 1, 4)
        // >>> torchvision.transforms.functional.normalize(t, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        let expected = [
            [-2.117_904, -2.100_779_3, 0.056_939_743, 2.248_908_3],
            [-2.035_714_1, -2.018_207_3, 0.187_675_06, 2.428_571_5],
            [-1.804_444_4, -1.787_015_2, 0.409_063_25, 2.64],
        ];
        let lookup = Lookup::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let mut values = [0.0; 12];
        lookup.write(&Pixels { channels: 1, data: vec![0, 1, 127, 255] }, &mut values);
        assert_eq!(values, *expected.as_flattened());
    }

    #[test]
    fn channels_become_planes() {
        let lookup = Lookup::new([0.0; 3], [1.0 / 255.0; 3]);
        let mut values = [0.0; 6];
        lookup.write(&Pixels { channels: 3, data: vec![1, 2, 3, 4, 5, 6] }, &mut values);
        assert_eq!(values.map(f32::round), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}

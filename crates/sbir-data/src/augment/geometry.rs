//! Where pictures go: crops, mirrors, affine maps, and bends. Places are in shares of the picture, from 0 to 1.

use super::Random;

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Left and top.
    pub(super) at: [f32; 2],
    /// Width and height.
    pub(super) size: [f32; 2],
}

impl Window {
    pub(super) const WHOLE: Self = Self { at: [0.0; 2], size: [1.0; 2] };

    /// A window of at least `least` of the area, its aspect changed by up to a sixth.
    pub(super) fn draw(least: f32, random: &mut Random) -> Self {
        let area = random.between(least.min(1.0), 1.0);
        // Where the whole is kept, so is the aspect.
        let stretch = random.signed(0.16 * (1.0 - least).min(0.5) * 2.0).exp();
        let size = [(area * stretch).sqrt().min(1.0), (area / stretch).sqrt().min(1.0)];
        Self { at: size.map(|size| random.between(0.0, 1.0 - size)), size }
    }

    /// The window grown towards the whole picture by a share of the way.
    pub(super) fn towards_whole(self, share: f32) -> Self {
        Self {
            at: self.at.map(|at| at * (1.0 - share)),
            size: self.size.map(|size| size + (1.0 - size) * share),
        }
    }
}

/// Window, mirror, then an affine map about the middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) window: Window,
    pub(super) flip: bool,
    /// Rows of the map's linear part.
    linear: [[f32; 2]; 2],
    shift: [f32; 2],
}

impl Geometry {
    pub(super) fn new(flip: bool, window: Window) -> Self {
        Self { window, flip, linear: [[1.0, 0.0], [0.0, 1.0]], shift: [0.0; 2] }
    }

    /// With a turn in radians, logarithms of scale and aspect, and a move behind.
    pub(super) fn moved(self, turn: f32, [scale, aspect]: [f32; 2], shift: [f32; 2]) -> Self {
        let (sine, cosine) = turn.sin_cos();
        let [x, y] = [(scale + aspect / 2.0).exp(), (scale - aspect / 2.0).exp()];
        Self { linear: [[cosine * x, -sine * y], [sine * x, cosine * y]], shift, ..self }
    }

    /// Where a place of the picture is shown.
    pub(super) fn forward(&self, place: [f32; 2]) -> [f32; 2] {
        let [mut x, y] =
            [0, 1].map(|axis| (place[axis] - self.window.at[axis]) / self.window.size[axis]);
        if self.flip {
            x = 1.0 - x;
        }
        let [x, y] = [x - 0.5, y - 0.5];
        [0, 1].map(|axis| {
            self.linear[axis][0] * x + self.linear[axis][1] * y + 0.5 + self.shift[axis]
        })
    }

    /// Which place of the picture is shown at `shown`.
    pub(super) fn backward(&self, shown: [f32; 2]) -> [f32; 2] {
        let [[a, b], [c, d]] = self.linear;
        let determinant = a * d - b * c;
        let [u, v] = [0, 1].map(|axis| shown[axis] - 0.5 - self.shift[axis]);
        let mut x = (d * u - b * v) / determinant + 0.5;
        let y = (a * v - c * u) / determinant + 0.5;
        if self.flip {
            x = 1.0 - x;
        }
        [x * self.window.size[0] + self.window.at[0], y * self.window.size[1] + self.window.at[1]]
    }
}

/// A smooth displacement: a few long waves of random direction.
pub(super) struct Bend {
    /// Wave vector, phase and displacement of each.
    waves: Vec<([f32; 2], f32, [f32; 2])>,
}

impl Bend {
    /// Waves that displace by about `range` together.
    pub(super) fn draw(range: f32, random: &mut Random) -> Self {
        const WAVES: usize = 5;
        let strength = random.uniform() * range;
        let waves = (0..WAVES).map(|_| {
            let tau = std::f32::consts::TAU;
            let (direction, length) = (random.between(0.0, tau), random.between(0.4, 2.8));
            let (sine, cosine) = direction.sin_cos();
            let vector = [tau * length * cosine, tau * length * sine];
            let (sine, cosine) = random.between(0.0, tau).sin_cos();
            // Short waves displace less, so that lines stay smooth.
            let amount = strength / length.max(1.0) * random.uniform();
            (vector, random.between(0.0, tau), [amount * cosine, amount * sine])
        });
        Self { waves: waves.collect() }
    }

    pub(super) fn at(&self, place: [f32; 2]) -> [f32; 2] {
        let mut moved = place;
        for (vector, phase, amount) in &self.waves {
            let wave = (vector[0] * place[0] + vector[1] * place[1] + phase).sin();
            moved[0] += amount[0] * wave;
            moved[1] += amount[1] * wave;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backward_undoes_forward() {
        let mut random = Random::new(5, &[]);
        for flip in [false, true] {
            let window = Window::draw(0.4, &mut random);
            let geometry = Geometry::new(flip, window).moved(0.3, [0.2, -0.1], [0.05, -0.02]);
            for place in [[0.1, 0.2], [0.5, 0.5], [0.9, 0.3]] {
                let back = geometry.backward(geometry.forward(place));
                assert!((0..2).all(|axis| (back[axis] - place[axis]).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn windows_stay_inside() {
        let mut random = Random::new(1, &[7]);
        for _ in 0..200 {
            let window = Window::draw(0.3, &mut random);
            for axis in 0..2 {
                assert!(
                    window.at[axis] >= 0.0 && window.at[axis] + window.size[axis] <= 1.0 + 1e-6
                );
            }
            assert!(window.size[0] * window.size[1] > 0.25);
            let whole = window.towards_whole(1.0);
            assert!(
                (0..2).all(|axis| whole.at[axis] == 0.0 && (whole.size[axis] - 1.0).abs() < 1e-6)
            );
        }
        assert_eq!(Window::draw(1.0, &mut random), Window::WHOLE);
    }
}

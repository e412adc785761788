//! LayerNorm over the channels of a pixel whose values lie in panels, and its gradient.

use super::lanes::Lanes;

/// A pixel's channels: the first panel's values, and how many f32 lie between two panels.
#[derive(Clone, Copy)]
pub(super) struct Pixel {
    pub(super) start: *const f32,
    pub(super) stride: usize,
    pub(super) channels: usize,
}

/// Mean, and 1 over the standard deviation.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub(super) mean: f32,
    pub(super) scale: f32,
}

impl Pixel {
    /// # Safety
    /// All panels can be read; values beyond the channels are 0.
    #[inline(always)]
    pub(super) unsafe fn moments<L: Lanes>(self, epsilon: f32) -> Moments {
        let panels = self.channels.div_ceil(L::PANEL);
        let count = self.channels as f32;
        // SAFETY: as asked of the caller.
        unsafe {
            let mut sums = [L::splat(0.0); 2];
            for panel in 0..panels {
                let from = self.start.add(panel * self.stride);
                sums[0] = L::add(sums[0], L::load(from));
                sums[1] = L::add(sums[1], L::load(from.add(L::LANES)));
            }
            let mean = L::sum(L::add(sums[0], sums[1])) / count;
            let middle = L::splat(mean);
            let mut squares = [L::splat(0.0); 2];
            for panel in 0..panels {
                let from = self.start.add(panel * self.stride);
                let low = L::sub(L::load(from), middle);
                let high = L::sub(L::load(from.add(L::LANES)), middle);
                squares[0] = L::fma(low, low, squares[0]);
                squares[1] = L::fma(high, high, squares[1]);
            }
            // The zeros that fill the last panel are no channels.
            let filling = (panels * L::PANEL - self.channels) as f32;
            let squares = L::sum(L::add(squares[0], squares[1])) - filling * mean * mean;
            Moments { mean, scale: 1.0 / (squares.max(0.0) / count + epsilon).sqrt() }
        }
    }

    /// One panel's half, normalised, before weight and bias. What fills the last panel is not 0.
    ///
    /// # Safety
    /// The panel can be read.
    #[inline(always)]
    pub(super) unsafe fn normalised<L: Lanes>(
        self,
        moments: Moments,
        panel: usize,
        half: usize,
    ) -> L::Vector {
        // SAFETY: as asked of the caller.
        unsafe {
            let x = L::load(self.start.add(panel * self.stride + half * L::LANES));
            L::mul(L::sub(x, L::splat(moments.mean)), L::splat(moments.scale))
        }
    }
}

/// Weight and bias, filled up with zeros to whole panels.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) weight: *const f32,
    pub(super) bias: *const f32,
}

impl Affine {
    /// # Safety
    /// The panel's weight and bias can be read.
    #[inline(always)]
    pub(super) unsafe fn apply<L: Lanes>(self, x: L::Vector, panel: usize, half: usize) -> L::Vector {
        let place = panel * L::PANEL + half * L::LANES;
        // SAFETY: as asked of the caller.
        unsafe { L::fma(x, L::load(self.weight.add(place)), L::load(self.bias.add(place))) }
    }
}

//! LayerNorm over the channels of a pixel whose values lie in panels, and its gradient.

use crate::panels::lanes::Lanes;

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
    pub(super) unsafe fn apply<L: Lanes>(
        self,
        x: L::Vector,
        panel: usize,
        half: usize,
    ) -> L::Vector {
        let place = panel * L::PANEL + half * L::LANES;
        // SAFETY: as asked of the caller.
        unsafe { L::fma(x, L::load(self.weight.add(place)), L::load(self.bias.add(place))) }
    }
}

/// The gradient of one pixel's LayerNorm, given that at its output.
pub(super) struct PixelBack {
    pub(super) pixel: Pixel,
    pub(super) moments: Moments,
    /// Gradient at the output, in panels `at_stride` f32 apart; zeros beyond the channels.
    pub(super) at: *const f32,
    pub(super) at_stride: usize,
    /// LayerNorm's weight.
    pub(super) weight: *const f32,
    /// Sums of the gradients of weight and bias: `[panels, PANEL]` each.
    pub(super) sums: [*mut f32; 2],
}

/// Means that the gradient at the input needs.
#[derive(Clone, Copy)]
pub(super) struct BackMeans {
    /// Of the gradient before weight and bias.
    plain: f32,
    /// Of the same times the normalised values.
    along: f32,
}

impl PixelBack {
    /// That of `pixel`, with the gradient `at` in panels `at_stride` f32 apart.
    ///
    /// # Safety
    /// All panels of the pixel can be read.
    #[inline(always)]
    pub(super) unsafe fn new<L: Lanes>(
        pixel: Pixel,
        epsilon: f32,
        (at, at_stride): (*const f32, usize),
        weight: *const f32,
        sums: [*mut f32; 2],
    ) -> Self {
        // SAFETY: as asked of the caller.
        let moments = unsafe { pixel.moments::<L>(epsilon) };
        Self { pixel, moments, at, at_stride, weight, sums }
    }

    #[inline(always)]
    unsafe fn at<L: Lanes>(&self, panel: usize, half: usize) -> L::Vector {
        // SAFETY: as asked of the callers.
        unsafe { L::load(self.at.add(panel * self.at_stride + half * L::LANES)) }
    }

    /// Adds to the gradients of weight and bias, and takes the means.
    ///
    /// # Safety
    /// All panels of pixel and gradient can be read, the sums written.
    #[inline(always)]
    pub(super) unsafe fn means<L: Lanes>(&self) -> BackMeans {
        // SAFETY: as asked of the caller.
        unsafe {
            let (mut plain, mut along) = (L::splat(0.0), L::splat(0.0));
            for panel in 0..self.pixel.channels.div_ceil(L::PANEL) {
                for half in 0..2 {
                    let place = panel * L::PANEL + half * L::LANES;
                    let x = self.pixel.normalised::<L>(self.moments, panel, half);
                    let at = self.at::<L>(panel, half);
                    let (weights, biases) = (self.sums[0].add(place), self.sums[1].add(place));
                    L::store(weights, L::fma(at, x, L::load(weights)));
                    L::store(biases, L::add(at, L::load(biases)));
                    let scaled = L::mul(at, L::load(self.weight.add(place)));
                    plain = L::add(plain, scaled);
                    along = L::fma(scaled, x, along);
                }
            }
            let count = self.pixel.channels as f32;
            BackMeans { plain: L::sum(plain) / count, along: L::sum(along) / count }
        }
    }

    /// Gradient at the input of one panel's half. What fills the last panel is not 0.
    ///
    /// # Safety
    /// As for [`Self::means`].
    #[inline(always)]
    pub(super) unsafe fn at_input<L: Lanes>(
        &self,
        means: BackMeans,
        panel: usize,
        half: usize,
    ) -> L::Vector {
        // SAFETY: as asked of the caller.
        unsafe {
            let place = panel * L::PANEL + half * L::LANES;
            let x = self.pixel.normalised::<L>(self.moments, panel, half);
            let scaled = L::mul(self.at::<L>(panel, half), L::load(self.weight.add(place)));
            let rest = L::sub(scaled, L::splat(means.plain));
            let rest = L::sub(rest, L::mul(x, L::splat(means.along)));
            L::mul(rest, L::splat(self.moments.scale))
        }
    }
}

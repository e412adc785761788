//! Depthwise 3×3 and 5×5 convolutions of steps 1 and 2, with bias and ReLU6.

use crate::lite::depthwise::padding;
use crate::lite::plan::BlockSpec;
use crate::panels::lanes::Lanes;

/// Side of the largest kernel.
pub(super) const LARGEST: usize = 5;

/// Planes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) step: usize,
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
    /// Rows and columns before the input.
    pub(super) padding: [usize; 2],
    /// Neighbouring outputs that are computed at a time.
    run: usize,
}

impl Window {
    pub(super) fn new(spec: &BlockSpec, input: [usize; 2]) -> Self {
        let BlockSpec { kernel, stride: step, .. } = *spec;
        let output = input.map(|side| side.div_ceil(step));
        // As few outputs beyond the row as can be, the longer run of two.
        let run =
            [8, 7, 6].into_iter().min_by_key(|run| output[1].next_multiple_of(*run)).unwrap_or(8);
        Self {
            kernel,
            step,
            input,
            output,
            padding: input.map(|side| padding(side, kernel, step)),
            run,
        }
    }

    /// Pixels of an input row with what stands before and after it, as far as it is read.
    pub(super) fn pitch(&self) -> usize {
        let read = (self.output[1].next_multiple_of(self.run) - 1) * self.step + self.kernel;
        read.max(self.padding[1] + self.input[1])
    }

    /// Input rows that an output row is made of.
    pub(super) fn reach(&self, row: usize) -> std::ops::Range<usize> {
        let first = (row * self.step).saturating_sub(self.padding[0]);
        let end = (row * self.step + self.kernel - self.padding[0]).min(self.input[0]);
        first..end.max(first)
    }

    /// One vector of one output row.
    ///
    /// # Shapes
    /// - `input`: rows of [`Self::reach`], each `[pitch, LANES]`
    /// - `weights`: `[kernel * kernel, LANES]`, `bias`: `[LANES]`
    /// - `output`: `[width, LANES]` operands
    ///
    /// # Safety
    /// All of that can be read and written.
    #[inline(always)]
    pub(super) unsafe fn filter<L: Lanes>(
        &self,
        row: usize,
        input: &[*const f32; LARGEST],
        weights: *const f32,
        bias: *const f32,
        output: *mut L::Operand,
    ) {
        let reach = self.reach(row);
        // Rows of the kernel above the input.
        let above = (reach.start + self.padding[0]).saturating_sub(row * self.step);
        macro_rules! arms {
            ($($kernel:literal $step:literal $run:literal,)*) => {
                match (self.kernel, self.step, self.run) {
                    // SAFETY: as asked of the caller.
                    $(($kernel, $step, $run) => unsafe {
                        let weights = weights.add(above * $kernel * L::LANES);
                        let width = self.output[1];
                        line::<L, $kernel, $step, $run>(input, reach.len(), width, weights, bias, output);
                    },)*
                    _ => {}
                }
            };
        }
        arms! {
            3 1 8, 3 1 7, 3 1 6,
            3 2 8, 3 2 7, 3 2 6,
            5 1 8, 5 1 7, 5 1 6,
            5 2 8, 5 2 7, 5 2 6,
        }
    }
}

/// `lines` rows of a kernel over `width` outputs.
#[inline(always)]
unsafe fn line<L: Lanes, const K: usize, const STEP: usize, const RUN: usize>(
    input: &[*const f32; LARGEST],
    lines: usize,
    width: usize,
    weights: *const f32,
    bias: *const f32,
    output: *mut L::Operand,
) {
    let mut done = 0;
    while done < width {
        // SAFETY: as asked of the caller; lines are long enough for whole runs.
        unsafe {
            let mut sums = [L::load(bias); RUN];
            for (line, from) in input.iter().enumerate().take(lines) {
                let from = from.add(done * STEP * L::LANES);
                let weights = weights.add(line * K * L::LANES);
                let mut taps = [L::splat(0.0); K];
                let mut kx = 0;
                while kx < K {
                    taps[kx] = L::load(weights.add(kx * L::LANES));
                    kx += 1;
                }
                macro_rules! column {
                    ($($i:literal)*) => {$(
                        if $i < (RUN - 1) * STEP + K {
                            let value = L::load(from.add($i * L::LANES));
                            let mut kx = 0;
                            while kx < K {
                                let at = ($i as usize).wrapping_sub(kx);
                                if at.is_multiple_of(STEP) && at / STEP < RUN {
                                    sums[at / STEP] = L::fma(value, taps[kx], sums[at / STEP]);
                                }
                                kx += 1;
                            }
                        }
                    )*};
                }
                column!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18);
            }
            let (zero, six) = (L::splat(0.0), L::splat(6.0));
            let run = RUN.min(width - done);
            let mut i = 0;
            while i < RUN {
                if i < run {
                    L::put(output.add((done + i) * L::LANES), L::clamp(sums[i], zero, six));
                }
                i += 1;
            }
        }
        done += RUN;
    }
}

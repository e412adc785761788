//! Vectors of f32 and the operands of products, as each set of instructions has them.
//!
//! A kernel is written once over [`Lanes`] and enters a function compiled for the instructions by
//! [`Lanes::enter`]; everything below that is `#[inline(always)]`, so that it is compiled for them too.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;
pub(crate) mod table;

/// A kernel: what runs inside a function compiled for some instructions.
pub(crate) trait Work {
    /// Runs it.
    ///
    /// # Safety
    /// The processor has the instructions of `L`; whatever the kernel itself asks for.
    unsafe fn run<L: Lanes>(self);
}

/// Vectors of [`Lanes::LANES`] f32, and operands of products, of which [`Lanes::STEP`] are multiplied and
/// summed to one lane at a time.
///
/// # Safety
/// Every function needs a processor with the instructions, and pointers that are good for what their
/// description names. No pointer needs to be aligned beyond its element.
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// `LANES` f32.
    type Vector: Copy;
    /// `LANES * STEP` operands.
    type Raw: Copy;
    /// What products are made of: f32, or the bits of a bf16.
    type Operand: Copy + Default + Send + Sync + 'static;

    /// Values in a vector.
    const LANES: usize;
    /// Operands of one lane's dot product.
    const STEP: usize;
    /// Whether an operand is the f32 itself.
    const EXACT: bool;
    /// Rows of the largest tile whose sums stay in registers.
    const HEIGHT: usize;
    /// Columns of a panel: two vectors.
    const PANEL: usize = 2 * Self::LANES;

    /// Runs `work` in a function compiled for these instructions.
    unsafe fn enter<W: Work>(work: W);

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::Vector;
    /// Reads `LANES` values.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Writes `LANES` values.
    unsafe fn store(to: *mut f32, x: Self::Vector);
    /// `a + b`.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`.
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once where the instructions do.
    unsafe fn fma(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Values held between `least` and `most`.
    unsafe fn clamp(x: Self::Vector, least: Self::Vector, most: Self::Vector) -> Self::Vector;
    /// Sum of the lanes.
    unsafe fn sum(x: Self::Vector) -> f32;

    /// Asks for a line to be brought to the second-level cache; any address will do.
    unsafe fn fetch(line: *const u8);
    /// Reads `LANES * STEP` operands.
    unsafe fn raw(from: *const Self::Operand) -> Self::Raw;
    /// Reads `STEP` operands into every lane.
    unsafe fn spread(from: *const Self::Operand) -> Self::Raw;
    /// `sum + a · b`, lane by lane.
    unsafe fn dot(sum: Self::Vector, a: Self::Raw, b: Self::Raw) -> Self::Vector;
    /// Writes `LANES` values as operands.
    unsafe fn put(to: *mut Self::Operand, x: Self::Vector);
    /// Reads `LANES` operands as values.
    unsafe fn get(from: *const Self::Operand) -> Self::Vector;
    /// Writes half `half` (0 or 1) of two rows of a panel in the order that sums over rows are made in:
    /// `[rows / STEP, PANEL, STEP]`, of which `to` is the start of the first row.
    unsafe fn put_rows(to: *mut Self::Operand, half: usize, even: Self::Vector, odd: Self::Vector);
    /// Adds the values of half `half` of two rows written by [`Self::put_rows`].
    unsafe fn sum_rows(from: *const Self::Operand, half: usize) -> Self::Vector;
    /// One value as an operand.
    fn operand(x: f32) -> Self::Operand;

    /// GELU by the normal distribution's integral.
    unsafe fn gelu(x: Self::Vector) -> Self::Vector;
    /// GELU and its slope.
    unsafe fn gelu_and_slope(x: Self::Vector) -> (Self::Vector, Self::Vector);
}

/// `x` as the bits of the nearest bf16, ties to even; NaN stays NaN.
pub(crate) fn bf16_bits(x: f32) -> u16 {
    half::bf16::from_f32(x).to_bits()
}

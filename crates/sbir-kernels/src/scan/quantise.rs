//! From vectors to codes, and what the codes leave open.

use half::f16;

use super::exact::LANES;
use super::{BLOCK, GROUP};

/// The largest code: one less than what 8 bits hold, so that the codes are symmetric.
const LARGEST: f32 = 127.0;
/// Codes are stored with this added, as the instructions want one unsigned factor.
pub(super) const OFFSET: i32 = 128;

/// The number of bytes of the codes of some vectors: whole blocks, and a multiple of four values.
#[must_use]
pub fn code_bytes(rows: usize, dimension: usize) -> usize {
    rows.div_ceil(BLOCK) * BLOCK * dimension.next_multiple_of(4)
}

/// What is derived of vectors for the scan; see [`Rows`](super::Rows).
#[derive(Clone, Debug, Default)]
pub struct Codes {
    /// The codes, [`code_bytes`] of them.
    pub codes: Vec<u8>,
    /// The scale of each code, `[blocks * BLOCK]`.
    pub scales: Vec<f32>,
    /// The norm of what each code lacks, `[blocks * BLOCK]`.
    pub errors: Vec<f32>,
    /// At least the norm of every code's vector.
    pub norm: f32,
}

/// Derives the codes of vectors. `None` if one has a value that is no finite number.
///
/// # Shapes
/// - `halves`: `[rows, dimension]`, bits of f16
///
/// # Panics
/// If the dimension is 0 or does not divide the number of values.
#[must_use]
pub fn quantise(halves: &[u16], dimension: usize) -> Option<Codes> {
    assert!(dimension > 0 && halves.len().is_multiple_of(dimension));
    let rows = halves.len() / dimension;
    let blocks = rows.div_ceil(BLOCK);
    let mut codes = Codes {
        codes: vec![OFFSET as u8; code_bytes(rows, dimension)],
        scales: vec![0.0; blocks * BLOCK],
        errors: vec![0.0; blocks * BLOCK],
        norm: 0.0,
    };
    let block_bytes = code_bytes(1, dimension);
    let mut values = vec![0.0_f32; dimension];
    for (row, halves) in halves.chunks_exact(dimension).enumerate() {
        let (block, lane) = (row / BLOCK, row % BLOCK);
        to_f32(halves, &mut values);
        let code = Code::of(&values)?;
        let bytes = &mut codes.codes[block * block_bytes..(block + 1) * block_bytes];
        for (step, values) in values.chunks(4).enumerate() {
            let place = (step * BLOCK + lane) * 4;
            for (byte, value) in bytes[place..place + 4].iter_mut().zip(values) {
                *byte = (i32::from(code.digit(*value)) + OFFSET) as u8;
            }
        }
        codes.scales[row] = code.scale;
        codes.errors[row] = code.error;
        codes.norm = codes.norm.max(code.norm);
    }
    Some(codes)
}

fn to_f32(halves: &[u16], values: &mut [f32]) {
    use half::slice::HalfFloatSliceExt as _;
    let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(halves);
    halves.convert_to_f32_slice(values);
}

/// How one vector is coded.
struct Code {
    scale: f32,
    reciprocal: f32,
    /// The norm of the vector less its code, rounded up.
    error: f32,
    /// The norm of the code's vector, rounded up.
    norm: f32,
    /// The norm of the vector, rounded up.
    full_norm: f32,
}

impl Code {
    fn of(values: &[f32]) -> Option<Self> {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let scale = largest / LARGEST;
        let reciprocal = if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
        let scale = if reciprocal.is_finite() && reciprocal > 0.0 { scale } else { 0.0 };
        let mut code = Self { scale, reciprocal, error: 0.0, norm: 0.0, full_norm: 0.0 };
        // In f64, sums of squares are right to some 1e-13; the factor below covers that and the rounding to f32.
        let (mut error, mut norm, mut full) = (0.0_f64, 0.0_f64, 0.0_f64);
        for value in values {
            let coded = f64::from(code.scale) * f64::from(code.digit(*value));
            let value = f64::from(*value);
            error += (value - coded) * (value - coded);
            norm += coded * coded;
            full += value * value;
        }
        let up = |sum: f64| (sum.sqrt() * (1.0 + 1e-6)) as f32;
        (code.error, code.norm, code.full_norm) = (up(error), up(norm), up(full));
        Some(code)
    }

    fn digit(&self, value: f32) -> i8 {
        // Saturates; a scale of 0 gives 0.
        (value * self.reciprocal).round_ties_even().clamp(-LARGEST, LARGEST) as i8
    }
}

/// The codes of up to [`GROUP`] queries, as the kernels read them.
pub(super) struct QueryCodes {
    /// How many queries there are.
    pub(super) count: usize,
    /// A fourth of the dimension, rounded up.
    pub(super) steps: usize,
    /// Four codes a word, `[steps, count]`.
    pub(super) words: Vec<i32>,
    /// What the offset of the stored codes adds to each query's sums.
    pub(super) offsets: [i32; GROUP],
    pub(super) bounds: [QueryBound; GROUP],
}

impl QueryCodes {
    pub(super) fn new(queries: &[&[f32]]) -> Self {
        let count = queries.len();
        let dimension = queries[0].len();
        let steps = dimension.div_ceil(4);
        let mut words = vec![0; steps * count];
        let mut offsets = [0; GROUP];
        let mut bounds = [QueryBound::default(); GROUP];
        for (place, query) in queries.iter().enumerate() {
            // Queries are checked to be finite; one that is not finds nothing.
            let Some(code) = Code::of(query) else { continue };
            let mut sum = 0;
            for (step, values) in query.chunks(4).enumerate() {
                let mut digits = [0_u8; 4];
                for (digit, value) in digits.iter_mut().zip(values) {
                    let code = code.digit(*value);
                    sum += i32::from(code);
                    *digit = code as u8;
                }
                words[step * count + place] = i32::from_le_bytes(digits);
            }
            offsets[place] = sum * OFFSET;
            bounds[place] = QueryBound {
                scale: code.scale,
                error: code.error,
                norm: code.full_norm,
                dimension,
            };
        }
        Self { count, steps, words, offsets, bounds }
    }
}

/// What a query's code leaves open.
#[derive(Clone, Copy, Default)]
pub(super) struct QueryBound {
    scale: f32,
    error: f32,
    norm: f32,
    dimension: usize,
}

/// The interval that a sum of codes stands for.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    /// The query's scale.
    pub(super) scale: f32,
    /// What is open whatever the vector: the query's error, and the rounding of every calculation in f32.
    pub(super) fixed: f32,
    /// The query's norm, by which a vector's error counts.
    pub(super) norm: f32,
}

impl QueryBound {
    /// The bound for vectors whose codes have at most a norm.
    pub(super) fn of(&self, norm: f32) -> Bound {
        // |score − ⟨q, x⟩| ≤ n·u·‖q‖·‖x‖ for n roundings, u = 2⁻²⁴ (Higham 2002, section 3.1): one product, dimension/32
        // sums, five halvings. ‖x‖ is at most the code's norm and its error, which is less than the norm. The factor 4
        // and the 2⁻²⁰ leave room for the middle and radius themselves, a handful of roundings.
        let roundings = (self.dimension / LANES + 8) as f64 * f64::from(f32::EPSILON) * 4.0;
        let norm = f64::from(norm);
        let (query, error) = (f64::from(self.norm), f64::from(self.error));
        let slack = (roundings + 2.0_f64.powi(-20)) * (query + error) * norm;
        let fixed = ((error * norm + slack) * (1.0 + 1e-6)) as f32 + f32::MIN_POSITIVE;
        Bound { scale: self.scale, fixed, norm: self.norm }
    }
}

impl Bound {
    /// The middle and half of the width.
    #[inline]
    pub(super) fn interval(&self, sum: i32, scale: f32, error: f32) -> (f32, f32) {
        ((self.scale * scale) * sum as f32, self.fixed + self.norm * error)
    }
}

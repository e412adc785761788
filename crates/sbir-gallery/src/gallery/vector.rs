//! Vectors as they are stored: f16, little-endian, with a checksum, as SQLite has none of its own.

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rusqlite::Row;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};

/// The bits of a vector as f16.
///
/// # Errors
/// If a value is no finite number, also of f16, or all are zero.
pub(crate) fn to_halves(vector: &[f32]) -> Result<Vec<u16>> {
    let halves: Vec<_> = vector.iter().map(|value| f16::from_f32(*value)).collect();
    let sound = halves.iter().all(|value| value.is_finite())
        && halves.iter().any(|value| *value != f16::ZERO);
    if !sound {
        return Err(Error::NotFinite);
    }
    Ok(halves.into_iter().map(f16::to_bits).collect())
}

/// The values of bits of f16.
pub(super) fn to_floats(halves: &[u16]) -> Vec<f32> {
    let halves: Vec<_> = halves.iter().map(|bits| f16::from_bits(*bits)).collect();
    halves.to_f32_vec()
}

pub(super) fn to_bytes(halves: &[u16]) -> Vec<u8> {
    halves.iter().flat_map(|bits| bits.to_le_bytes()).collect()
}

/// The checksum of a stored vector, which belongs to its photo.
pub(super) fn checksum(id: i64, bytes: &[u8]) -> i64 {
    xxh3_64_with_seed(bytes, id.cast_unsigned()).cast_signed()
}

/// Reads a vector from three columns of a row, id, bytes and checksum, and appends its bits.
pub(super) fn read(
    row: &Row<'_>,
    column: usize,
    dimension: usize,
    halves: &mut Vec<u16>,
) -> rusqlite::Result<i64> {
    let id: i64 = row.get(column)?;
    let bytes = row.get_ref(column + 1)?.as_blob()?;
    let expected: i64 = row.get(column + 2)?;
    let damaged = |problem: &str| {
        rusqlite::Error::FromSqlConversionFailure(
            column + 1,
            rusqlite::types::Type::Blob,
            format!("the vector of photo {id} {problem}").into(),
        )
    };
    if bytes.len() != dimension * 2 {
        return Err(damaged("has another dimension"));
    }
    if checksum(id, bytes) != expected {
        return Err(damaged("does not match its checksum"));
    }
    let start = halves.len();
    halves.extend(bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)));
    if !halves[start..].iter().all(|bits| f16::from_bits(*bits).is_finite()) {
        return Err(damaged("has a value that is no finite number"));
    }
    Ok(id)
}

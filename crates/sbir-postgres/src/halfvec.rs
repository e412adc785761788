//! The type `halfvec` of pgvector as it goes over the wire: the dimension, two bytes that are zero, and the values as
//! f16, all big-endian (`halfvec_send` and `halfvec_recv` of pgvector).

use std::error::Error as StdError;

use bytes::{BufMut as _, BytesMut};
use half::f16;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// The most values that pgvector takes in a `halfvec`.
pub(crate) const MAX_DIMENSION: usize = 16_000;

/// A vector of f16, each value finite and not all zero.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HalfVec(pub(crate) Vec<f16>);

impl HalfVec {
    /// Rounds a vector; none if a value is no finite number, also of f16, or all are zero.
    pub(crate) fn new(values: &[f32]) -> Option<Self> {
        Self::sound(values.iter().map(|value| f16::from_f32(*value)).collect())
    }

    fn sound(halves: Vec<f16>) -> Option<Self> {
        let sound = halves.iter().all(|value| value.is_finite())
            && halves.iter().any(|value| *value != f16::ZERO);
        sound.then_some(Self(halves))
    }

    pub(crate) fn to_floats(&self) -> Vec<f32> {
        self.0.iter().map(|value| value.to_f32()).collect()
    }
}

impl ToSql for HalfVec {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_u16(self.0.len().try_into()?);
        out.put_u16(0);
        for value in &self.0 {
            out.put_u16(value.to_bits());
        }
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        of.name() == "halfvec"
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for HalfVec {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let (head, values) = bytes.split_at_checked(4).ok_or("a vector that is cut off")?;
        let dimension = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if values.len() != dimension * 2 {
            return Err("a vector that is cut off".into());
        }
        let (pairs, _) = values.as_chunks::<2>();
        let halves = pairs.iter().map(|pair| f16::from_bits(u16::from_be_bytes(*pair))).collect();
        let sound = Self::sound(halves);
        sound.ok_or_else(|| "a vector of zeros, or with a value that is no finite number".into())
    }

    fn accepts(of: &Type) -> bool {
        of.name() == "halfvec"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back() {
        let vector = HalfVec::new(&[0.5, -0.25, 0.0, 65504.0]).unwrap();
        let mut bytes = BytesMut::new();
        vector.to_sql(&Type::ANY, &mut bytes).unwrap();
        assert_eq!(HalfVec::from_sql(&Type::ANY, &bytes).unwrap(), vector);
        assert!(HalfVec::new(&[0.0, -0.0]).is_none() && HalfVec::new(&[1.0, 1e6]).is_none());
        // Cut off, too long, not finite, zeros of either sign, nothing at all.
        assert!(HalfVec::from_sql(&Type::ANY, &bytes[..bytes.len() - 1]).is_err());
        assert!(HalfVec::from_sql(&Type::ANY, &bytes[..3]).is_err());
        assert!(HalfVec::from_sql(&Type::ANY, &[&bytes[..], &[0, 0]].concat()).is_err());
        assert!(HalfVec::from_sql(&Type::ANY, &[0, 1, 0, 0, 0x7c, 0]).is_err());
        assert!(HalfVec::from_sql(&Type::ANY, &[0, 2, 0, 0, 0, 0, 0x80, 0]).is_err());
        assert!(HalfVec::from_sql(&Type::ANY, &[0, 0, 0, 0]).is_err());
    }
}

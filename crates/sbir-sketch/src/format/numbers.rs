//! Pieces of JSON that the formats share, with their sizes bounded while parsing.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::error::Problem;
use crate::sketch::{MAX_POINTS, MAX_STROKES, Stroke};

/// A list of at most `MAX` items; longer ones are an error before they take memory.
pub(crate) struct Bounded<T, const MAX: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(format_args!(
                            "a list has more than {MAX} items"
                        )));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items::<T, MAX>(PhantomData)).map(Self)
    }
}

/// A point `[x, y]` or `[x, y, t]`.
struct Point {
    place: [f32; 2],
    time: Option<f32>,
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a point [x, y] or [x, y, t]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Point, A::Error> {
                let mut next =
                    |at| seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self));
                let place = [next(0)?, next(1)?];
                let time = seq.next_element()?;
                if seq.next_element::<f32>()?.is_some() {
                    return Err(A::Error::invalid_length(4, &self));
                }
                Ok(Point { place, time })
            }
        }

        deserializer.deserialize_seq(Values)
    }
}

/// `[[[x, y(, t)], …], …]`, as our own files and `strokes.ndjson` have it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Strokes(Bounded<Bounded<Point, MAX_POINTS>, MAX_STROKES>);

impl Strokes {
    /// The strokes; of each, all points or none have a time.
    pub(crate) fn into_strokes(self) -> Result<Vec<Stroke>, Problem> {
        let convert = |(index, Bounded(raw)): (usize, Bounded<Point, MAX_POINTS>)| {
            let times: Vec<f32> = raw.iter().filter_map(|point| point.time).collect();
            let points: Vec<[f32; 2]> = raw.iter().map(|point| point.place).collect();
            if times.is_empty() {
                return Ok(Stroke::new(points));
            }
            if times.len() != points.len() {
                let (expected, found) = (points.len(), times.len());
                return Err(Problem::Lengths { stroke: index, expected, found });
            }
            Ok(Stroke { points, times: Some(times) })
        };
        self.0.0.into_iter().enumerate().map(convert).collect()
    }
}

/// A canvas: `N` for a square, or `[w, h]`.
pub(crate) struct Canvas(pub(crate) [f32; 2]);

impl<'de> Deserialize<'de> for Canvas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides;

        impl<'de> Visitor<'de> for Sides {
            type Value = [f32; 2];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a canvas N or [w, h]")
            }

            fn visit_u64<E>(self, side: u64) -> Result<[f32; 2], E> {
                Ok([side as f32; 2])
            }

            fn visit_i64<E>(self, side: i64) -> Result<[f32; 2], E> {
                Ok([side as f32; 2])
            }

            fn visit_f64<E>(self, side: f64) -> Result<[f32; 2], E> {
                Ok([side as f32; 2])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[f32; 2], A::Error> {
                let mut next =
                    |at| seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self));
                let sides = [next(0)?, next(1)?];
                if seq.next_element::<f32>()?.is_some() {
                    return Err(A::Error::invalid_length(3, &self));
                }
                Ok(sides)
            }
        }

        deserializer.deserialize_any(Sides).map(Self)
    }
}

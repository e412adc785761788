//! Photos as points: what is written, and what is believed of an answer.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector as Output;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{
    DenseVector, ListValue, PointId, PointStruct, Value, Vector, Vectors, VectorsOutput, vector,
    vectors,
};
use sbir_files::names::{bytes_to_path, to_hex};
use sbir_gallery::{Photo, PhotoId, RelPath, Result};

use crate::text::{canonical, escape, keys_above, photo_id, unescape};

/// The names of a payload's fields.
pub(crate) mod field {
    /// The root, escaped.
    pub(crate) const ROOT: &str = "root";
    /// The path below it, escaped.
    pub(crate) const PATH: &str = "path";
    /// The keys of the places above the photo.
    pub(crate) const ABOVE: &str = "above";
    /// The SHA-256 of the file, in hexadecimal digits.
    pub(crate) const HASH: &str = "hash";
    /// The file's size in bytes.
    pub(crate) const SIZE: &str = "size";
    /// The file's time of modification in nanoseconds since 1970.
    pub(crate) const MTIME: &str = "mtime";
    /// The upright picture's width in pixels.
    pub(crate) const WIDTH: &str = "width";
    /// The upright picture's height in pixels.
    pub(crate) const HEIGHT: &str = "height";
    /// When it was last written, in nanoseconds since 1970, by the writer's clock.
    pub(crate) const WRITTEN: &str = "written";
}

type Payload = HashMap<String, Value>;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

pub(crate) fn text(text: String) -> Value {
    value(Kind::StringValue(text))
}

pub(crate) fn integer(number: i64) -> Value {
    value(Kind::IntegerValue(number))
}

/// An id as the server has it.
pub(crate) fn point_id(id: PhotoId) -> PointId {
    let uuid = uuid::Uuid::from_u128(id.0).to_string();
    PointId { point_id_options: Some(PointIdOptions::Uuid(uuid)) }
}

/// The id that the server gave; none where it is no UUID.
pub(crate) fn id_of(id: Option<&PointId>) -> Option<PhotoId> {
    match id?.point_id_options.as_ref()? {
        PointIdOptions::Uuid(text) if text.len() == 36 => text.parse().ok(),
        _ => None,
    }
}

/// A photo that is going to be written.
pub(crate) struct Entry {
    pub(crate) id: PhotoId,
    root: Vec<u8>,
}

impl Entry {
    /// The id and the root of a photo.
    pub(crate) fn new(photo: &Photo) -> Result<Self> {
        let root = canonical(&photo.root)?;
        Ok(Self { id: photo_id(&root, photo.path.as_bytes()), root })
    }

    /// The point of a photo with its vector.
    pub(crate) fn point(&self, photo: &Photo, vector: Vec<f32>, now: i64) -> PointStruct {
        let above = keys_above(&self.root, &photo.path);
        let above = ListValue { values: above.into_iter().map(text).collect() };
        let payload = [
            (field::ROOT, text(escape(&self.root))),
            (field::PATH, text(escape(photo.path.as_bytes()))),
            (field::ABOVE, value(Kind::ListValue(above))),
            (field::HASH, text(to_hex(&photo.hash))),
            (field::SIZE, integer(photo.size.cast_signed())),
            (field::MTIME, integer(photo.mtime_ns)),
            (field::WIDTH, integer(photo.width.into())),
            (field::HEIGHT, integer(photo.height.into())),
            (field::WRITTEN, integer(now)),
        ];
        let dense = vector::Vector::Dense(DenseVector { data: vector });
        let vector = Vector { vector: Some(dense), ..Vector::default() };
        PointStruct {
            id: Some(point_id(self.id)),
            payload: payload.map(|(name, value)| (name.to_owned(), value)).into(),
            vectors: Some(Vectors {
                vectors_options: Some(vectors::VectorsOptions::Vector(vector)),
            }),
        }
    }
}

/// The photo of a point; else what is wrong with it.
pub(crate) fn photo(id: PhotoId, payload: &Payload) -> Result<Photo, String> {
    let wrong = |name: &str| format!("the photo {id} without a sound '{name}'");
    let string = |name: &str| match payload.get(name).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => Ok(&**text),
        _ => Err(wrong(name)),
    };
    let number = |name: &str| match payload.get(name).and_then(|value| value.kind.as_ref()) {
        Some(Kind::IntegerValue(number)) => Ok(*number),
        _ => Err(wrong(name)),
    };
    let pixels = |name: &str| u32::try_from(number(name)?).map_err(|_| wrong(name));
    let root = unescape(string(field::ROOT)?).ok_or_else(|| wrong(field::ROOT))?;
    let path = unescape(string(field::PATH)?).ok_or_else(|| wrong(field::PATH))?;
    let path = RelPath::new(path).map_err(|_| wrong(field::PATH))?;
    if photo_id(&root, path.as_bytes()) != id {
        return Err(format!("the photo {id} with another one's path"));
    }
    let hash = bytes_of_hex(string(field::HASH)?).ok_or_else(|| wrong(field::HASH))?;
    Ok(Photo {
        id,
        root: bytes_to_path(&root),
        path,
        size: number(field::SIZE)?.cast_unsigned(),
        mtime_ns: number(field::MTIME)?,
        hash,
        width: pixels(field::WIDTH)?,
        height: pixels(field::HEIGHT)?,
    })
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// The vector of a point; else what is wrong with it.
pub(crate) fn vector(
    id: PhotoId,
    vectors: Option<VectorsOutput>,
    dimension: usize,
) -> Result<Vec<f32>, String> {
    let wrong = |what: &str| format!("the photo {id} with {what}");
    let Some(VectorsOptions::Vector(vector)) = vectors.and_then(|vectors| vectors.vectors_options)
    else {
        return Err(wrong("no vector"));
    };
    // Servers up to 1.16 fill the first, later ones the second.
    #[allow(deprecated)]
    let plain = vector.data;
    let values = match vector.vector {
        None => plain,
        Some(Output::Dense(dense)) => dense.data,
        Some(_) => return Err(wrong("a vector of another kind")),
    };
    if values.len() != dimension {
        return Err(wrong(&format!("{} values, not {dimension}", values.len())));
    }
    // So that no sum of squares overflows; a unit vector's values are far below.
    if !values.iter().all(|value| value.abs() <= 1e4) || values.iter().all(|value| *value == 0.0) {
        return Err(wrong("a vector that is none"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Photo, PointStruct) {
        let path = RelPath::new(b"b/\xff\\.jpg".to_vec()).unwrap();
        let photo = Photo {
            id: PhotoId(0),
            root: "/a//".into(),
            path,
            size: u64::MAX,
            mtime_ns: i64::MIN,
            hash: [7; 32],
            width: u32::MAX,
            height: 0,
        };
        let entry = Entry::new(&photo).unwrap();
        let point = entry.point(&photo, vec![0.6, 0.8], 5);
        (Photo { id: entry.id, ..photo }, point)
    }

    #[test]
    fn photos_come_back_as_they_were() {
        let (expected, point) = sample();
        assert_eq!(id_of(point.id.as_ref()), Some(expected.id));
        assert_eq!(photo(expected.id, &point.payload).unwrap(), expected);
    }

    #[test]
    fn broken_payloads_are_told() {
        let (expected, point) = sample();
        let names = [
            field::ROOT,
            field::PATH,
            field::HASH,
            field::SIZE,
            field::MTIME,
            field::WIDTH,
            field::HEIGHT,
        ];
        let bad = [
            None,
            Some(text(String::new())),
            Some(text("..".into())),
            Some(text("\\".into())),
            Some(text("/x".into())),
            Some(text("z".repeat(64))),
            Some(integer(-1)),
            Some(integer(i64::MAX)),
            Some(value(Kind::DoubleValue(1.0))),
            Some(Value { kind: None }),
        ];
        for name in names {
            for bad in &bad {
                let mut payload = point.payload.clone();
                match bad {
                    Some(value) => payload.insert(name.into(), value.clone()),
                    None => payload.remove(name),
                };
                // Any number may be a size or a time.
                let number = matches!(
                    bad.as_ref().and_then(|v| v.kind.as_ref()),
                    Some(Kind::IntegerValue(_))
                );
                if !(number && [field::SIZE, field::MTIME].contains(&name)) {
                    photo(expected.id, &payload).unwrap_err();
                }
            }
        }
        photo(PhotoId(expected.id.0 ^ 1), &point.payload).unwrap_err();
    }

    #[test]
    fn broken_ids_and_vectors_are_told() {
        let plain = |options| PointId { point_id_options: Some(options) };
        assert_eq!(id_of(None), None);
        assert_eq!(id_of(Some(&PointId { point_id_options: None })), None);
        assert_eq!(id_of(Some(&plain(PointIdOptions::Num(7)))), None);
        assert_eq!(id_of(Some(&plain(PointIdOptions::Uuid("7".into())))), None);
        let output = |data: &[f32]| {
            let dense = Output::Dense(DenseVector { data: data.to_vec() });
            let vector =
                qdrant_client::qdrant::VectorOutput { vector: Some(dense), ..Default::default() };
            Some(VectorsOutput { vectors_options: Some(VectorsOptions::Vector(vector)) })
        };
        assert_eq!(vector(PhotoId(1), output(&[0.6, 0.8]), 2).unwrap(), [0.6, 0.8]);
        for values in [&[][..], &[1.0], &[1.0; 3], &[0.0; 2], &[f32::NAN, 1.0], &[1e30, 1.0]] {
            vector(PhotoId(1), output(values), 2).unwrap_err();
        }
        vector(PhotoId(1), None, 2).unwrap_err();
    }
}

//! FS-COCO's `vector_sketches/<user>/<id>.npy`: an `(N, 3)` array of x, y and pen flag.
//!
//! The canvas is 256 × 256 (coordinates are those of `raw_data` times 256). Flag 0 goes on, 1 ends the
//! stroke with this row, 2 ends the drawing with it; rows after that are padding and ignored.
//!
//! Of NumPy's format (NEP 1), versions 1 to 3, little-endian float32 and float64 are read, in C and in
//! Fortran order.

use crate::error::{Problem, one_line};
use crate::sketch::{MAX_POINTS, Sketch, Stroke};

/// Side of the canvas.
pub const CANVAS: f32 = 256.0;

const EXPECTED: &str = "shape (N, 3), N at most 1000000, in <f4 or <f8";
const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers of real files have 64 to 128 bytes.
const MAX_HEADER: usize = 4096;

/// Reads one sketch; its canvas is `[256, 256]`. The strokes have no times.
///
/// # Errors
///
/// A [`Problem`] when the bytes are no such array, end too early, hold another flag, or the sketch breaks
/// a limit of [`Sketch::new`].
pub fn parse(bytes: &[u8]) -> Result<Sketch, Problem> {
    let (header, data) = split(bytes)?;
    let array = Array::from_header(header)?;
    let mut strokes = Vec::new();
    let mut points = Vec::new();
    let rows = array.rows;
    let expected = rows as u64 * 3 * array.kind.size() as u64;
    if (data.len() as u64) < expected {
        return Err(Problem::Truncated { expected, found: data.len() as u64 });
    }
    for row in 0..rows {
        let [x, y, flag] = [0, 1, 2].map(|column| {
            let at = if array.fortran { column * rows + row } else { row * 3 + column };
            array.kind.read(data, at)
        });
        points.push([x, y]);
        match flag {
            0.0 => {}
            1.0 => strokes.push(Stroke::new(std::mem::take(&mut points))),
            2.0 => break,
            found => return Err(Problem::PenFlag { row, found }),
        }
    }
    if !points.is_empty() {
        strokes.push(Stroke::new(points));
    }
    Sketch::check([CANVAS; 2], strokes)
}

/// Parts a file into its header text and its data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Problem> {
    let syntax = |detail: &str| Problem::Syntax { format: "NumPy .npy", detail: detail.into() };
    let rest =
        bytes.strip_prefix(MAGIC).ok_or_else(|| syntax("it does not begin with \\x93NUMPY"))?;
    let [major, _minor, rest @ ..] = rest else { return Err(syntax("it ends inside the header")) };
    let (length, rest) = match (major, rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        (1..=3, _) => return Err(syntax("it ends inside the header")),
        _ => return Err(syntax(&format!("version {major} is unknown"))),
    };
    if length > MAX_HEADER {
        return Err(syntax(&format!("its header has {length} bytes, more than {MAX_HEADER}")));
    }
    let (header, data) =
        rest.split_at_checked(length).ok_or_else(|| syntax("it ends inside the header"))?;
    let header = std::str::from_utf8(header).map_err(|_| syntax("its header is not text"))?;
    Ok((header, data))
}

/// The number types that are read.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The number at an index; the caller has checked the length. What does not fit 32 bits is infinite.
    fn read(self, data: &[u8], index: usize) -> f32 {
        match self {
            Self::F32 => {
                data[index * 4..].first_chunk().map_or(f32::NAN, |b| f32::from_le_bytes(*b))
            }
            Self::F64 => {
                data[index * 8..].first_chunk().map_or(f32::NAN, |b| f64::from_le_bytes(*b) as f32)
            }
        }
    }
}

/// What the header says.
struct Array {
    kind: Kind,
    fortran: bool,
    rows: usize,
}

impl Array {
    /// Reads `{'descr': '<f8', 'fortran_order': False, 'shape': (148, 3), }`.
    fn from_header(header: &str) -> Result<Self, Problem> {
        let wrong = || Problem::NpyArray { expected: EXPECTED, found: one_line(header.trim()) };
        let value = |key: &str| {
            let at = header.find(&format!("'{key}'"))?;
            let rest = header[at + key.len() + 2..].trim_start().strip_prefix(':')?;
            Some(rest.trim_start())
        };
        let kind = match value("descr").ok_or_else(wrong)? {
            text if text.starts_with("'<f4'") => Kind::F32,
            text if text.starts_with("'<f8'") => Kind::F64,
            _ => return Err(wrong()),
        };
        let fortran = match value("fortran_order").ok_or_else(wrong)? {
            text if text.starts_with("False") => false,
            text if text.starts_with("True") => true,
            _ => return Err(wrong()),
        };
        let shape = value("shape").and_then(|text| text.strip_prefix('('));
        let shape = shape.and_then(|text| text.split_once(')')).ok_or_else(wrong)?.0;
        let sizes: Option<Vec<usize>> =
            shape.trim_end_matches([',', ' ']).split(',').map(|n| n.trim().parse().ok()).collect();
        match sizes.as_deref() {
            Some(&[rows, 3]) if rows <= MAX_POINTS => Ok(Self { kind, fortran, rows }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A version 1 file, as `numpy.save` writes it.
    pub(crate) fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = u16::try_from(header.len()).unwrap();
        [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), data].concat()
    }

    const ROWS: [[f32; 3]; 4] =
        [[1.0, 2.0, 0.0], [3.0, 4.0, 1.0], [-5.0, 300.0, 0.0], [7.0, 8.0, 0.0]];

    fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    #[test]
    fn both_types_and_orders_are_read() {
        let by_rows: Vec<f32> = ROWS.concat();
        let by_columns = (0..3).flat_map(|c| ROWS.iter().map(move |row| row[c]));
        let doubles: Vec<u8> = by_rows.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        let files = [
            npy("<f4", false, "(4, 3)", &f32s(by_rows.clone())),
            npy("<f8", false, "(4, 3)", &doubles),
            npy("<f4", true, "(4, 3)", &f32s(by_columns)),
        ];
        for file in files {
            let sketch = parse(&file).unwrap();
            assert_eq!(sketch.canvas, [256.0, 256.0]);
            let points: Vec<_> = sketch.strokes.into_iter().map(|stroke| stroke.points).collect();
            assert_eq!(points, [vec![[1.0, 2.0], [3.0, 4.0]], vec![[-5.0, 300.0], [7.0, 8.0]]]);
        }
    }

    #[test]
    fn flag_two_ends_the_drawing() {
        let mut rows = ROWS;
        rows[1][2] = 2.0;
        rows[3][2] = 9.0;
        let sketch = parse(&npy("<f4", false, "(4, 3)", &f32s(rows.concat()))).unwrap();
        assert_eq!(sketch.strokes, [Stroke::new(vec![[1.0, 2.0], [3.0, 4.0]])]);
        rows[1][2] = 3.0;
        let problem = parse(&npy("<f4", false, "(4, 3)", &f32s(rows.concat()))).unwrap_err();
        assert_eq!(problem, Problem::PenFlag { row: 1, found: 3.0 });
    }

    #[test]
    fn other_arrays_are_errors() {
        let data = f32s(ROWS.concat());
        let other = [
            (">f4", "(4, 3)"),
            ("<i4", "(4, 3)"),
            ("|O", "(4, 3)"),
            ("<f4", "(12,)"),
            ("<f4", "(3, 4)"),
            ("<f4", "(4, 3, 1)"),
            ("<f4", "(-4, 3)"),
            ("<f4", "(99999999999999999999, 3)"),
            ("<f4", "(6148914691236517206, 3)"),
        ];
        for (descr, shape) in other {
            let problem = parse(&npy(descr, false, shape, &data)).unwrap_err();
            assert!(matches!(problem, Problem::NpyArray { .. }), "{descr} {shape}: {problem}");
        }
        let file = npy("<f4", false, "(4, 3)", &data);
        let problem = parse(&file[..file.len() - 1]).unwrap_err();
        assert_eq!(problem, Problem::Truncated { expected: 48, found: 47 });
        for length in 0..file.len() {
            assert!(parse(&file[..length]).is_err());
        }
        assert!(parse(b"PK\x03\x04").is_err());
        let nan = f32s([1.0, f32::NAN, 0.0]);
        let problem = parse(&npy("<f4", false, "(1, 3)", &nan)).unwrap_err();
        assert_eq!(problem, Problem::NonFinite { stroke: 0, point: 0 });
        assert!(parse(&npy("<f4", false, "(0, 3)", &[])).unwrap().is_blank());
    }
}

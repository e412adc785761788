//! NumPy files of f32, a row at a time.

use std::io::{self, Read, Write};

/// The header of `[rows, columns]` little-endian f32, C order (format version 1.0).
pub(super) fn write_header(file: &mut impl Write, rows: u64, columns: usize) -> io::Result<()> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Magic, version, length, text and newline are a multiple of 64 bytes together.
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(text.len() as u16).to_le_bytes())?;
    file.write_all(text.as_bytes())
}

/// Reads the header of a matrix of f32: rows and columns. The error is one line.
pub(super) fn read_header(file: &mut impl Read) -> Result<(u64, usize), String> {
    let mut start = [0; 8];
    let short = |_| "not a whole NumPy file".to_owned();
    file.read_exact(&mut start).map_err(short)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err("not a NumPy file".into());
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(short)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(short)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(format!("a NumPy file of version {version}; expected 1 to 3")),
    };
    if length > 1 << 16 {
        return Err("a NumPy header of more than 64 KiB".into());
    }
    let mut text = vec![0; length];
    file.read_exact(&mut text).map_err(short)?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let after = text.split_once(&format!("'{key}':"))?.1;
        Some(after.trim_start().to_owned())
    };
    if !value("descr").is_some_and(|value| value.starts_with("'<f4'")) {
        return Err("expected values of type '<f4' (float32)".into());
    }
    if !value("fortran_order").is_some_and(|value| value.starts_with("False")) {
        return Err("expected C order; write it with numpy.ascontiguousarray".into());
    }
    let shape = value("shape").unwrap_or_default();
    let inner = shape.strip_prefix('(').and_then(|shape| shape.split_once(')')).map(|pair| pair.0);
    let sides: Vec<_> = inner
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .collect();
    match sides[..] {
        [rows, columns] => match (rows.parse(), columns.parse()) {
            (Ok(rows), Ok(columns)) => Ok((rows, columns)),
            _ => {
                Err(format!("a shape that is none: {}", shape.chars().take(40).collect::<String>()))
            }
        },
        _ => Err("expected two dimensions, [photos, values]".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        for shape in [(0, 1), (12, 768), (1_000_000_000, 4096)] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, shape.0, shape.1).unwrap();
            assert!(bytes.len().is_multiple_of(64));
            assert_eq!(read_header(&mut bytes.as_slice()), Ok(shape));
            for end in 0..bytes.len() {
                assert!(read_header(&mut &bytes[..end]).is_err());
            }
        }
    }
}

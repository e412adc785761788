//! The header of a NumPy file.

use std::io::{self, Read};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Length of what [`write_header`] writes: two cache lines, with room for the largest shape.
pub(super) const HEADER_BYTES: usize = 128;
/// Longest header that is read; NumPy's own limit for a literal that it evaluates.
const MOST_HEADER_BYTES: usize = 10_000;

/// The parts of a header that vary among readable files.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) shape: [u64; 2],
}

/// What is wrong with a header.
#[derive(Debug)]
pub(super) enum HeaderError {
    Read(io::Error),
    Format { expected: &'static str, found: String },
}

fn format_error<T>(expected: &'static str, found: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError::Format { expected, found: found.into() })
}

/// The header of a little-endian float32 array, version 1.0.
pub(super) fn write_header(rows: usize, dim: usize) -> [u8; HEADER_BYTES] {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let mut header = [b' '; HEADER_BYTES];
    header[..6].copy_from_slice(MAGIC);
    header[6..8].copy_from_slice(&[1, 0]);
    header[8..10].copy_from_slice(&((HEADER_BYTES - 10) as u16).to_le_bytes());
    header[10..][..text.len()].copy_from_slice(text.as_bytes());
    header[HEADER_BYTES - 1] = b'\n';
    header
}

/// Reads a header of any version, and returns it with the place where the values start.
pub(super) fn read_header(file: &mut impl Read) -> Result<(Header, u64), HeaderError> {
    let mut start = [0; 8];
    read(file, &mut start)?;
    if start[..6] != MAGIC[..] {
        return format_error("a NumPy file (\\x93NUMPY at its start)", "other bytes");
    }
    let (length, prefix) = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            read(file, &mut bytes)?;
            (usize::from(u16::from_le_bytes(bytes)), 10)
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            read(file, &mut bytes)?;
            (u32::from_le_bytes(bytes) as usize, 12)
        }
        other => return format_error("format version 1, 2 or 3", format!("version {other}")),
    };
    if length > MOST_HEADER_BYTES {
        return format_error("a header of at most 10000 bytes", format!("{length} bytes"));
    }
    let mut text = vec![0; length];
    read(file, &mut text)?;
    let Ok(text) = std::str::from_utf8(&text) else {
        return format_error("a header of text", "other bytes");
    };
    Ok((parse(text)?, (prefix + length) as u64))
}

fn read(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), HeaderError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => HeaderError::Format {
            expected: "a whole header",
            found: "a file that ends within it".to_owned(),
        },
        _ => HeaderError::Read(error),
    })
}

/// Parses the dictionary, whose keys may come in any order.
fn parse(text: &str) -> Result<Header, HeaderError> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let Some(mut rest) = parse_dictionary(text, |key, value| match key {
        "descr" => descr = Some(value),
        "fortran_order" => fortran_order = Some(value),
        "shape" => shape = Some(value),
        _ => {}
    }) else {
        return format_error("a dictionary as header", shorten(text));
    };
    rest = rest.trim();
    if !rest.is_empty() {
        return format_error("nothing after the header's dictionary", shorten(rest));
    }
    match descr {
        Some("'<f4'" | "\"<f4\"") => {}
        other => return format_error("little-endian float32 ('<f4')", show(other)),
    }
    match fortran_order {
        Some("False") => {}
        Some("True") => return format_error("C order", "Fortran order"),
        other => return format_error("'fortran_order' True or False", show(other)),
    }
    match shape.and_then(parse_shape) {
        Some(shape) => Ok(Header { shape }),
        None => format_error("a shape of two dimensions", show(shape)),
    }
}

/// Gives each key and the text of its value to `found`; returns what follows the closing brace.
fn parse_dictionary<'a>(text: &'a str, mut found: impl FnMut(&'a str, &'a str)) -> Option<&'a str> {
    let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some(rest);
        }
        let (key, after) = split_string(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let length = value_length(value)?;
        found(&key[1..key.len() - 1], value[..length].trim_end());
        rest = value[length..].trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// Splits a quoted string, quotes included, from what follows. Escapes do not occur in what NumPy writes.
fn split_string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let end = text[1..].find(quote)? + 2;
    Some(text.split_at(end))
}

/// Length of the value at the start of `text`: a string, a tuple or list (of a structured type), or a word.
fn value_length(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut place = 0;
    while let Some(next) = text[place..].chars().next() {
        match next {
            '\'' | '"' => {
                place += split_string(&text[place..])?.0.len();
                continue;
            }
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' | '}' if depth == 0 => return (place > 0).then_some(place),
            _ => {}
        }
        place += next.len_utf8();
    }
    None
}

/// Parses `(3, 4)` or `(3, 4,)`.
fn parse_shape(text: &str) -> Option<[u64; 2]> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let inner = inner.trim_end().strip_suffix(',').unwrap_or(inner);
    let (rows, dim) = inner.split_once(',')?;
    Some([parse_count(rows)?, parse_count(dim)?])
}

/// Parses digits; `parse` alone would take a plus sign too. Python 2 wrote an `L` after them.
fn parse_count(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.strip_suffix('L').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn show(value: Option<&str>) -> String {
    value.map_or_else(|| "none".to_owned(), shorten)
}

/// The start of `text` on one line, fit for a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.escape_debug().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<[u64; 2]> {
        parse(text).ok().map(|header| header.shape)
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let usual = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 768), }          \n";
        assert_eq!(shape(usual), Some([3, 768]));
        // Another order, double quotes, no trailing comma, Python 2's long integers, an unknown key.
        let other =
            r#"{"shape":(0L,4L),"x":[('a', '<i4'), (1, 2)],"fortran_order":False,"descr":"<f4"}"#;
        assert_eq!(shape(other), Some([0, 4]));
    }

    #[test]
    fn other_arrays_are_named() {
        for (text, expected, found) in [
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)}", "float32", "<f8"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}", "C order", "Fortran"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "two dimensions", "(3,)"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", "two", "(1, 2, 3)"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}", "two", "-1"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (+1, 2)}", "two", "+1"),
            ("{'descr': '<f4', 'fortran_order': False}", "two dimensions", "none"),
            ("{'fortran_order': False, 'shape': (3, 4)}", "float32", "none"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} x", "nothing after", "x"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)", "dictionary", "descr"),
            ("", "dictionary", ""),
        ] {
            match parse(text) {
                Err(HeaderError::Format { expected: said, found: shown }) => {
                    assert!(said.contains(expected), "{text}: {said}");
                    assert!(shown.contains(found), "{text}: {shown}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_longest_shape_fits() {
        let header = write_header(usize::MAX, usize::MAX);
        let (read, start) = read_header(&mut &header[..]).unwrap();
        assert_eq!(read.shape, [usize::MAX as u64; 2]);
        assert_eq!(start, HEADER_BYTES as u64);
    }
}

//! From a manifest to the photos of some pieces.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::path::PathBuf;

use sbir_files::names::to_hex;
use sbir_gallery::{RelPath, is_root};
use sbir_objects::{Key, Place};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{
    FORMAT, Header, HeaderLine, LastLine, Listed, MAX_PIECE, MAX_PIECES, PhotoLine, VERSION,
};
use crate::error::{Error, Result};
use crate::text::Text;

/// The longest line in bytes: a path of 4,096, each as an escape of six.
const MAX_LINE: u64 = 32 << 10;

/// A manifest that was read whole and found sound.
#[derive(Debug)]
pub struct Manifest {
    name: String,
    header: Header,
    digest: String,
    file: File,
}

impl Manifest {
    /// Reads a manifest through once and checks all of it: every line, their order and number, the digest. Memory stays
    /// bounded.
    ///
    /// # Errors
    /// If there is none, it cannot be read, or is not a whole manifest.
    pub fn open(place: &Place, key: &Key) -> Result<Self> {
        let name = place.name_of(key);
        Self::check(name, place.download(key)?)
    }

    fn check(name: String, file: File) -> Result<Self> {
        let mut lines = Lines::new(&name, &file)?;
        let mut hash = Sha256::new();
        let first = lines.next()?.ok_or_else(|| lines.bad("it is empty"))?;
        hash.update(&first);
        let header = header(&name, &first).map_err(|problem| match problem {
            Problem::Newer(error) => error,
            Problem::Bad(problem) => lines.bad(&problem),
        })?;
        let (mut photos, mut bytes) = (0, 0_u64);
        let mut last: Option<RelPath> = None;
        let found = loop {
            let Some(line) = lines.next()? else {
                return Err(lines.bad("its end is missing"));
            };
            if photos == header.photos {
                break parse::<LastLine>(&line).map_err(|problem| lines.bad(&problem))?.digest;
            }
            let listed = listed(&line).map_err(|problem| lines.bad(&problem))?;
            if last.as_ref().is_some_and(|last| *last >= listed.path) {
                return Err(lines.bad("the paths are not in order"));
            }
            hash.update(&line);
            photos += 1;
            bytes = bytes.saturating_add(listed.size);
            last = Some(listed.path);
        };
        if lines.next()?.is_some() {
            return Err(lines.bad("there is something after its end"));
        }
        if bytes != header.bytes {
            return Err(lines.bad("the number of bytes is not that of its photos"));
        }
        let digest = to_hex(&hash.finalize());
        if found != digest {
            return Err(lines.bad("it does not match its digest"));
        }
        drop(lines);
        Ok(Self { name, header, digest, file })
    }

    /// Where it was read from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of all photos together.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The SHA-256 of all lines but the last, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The pieces that `take` wants, in order, each with its photos. One listing at a time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn pieces<F: FnMut(u64) -> bool>(&mut self, take: F) -> Result<Pieces<'_, F>> {
        let mut lines = Lines::new(&self.name, &self.file)?;
        lines.next()?;
        Ok(Pieces { lines, header: &self.header, next: 0, take })
    }
}

/// Some pieces of a manifest.
#[derive(Debug)]
pub struct Pieces<'a, F> {
    lines: Lines<'a>,
    header: &'a Header,
    next: u64,
    take: F,
}

impl<F: FnMut(u64) -> bool> Pieces<'_, F> {
    fn read(&mut self) -> Result<Option<(u64, Vec<Listed>)>> {
        let size = u64::from(self.header.piece);
        loop {
            let number = self.next;
            let count = size.min(self.header.photos.saturating_sub(number.saturating_mul(size)));
            if count == 0 {
                return Ok(None);
            }
            self.next += 1;
            let taken = (self.take)(number);
            let mut photos = Vec::with_capacity(if taken { count as usize } else { 0 });
            for _ in 0..count {
                // Read through before, so it has all lines, unless it was written over since.
                let line = self.lines.next()?.ok_or_else(|| self.lines.bad("it changed"))?;
                if taken {
                    photos.push(listed(&line).map_err(|problem| self.lines.bad(&problem))?);
                }
            }
            if taken {
                return Ok(Some((number, photos)));
            }
        }
    }
}

impl<F: FnMut(u64) -> bool> Iterator for Pieces<'_, F> {
    type Item = Result<(u64, Vec<Listed>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

enum Problem {
    Newer(Error),
    Bad(String),
}

fn header(name: &str, line: &[u8]) -> Result<Header, Problem> {
    let bad = |problem: &str| Problem::Bad(problem.to_owned());
    let line: HeaderLine = parse(line).map_err(|_| bad("not a manifest"))?;
    if line.format != FORMAT {
        return Err(bad("not a manifest"));
    }
    if line.version > VERSION {
        return Err(Problem::Newer(Error::NewerFormat {
            name: name.to_owned(),
            found: line.version,
            known: VERSION,
        }));
    }
    let sizes = (1..=MAX_PIECE).contains(&line.piece);
    if line.version == 0 || !sizes || line.photos.div_ceil(line.piece.into()) > MAX_PIECES {
        return Err(bad("its numbers cannot be"));
    }
    let root =
        root(line.root).ok_or_else(|| bad("its root is no absolute folder and no s3:// place"))?;
    Ok(Header { root, photos: line.photos, bytes: line.bytes, piece: line.piece })
}

/// A root as it stands in a file.
pub(crate) fn root(text: Text) -> Option<PathBuf> {
    let bytes = text.into_bytes().filter(|bytes| !bytes.contains(&0))?;
    #[cfg(unix)]
    let root = {
        use std::os::unix::ffi::OsStrExt as _;
        PathBuf::from(OsStr::from_bytes(&bytes))
    };
    #[cfg(not(unix))]
    let root = PathBuf::from(OsStr::new(std::str::from_utf8(&bytes).ok()?));
    is_root(&root).then_some(root)
}

fn listed(line: &[u8]) -> Result<Listed, String> {
    let line: PhotoLine = parse(line)?;
    let path = line.path.into_bytes().ok_or("no path")?;
    let path = RelPath::new(path).map_err(|error| error.to_string())?;
    Ok(Listed { path, size: line.size, mtime_ns: line.mtime })
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

/// Lines of bounded length, each with its end.
#[derive(Debug)]
struct Lines<'a> {
    name: &'a str,
    reader: BufReader<&'a File>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn new(name: &'a str, file: &'a File) -> Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 18, file);
        reader.rewind().map_err(|error| failed(name, &error))?;
        Ok(Self { name, reader, number: 0 })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.number += 1;
        let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| failed(self.name, &error))?;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) if (line.len() as u64) < MAX_LINE => Err(self.bad("it breaks off")),
            Some(_) => Err(self.bad("a line is too long")),
        }
    }

    fn bad(&self, problem: &str) -> Error {
        let problem = format!("line {}: {}", self.number, Error::line(problem));
        Error::Manifest { name: self.name.to_owned(), problem }
    }
}

fn failed(name: &str, error: &io::Error) -> Error {
    Error::Manifest { name: name.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn sealed(lines: &str) -> String {
        format!("{lines}{{\"digest\":\"{}\"}}\n", to_hex(&Sha256::digest(lines)))
    }

    fn check(text: &[u8]) -> Result<Manifest> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        Manifest::check("m".into(), file)
    }

    const HEADER: &str = "{\"format\":\"sbir manifest\",\"version\":1,\"path\":\"/p\",\"photos\":3,\"bytes\":6,\"piece\":2}\n";
    const PHOTOS: &str = "{\"path\":\"a\",\"size\":1,\"mtime\":-5}\n{\"path\":\"b\\n\",\"size\":2,\"mtime\":0}\n{\"hex\":\"ff\",\"size\":3,\"mtime\":7}\n";

    #[test]
    fn pieces_come_with_their_photos() {
        let mut manifest = check(sealed(&format!("{HEADER}{PHOTOS}")).as_bytes()).unwrap();
        assert_eq!((manifest.header().pieces(), manifest.digest().len()), (2, 64));
        let pieces: Vec<_> = manifest.pieces(|_| true).unwrap().map(Result::unwrap).collect();
        assert_eq!((pieces[0].0, pieces[0].1.len(), pieces[1].1.len()), (0, 2, 1));
        assert_eq!(pieces[1].1[0].path.as_bytes(), b"\xff");
        let second: Vec<_> = manifest.pieces(|n| n == 1).unwrap().map(Result::unwrap).collect();
        assert_eq!(second, pieces[1..]);
        assert_eq!(manifest.pieces(|n| n > 1).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_whole_manifest_is_refused() {
        let whole = format!("{HEADER}{PHOTOS}");
        let edited = |from: &str, to: &str| sealed(&whole.replacen(from, to, 1));
        for (text, said) in [
            (String::new(), "empty"),
            ("x".to_owned(), "breaks off"),
            ("x\n".to_owned(), "not a manifest"),
            (whole.clone(), "end is missing"),
            (sealed(&whole) + "\n", "after its end"),
            (sealed(&whole).replacen("\"a\"", "\"A\"", 1), "digest"),
            (edited("\"photos\":3", "\"photos\":2"), "line 4"),
            (edited("\"photos\":3", "\"photos\":99999999999999"), "numbers"),
            (edited("\"photos\":3", "\"photos\":20000001"), "numbers"),
            (edited("\"piece\":2", "\"piece\":0"), "numbers"),
            (edited("\"bytes\":6", "\"bytes\":7"), "bytes"),
            (edited("\"/p\"", "\"p\""), "root"),
            (edited("\"version\":1", "\"version\":2"), "newer sbir"),
            (edited("\"a\"", "\"../a\""), "not a path below"),
            (edited("\"a\"", "\"/a\""), "not a path below"),
            (edited("\"a\"", "\"c\""), "in order"),
            (edited("\"a\"", "\"b\\n\""), "in order"),
            (edited("\"a\"", &format!("\"{}\"", "x".repeat(40_000))), "too long"),
            (edited("\"size\":1", "\"size\":-1"), "line 2"),
        ] {
            let error = check(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said) && error.starts_with("m: "), "{said}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_file_is_too_odd(
            at in 0_usize..400, cut in 0_usize..40, bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut text = sealed(&format!("{HEADER}{PHOTOS}")).into_bytes();
            let whole = text.clone();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, bytes);
            // A change that says the same in other bytes is no fault; any other is found.
            if let Ok(manifest) = check(&text) {
                let before = check(&whole).unwrap();
                prop_assert_eq!(manifest.digest(), before.digest());
            }
        }
    }
}

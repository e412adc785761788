//! Files of one JSON record per line, read as a stream: memory is bounded by the longest line
//! ([`MAX_LINE_BYTES`]), not by the file.

use std::io::{BufRead, BufReader, Read as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use fs_err::File;

use crate::error::{Error, Problem};
use crate::read::Selector;
use crate::sketch::MAX_LINE_BYTES;

/// A record of such a file.
pub trait Record: Sized {
    /// Reads one line, without its line end.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when the line is no such record.
    fn parse(line: &[u8]) -> Result<Self, Problem>;

    /// The name by which a [`Selector`] finds the record, if it has one.
    fn key(&self) -> Option<&str>;
}

/// An iterator over a file's records. Blank lines are passed over. A bad line yields its error and the
/// next call goes on behind it; after a failure to read, the iterator ends.
pub struct Records<T, R = BufReader<File>> {
    path: PathBuf,
    reader: R,
    line: usize,
    text: Vec<u8>,
    ended: bool,
    record: PhantomData<fn() -> T>,
}

/// Opens a file of records.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be opened.
pub fn open<T: Record>(path: &Path) -> Result<Records<T>, Error> {
    Ok(Records::new(path, BufReader::new(File::open(path)?)))
}

/// The record that `selector` names.
///
/// # Errors
///
/// [`Error::NoRecord`] when there is none; [`Error::File`] when a line before it (for a key) or the line
/// itself (for an index) is no record; [`Error::Io`].
pub fn find<T: Record>(path: &Path, selector: &Selector) -> Result<T, Error> {
    let mut records = open::<T>(path)?;
    let mut count = 0;
    while let Some(line) = records.next_line()? {
        match selector {
            Selector::Index(index) if *index == count => return records.parse(line),
            Selector::Index(_) => {}
            Selector::Key(key) => {
                let record = records.parse(line)?;
                if record.key() == Some(key) {
                    return Ok(record);
                }
            }
        }
        count += 1;
    }
    Err(Error::NoRecord { path: path.to_owned(), selector: selector.to_string(), records: count })
}

impl<T: Record, R: BufRead> Records<T, R> {
    /// Records from any reader; `path` is for the messages.
    pub fn new(path: &Path, reader: R) -> Self {
        let (path, text) = (path.to_owned(), Vec::new());
        Self { path, reader, line: 0, text, ended: false, record: PhantomData }
    }

    /// Reads on to the next line that is not blank, and gives its number from 1; `None` at the end.
    fn next_line(&mut self) -> Result<Option<usize>, Error> {
        while !self.ended {
            self.text.clear();
            self.line += 1;
            let limit = MAX_LINE_BYTES as u64 + 1;
            let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.text);
            self.ended = !matches!(read, Ok(count) if count > 0);
            read?;
            let cut = self.text.len() > MAX_LINE_BYTES && self.text.last() != Some(&b'\n');
            if cut {
                self.skip_line()?;
                let problem = Problem::TooLarge { limit: MAX_LINE_BYTES as u64 };
                return Err(Error::line(&self.path, self.line, problem));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(self.line));
            }
        }
        Ok(None)
    }

    /// Passes over the rest of an overlong line.
    fn skip_line(&mut self) -> Result<(), Error> {
        let skipped = self.reader.skip_until(b'\n');
        self.ended = skipped.is_err();
        skipped?;
        Ok(())
    }

    /// The record in the line read last.
    fn parse(&self, line: usize) -> Result<T, Error> {
        T::parse(self.text.trim_ascii()).map_err(|problem| Error::line(&self.path, line, problem))
    }
}

impl<T: Record, R: BufRead> Iterator for Records<T, R> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_line().transpose()?;
        Some(line.and_then(|line| self.parse(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word(String);

    impl Record for Word {
        fn parse(line: &[u8]) -> Result<Self, Problem> {
            serde_json::from_slice(line).map(Self).map_err(|e| Problem::json("word", &e))
        }

        fn key(&self) -> Option<&str> {
            Some(&self.0)
        }
    }

    fn words(text: &[u8]) -> Vec<Result<String, Error>> {
        let records = Records::<Word, _>::new(Path::new("words.ndjson"), text);
        records.map(|record| record.map(|word| word.0)).collect()
    }

    #[test]
    fn blank_lines_and_line_ends_do_not_matter() {
        for text in ["\"a\"\n\"b\"", "\n\"a\"\r\n  \r\n\"b\"\n\n"] {
            let words: Vec<String> =
                words(text.as_bytes()).into_iter().map(Result::unwrap).collect();
            assert_eq!(words, ["a", "b"]);
        }
        assert!(words(b"").is_empty());
    }

    #[test]
    fn a_bad_line_is_named_and_passed() {
        let words = words(b"\"a\"\n\n{oops\n\"b\"\n");
        assert_eq!(words.len(), 3);
        let message = words[1].as_ref().unwrap_err().to_string();
        assert!(message.starts_with("words.ndjson:3: not valid word"), "{message}");
        assert_eq!(words[2].as_ref().unwrap(), "b");
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_and_passed() {
        let mut text = vec![b' '; MAX_LINE_BYTES + 100_000];
        text.extend(b"\n\"b\"\n");
        let words = words(&text);
        let error = words[0].as_ref().unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::TooLarge { limit: MAX_LINE_BYTES as u64 }));
        assert_eq!(words[1].as_ref().unwrap(), "b");
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn a_failing_reader_ends_the_iterator() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        let mut records = Records::<Word, _>::new(Path::new("x"), BufReader::new(Broken));
        assert!(matches!(records.next(), Some(Err(Error::Io(_)))));
        assert!(records.next().is_none());
    }
}

//! Sorting more than fits into memory: sorted runs in temporary files, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Seek as _};

/// The bytes that are sorted in memory.
const IN_MEMORY: usize = 64 << 20;
/// The most runs, each of which is an open file.
const MAX_RUNS: usize = 64;
/// What an item costs besides its bytes.
const OVERHEAD: usize = 48;

/// A key with a size and a time, in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) key: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
}

impl Item {
    fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        to.write_all(&(self.key.len() as u32).to_le_bytes())?;
        to.write_all(&self.key)?;
        to.write_all(&self.size.to_le_bytes())?;
        to.write_all(&self.mtime_ns.to_le_bytes())
    }

    fn read(from: &mut impl io::Read) -> io::Result<Option<Self>> {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let mut key = vec![0; u32::from_le_bytes(length) as usize];
        from.read_exact(&mut key)?;
        let (mut size, mut mtime) = ([0; 8], [0; 8]);
        from.read_exact(&mut size)?;
        from.read_exact(&mut mtime)?;
        Ok(Some(Self { key, size: u64::from_le_bytes(size), mtime_ns: i64::from_le_bytes(mtime) }))
    }
}

/// Takes items in any order.
#[derive(Debug)]
pub(crate) struct Sorter {
    items: Vec<Item>,
    bytes: usize,
    limit: usize,
    runs: Vec<File>,
}

impl Sorter {
    pub(crate) fn new() -> Self {
        Self::with_limit(IN_MEMORY)
    }

    fn with_limit(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit, runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, item: Item) -> io::Result<()> {
        self.bytes += item.key.len() + OVERHEAD;
        self.items.push(item);
        if self.bytes < self.limit {
            return Ok(());
        }
        self.items.sort_unstable();
        let run = spill(self.items.drain(..).map(Ok))?;
        self.bytes = 0;
        self.runs.push(run);
        if self.runs.len() >= MAX_RUNS {
            let merged = spill(Merge::new(std::mem::take(&mut self.runs), Vec::new())?)?;
            self.runs.push(merged);
        }
        Ok(())
    }

    /// The items in order; of those with the same key, the last in order.
    pub(crate) fn finish(mut self) -> io::Result<impl Iterator<Item = io::Result<Item>>> {
        self.items.sort_unstable();
        let mut merged = Merge::new(self.runs, self.items)?.peekable();
        Ok(std::iter::from_fn(move || {
            loop {
                let item = merged.next()?;
                let again = match (&item, merged.peek()) {
                    (Ok(item), Some(Ok(next))) => item.key == next.key,
                    _ => false,
                };
                if !again {
                    return Some(item);
                }
            }
        }))
    }
}

fn spill(items: impl Iterator<Item = io::Result<Item>>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile()?);
    for item in items {
        item?.write(&mut out)?;
    }
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// Sorted runs as one.
struct Merge {
    runs: Vec<BufReader<File>>,
    memory: std::vec::IntoIter<Item>,
    /// The next item of each run, with the run's number; the last is the one in memory.
    heads: BinaryHeap<Reverse<(Item, usize)>>,
    failed: bool,
}

impl Merge {
    fn new(runs: Vec<File>, memory: Vec<Item>) -> io::Result<Self> {
        let runs = runs.into_iter().map(|run| BufReader::with_capacity(1 << 17, run)).collect();
        let memory = memory.into_iter();
        let mut merge = Self { runs, memory, heads: BinaryHeap::new(), failed: false };
        for run in 0..=merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let item = match self.runs.get_mut(run) {
            Some(reader) => Item::read(reader)?,
            None => self.memory.next(),
        };
        self.heads.extend(item.map(|item| Reverse((item, run))));
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let Reverse((item, run)) = self.heads.pop()?;
        if let Err(error) = self.advance(run) {
            self.failed = true;
            return Some(Err(error));
        }
        Some(Ok(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u64) -> Item {
        Item { key: format!("{number:06}").into_bytes(), size: number, mtime_ns: -1 }
    }

    #[test]
    fn items_come_in_order_from_memory_and_from_runs() {
        // In memory alone, a few runs, and more than may be open at once.
        for limit in [1 << 20, 20_000, 500] {
            let mut sorter = Sorter::with_limit(limit);
            for number in 0..5000_u64 {
                sorter.push(item(number * 7919 % 5000)).unwrap();
            }
            assert_eq!(sorter.runs.is_empty(), limit > 1 << 19);
            assert!(sorter.runs.len() <= MAX_RUNS);
            let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
            assert_eq!(sorted, (0..5000).map(item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_comes_twice_is_kept_once() {
        let mut sorter = Sorter::with_limit(300);
        for number in [1, 2, 1, 3, 2, 1, 3, 3, 1] {
            sorter.push(item(number)).unwrap();
        }
        let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
        assert_eq!(sorted, [item(1), item(2), item(3)]);
    }
}

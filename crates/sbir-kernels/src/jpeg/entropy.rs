//! Huffman codes of an entropy-coded segment (T.81, annexes C and F).

/// Bits that a table is looked up with.
const LOOK: u32 = 12;
/// What an end of block adds to an advance.
const END: u32 = 128;
/// An advance that no block has room for: the code is longer than the table knows.
const NONE: u16 = 0xFF << 8;

/// A Huffman table.
pub(super) struct Table {
    /// By the next bits: a code's length and its symbol; 0 for longer codes.
    look: Box<[u16; 1 << LOOK]>,
    /// By the next bits: a coefficient's value, the zeros before it, and the bits that it takes; 0 where it takes more.
    whole: Box<[(i16, u8, u8); 1 << LOOK]>,
    /// By the next bits: how far as many coefficients as lie within them go, and how many of the bits they take.
    skip: Box<[u16; 1 << LOOK]>,
    /// By length: the first code that is longer, with the next 16 bits as measure, and what leads from a code to its
    /// symbol's place.
    longer: [u32; 17],
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// The table of `counts[length - 1]` codes of each length. `None` if there is none.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        if total > 256 || symbols.len() < total {
            return None;
        }
        let mut table = Self {
            look: Box::new([0; 1 << LOOK]),
            whole: Box::new([(0, 0, 0); 1 << LOOK]),
            skip: Box::new([NONE; 1 << LOOK]),
            longer: [0; 17],
            offset: [0; 17],
            symbols: symbols[..total].to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            if code + count > 1 << length {
                return None;
            }
            table.offset[length as usize] = place as i32 - code as i32;
            for code in code..code + count {
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    let entry = (length as u16) << 8 | u16::from(symbols[place]);
                    table.look[first..first + (1 << (LOOK - length))].fill(entry);
                }
                place += 1;
            }
            code += count;
            table.longer[length as usize] = code << (16 - length);
            code <<= 1;
        }
        for bits in 0..1 << LOOK {
            table.whole[bits] = table.one(bits as u32);
            table.skip[bits] = table.together(bits as u32);
        }
        Some(table)
    }

    /// The coefficient that lies whole within some bits.
    fn one(&self, bits: u32) -> (i16, u8, u8) {
        let entry = self.look[bits as usize];
        let (length, run, size) = (u32::from(entry >> 8), entry as u8 >> 4, u32::from(entry & 15));
        if length == 0 || size == 0 || length + size > LOOK {
            return (0, 0, 0);
        }
        let value = signed((bits >> (LOOK - length - size)) & ((1 << size) - 1), size);
        (value as i16, run, (length + size) as u8)
    }

    /// All that lies whole within some bits.
    fn together(&self, bits: u32) -> u16 {
        let (mut taken, mut advance) = (0, 0);
        loop {
            let entry = self.look[(bits << taken) as usize & ((1 << LOOK) - 1)];
            let (length, symbol) = (u32::from(entry >> 8), u32::from(entry & 0xFF));
            let (run, size) = (symbol >> 4, symbol & 15);
            let end = symbol == 0;
            let step = if end { END } else { run + 1 };
            let sound = end || size > 0 || run == 15;
            // No more than a block has room for, so that only an end of block goes as far as that does.
            let fits = taken + length + size <= LOOK && (end || advance + step < 64);
            if length == 0 || !sound || !fits {
                break;
            }
            taken += length + size;
            advance += step;
            if end {
                break;
            }
        }
        if taken == 0 { NONE } else { (advance as u16) << 8 | taken as u16 }
    }
}

/// What `size` bits stand for, at least one (T.81, F.2.2.1).
#[inline(always)]
fn signed(bits: u32, size: u32) -> i32 {
    let below = if bits >> (size - 1) == 0 { (1 << size) - 1 } else { 0 };
    bits as i32 - below
}

/// Reads a segment from whose bytes the stuffing was taken out.
pub(super) struct Bits<'a> {
    /// With 16 bytes of padding.
    data: &'a [u8],
    at: usize,
    /// The next bits, the first one highest.
    buffer: u64,
    /// How many of them count.
    count: u32,
    overrun: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0, overrun: false }
    }

    /// Whether more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        let taken = 8 * self.at - self.count as usize;
        self.overrun || taken > 8 * self.data.len().saturating_sub(PADDING)
    }

    /// Makes at least 56 bits count (F. Giesen, "Reading bits in far too many ways", part 2, variant 4).
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(word) = self.data.get(self.at..).and_then(|rest| rest.first_chunk()) {
            self.buffer |= u64::from_be_bytes(*word) >> self.count;
            self.at += ((63 - self.count) >> 3) as usize;
        } else {
            self.overrun = true;
        }
        self.count |= 56;
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// The next symbol; 16 bits must count.
    #[inline(always)]
    fn symbol(&mut self, table: &Table) -> Option<u32> {
        let entry = table.look[(self.buffer >> (64 - LOOK)) as usize];
        if entry != 0 {
            self.take(u32::from(entry >> 8));
            return Some(u32::from(entry & 0xFF));
        }
        let bits = (self.buffer >> 48) as u32;
        let length = (LOOK + 1..=16).find(|length| bits < table.longer[*length as usize])?;
        let place = (bits >> (16 - length)) as i32 + table.offset[length as usize];
        self.take(length);
        table.symbols.get(place as usize).map(|symbol| u32::from(*symbol))
    }

    /// A value of `size` bits, at most 15.
    #[inline(always)]
    fn value(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        let bits = (self.buffer >> (64 - size)) as u32;
        self.take(size);
        signed(bits, size)
    }

    /// The difference of a block's mean from the last one's.
    #[inline(always)]
    pub(super) fn mean(&mut self, table: &Table) -> Option<i32> {
        self.refill();
        let size = self.symbol(table)?;
        if size > 15 { None } else { Some(self.value(size)) }
    }

    /// The coefficients of a block in zigzag order before `before`, given to `keep` with their places; the others are
    /// passed over.
    #[inline(always)]
    pub(super) fn coefficients(
        &mut self,
        table: &Table,
        before: usize,
        mut keep: impl FnMut(usize, i32),
    ) -> Option<()> {
        let mut place = 1;
        while place < before as u32 {
            let (at, value) = self.coefficient(table, place)?;
            if at >= 64 {
                return Some(());
            }
            keep(at as usize, value);
            place = at + 1;
        }
        self.pass(table, place)
    }

    /// The next coefficient, by its place and value; 64 where there is none.
    #[inline(always)]
    fn coefficient(&mut self, table: &Table, place: u32) -> Option<(u32, i32)> {
        self.refill();
        let (value, run, taken) = table.whole[(self.buffer >> (64 - LOOK)) as usize];
        if taken > 0 {
            self.take(u32::from(taken));
            let at = place + u32::from(run);
            return if at < 64 { Some((at, i32::from(value))) } else { None };
        }
        let symbol = self.symbol(table)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        match (run, size) {
            (0, 0) => Some((64, 0)),
            (15, 0) if place + 15 < 64 => Some((place + 15, 0)),
            (_, 0) => None,
            _ if place + run < 64 => Some((place + run, self.value(size))),
            _ => None,
        }
    }

    /// Passes over the rest of a block.
    #[inline(always)]
    fn pass(&mut self, table: &Table, mut place: u32) -> Option<()> {
        while place < 64 {
            self.refill();
            for _ in 0..56 / LOOK {
                let entry = table.skip[(self.buffer >> (64 - LOOK)) as usize];
                let to = place + u32::from(entry >> 8);
                if to < 64 {
                    self.take(u32::from(entry & 0xFF));
                    place = to;
                } else if to == 64 || (END..END + 64).contains(&to) {
                    self.take(u32::from(entry & 0xFF));
                    return Some(());
                } else {
                    // A long code, or codes beyond the block's end among those of the entry.
                    let (at, _) = self.coefficient(table, place)?;
                    place = at + 1;
                    break;
                }
            }
        }
        Some(())
    }
}

/// Bytes of zeros after a segment.
const PADDING: usize = 16;

/// Copies the segment at `at` without stuffed bytes; gives the place of the marker after it. `None` if there is none.
pub(super) fn segment(bytes: &[u8], mut at: usize, into: &mut Vec<u8>) -> Option<usize> {
    into.clear();
    loop {
        let rest = bytes.get(at..)?;
        let length = rest.iter().position(|byte| *byte == 0xFF)?;
        into.extend_from_slice(&rest[..length]);
        at += length;
        match rest.get(length + 1)? {
            0 => {
                into.push(0xFF);
                at += 2;
            }
            // A fill byte.
            0xFF => at += 1,
            _ => {
                into.resize(into.len() + PADDING, 0);
                return Some(at);
            }
        }
    }
}

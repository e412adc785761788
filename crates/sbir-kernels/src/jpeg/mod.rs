//! JPEG files at a half, a quarter or an eighth of their scale.
//!
//! Most of a photo's coefficients then decide nothing that is seen. They are passed over several at a time, by a table
//! of what lies within the next twelve bits, and only the first ones of a block are transformed. Sequential Huffman
//! coding with 8 bits, in one scan, grey or YCbCr, as cameras write it; for everything else there are whole decoders.

mod block;
mod entropy;
#[cfg(test)]
mod tests;

use block::{Line, ZIGZAG};
use entropy::{Bits, Table};

/// A picture at a fraction of its scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The width in pixels: that of the file divided by the factor, rounded up.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// The values, `[height, width, channels]`.
    pub pixels: Vec<u8>,
}

/// Decodes a JPEG at one part in `factor` (2, 4 or 8) of its scale: each pixel is about the mean of `factor` by
/// `factor` pixels. `None` if the file is of a kind that this does not know, or has a fault. The memory that it takes
/// grows with the size that the header gives, which is for the caller to check.
pub fn reduced(bytes: &[u8], factor: usize) -> Option<Reduced> {
    if !matches!(factor, 2 | 4 | 8) {
        return None;
    }
    Header::read(bytes)?.decode(bytes, factor)
}

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    /// Blocks of a unit, across and down.
    sampling: [usize; 2],
    quantisation: usize,
    mean_table: usize,
    table: usize,
}

/// What stands before the coded data.
#[derive(Default)]
struct Header {
    size: [usize; 2],
    components: Vec<Component>,
    /// In zigzag order.
    quantisation: [Option<[u16; 64]>; 4],
    mean_tables: [Option<Table>; 4],
    tables: [Option<Table>; 4],
    /// Units between restart markers; 0 for none.
    restart: usize,
    /// Where the coded data begin.
    scan: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])))
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..2)? != [0xFF, 0xD8] {
            return None;
        }
        let mut header = Self::default();
        let mut at = 2;
        loop {
            if *bytes.get(at)? != 0xFF {
                return None;
            }
            let marker = *bytes.get(at + 1)?;
            if marker == 0xFF {
                at += 1;
                continue;
            }
            let length = word(bytes, at + 2)?;
            let segment = bytes.get(at + 4..at + 2 + length)?;
            at += 2 + length;
            match marker {
                0xC0 | 0xC1 => header.frame(segment)?,
                0xC4 => header.huffman(segment)?,
                0xDB => header.quantisers(segment)?,
                0xDD => header.restart = word(segment, 0)?,
                // Adobe's: the values may be RGB.
                0xEE if segment.starts_with(b"Adobe") => {
                    if *segment.get(11)? != 1 && header.components.len() != 1 {
                        return None;
                    }
                }
                0xDA => {
                    header.scan = at;
                    return header.begin(segment).map(|()| header);
                }
                // Comments and what applications say.
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        if !self.components.is_empty() || *segment.first()? != 8 {
            return None;
        }
        self.size = [word(segment, 3)?, word(segment, 1)?];
        let count = usize::from(*segment.get(5)?);
        if self.size.contains(&0) || !matches!(count, 1 | 3) || segment.len() != 6 + 3 * count {
            return None;
        }
        for one in segment[6..].chunks_exact(3) {
            let mut sampling = [one[1] >> 4, one[1] & 15].map(usize::from);
            let quantisation = usize::from(one[2]);
            if sampling.iter().any(|factor| !matches!(factor, 1 | 2 | 4)) || quantisation > 3 {
                return None;
            }
            if count == 1 {
                // A scan of one component goes block by block.
                sampling = [1, 1];
            }
            let component = Component { id: one[0], sampling, quantisation, ..Default::default() };
            self.components.push(component);
        }
        let ids = self.components.iter().map(|component| component.id);
        if ids.eq(*b"RGB") { None } else { Some(()) }
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match kind >> 4 {
                0 => &mut self.mean_tables,
                1 => &mut self.tables,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Table::new(counts, symbols)?);
            segment = rest;
        }
        Some(())
    }

    fn quantisers(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let wide = match kind >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let (values, rest) = rest.split_at_checked(64 * wide)?;
            let mut table = [0; 64];
            for (to, from) in table.iter_mut().zip(values.chunks_exact(wide)) {
                *to = from.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
            }
            *self.quantisation.get_mut(usize::from(kind & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    /// The head of the one scan.
    fn begin(&mut self, segment: &[u8]) -> Option<()> {
        let count = usize::from(*segment.first()?);
        if count == 0 || count != self.components.len() || segment.len() != 4 + 2 * count {
            return None;
        }
        for (component, one) in self.components.iter_mut().zip(segment[1..].chunks_exact(2)) {
            if component.id != one[0] || one[1] >> 4 > 3 || one[1] & 15 > 3 {
                return None;
            }
            component.mean_table = usize::from(one[1] >> 4);
            component.table = usize::from(one[1] & 15);
        }
        (segment[1 + 2 * count..] == [0, 63, 0]).then_some(())
    }

    fn decode(&self, bytes: &[u8], factor: usize) -> Option<Reduced> {
        let most = [0, 1].map(|axis| {
            self.components.iter().map(|component| component.sampling[axis]).max().unwrap_or(1)
        });
        let units = [0, 1].map(|axis| self.size[axis].div_ceil(8 * most[axis]));
        let [width, height] = self.size.map(|side| side.div_ceil(factor));
        let stride = units[0] * most[0] * 8 / factor;
        let rows = units[1] * most[1] * 8 / factor;
        let mut parts = Vec::with_capacity(self.components.len());
        for (place, component) in self.components.iter().enumerate() {
            let mut pixels = [0; 2];
            for axis in 0..2 {
                // Coarser components are reduced by less, so that no pixel is to be made up between theirs.
                let ratio = most[axis] / component.sampling[axis];
                pixels[axis] = 8 / factor * ratio;
                if ratio * component.sampling[axis] != most[axis] || pixels[axis] > 8 {
                    return None;
                }
            }
            let lines = pixels.map(|pixels| Line::new(pixels, place == 0));
            parts.push(Part {
                sampling: component.sampling,
                needed: Line::needed(&lines[0], &lines[1]),
                lines,
                quantiser: self.quantisation[component.quantisation].as_ref()?.map(f32::from),
                mean_table: self.mean_tables[component.mean_table].as_ref()?,
                table: self.tables[component.table].as_ref()?,
                mean: 0,
                values: [0.0; 64],
                plane: vec![0; stride * rows],
                stride,
            });
        }
        self.scan(bytes, units, &mut parts)?;
        let planes: Vec<&[u8]> = parts.iter().map(|part| part.plane.as_slice()).collect();
        let channels = planes.len();
        let mut pixels = Vec::with_capacity(width * height * channels);
        for row in 0..height {
            let of = |plane: usize| &planes[plane][row * stride..][..width];
            if channels == 1 {
                pixels.extend_from_slice(of(0));
            } else {
                let colours = of(1).iter().zip(of(2));
                pixels
                    .extend(of(0).iter().zip(colours).flat_map(|(y, (cb, cr))| rgb(*y, *cb, *cr)));
            }
        }
        Some(Reduced { width, height, channels, pixels })
    }

    fn scan(&self, bytes: &[u8], units: [usize; 2], parts: &mut [Part<'_>]) -> Option<()> {
        let all = units[0] * units[1];
        let share = if self.restart == 0 { all } else { self.restart };
        let mut data = Vec::new();
        let mut at = self.scan;
        for (segment, first) in (0..all).step_by(share).enumerate() {
            if segment > 0 {
                // T.81, B.2.1: restart markers count to 7 and begin anew.
                if bytes.get(at..at + 2)? != [0xFF, 0xD0 + ((segment - 1) % 8) as u8] {
                    return None;
                }
                at += 2;
            }
            at = entropy::segment(bytes, at, &mut data)?;
            let mut bits = Bits::new(&data);
            parts.iter_mut().for_each(|part| part.mean = 0);
            let last = (first + share).min(all);
            let mut unit = first;
            while unit < last {
                let row = unit / units[0];
                let end = last.min((row + 1) * units[0]);
                for unit in unit..end {
                    for part in &mut *parts {
                        part.unit(&mut bits, [unit % units[0], row])?;
                    }
                }
                if bits.overrun() {
                    return None;
                }
                unit = end;
            }
        }
        Some(())
    }
}

/// A component while it is decoded.
struct Part<'a> {
    sampling: [usize; 2],
    /// Across and down.
    lines: [Line; 2],
    needed: usize,
    quantiser: [f32; 64],
    mean_table: &'a Table,
    table: &'a Table,
    /// The last block's.
    mean: i32,
    /// A block's coefficients; between blocks, zeros.
    values: [f32; 64],
    plane: Vec<u8>,
    stride: usize,
}

impl Part<'_> {
    /// The blocks of a unit.
    #[inline(always)]
    fn unit(&mut self, bits: &mut Bits<'_>, at: [usize; 2]) -> Option<()> {
        for down in 0..self.sampling[1] {
            for across in 0..self.sampling[0] {
                let column = (at[0] * self.sampling[0] + across) * self.lines[0].pixels;
                let row = (at[1] * self.sampling[1] + down) * self.lines[1].pixels;
                self.block(bits, row * self.stride + column)?;
            }
        }
        Some(())
    }

    #[inline(always)]
    fn block(&mut self, bits: &mut Bits<'_>, place: usize) -> Option<()> {
        self.mean = self.mean.wrapping_add(bits.mean(self.mean_table)?);
        let mean = self.mean as f32 * self.quantiser[0];
        if self.needed == 1 {
            bits.coefficients(self.table, 1, |_, _| {})?;
            self.plane[place] = block::flat(mean);
            return Some(());
        }
        let Self { values, quantiser, .. } = self;
        let mut only_mean = true;
        bits.coefficients(self.table, self.needed, |at, value| {
            only_mean = false;
            values[usize::from(ZIGZAG[at])] = value as f32 * quantiser[at];
        })?;
        let [across, down] = &self.lines;
        let plane = &mut self.plane[place..];
        if only_mean {
            // As many blocks are, of colour above all.
            let pixel = block::flat(mean);
            for line in plane.chunks_mut(self.stride).take(down.pixels) {
                line[..across.pixels].fill(pixel);
            }
        } else {
            values[0] = mean;
            block::transform(values, across, down, plane, self.stride);
            *values = [0.0; 64];
        }
        Some(())
    }
}

/// JFIF's conversion, with 16 bits after the point.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let [y, cb, cr] = [i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128];
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb]
        .map(|value| ((value + 32_768) >> 16).clamp(0, 255) as u8)
}

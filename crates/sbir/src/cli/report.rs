//! The report of an evaluation, and facts about files that reports need.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use fs_err as fs;
use rayon::prelude::*;
use sbir_data::{PairSet, SketchSource};
use sbir_eval::atomic::AtomicFile;
use sbir_eval::report::{Entry, Picture, Report, Subject};
use sbir_sketch::Sketch;
use sbir_train::Evaluation;
use sha2::{Digest, Sha256};

use super::failure::Failure;

/// Longer side in pixels of pictures that a page holds itself.
const EMBEDDED_SIDE: u32 = 256;
/// Hexadecimal digits of a photo's digest.
const DIGITS: usize = 16;

/// Digest of each photo's file, in the order of the gallery.
pub(crate) fn digests(set: &PairSet) -> Result<Vec<String>, Failure> {
    set.photos
        .par_iter()
        .map(|photo| {
            let mut file = fs::File::open(&photo.path)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 16];
            loop {
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    break;
                }
                hash.update(&buffer[..length]);
            }
            let digest = hash.finalize();
            Ok(digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect())
        })
        .collect()
}

/// Writes the report of an evaluation of `set`: its sketches and their nearest photos.
///
/// With `embed`, the page holds its pictures itself.
pub(crate) fn write(
    path: &Path,
    set: &PairSet,
    evaluation: &Evaluation,
    facts: Vec<(String, String)>,
    embed: bool,
) -> Result<(), Failure> {
    let truth = set.truth();
    let report = Report {
        title: set.name.clone(),
        facts,
        summary: &evaluation.summary,
        ranking: &evaluation.ranking,
        truth: &truth,
        embed_images: embed,
    };
    report.write(path, &|subject| {
        Ok(match subject {
            Subject::Sketch(index) => {
                let pair = &set.pairs[index];
                let picture = match &pair.sketch {
                    SketchSource::Image(path) if embed => small_copy(path)?,
                    sketch => sketch_picture(sketch)?,
                };
                Entry { name: pair.id.clone(), picture }
            }
            Subject::Photo(index) => {
                let photo = &set.photos[index];
                let picture = if embed {
                    small_copy(&photo.path)?
                } else {
                    Picture::File(photo.path.clone())
                };
                Entry { name: photo.id.clone(), picture }
            }
        })
    })?;
    Ok(())
}

/// A JPEG as large as the page shows it, so that a page of thousands stays one that browsers open. Pixels as they are
/// stored, as the encoder saw them.
fn small_copy(path: &Path) -> Result<Picture, sbir_data::Error> {
    let bytes = sbir_data::thumbnail(path, &fs::read(path)?, EMBEDDED_SIDE)?;
    Ok(Picture::Data { mime: "image/jpeg".to_owned(), bytes })
}

/// A raster sketch's file, or strokes drawn as the encoder saw them.
fn sketch_picture(source: &SketchSource) -> Result<Picture, sbir_data::Error> {
    Ok(match source {
        SketchSource::Image(path) => Picture::File(path.clone()),
        SketchSource::StrokeFile(path) => Picture::Svg(drawing(&sbir_sketch::read_sketch(path)?)),
        SketchSource::Strokes(sketch) => Picture::Svg(drawing(sketch)),
        SketchSource::Drawing { photo, style } => {
            Picture::Svg(drawing(&sbir_data::drawing(photo, *style)?))
        }
    })
}

/// Strokes as an SVG document on a square of 256 units, lines as wide as the style `fscoco` has them.
pub(crate) fn drawing(sketch: &Sketch) -> String {
    const SIDE: f32 = 256.0;
    let scale = sketch.canvas.map(|extent| SIDE / extent);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\">\
         <rect width=\"{SIDE}\" height=\"{SIDE}\" fill=\"#fff\"/>\
         <g fill=\"none\" stroke=\"#000\" stroke-width=\"3\" stroke-linecap=\"round\" \
         stroke-linejoin=\"round\">"
    );
    for stroke in &sketch.strokes {
        svg.push_str("<path d=\"");
        for (index, [x, y]) in stroke.points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string does not fail.
            let _ = write!(svg, "{command}{:.1} {:.1}", x * scale[0], y * scale[1]);
        }
        if stroke.points.len() == 1 {
            svg.push_str("h0");
        }
        svg.push_str("\"/>");
    }
    svg.push_str("</g></svg>");
    svg
}

/// Checks before long work that the report can be written later.
pub(crate) fn check_place(path: &Path) -> Result<(), Failure> {
    AtomicFile::create(path)?;
    Ok(())
}

/// Date and time (UTC) for names that sort by time: `20261122-093015`.
pub(crate) fn time_stamp() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level
/// date algorithms").
fn civil_date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        // date -u -d @SECONDS +%F
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(951_782_400 / 86_400), (2000, 2, 29));
        assert_eq!(civil_date(1_795_305_600 / 86_400), (2026, 11, 22));
        assert_eq!(civil_date(4_107_542_400 / 86_400), (2100, 3, 1));
    }
}

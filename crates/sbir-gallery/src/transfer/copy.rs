//! From one store to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::{each_page, known};
use crate::error::{Error, Result};
use crate::store::{Photo, VectorStore};

/// How a copy goes.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Of how many photos, spread evenly, the vectors are compared at the end.
    pub compare: usize,
    /// Set to true by the caller to stop: what is copied so far is kept.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { compare: 1000, cancel: None }
    }
}

/// How a copy ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CopyReport {
    /// The photos of the store copied from.
    pub photos: u64,
    /// Photos that were written.
    pub copied: u64,
    /// Photos that were there already, as after an interrupted copy.
    pub present: u64,
    /// Photos of the other store that do not come from this one.
    pub others: u64,
    /// Photos whose vectors were compared.
    pub compared: u64,
    /// The least cosine similarity of a vector and its copy; NaN if one was none.
    pub least_similarity: f32,
    /// What is not as it should be, a line each.
    pub problems: Vec<String>,
}

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 20;
/// Vectors that are stored as f16 twice, and perhaps of unit length anew in between, are closer than this.
const SIMILAR: f32 = 0.999_9;

/// Copies every photo with its embedding, then verifies: counts, every photo by root and path, and some vectors. What the
/// other store has already is not written again, so that an interrupted copy goes on where it was. `progress` is called
/// with the number of photos done and their total, in each of both passes.
///
/// # Errors
/// If the stores are of different encoders, or one cannot be read or written.
pub fn copy(
    from: &dyn VectorStore,
    to: &dyn VectorStore,
    options: &CopyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CopyReport> {
    let stats = from.stats()?;
    let Some(space) = stats.space else { return Ok(CopyReport::default()) };
    to.ensure(&space)?;
    let cancelled = || options.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed));
    let mut report = CopyReport { least_similarity: 1.0, ..CopyReport::default() };
    each_page(from, |records| {
        if cancelled() {
            return Err(Error::Cancelled);
        }
        let known = known(to, &records)?;
        report.photos += records.len() as u64;
        let missing: Vec<_> = records
            .into_iter()
            .zip(known)
            .filter(|(record, known)| {
                !known.as_ref().is_some_and(|known| same(&record.photo, known))
            })
            .map(|(record, _)| record)
            .collect();
        to.upsert(&missing)?;
        report.copied += missing.len() as u64;
        progress(report.photos, stats.photos);
        Ok(())
    })?;
    report.present = report.photos - report.copied;
    to.settle()?;
    verify(from, to, options, &mut report, progress)?;
    Ok(report)
}

fn verify(
    from: &dyn VectorStore,
    to: &dyn VectorStore,
    options: &CopyOptions,
    report: &mut CopyReport,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let total = report.photos;
    let every = (total / (options.compare as u64).max(1)).max(1);
    let (mut seen, mut matched) = (0, 0);
    let mut problem = |line: String| {
        if report.problems.len() < MAX_PROBLEMS {
            report.problems.push(line);
        }
    };
    each_page(from, |records| {
        let copies = known(to, &records)?;
        let mut compared = Vec::new();
        for (record, copy) in records.into_iter().zip(copies) {
            match copy {
                Some(copy) if same(&record.photo, &copy) => {
                    matched += 1;
                    if seen % every == 0 {
                        compared.push((copy.id, record));
                    }
                }
                Some(_) => problem(format!("{}: differs", record.photo.display())),
                None => problem(format!("{}: missing", record.photo.display())),
            }
            seen += 1;
        }
        let ids: Vec<_> = compared.iter().map(|(id, _)| *id).collect();
        let copies = to.get(&ids)?;
        for (id, record) in compared {
            let copy = copies.iter().find(|copy| copy.photo.id == id);
            let similarity = copy.map_or(0.0, |copy| cosine(&copy.embedding, &record.embedding));
            report.compared += 1;
            // NaN, which a vector without a length gives, is less than any number, and stays the least.
            if similarity.is_nan() || similarity < report.least_similarity {
                report.least_similarity = similarity;
            }
            if similarity.is_nan() || similarity < SIMILAR {
                problem(format!("{}: another vector, cosine {similarity}", record.photo.display()));
            }
        }
        progress(seen, total);
        Ok(())
    })?;
    if seen != total {
        problem(format!("{} had {total} photos at first and {seen} at last", from.name()));
    }
    let held = to.stats()?.photos;
    report.others = held.saturating_sub(matched);
    if held < matched {
        problem(format!("{} says that it has {held} photos, and gave {matched}", to.name()));
    }
    Ok(())
}

/// Whether all but the id is equal.
fn same(a: &Photo, b: &Photo) -> bool {
    *a == Photo { id: a.id, ..b.clone() }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}

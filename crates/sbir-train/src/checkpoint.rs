//! Checkpoints: weights, optimiser state by parameter path, and the place in the run.
//!
//! One safetensors file holds it all, so there is no moment at which half of a checkpoint exists: it
//! is written beside its place, flushed to the disk, and renamed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sbir_encoder::weights::{StateDict, Stored, TensorEntry, TensorValues, save_safetensors};
use sbir_encoder::{Parameters, Values};
use sbir_eval::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::optimizer::{Adam, AdamConfig};

/// Key of the metadata entry that holds the [`Place`].
const PLACE: &str = "sbir.place";
/// How many checkpoints beside the best are kept.
const KEPT: usize = 2;
const BEST: &str = "best.safetensors";
/// Prefixes of a parameter's value, and of its first and second moment.
const MODEL: &str = "model";
const FIRST: &str = "adam.m";
const SECOND: &str = "adam.v";
const SUFFIX: &str = ".safetensors";

/// Where a run stands: what has been done, and what the next step needs to be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Epoch of the next batch, from 0.
    pub epoch: u64,
    /// Next batch within that epoch's shuffle, from 0.
    pub batch: usize,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Losses since the last printed line.
    pub recent_losses: Vec<f32>,
    /// Best recall@1 so far, with its epoch.
    pub best: Option<(f64, u64)>,
    /// Training pairs, to notice changed data.
    pub pairs: usize,
    /// Digest of the training pairs' names in order.
    pub data: String,
}

/// A run's state as read back.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Where the run stands.
    pub(crate) place: Place,
    /// The parameters on the device.
    pub(crate) parameters: Parameters,
    /// The optimiser.
    pub(crate) adam: Adam,
}

/// Writes a checkpoint into `folder` and removes all but the newest two and the best.
///
/// # Errors
/// I/O errors name the path; nothing half-written is left, and older checkpoints stay.
pub(crate) fn save(
    folder: &Path,
    place: &Place,
    parameters: &Parameters,
    adam: &Adam,
) -> Result<PathBuf, Error> {
    let path = folder.join(format!("step-{:09}{SUFFIX}", place.steps));
    let mut entries = Vec::with_capacity(3 * parameters.len());
    for (parameter, [first, second]) in parameters.iter().zip(adam.moments()) {
        for (kind, values) in [(MODEL, &parameter.value), (FIRST, first), (SECOND, second)] {
            let name = format!("{kind}.{}", parameter.name);
            entries.push(TensorValues::new(name, parameter.shape.clone(), values.to_host()));
        }
    }
    let text = serde_json::to_string(place).map_err(std::io::Error::from)?;
    let metadata = BTreeMap::from([(PLACE.to_owned(), text)]);
    save_safetensors(&path, &entries, &metadata, Stored::F32).map_err(sbir_encoder::Error::from)?;
    for old in list(folder)?.into_iter().rev().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(path)
}

/// Marks a checkpoint as the best so far.
///
/// # Errors
/// I/O errors name the path.
pub(crate) fn mark_best(folder: &Path, checkpoint: &Path) -> Result<(), Error> {
    let bytes = fs::read(checkpoint)?;
    write_atomically(&folder.join(BEST), |writer| writer.write_all(&bytes))?;
    Ok(())
}

/// Removes temporary files that a killed write left behind.
///
/// # Errors
/// I/O errors name the path.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Checkpoints in `folder`, oldest first, without the best.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("step-") && name.ends_with(SUFFIX) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The newest checkpoint of a run folder; `None` where the run was stopped before its first.
///
/// # Errors
/// I/O errors name the path.
pub(crate) fn newest(folder: &Path) -> Result<Option<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(list(folder)?.pop())
}

/// Reads a checkpoint back onto the device of `like`, whose names and shapes it must have.
///
/// # Errors
/// [`Error::RunFile`] where a key is missing, of another shape, or the place is unreadable.
pub(crate) fn load(path: &Path, like: &Parameters, config: AdamConfig) -> Result<Restored, Error> {
    let problem = |problem: String| Error::RunFile { path: path.to_owned(), problem };
    let state = StateDict::open(path).map_err(sbir_encoder::Error::from)?;
    let text = state.metadata().get(PLACE).ok_or_else(|| problem("holds no place".to_owned()))?;
    let place: Place = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
    let read = |kind: &str, parameter: &sbir_encoder::Parameter| -> Result<Vec<f32>, Error> {
        let name = format!("{kind}.{}", parameter.name);
        match state.get(&name).map(TensorEntry::shape) {
            Some(shape) if shape == parameter.shape => {
                state.read_f32(&name).map_err(sbir_encoder::Error::from).map_err(Error::from)
            }
            Some(shape) => Err(problem(format!(
                "{name} has shape {shape:?} where the encoder has {:?}",
                parameter.shape
            ))),
            None => Err(problem(format!("{name} is missing"))),
        }
    };
    let device = like.device();
    let mut values = Vec::with_capacity(like.len());
    let mut moments = Vec::with_capacity(like.len());
    for parameter in like {
        values.push((parameter.name.clone(), parameter.shape.clone(), read(MODEL, parameter)?));
        let moment = |kind| Ok::<_, Error>(Values::new(read(kind, parameter)?, device));
        moments.push([moment(FIRST)?, moment(SECOND)?]);
    }
    let parameters = Parameters::from_values(values, device);
    let adam = Adam::restore(config, place.steps, moments);
    Ok(Restored { place, parameters, adam })
}

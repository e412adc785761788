//! The training loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sbir_data::{Draw, PairSet, TrainingPictures, Transform, epoch_plan};
use sbir_encoder::{Encoder, PrecisionChoice};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::checkpoint::{self, Place};
use crate::config::TrainConfig;
use crate::evaluate::{Evaluation, evaluate};
use crate::gradients::Gradients;
use crate::memory::default_memory;
use crate::optimizer::Adam;
use crate::run::RunDir;
use crate::step::{HostBatch, StepOptions, loss_and_gradients};

/// Losses per printed line, as the origin has it.
const LOSSES_PER_LINE: usize = 5;
/// Evaluation uses three times the batch size, as the origin does.
const EVALUATION_FACTOR: usize = 3;

/// One optimiser step, done.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batch within the epoch, from 0.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Optimiser steps taken, this one included.
    pub steps: u64,
    /// Pairs in this batch.
    pub pairs: usize,
    /// The batch's loss.
    pub loss: f32,
    /// Mean of the last five losses, with every fifth batch of an epoch.
    pub mean_loss: Option<f32>,
}

/// One epoch, done and evaluated.
#[derive(Debug)]
pub struct EpochEvent<'a> {
    /// Epoch, from 0.
    pub epoch: u64,
    /// The encoder as it is now.
    pub encoder: &'a Encoder,
    /// The validation pairs.
    pub validation: &'a PairSet,
    /// Ranking and metrics; `None` where there are no validation pairs.
    pub evaluation: Option<&'a Evaluation>,
}

/// Told what happens. Its errors stop the run; the state so far has been kept.
pub trait Monitor {
    /// Why a caller's own work failed.
    type Error;

    /// After every step.
    fn step(&mut self, event: &StepEvent) -> Result<(), Self::Error>;

    /// While an epoch's evaluation embeds pictures: how many more are done.
    fn evaluating(&mut self, pictures: usize);

    /// After every epoch.
    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<(), Self::Error>;
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome<E> {
    /// All epochs are done.
    Finished {
        /// The trained encoder.
        encoder: Box<Encoder>,
    },
    /// It was asked to stop; the state has been kept in this checkpoint.
    Interrupted {
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// The monitor failed.
    Failed(E),
}

#[derive(Serialize)]
struct StepLine {
    step: u64,
    epoch: u64,
    batch: usize,
    loss: f32,
    precision: PrecisionChoice,
    /// The step itself.
    seconds: f64,
    /// What its pictures were waited for before it.
    waited: f64,
}

#[derive(Serialize)]
struct EpochLine<'a> {
    step: u64,
    epoch: u64,
    precision: PrecisionChoice,
    evaluation: &'a sbir_eval::Summary,
}

/// A training run, ready to go.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    run: RunDir,
    train: Arc<PairSet>,
    validation: PairSet,
    transform: Transform,
    encoder: Encoder,
    adam: Adam,
    /// Zero between steps; its memory is kept.
    gradients: Gradients,
    /// Bytes for what is kept from the forward to the backward pass.
    memory: u64,
    place: Place,
    threads: usize,
    /// The same in every epoch.
    batches_per_epoch: usize,
}

impl Trainer {
    /// Prepares a run from its beginning. The encoder's precision is the run's.
    ///
    /// # Errors
    /// [`Error::Config`] for values out of range, [`Error::Empty`] for a training set without pairs.
    pub fn new(
        config: TrainConfig,
        run: RunDir,
        train: PairSet,
        validation: PairSet,
        transform: Transform,
        encoder: Encoder,
        threads: usize,
    ) -> Result<Self, Error> {
        config.validate()?;
        if train.is_empty() {
            let remedy = "training needs sketches with their photos";
            return Err(Error::Empty { set: train.name, remedy });
        }
        let place = Place {
            epoch: 0,
            batch: 0,
            steps: 0,
            recent_losses: Vec::new(),
            best: None,
            pairs: train.len(),
            data: digest(&train),
        };
        let encoder = encoder.with_norm_epsilon(config.norm_epsilon);
        let adam = Adam::new(config.adam, encoder.parameters());
        let gradients = Gradients::zeros(encoder.parameters());
        let batches_per_epoch =
            epoch_plan(&train, &config.sampling, config.seed, 0, config.batch_size).len();
        if batches_per_epoch == 0 {
            let remedy = "the weights of the datasets leave nothing to train on";
            return Err(Error::Empty { set: train.name, remedy });
        }
        let train = Arc::new(train);
        Ok(Self {
            batches_per_epoch,
            memory: config.memory.unwrap_or_else(default_memory),
            config,
            run,
            train,
            validation,
            transform,
            encoder,
            adam,
            gradients,
            place,
            threads,
        })
    }

    fn restore(&mut self, restored: checkpoint::Restored) -> Result<(), Error> {
        let checkpoint::Restored { place, parameters, adam } = restored;
        if (place.pairs, &place.data) != (self.place.pairs, &self.place.data) {
            return Err(Error::DataChanged { expected: place.pairs, found: self.place.pairs });
        }
        self.encoder = self.encoder.with_parameters(parameters);
        self.adam = adam;
        self.place = place;
        Ok(())
    }

    /// The run folder.
    pub fn run_dir(&self) -> &RunDir {
        &self.run
    }

    /// Where the run stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Batches in an epoch; the last, smaller one is kept.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches_per_epoch
    }

    fn plan(&self, epoch: u64) -> Vec<Vec<Draw>> {
        let TrainConfig { sampling, seed, batch_size, .. } = &self.config;
        epoch_plan(&self.train, sampling, *seed, epoch, *batch_size)
    }

    /// Pictures that one evaluation embeds.
    pub fn evaluation_pictures(&self) -> usize {
        self.validation.pairs.len() + self.validation.photos.len()
    }

    /// Trains to the last epoch. `stop` is looked at after every step: once set, the state is kept
    /// and the run ends.
    ///
    /// # Errors
    /// [`Error::Diverged`] for a loss that is not finite (the last good checkpoint stays), the first
    /// unreadable picture, and I/O errors.
    pub fn run<M: Monitor>(
        mut self,
        monitor: &mut M,
        stop: &AtomicBool,
    ) -> Result<Outcome<M::Error>, Error> {
        let pictures = TrainingPictures::new(
            Arc::clone(&self.train),
            self.transform.clone(),
            self.config.augmentation,
            self.config.seed,
            self.config.cache_bytes,
        );
        let mut saved = Instant::now();
        while self.place.epoch < self.config.epochs {
            let epoch = self.place.epoch;
            let plan = self.plan(epoch);
            let rest = &plan[self.place.batch.min(plan.len())..];
            let mut batches = pictures.batches(rest, epoch, self.threads);
            loop {
                let asked = Instant::now();
                let Some(batch) = batches.next() else { break };
                let batch = host_batch(batch?);
                let event = self.step(&batch, asked.elapsed())?;
                if let Err(error) = monitor.step(&event) {
                    return Ok(Outcome::Failed(error));
                }
                let stopping = stop.load(Ordering::Relaxed);
                let due =
                    saved.elapsed() >= Duration::from_secs_f64(self.config.checkpoint_seconds);
                let last = self.place.batch == self.batches_per_epoch();
                if stopping || (due && !last) {
                    let checkpoint = self.save()?;
                    saved = Instant::now();
                    if stopping {
                        return Ok(Outcome::Interrupted { checkpoint });
                    }
                }
            }
            let Some(evaluation) = self.evaluate(monitor, stop)? else {
                // Stopped while evaluating: the epoch's last step is kept, its evaluation is not.
                return Ok(Outcome::Interrupted { checkpoint: self.save()? });
            };
            let event = EpochEvent {
                epoch: self.place.epoch,
                encoder: &self.encoder,
                validation: &self.validation,
                evaluation: evaluation.as_ref(),
            };
            if let Err(error) = monitor.epoch(&event) {
                self.save()?;
                return Ok(Outcome::Failed(error));
            }
            self.finish_epoch(evaluation.as_ref())?;
            saved = Instant::now();
        }
        Ok(Outcome::Finished { encoder: Box::new(self.encoder) })
    }

    /// A step with a batch that was waited for so long.
    fn step(&mut self, batch: &HostBatch, waited: Duration) -> Result<StepEvent, Error> {
        let started = Instant::now();
        let options = StepOptions {
            loss: self.config.loss(),
            micro_batch: self.config.micro_batch,
            memory: self.memory,
            stochastic_depth: self.config.stochastic_depth,
            seed: self.config.seed,
        };
        let steps = self.place.steps;
        let loss = loss_and_gradients(&self.encoder, batch, steps, &options, &mut self.gradients);
        if !loss.is_finite() {
            let kept = match checkpoint::newest(&self.run.checkpoints())? {
                Some(path) => format!("the last good checkpoint is {}", path.display()),
                None => "no checkpoint was written before it".to_owned(),
            };
            return Err(Error::Diverged { loss, step: steps, epoch: self.place.epoch, kept });
        }
        let all = self.config.epochs * self.batches_per_epoch as u64;
        let factor = self.config.schedule.factor(steps, all);
        self.encoder.update(|parameters| self.adam.step(parameters, &mut self.gradients, factor));
        let batch_index = self.place.batch;
        self.place.steps += 1;
        self.place.batch += 1;
        self.place.recent_losses.push(loss);
        let mean_loss = (batch_index + 1).is_multiple_of(LOSSES_PER_LINE).then(|| {
            let recent = std::mem::take(&mut self.place.recent_losses);
            recent.iter().sum::<f32>() / recent.len() as f32
        });
        self.run.record(&StepLine {
            step: self.place.steps,
            epoch: self.place.epoch,
            batch: batch_index,
            loss,
            precision: self.config.precision,
            seconds: started.elapsed().as_secs_f64(),
            waited: waited.as_secs_f64(),
        })?;
        Ok(StepEvent {
            epoch: self.place.epoch,
            batch: batch_index,
            batches: self.batches_per_epoch(),
            steps: self.place.steps,
            pairs: batch.pairs(),
            loss,
            mean_loss,
        })
    }

    /// `None` where it was stopped; `Some(None)` where there is nothing to evaluate on.
    #[allow(clippy::option_option, reason = "stopped and nothing to do are different things")]
    fn evaluate<M: Monitor>(
        &self,
        monitor: &mut M,
        stop: &AtomicBool,
    ) -> Result<Option<Option<Evaluation>>, Error> {
        if self.validation.is_empty() {
            return Ok(Some(None));
        }
        let batch_size = EVALUATION_FACTOR * self.config.batch_size;
        let mut progress = |pictures: usize| {
            monitor.evaluating(pictures);
            !stop.load(Ordering::Relaxed)
        };
        let evaluation = evaluate(
            &self.encoder,
            &self.transform,
            &self.validation,
            batch_size,
            self.threads,
            &mut progress,
        )?;
        Ok(evaluation.map(Some))
    }

    /// Moves to the next epoch and keeps the state, as the best so far where it is.
    fn finish_epoch(&mut self, evaluation: Option<&Evaluation>) -> Result<(), Error> {
        let epoch = self.place.epoch;
        self.place.epoch += 1;
        self.place.batch = 0;
        self.place.recent_losses.clear();
        let mut is_best = false;
        if let Some(evaluation) = evaluation {
            let recall = evaluation.summary.recall[&1];
            is_best = self.place.best.is_none_or(|(best, _)| recall > best);
            if is_best {
                self.place.best = Some((recall, epoch));
            }
            self.run.record(&EpochLine {
                step: self.place.steps,
                epoch,
                precision: self.config.precision,
                evaluation: &evaluation.summary,
            })?;
        }
        let path = self.save()?;
        if is_best {
            checkpoint::mark_best(&self.run.checkpoints(), &path)?;
        }
        Ok(())
    }

    fn save(&self) -> Result<PathBuf, Error> {
        let folder = self.run.checkpoints();
        checkpoint::save(&folder, &self.place, self.encoder.parameters(), &self.adam)
    }

    /// Reads the newest checkpoint of the run folder and goes on from it; a run without one begins
    /// again. Returns the number of steps already taken.
    ///
    /// # Errors
    /// [`Error::DataChanged`] where the training pairs are not those of the run's beginning;
    /// [`Error::RunFile`] where the checkpoint does not fit the encoder.
    pub fn resume(&mut self) -> Result<u64, Error> {
        if let Some(path) = checkpoint::newest(&self.run.checkpoints())? {
            let like = self.encoder.parameters();
            self.restore(checkpoint::load(&path, like, self.config.adam)?)?;
        }
        self.run.keep_metrics(self.place.steps)?;
        Ok(self.place.steps)
    }

    /// Steps from here to the end of the last epoch.
    pub fn steps_left(&self) -> u64 {
        let all = self.config.epochs * self.batches_per_epoch() as u64;
        all.saturating_sub(self.place.steps)
    }
}

fn host_batch(batch: sbir_data::Batch) -> HostBatch {
    // Labels and photos are numbered apart, so their keys must not meet.
    let keys = batch
        .photo_indices
        .iter()
        .zip(&batch.labels)
        .map(|(&photo, label)| label.map_or(photo as u64, |label| 1 << 63 | u64::from(label)))
        .collect();
    HostBatch { sketches: batch.sketches, photos: batch.photos, keys, side: batch.side }
}

/// A digest of the training pairs' names in order.
fn digest(set: &PairSet) -> String {
    let mut hash = Sha256::new();
    for pair in &set.pairs {
        for part in [&pair.id, &set.photos[pair.photo].id] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

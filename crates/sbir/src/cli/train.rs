//! `sbir train`.

use std::path::{Path, PathBuf};

use sbir_data::{Orientation, mix};
use sbir_encoder::weights::Scheme;
use sbir_encoder::weights::fetch::{self, FetchOptions, Pretrained};
use sbir_encoder::{Encoder, EncoderConfig, NORM_EPSILON, PrecisionChoice, Preprocessing, Work};
use sbir_train::{
    AdamConfig, EpochEvent, Init, Monitor, Outcome, RunDir, StepEvent, TrainConfig, Trainer,
};
use serde::Serialize;

use super::args::TrainArgs;
use super::failure::Failure;
use super::progress::Progress;
use super::{compute, interrupt, output, pairs, report};

/// Folder of runs that are not named.
const RUNS: &str = "runs";

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    let (mut config, run_path) = match &args.resume {
        Some(run) => resumed(args, run.as_deref())?,
        None => fresh(args)?,
    };
    config.validate().map_err(|error| Failure::Usage(error.to_string()))?;
    report::check_place(&args.html)?;
    let options = sbir_data::OpenOptions {
        kind: config.dataset,
        unseen: config.val_unseen,
        sketches: config.sketches,
        holdout: config.holdout,
    };
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for root in &config.data {
        let dataset = pairs::open_and_tell(root, &options)?;
        dataset.training_set()?;
        train.push(dataset.train);
        validation.push(dataset.validation);
    }
    let (train, validation) = (mix(train), mix(validation));
    let (selected, threads) = compute::prepare(&args.compute, Some(config.device))?;
    let precision = config.precision.resolve(Work::Train, &config.encoder, &selected)?;
    config.precision = precision.into();
    let resuming = args.resume.is_some();
    let encoder = if resuming && RunDir::has_checkpoint(&run_path)? {
        // Its weights are in the checkpoint: where they first came from need not be there any more.
        let (architecture, preprocessing) = (config.encoder.clone(), config.preprocessing);
        Encoder::random(architecture, preprocessing, config.seed, 0.0, &selected.device)
    } else {
        first_encoder(&config, &selected.device)?
    };
    let encoder = encoder.with_precision(precision);
    let transform = pairs::transform(config.preprocessing, config.alpha, Orientation::Ignore);

    let run_dir = if resuming {
        RunDir::open(&run_path)?
    } else {
        config.micro_batch = sbir_train::micro_batch(
            &encoder,
            config.preprocessing.image_size,
            config.batch_size,
            args.micro_batch,
            config.memory.unwrap_or_else(sbir_train::default_memory),
        );
        let run_dir = RunDir::create(&run_path, &config)?;
        let ids = validation.photos.iter().map(|photo| photo.id.as_str());
        run_dir.write_list("validation.txt", ids)?;
        run_dir
    };
    let trained_on = report::digests(&train)?;
    let mut trainer =
        Trainer::new(config, run_dir, train, validation, transform, encoder, threads)?;
    if resuming {
        let steps = trainer.resume()?;
        output::note(&format!("going on after step {steps} of {}", run_path.display()));
    }
    output::note(&format!("run folder: {}", run_path.display()));

    let total = trainer.steps_left();
    let mut monitor = Console {
        args,
        run: run_path.display().to_string(),
        progress: Progress::new("training", "steps", total),
        evaluating: None,
        pictures: trainer.evaluation_pictures() as u64,
        last: None,
    };
    let outcome = trainer.run(&mut monitor, stop);
    monitor.progress.finish();
    let last = monitor.last.take();
    match outcome? {
        Outcome::Finished { encoder } => {
            let model = run_path.join("model.safetensors");
            encoder.save(&model, trained_on)?;
            output::note(&format!("weights: {}", model.display()));
            if args.json {
                output::json(&Finished { run: run_path, model, evaluation: last })?;
            }
            Ok(())
        }
        Outcome::Interrupted { checkpoint } => Err(Failure::Interrupted(format!(
            "stopped; {} keeps the state, go on with: sbir train --resume {}",
            checkpoint.display(),
            run_path.display()
        ))),
        Outcome::Failed(failure) => Err(failure),
    }
}

/// What `--json` prints at the end.
#[derive(Serialize)]
struct Finished {
    run: PathBuf,
    model: PathBuf,
    evaluation: Option<sbir_eval::Summary>,
}

/// Configuration and folder of a new run.
fn fresh(args: &TrainArgs) -> Result<(TrainConfig, PathBuf), Failure> {
    let usage = |error: sbir_encoder::Error| Failure::Usage(error.to_string());
    let name = args.encoder.as_deref().unwrap_or("convnext_small");
    let encoder: EncoderConfig = name.parse().map_err(usage)?;
    let image_size = args.image_size.unwrap_or(224);
    let is_lite = matches!(encoder, EncoderConfig::Lite(_));
    if is_lite && args.stochastic_depth.is_some_and(|probability| probability > 0.0) {
        return Err(Failure::Usage("--stochastic-depth goes with ConvNeXt only".to_owned()));
    }
    let preprocessing =
        if is_lite { Preprocessing::lite(image_size) } else { Preprocessing::origin(image_size) };
    let preprocessing = preprocessing.map_err(usage)?;
    let preprocessing = pairs::adjusted(preprocessing, None, args.line.as_ref())?;
    let init = match args.init.as_deref().unwrap_or("imagenet") {
        "imagenet" => Init::Imagenet,
        "random" => Init::Random { layer_scale: args.layer_scale.unwrap_or(1e-6) },
        path => Init::Path(path.into()),
    };
    if args.layer_scale.is_some_and(|scale| !scale.is_finite()) {
        return Err(Failure::Usage("--layer-scale takes a finite number".to_owned()));
    }
    if args.layer_scale.is_some() && !matches!(init, Init::Random { .. }) {
        return Err(Failure::Usage("--layer-scale goes with --init random only".to_owned()));
    }
    let batch_size = args.batch_size.unwrap_or(60);
    let data = if args.data.is_empty() { vec!["fscoco".into()] } else { args.data.clone() };
    let config = TrainConfig {
        data,
        dataset: args.pairs.dataset,
        val_unseen: args.pairs.val_unseen,
        sketches: args.pairs.sketches.unwrap_or_default(),
        holdout: pairs::hold_out(&args.pairs, args.seed.unwrap_or(42))?,
        alpha: pairs::alpha(args.pairs.origin_pixels),
        encoder,
        init,
        preprocessing,
        epochs: args.epochs.unwrap_or(10),
        batch_size,
        // By memory, once the encoder is there.
        micro_batch: args.micro_batch.unwrap_or(batch_size),
        memory: args.memory,
        temperature: args.temp.unwrap_or(0.05),
        label_smoothing: args.label_smoothing.unwrap_or(0.0),
        both_ways: args.both_ways,
        schedule: args.schedule.unwrap_or_default(),
        adam: AdamConfig {
            learning_rate: args.lr.unwrap_or(1e-4),
            epsilon: args.adam_eps.unwrap_or(AdamConfig::default().epsilon),
            ..AdamConfig::default()
        },
        augmentation: args.augment.unwrap_or_default(),
        stochastic_depth: args.stochastic_depth.unwrap_or(if is_lite { 0.0 } else { 0.4 }),
        sampling: args.sampling(),
        cache_bytes: args.cache_mb.map_or(sbir_data::CACHE_BYTES, |mib| (mib as usize) << 20),
        norm_epsilon: args.norm_eps.unwrap_or(NORM_EPSILON),
        seed: args.seed.unwrap_or(42),
        device: args.compute.device.unwrap_or_default(),
        precision: args.compute.precision.unwrap_or_default(),
        checkpoint_seconds: args.checkpoint_seconds.unwrap_or(300.0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let run = args.run_dir.clone().unwrap_or_else(|| {
        let name = config.encoder.to_string().replace(':', "_");
        Path::new(RUNS).join(format!("{}-{name}", report::time_stamp()))
    });
    Ok((config, run))
}

/// Configuration and folder of a run to go on with. Options that would change its numbers are
/// refused where they differ.
fn resumed(args: &TrainArgs, run: Option<&Path>) -> Result<(TrainConfig, PathBuf), Failure> {
    let path = match run {
        Some(path) => path.to_owned(),
        None => match &args.run_dir {
            Some(path) => path.clone(),
            None => RunDir::newest(Path::new(RUNS))?,
        },
    };
    let mut config = RunDir::config(&path)?;
    let precision = args.compute.precision.filter(|choice| *choice != PrecisionChoice::Auto);
    let fixed = [
        ("DATA", !args.data.is_empty() && args.data != config.data),
        ("--lr", args.lr.is_some_and(|x| x != config.adam.learning_rate)),
        ("--temp", args.temp.is_some_and(|x| x != config.temperature)),
        ("--batch-size", args.batch_size.is_some_and(|x| x != config.batch_size)),
        ("--seed", args.seed.is_some_and(|x| x != config.seed)),
        ("--val-unseen", args.pairs.val_unseen && !config.val_unseen),
        ("--dataset", args.pairs.dataset.is_some_and(|x| Some(x) != config.dataset)),
        ("--sketches", args.pairs.sketches.is_some_and(|x| x != config.sketches)),
        ("--holdout", args.pairs.holdout.is_some_and(|x| x != config.holdout.share)),
        ("--encoder", args.encoder.as_ref().is_some_and(|x| *x != config.encoder.to_string())),
        ("--init", args.init.is_some()),
        ("--image-size", args.image_size.is_some_and(|x| x != config.preprocessing.image_size)),
        ("--one-set", args.one_set && !config.sampling.one_set),
        ("--set-weights", args.set_weights.as_ref().is_some_and(|x| *x != config.sampling.weights)),
        ("--epoch-pairs", args.epoch_pairs.is_some_and(|x| x != config.sampling.pairs)),
        ("--augment", args.augment.is_some_and(|x| x != config.augmentation)),
        ("--stochastic-depth", args.stochastic_depth.is_some_and(|x| x != config.stochastic_depth)),
        ("--precision", precision.is_some_and(|x| x != config.precision)),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, differs)| *differs) {
        return Err(Failure::Usage(format!(
            "{option} differs from the run in {}; leave it out to go on, or start a new run without --resume",
            path.display()
        )));
    }
    config.epochs = args.epochs.unwrap_or(config.epochs);
    config.cache_bytes = args.cache_mb.map_or(config.cache_bytes, |mib| (mib as usize) << 20);
    config.memory = args.memory.or(config.memory);
    config.micro_batch = args.micro_batch.unwrap_or(config.micro_batch);
    config.checkpoint_seconds = args.checkpoint_seconds.unwrap_or(config.checkpoint_seconds);
    Ok((config, path))
}

/// The encoder that a run starts with.
fn first_encoder(config: &TrainConfig, device: &sbir_encoder::Device) -> Result<Encoder, Failure> {
    let path = match &config.init {
        Init::Random { layer_scale } => {
            let (architecture, preprocessing) = (config.encoder.clone(), config.preprocessing);
            let seed = config.seed;
            return Ok(Encoder::random(architecture, preprocessing, seed, *layer_scale, device));
        }
        Init::Imagenet => fetch_weights(&config.encoder)?,
        Init::Path(path) => path.clone(),
    };
    let loaded = Encoder::load_as(&path, &config.encoder, device)?;
    if !loaded.dropped.is_empty() {
        output::note(&format!("{}: left out {}", path.display(), loaded.dropped.join(", ")));
    }
    Ok(loaded.encoder.with_preprocessing(config.preprocessing))
}

fn fetch_weights(encoder: &EncoderConfig) -> Result<PathBuf, Failure> {
    let name = encoder.to_string();
    let Some(weights) = Pretrained::ALL.into_iter().find(|weights| weights.encoder() == name)
    else {
        return Err(Failure::Usage(format!(
            "there are no ImageNet weights of {name} to fetch; choose --init random or --init PATH"
        )));
    };
    let mut bar: Option<Progress> = None;
    let mut progress = |event: fetch::Progress| match event {
        fetch::Progress::Waiting => output::note("another process is fetching these weights"),
        fetch::Progress::Bytes { done, total } => bar
            .get_or_insert_with(|| Progress::bytes("fetching weights", total.unwrap_or(done)))
            .set(done),
    };
    let options = FetchOptions::from_env().map_err(sbir_encoder::Error::from)?;
    Ok(fetch::fetch(weights.file(), &options, &mut progress).map_err(sbir_encoder::Error::from)?)
}

/// Prints what the origin prints, and keeps the report.
struct Console<'a> {
    args: &'a TrainArgs,
    run: String,
    progress: Progress,
    evaluating: Option<Progress>,
    pictures: u64,
    last: Option<sbir_eval::Summary>,
}

impl Console<'_> {
    /// A line of the origin's output: on standard output, or beside a JSON result on standard error.
    fn say(&self, text: &str) -> Result<(), Failure> {
        self.progress.suspend(|| {
            if self.args.json {
                output::note(text);
                Ok(())
            } else {
                output::line(text)
            }
        })
    }
}

impl Monitor for Console<'_> {
    type Error = Failure;

    fn step(&mut self, event: &StepEvent) -> Result<(), Failure> {
        self.progress.add(1);
        if let Some(mean) = event.mean_loss {
            self.say(&format!("[{:03}, {:03}] loss: {mean:.5}", event.epoch, event.batch))?;
        }
        Ok(())
    }

    fn evaluating(&mut self, pictures: usize) {
        let total = self.pictures;
        self.evaluating
            .get_or_insert_with(|| Progress::new("evaluating", "pictures", total))
            .add(pictures as u64);
    }

    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<(), Failure> {
        self.evaluating = None;
        self.say(&format!("EPOCH {}:", event.epoch))?;
        if let Some(evaluation) = event.evaluation {
            self.say(&evaluation.summary.lines())?;
            let facts = vec![
                ("epoch".to_owned(), event.epoch.to_string()),
                ("run".to_owned(), self.run.clone()),
            ];
            report::write(&self.args.html, event.validation, evaluation, facts, false)?;
            self.last = Some(evaluation.summary.clone());
        }
        if self.args.save {
            let path = PathBuf::from(format!("E{}_model.pth", event.epoch));
            event.encoder.write(&path, Scheme::Origin, None)?;
        }
        Ok(())
    }
}

//! What can be typed.
//!
//! Short help is the first line of each text here, long help all of it; completions and the man page
//! come from the same list.

mod gallery;
mod shards;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
pub(crate) use gallery::{
    CreateArgs, GalleryArgs, GalleryCommand, GalleryPlace, IndexArgs, SearchArgs, ServeArgs,
};
use sbir_data::{DatasetKind, SketchKind};
use sbir_encoder::weights::Scheme;
use sbir_encoder::{DeviceChoice, PrecisionChoice};
use sbir_sketch::{DrawingStyle, LineStyle};
use sbir_train::{Augmentation, Sampling, Schedule, SetWeights};
pub(crate) use shards::{LoadArgs, ManifestArgs, ShardArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Find photos by drawing them: train, evaluate and use sketch-based image retrieval.
#[derive(Debug, Parser)]
#[command(name = "sbir", version, styles = STYLES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(args_override_self = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 after Ctrl-C.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "made once")]
pub(crate) enum Command {
    Train(TrainArgs),
    Eval(EvalArgs),
    Embed(EmbedArgs),
    Manifest(ManifestArgs),
    Load(LoadArgs),
    Convert(ConvertArgs),
    Index(IndexArgs),
    Search(SearchArgs),
    Gallery(GalleryArgs),
    Serve(ServeArgs),
    Sketchify(SketchifyArgs),
    Doctor(DoctorArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page (roff), or write one per command into a folder
    Man {
        /// Folder for `sbir.1`, `sbir-train.1` and so on.
        #[arg(value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
    /// Lists graphics adapters as JSON: run in a child process, since a driver may crash it.
    #[command(name = "__adapters", hide = true)]
    Adapters,
}

/// Options about the machine, shared by the commands that compute.
#[derive(Clone, Debug, Args)]
pub(crate) struct ComputeArgs {
    /// Device that computes: auto, cpu, vulkan[:N], cuda[:N] or metal [default: auto]
    ///
    /// `auto` takes a real GPU and never a software one; without any it takes the CPU and says so in
    /// one line. `sbir doctor` lists what there is.
    #[arg(long, value_name = "DEVICE", conflicts_with = "no_cuda", help_heading = "Machine")]
    pub(crate) device: Option<DeviceChoice>,

    /// Compute on the CPU; the same as --device cpu
    #[arg(long, visible_alias = "no-gpu", alias = "no_cuda", help_heading = "Machine")]
    pub(crate) no_cuda: bool,

    /// Precision of the matrix products: auto, f32 or bf16 [default: auto]
    ///
    /// `auto` is bf16 on a CPU whose bf16 dot products (AVX-512 BF16) outrun its f32 arithmetic, and f32
    /// elsewhere. Sums, weights and the optimiser's state are f32 always. `f32` gives the origin's numbers.
    #[arg(long, value_name = "PRECISION", help_heading = "Machine")]
    pub(crate) precision: Option<PrecisionChoice>,

    /// Threads for arithmetic and for reading pictures [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
          help_heading = "Machine")]
    pub(crate) threads: Option<u16>,
}

/// Options about the data, shared by train and eval.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArgs {
    /// Use the split by unseen users (val_unseen_user.txt)
    #[arg(long, alias = "val_unseen")]
    pub(crate) val_unseen: bool,

    /// Layout of the data: fscoco, qmul, sketchycoco, sketchy or pairs [default: detected]
    #[arg(long, value_name = "KIND")]
    pub(crate) dataset: Option<DatasetKind>,

    /// Which form of the sketches to use [default: auto]
    ///
    /// FS-COCO has both raster pictures and strokes. `auto` takes rasters where there are any. Results
    /// differ by renderer, so what was used is said and kept.
    #[arg(long, value_name = "auto|raster|strokes")]
    pub(crate) sketches: Option<SketchKind>,

    /// Share of the photos that is held out where the data has no split [default: 0.1]
    ///
    /// Chosen by --seed and the photos' names, with all their sketches: train and eval with the same numbers
    /// hold out the same photos.
    #[arg(long, value_name = "SHARE")]
    pub(crate) holdout: Option<f64>,

    /// Treat picture modes as Pillow does, as the origin did
    ///
    /// Pictures with a palette, one bit per pixel or transparency are otherwise drawn over white
    /// before they are resized.
    #[arg(long)]
    pub(crate) origin_pixels: bool,
}

/// Train a siamese encoder on sketch–photo pairs
///
/// Prints the mean loss every fifth batch, evaluates after each epoch, and keeps configuration,
/// metrics and checkpoints in a run folder. Stopped or killed at any moment, `--resume` goes on from
/// the last checkpoint.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir train                           FS-COCO in ./fscoco, ConvNeXt-Small from ImageNet weights
  sbir train fscoco --val-unseen --save
  sbir train chairs shoes --encoder convnext_tiny --epochs 20
  sbir train --resume                  go on with the newest run in ./runs")]
pub(crate) struct TrainArgs {
    /// Folders of sketch–photo pairs; several are mixed [default: fscoco]
    #[arg(value_name = "DATA", value_hint = ValueHint::DirPath)]
    pub(crate) data: Vec<PathBuf>,

    /// Passes over the training pairs [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u64>,

    /// Learning rate of Adam [default: 0.0001]
    #[arg(long, value_name = "RATE")]
    pub(crate) lr: Option<f64>,

    /// Temperature of InfoNCE [default: 0.05]
    #[arg(long, value_name = "T")]
    pub(crate) temp: Option<f64>,

    /// Pairs in a batch; evaluation uses three times as many [default: 60]
    #[arg(long, alias = "batch_size", value_name = "PAIRS")]
    pub(crate) batch_size: Option<usize>,

    /// Seed of the order, of stochastic depth and of random weights [default: 42]
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,

    /// Save the weights after each epoch as E<epoch>_model.pth in the working folder
    #[arg(long)]
    pub(crate) save: bool,

    /// Accepted for the origin's sake; training does not use it
    #[arg(long, alias = "model_path", value_name = "PATH", hide_short_help = true)]
    pub(crate) model_path: Option<String>,

    #[command(flatten)]
    pub(crate) pairs: DataArgs,

    /// Architecture: convnext_atto to convnext_xlarge, or convnext:DEPTHS:WIDTHS
    /// [default: convnext_small]
    ///
    /// Spelled out, depths and widths of the four stages are joined by dashes:
    /// convnext:2-2-6-2:40-80-160-320 is convnext_atto.
    #[arg(long, value_name = "NAME")]
    pub(crate) encoder: Option<String>,

    /// First weights: imagenet, random, or a checkpoint's path [default: imagenet]
    ///
    /// ImageNet weights of convnext_tiny to convnext_large are fetched on first use and cached.
    #[arg(long, value_name = "INIT")]
    pub(crate) init: Option<String>,

    /// Start value of the layer scales with --init random [default: 0.000001]
    #[arg(long, value_name = "X")]
    pub(crate) layer_scale: Option<f32>,

    /// Side that pictures are resized to, in pixels [default: 224]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,

    /// How strokes are drawn: fscoco, or a line width as a share of the side [default: fscoco]
    #[arg(long, value_name = "STYLE")]
    pub(crate) line: Option<LineStyle>,

    /// Probability of dropping the last block's branch for a sample [default: 0.4]
    ///
    /// Grows linearly from 0 at the first block (torchvision's stochastic_depth_prob); 0.4 is
    /// convnext_small's.
    #[arg(long, value_name = "P")]
    pub(crate) stochastic_depth: Option<f64>,

    /// Let photos look for their sketches too: the loss is the mean of both ways
    #[arg(long, conflicts_with = "resume")]
    pub(crate) both_ways: bool,

    /// Share of the target that is spread over all photos of the batch, from 0 to below 1 [default: 0]
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    pub(crate) label_smoothing: Option<f64>,

    /// How the learning rate goes: constant, or cosine with a warm-up [default: constant]
    #[arg(long, value_name = "HOW", conflicts_with = "resume")]
    pub(crate) schedule: Option<Schedule>,

    /// How training pictures are changed: none, light, strong or JSON [default: none]
    ///
    /// `light` turns, scales and moves each sketch a little. `strong` draws it as another hand would:
    /// strokes misplaced, left out, bent, in other widths; photos are cropped and recoloured, and both
    /// are mirrored. Ranges of one's own are a JSON object, such as {"crop":0.7,"turn":0.1}; what it
    /// leaves out is as in `strong`. The origin changes nothing.
    #[arg(long, value_name = "HOW")]
    pub(crate) augment: Option<Augmentation>,

    /// Make each batch of pairs of one dataset, where several are given
    ///
    /// Pictures of other datasets are told apart by their looks, which teaches little.
    #[arg(long)]
    pub(crate) one_set: bool,

    /// How much of an epoch each dataset gets: size, root, equal, or numbers [default: size]
    ///
    /// `root` is by the square root of the number of pairs. Numbers are in the order of DATA, such as
    /// 3,1,1.
    #[arg(long, value_name = "HOW")]
    pub(crate) set_weights: Option<SetWeights>,

    /// Pairs in an epoch [default: as many as there are]
    #[arg(long, value_name = "N")]
    pub(crate) epoch_pairs: Option<usize>,

    /// Memory for decoded pictures between epochs, in MiB [default: 2048]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(..=1_048_576))]
    pub(crate) cache_mb: Option<u32>,

    /// Memory for what a step keeps from its forward to its backward pass, on the CPU, such as 6G
    /// [default: half of what is free, at most 4G]
    ///
    /// With less of it more is computed twice; where even the least does not fit, in micro-batches. A run's
    /// micro-batch stays when it is resumed.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) memory: Option<u64>,

    /// Pairs that are kept for the backward pass at once, at most [default: by memory]
    ///
    /// Smaller ones need less memory and give the same loss and gradients: all embeddings are
    /// computed first, so that every photo of the batch stays a negative.
    #[arg(long, alias = "micro_batch", value_name = "PAIRS")]
    pub(crate) micro_batch: Option<usize>,

    /// Folder for configuration, metrics and checkpoints [default: runs/<time>-<encoder>]
    #[arg(long, alias = "run_dir", value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) run_dir: Option<PathBuf>,

    /// Go on with a run from its last checkpoint; without a value, the newest in ./runs
    ///
    /// The run's own configuration counts, its precision too. --epochs may be raised; --device, --threads,
    /// --memory and --micro-batch may differ.
    #[arg(long, value_name = "RUN", num_args = 0..=1, value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<Option<PathBuf>>,

    /// Seconds between checkpoints within an epoch; 0 keeps one after every step [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) checkpoint_seconds: Option<f64>,

    /// Where the report of each epoch's evaluation goes
    #[arg(long, value_name = "FILE", default_value = "result.html", value_hint = ValueHint::FilePath)]
    pub(crate) html: PathBuf,

    /// Print one JSON object at the end; everything else goes to standard error
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Adam's epsilon [default: 1e-8]
    #[arg(long, value_name = "X", hide = true)]
    pub(crate) adam_eps: Option<f64>,

    /// LayerNorm's epsilon [default: 1e-6]
    #[arg(long, value_name = "X", hide = true)]
    pub(crate) norm_eps: Option<f64>,
}

/// Evaluate a checkpoint: recall at 1, 5 and 10, and a report of the nearest photos
///
/// Embeds every validation sketch and photo, ranks the photos by squared Euclidean distance, prints
/// recall, and writes result.html with the ten nearest photos of each sketch.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Folder of sketch–photo pairs
    #[arg(value_name = "DATA", default_value = "fscoco", value_hint = ValueHint::DirPath)]
    pub(crate) data: PathBuf,

    /// Checkpoint [default: models/model_normal.pth, with --val-unseen models/model_unseen.pth]
    ///
    /// `bundled` is the one that comes with the program.
    #[arg(long, visible_alias = "model-path", alias = "model_path", value_name = "PATH",
          value_parser = clap::value_parser!(OsString), value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<OsString>,

    #[command(flatten)]
    pub(crate) pairs: DataArgs,

    /// A third of the pictures that are embedded at once
    #[arg(long, alias = "batch_size", value_name = "PAIRS", default_value_t = 60)]
    pub(crate) batch_size: usize,

    /// Side that pictures are resized to [default: as the checkpoint says, else 224]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,

    /// How strokes are drawn: fscoco, or a line width as a share of the side [default: as the checkpoint says]
    #[arg(long, value_name = "STYLE")]
    pub(crate) line: Option<LineStyle>,

    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "result.html", value_hint = ValueHint::FilePath)]
    pub(crate) html: PathBuf,

    /// Put small copies of the pictures into the report, so that it stands alone
    #[arg(long)]
    pub(crate) embed_images: bool,

    /// Write each query's rank as JSON lines, for paired comparisons
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ranks: Option<PathBuf>,

    /// Print one JSON object instead of the three lines
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Accepted for the origin's sake; evaluation does not use it
    #[arg(long, hide_short_help = true)]
    pub(crate) save: bool,

    /// Accepted for the origin's sake; evaluation does not use it
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) epochs: Option<u64>,

    /// Accepted for the origin's sake; evaluation does not use it
    #[arg(long, value_name = "RATE", hide_short_help = true)]
    pub(crate) lr: Option<f64>,

    /// Accepted for the origin's sake; evaluation does not use it
    #[arg(long, value_name = "T", hide_short_help = true)]
    pub(crate) temp: Option<f64>,

    /// Seed of the split where the data has none
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    pub(crate) seed: u64,
}

/// Embed pictures and sketches: unit vectors as a NumPy file
///
/// Writes float32 vectors of shape [n, width] in the order of the arguments, and their names as a
/// JSON list beside it (X.npy and X.names.json).
///
/// With --manifest, embeds the photos of a manifest in pieces instead, for `sbir load`: all of them, or one share on each
/// of many machines. See docs/scale.md.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir embed --model bundled photos --out vectors.npy
  sbir embed --manifest photos.jsonl --shard 0/8 --out /shared/pieces
  sbir embed --manifest s3://bucket/photos.jsonl --shard $SLURM_ARRAY_TASK_ID/8 --out s3://bucket/pieces")]
pub(crate) struct EmbedArgs {
    /// Images and stroke files; a folder stands for the files below it, in name order
    #[arg(value_name = "PATH", required_unless_present = "manifest", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) shards: ShardArgs,

    /// Checkpoint; `bundled` is the one that comes with the program [default with --manifest: bundled]
    #[arg(long, value_name = "PATH", required_unless_present = "manifest", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<PathBuf>,

    /// Where the vectors go: X.npy; with --manifest a folder or s3://BUCKET/FOLDER for the pieces
    #[arg(long, value_name = "X.npy|PLACE", value_hint = ValueHint::AnyPath)]
    pub(crate) out: PathBuf,

    /// Leave unreadable files out and say how many, instead of failing
    #[arg(long, alias = "skip_bad")]
    pub(crate) skip_bad: bool,

    /// Pictures that are embedded at once
    #[arg(long, alias = "batch_size", value_name = "N", default_value_t = 32)]
    pub(crate) batch_size: usize,

    /// Side that pictures are resized to [default: as the checkpoint says, else 224]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,

    /// How strokes are drawn: fscoco, or a line width as a share of the side [default: as the checkpoint says]
    #[arg(long, value_name = "STYLE")]
    pub(crate) line: Option<LineStyle>,

    /// Leave pictures as their file stores them, without the camera's rotation, as train and eval do
    #[arg(long)]
    pub(crate) no_exif: bool,

    /// Treat picture modes as Pillow does, as the origin did
    #[arg(long)]
    pub(crate) origin_pixels: bool,

    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

/// Convert a checkpoint between naming schemes and file formats
///
/// Reads .pth (zip or legacy) and safetensors in the names of torchvision, timm,
/// facebookresearch, open_clip or the origin. The extension of OUT, .pth or .safetensors, chooses
/// the format. Classifier weights are left out.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Checkpoint to read; `bundled` is the one that comes with the program
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,

    /// Checkpoint to write, .safetensors or .pth
    #[arg(value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Names to write: torchvision, timm, facebookresearch, open_clip, origin or sbir [default: origin]
    ///
    /// An EfficientNet-Lite0 has the names `sbir` only, which are then the default.
    #[arg(long, value_name = "SCHEME")]
    pub(crate) names: Option<Scheme>,

    /// Side of the pictures that the checkpoint will be used with, in pixels
    ///
    /// A network trained on small pictures often does better on somewhat larger ones.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,

    /// Store 16-bit floats (safetensors only)
    #[arg(long)]
    pub(crate) half: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make line drawings of photos
///
/// Edges become strokes, the most telling ones first: something to train on where there are photos and no
/// sketches of them.
#[derive(Debug, Args)]
pub(crate) struct SketchifyArgs {
    /// Photos
    #[arg(value_name = "PHOTO", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) photos: Vec<PathBuf>,

    /// Folder for the drawings, <photo>.json each
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,

    /// How much is drawn: gist, outline or detailed
    #[arg(long, value_name = "STYLE", default_value = "outline")]
    pub(crate) style: DrawingStyle,

    /// Write SVG in place of stroke files
    #[arg(long)]
    pub(crate) svg: bool,
}

/// Tell version, devices, folders and compiled features
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A number of bytes, with K, M, G or T for powers of 1,024.
fn bytes(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is no number of bytes such as 500M or 6G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 1,
        "M" | "m" => 2,
        "G" | "g" => 3,
        "T" | "t" => 4,
        _ => return Err(problem()),
    };
    let number: u64 = digits.parse().map_err(|_| problem())?;
    number.checked_mul(1 << (10 * power)).ok_or_else(problem)
}

impl TrainArgs {
    /// How an epoch is drawn.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            one_set: self.one_set,
            weights: self.set_weights.clone().unwrap_or_default(),
            pairs: self.epoch_pairs.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("123"), Ok(123));
        assert_eq!(bytes("500M"), Ok(500 << 20));
        assert_eq!(bytes("6G"), Ok(6 << 30));
        assert_eq!(bytes("2t"), Ok(2 << 40));
        for text in ["", "G", "-1", "1.5G", "6GB", "6 G", "99999999T", "é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}

//! Flags of embedding in parallel.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use sbir_shards::Shard;

use super::GalleryPlace;

/// List the photos of a folder or bucket, to embed them in parallel
///
/// The manifest names every photo below DIR, in order, cut into pieces: the same photos give the same file. `sbir embed
/// --manifest` embeds a share of the pieces, `sbir load` brings them into a gallery. Photos are found as `sbir index`
/// finds them. Credentials of object storage come from the environment (AWS_ACCESS_KEY_ID and so on), never from here.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir manifest /shared/photos --out /shared/photos.jsonl
  sbir manifest s3://bucket/photos --out s3://bucket/photos.jsonl")]
pub(crate) struct ManifestArgs {
    /// Folder of photos, or s3://BUCKET/FOLDER
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) photos: OsString,

    /// Where the manifest goes: a file, or s3://BUCKET/NAME
    #[arg(long, value_name = "M", value_hint = ValueHint::FilePath)]
    pub(crate) out: OsString,

    /// Photos of a piece, which is done whole or not at all: from 1 to 16384
    #[arg(long, value_name = "N", default_value_t = sbir_shards::DEFAULT_PIECE,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(sbir_shards::MAX_PIECE)))]
    pub(crate) piece: u32,

    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which part of which manifest.
#[derive(Debug, Args)]
#[command(next_help_heading = "In parallel")]
pub(crate) struct ShardArgs {
    /// Embed the photos that `sbir manifest` listed: a file, or s3://BUCKET/NAME
    ///
    /// Photos are taken as `sbir index` takes them, and give the same vectors. Each piece becomes a file below --out, written
    /// whole and never over another: killed at any moment, the same command goes on, there or elsewhere.
    #[arg(long, value_name = "M", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["paths", "skip_bad", "image_size", "line", "no_exif", "origin_pixels"])]
    pub(crate) manifest: Option<OsString>,

    /// Which share of the pieces: I of N, counted from 0 [default: 0/1]
    ///
    /// I may be JOB_COMPLETION_INDEX of a Kubernetes indexed Job or SLURM_ARRAY_TASK_ID of a Slurm array that begins at 0.
    #[arg(long, value_name = "I/N", requires = "manifest")]
    pub(crate) shard: Option<Shard>,
}

/// Bring the pieces that `sbir embed --manifest` made into a gallery
///
/// Loads what is there, as often as one likes, and names what is missing with the commands that make it; then the exit code
/// is 1.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir load /shared/pieces --gallery photos.sbir
  sbir load s3://bucket/pieces --gallery qdrant://10.0.0.1,10.0.0.2/photos")]
pub(crate) struct LoadArgs {
    /// Folder of pieces, or s3://BUCKET/FOLDER
    #[arg(value_name = "PIECES", value_hint = ValueHint::DirPath)]
    pub(crate) pieces: OsString,

    #[command(flatten)]
    pub(crate) place: GalleryPlace,

    /// Also check the pieces' photos beside the manifest's
    #[arg(long, value_name = "M", value_hint = ValueHint::FilePath)]
    pub(crate) manifest: Option<OsString>,

    /// Refuse pieces of any other encoder than this: a checkpoint, or `bundled`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<PathBuf>,

    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,
}

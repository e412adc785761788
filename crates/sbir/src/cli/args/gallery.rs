//! Flags of the commands around galleries.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::ComputeArgs;

/// Index folders of photos, so that a drawing finds them
///
/// Photos are found in folders of any depth. Running it again costs little: what has not changed is left
/// alone, moved files keep their embedding, and files that are gone are forgotten when their folder
/// was listed whole. Killed at any moment, the same command goes on.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir index ~/Pictures
  sbir index /mnt/photos --gallery photos.sbir
  sbir index /mnt/photos --gallery qdrant://10.0.0.1,10.0.0.2/photos --replicas 2")]
pub(crate) struct IndexArgs {
    /// Folders of photos
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub(crate) folders: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) place: GalleryPlace,

    /// Encoder: a checkpoint, or `bundled`
    #[arg(long, value_name = "PATH", default_value = "bundled", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,

    /// Embed anew, with another encoder than the gallery's (Qdrant)
    ///
    /// The photos go to a collection of their own, which takes the gallery's name when the run is through; until then
    /// searches find what they found.
    #[arg(long)]
    pub(crate) reembed: bool,

    /// Also forget photos under folders that are missing, empty or cannot be listed whole
    #[arg(long)]
    pub(crate) prune: bool,

    /// Look at every file's content, even where size and time have not changed
    #[arg(long)]
    pub(crate) rehash: bool,

    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) create: CreateArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

/// Where a gallery lies.
#[derive(Clone, Debug, Args)]
pub(crate) struct GalleryPlace {
    /// Gallery: a file, qdrant://HOST:PORT/NAME or postgres://HOST/DATABASE [default: a file in the user's data
    /// folder, see `sbir doctor`]
    ///
    /// Passwords and keys come from the environment (QDRANT_API_KEY, PGPASSWORD), never from here. Several hosts of a
    /// cluster are separated by commas. See docs/scale.md.
    #[arg(long, value_name = "GALLERY", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) gallery: Option<PathBuf>,
}

/// How a gallery is made where there is none, if it is a Qdrant collection.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "A new Qdrant collection")]
pub(crate) struct CreateArgs {
    /// Parts that the photos are divided into, over the nodes [default: one a node, at least 1]
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<u32>,

    /// Nodes that each part lies on [default: 2, or 1 where there is one node]
    ///
    /// With 2, any one node may fail without a photo lost or a search refused.
    #[arg(long, value_name = "N")]
    pub(crate) replicas: Option<u32>,
}

/// Find photos in a gallery by a sketch, a stroke file or a photo
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir search drawing.png
  sbir search strokes.json -k 20 --json
  sbir search holiday.jpg --under ~/Pictures/2024     more like this photo")]
pub(crate) struct SearchArgs {
    /// Picture of a sketch, stroke file, or photo
    #[arg(value_name = "QUERY", value_hint = ValueHint::FilePath)]
    pub(crate) query: PathBuf,

    #[command(flatten)]
    pub(crate) place: GalleryPlace,

    /// Photos to find
    #[arg(short, long = "count", value_name = "N", default_value_t = 10)]
    pub(crate) k: usize,

    /// Least cosine similarity, from -1 to 1
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) min_score: Option<f32>,

    /// Only photos below this folder; the list does not get shorter by it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::AnyPath)]
    pub(crate) under: Option<PathBuf>,

    /// Encoder: a checkpoint, or `bundled`
    #[arg(long, value_name = "PATH", default_value = "bundled", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,

    /// Also write a page with the photos found
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

/// Look into a gallery, check it, tidy it, and move it
#[derive(Debug, Args)]
pub(crate) struct GalleryArgs {
    #[command(flatten)]
    pub(crate) place: GalleryPlace,

    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: GalleryCommand,
}

/// What to do with a gallery.
#[derive(Debug, Subcommand)]
pub(crate) enum GalleryCommand {
    /// List the photos, a path a line
    List {
        /// Only photos below this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::AnyPath)]
        under: Option<PathBuf>,
    },
    /// Tell what the gallery holds, by which encoder, from which folders
    Info,
    /// Check the gallery, and compare it with the folders that its photos came from
    Verify {
        /// Read every photo's bytes too
        #[arg(long)]
        contents: bool,
    },
    /// Give unused space back, and build indexes anew
    Compact {
        /// Also remove the vectors of earlier encoders, and of changes of encoder that were not finished (Qdrant)
        #[arg(long)]
        old: bool,
    },
    /// Copy every photo with its embedding from one gallery to another, and verify the copy
    ///
    /// Either may be a file, a Qdrant collection or a PostgreSQL database. What is there already is not written again,
    /// so that the same command goes on after an interruption.
    Copy {
        /// Gallery to copy from
        #[arg(value_name = "FROM", value_hint = ValueHint::FilePath)]
        from: PathBuf,

        /// Gallery to copy to
        #[arg(value_name = "TO", value_hint = ValueHint::FilePath)]
        to: PathBuf,

        #[command(flatten)]
        create: CreateArgs,
    },
    /// Write the vectors as NumPy and the photos as JSON lines
    Export {
        /// X.npy; the photos go to X.jsonl beside it
        #[arg(value_name = "OUT", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Read what `export` wrote
    Import {
        /// X.npy, with X.jsonl beside it
        #[arg(value_name = "FROM", value_hint = ValueHint::FilePath)]
        from: PathBuf,
    },
}

/// Index folders and open the page on which one draws and finds
///
/// Folders are indexed in the background and watched for changes; the page shows results while you draw.
/// It listens on this machine only. Any other --listen address needs a token, made and told at the
/// start or taken from SBIR_TOKEN.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sbir serve ~/Pictures
  sbir serve --listen 0.0.0.0:8420 --host photos.example.org --no-open
  sbir serve --gallery qdrant://10.0.0.1,10.0.0.2/photos")]
pub(crate) struct ServeArgs {
    /// Folders of photos [default: those that a local gallery knows]
    ///
    /// A gallery behind a network is served as it is where no folder is given: any number of servers may do so.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folders: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) place: GalleryPlace,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8420")]
    pub(crate) listen: std::net::SocketAddr,

    /// Further name by which the server is reached; may be repeated
    ///
    /// Requests under any other name are refused. Since such a name may lead here from elsewhere, through a proxy on
    /// this machine, it makes a token required, as a --listen beyond 127.0.0.1 does.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,

    /// Encoder: a checkpoint, or `bundled`
    #[arg(long, value_name = "PATH", default_value = "bundled", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,

    /// Do not open a browser
    ///
    /// None is opened either where a token is needed, which others could read in the browser's arguments.
    #[arg(long)]
    pub(crate) no_open: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

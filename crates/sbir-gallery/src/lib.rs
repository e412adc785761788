//! The gallery of embedded photos: what a folder of pictures becomes so that a drawing finds them.
//!
//! - [`VectorStore`] is what every store of vectors can do; [`Gallery`] is the local one, a SQLite file that is the
//!   truth, with derived files beside it that may be deleted at any time.
//! - [`index()`] brings folders into a gallery: recursive, incremental, safe to kill.
//! - [`Embedder`] is what turns pictures into vectors. This crate knows no encoder.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let embedder: Box<dyn sbir_gallery::Embedder> = unimplemented!();
//! use sbir_gallery::{Gallery, IndexOptions, NoProgress, SearchOptions, VectorStore as _, index};
//!
//! let gallery = Gallery::open_or_create(&sbir_gallery::default_path()?)?;
//! index(&gallery, &["Pictures".into()], &*embedder, &IndexOptions::default(), &NoProgress)?;
//! let query = vec![0.0; embedder.dimension()];
//! for hit in gallery.search(&query, &SearchOptions::default())?.items {
//!     println!("{:.3} {}", hit.score, hit.photo.display());
//! }
//! # Ok(())
//! # }
//! ```

mod embedder;
mod error;
mod gallery;
mod index;
mod photo_file;
mod store;
mod transfer;
mod verify;

pub use embedder::{EmbedError, Embedder, embed_photos};
pub use error::{Error, Result};
pub use gallery::{Gallery, default_path};
pub use index::{
    Failure, IndexOptions, NameKind, NoProgress, Phase, Progress, Snapshot, Summary, index,
};
pub use photo_file::{LocalFiles, OpenedPhoto, PhotoContent, PhotoFiles, open_photo};
pub use sbir_data::Upright;
pub use store::{
    Cursor, Hit, Hits, MAX_PAGE, NoId, Page, Photo, PhotoId, Record, RelPath, RootInfo,
    SearchOptions, Selector, Space, Stats, Touch, VectorStore, is_remote, is_root, regions,
};
pub use transfer::{CopyOptions, CopyReport, ImportReport, copy, export, import};
pub use verify::{Verification, verify};

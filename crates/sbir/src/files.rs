//! The files of photos, wherever they lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sbir_data::MAX_FILE_BYTES;
use sbir_gallery::{
    Error, OpenedPhoto, Photo, PhotoContent, PhotoFiles, Result, is_remote, open_photo,
};
use sbir_objects::{Key, Options, Patience, Place};

/// Photos below folders of this machine, and below places in an object store (`s3://bucket/folder`), whose credentials
/// come from the environment (`AWS_*`).
#[derive(Debug, Default)]
pub struct Files {
    places: Mutex<HashMap<PathBuf, Arc<Place>>>,
}

/// Somebody waits for the photo.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    idle: Duration::from_secs(5),
    attempt: Duration::from_secs(15),
    deadline: Duration::from_secs(20),
    pause: Duration::from_millis(100),
    attempts: 3,
};
/// The most places that are kept open: a gallery has a few.
const MOST: usize = 256;

impl Files {
    fn place(&self, root: &Path) -> sbir_objects::Result<Arc<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(root) {
            return Ok(Arc::clone(place));
        }
        let options = Options { patience: PATIENCE, ..Options::default() };
        let place = Arc::new(Place::open(root.as_os_str(), &options)?);
        if places.len() >= MOST {
            places.clear();
        }
        places.insert(root.into(), Arc::clone(&place));
        Ok(place)
    }
}

/// What went wrong there means for the photo.
fn failed(photo: &Photo, error: &sbir_objects::Error) -> Error {
    if error.is_not_found() {
        return Error::PhotoGone { path: photo.display(), problem: "not there any more".into() };
    }
    Error::Unreachable { gallery: photo.root.display().to_string(), problem: error.to_string() }
}

impl PhotoFiles for Files {
    fn open(&self, photo: Photo) -> Result<OpenedPhoto> {
        if !is_remote(&photo.root) {
            return open_photo(photo);
        }
        let failed = |error| failed(&photo, &error);
        let place = self.place(&photo.root).map_err(failed)?;
        let key = Key::new(photo.path.as_bytes()).map_err(failed)?;
        let stat = place.stat(&key).map_err(failed)?;
        // Some stores tell milliseconds when they list, and seconds when they are asked for one.
        let second = |ns: i64| ns.div_euclid(1_000_000_000);
        let changed = stat.size != photo.size || second(stat.mtime_ns) != second(photo.mtime_ns);
        if stat.size > MAX_FILE_BYTES {
            let problem = format!("larger than {MAX_FILE_BYTES} bytes");
            return Err(Error::PhotoGone { path: photo.display(), problem });
        }
        // Only once it is known that somebody wants the bytes: a thumbnail may be there already.
        let bring = {
            let photo = photo.clone();
            move || place.download(&key).map_err(|error| self::failed(&photo, &error))
        };
        Ok(OpenedPhoto {
            photo,
            content: PhotoContent::Elsewhere(Box::new(bring)),
            size: stat.size,
            mtime_ns: stat.mtime_ns,
            changed,
        })
    }
}

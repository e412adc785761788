//! The indexer and the copy on a store that is not the local gallery: one without rows to walk beside.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sbir_gallery::{
    CopyOptions, Cursor, Error, Gallery, Hits, IndexOptions, NoProgress, Page, Photo, PhotoId,
    Record, RelPath, Result, RootInfo, SearchOptions, Selector, Space, Stats, Summary, Touch,
    VectorStore, copy, export, import, index, verify,
};

use crate::support::{Colours, DIMENSION, Place, write_picture};

type Change = fn(&mut Vec<Record>);

/// A gallery that does not say that it is local.
struct Elsewhere {
    gallery: Gallery,
    /// The paths that were written since the last look.
    written: Mutex<Vec<String>>,
    /// How many deletions end as if the server had not answered.
    silent: Mutex<u32>,
    /// What becomes of the answer to the next `get`.
    got: Mutex<Option<Change>>,
}

impl Elsewhere {
    fn new(gallery: Gallery) -> Self {
        let (written, silent, got) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { gallery, written, silent, got }
    }
}

impl VectorStore for Elsewhere {
    fn name(&self) -> String {
        "elsewhere".into()
    }

    fn ensure(&self, space: &Space) -> Result<()> {
        self.gallery.ensure(space)
    }

    fn space(&self) -> Result<Option<Space>> {
        self.gallery.space()
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        let paths = batch.iter().map(|record| record.photo.path.to_string());
        self.written.lock().unwrap().extend(paths);
        self.gallery.upsert(batch)
    }

    fn touch(&self, batch: &[Touch]) -> Result<()> {
        self.gallery.touch(batch)
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        let mut silent = self.silent.lock().unwrap();
        if *silent > 0 {
            *silent -= 1;
            return Err(Error::TimedOut { gallery: self.name(), after: Duration::from_secs(1) });
        }
        self.gallery.delete(which)
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        self.gallery.search_batch(queries, options)
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        self.gallery.list(under, after, limit)
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        self.gallery.scan(after, limit)
    }

    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        let mut records = self.gallery.get(ids)?;
        if let Some(change) = self.got.lock().unwrap().take() {
            change(&mut records);
        }
        Ok(records)
    }

    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        self.gallery.lookup(root, paths)
    }

    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        self.gallery.with_content(hash)
    }

    fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        self.gallery.sample(count)
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        self.gallery.roots()
    }

    fn stats(&self) -> Result<Stats> {
        self.gallery.stats()
    }
}

fn run(store: &Elsewhere, folder: &Path, options: &IndexOptions) -> Summary {
    index(store, &[folder.to_owned()], &Colours::new(), options, &NoProgress).unwrap()
}

fn numbers(summary: &Summary) -> [u64; 6] {
    let found = &summary.snapshot;
    [found.embedded, found.unchanged, found.moved, found.touched, found.removed, found.failed]
}

fn paths(store: &Elsewhere) -> Vec<String> {
    crate::support::paths(&store.gallery)
}

#[test]
fn a_store_elsewhere_is_brought_up_to_date() {
    let place = Place::with_photos(12);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [12, 0, 0, 0, 0, 0]);
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [0, 12, 0, 0, 0, 0]);

    let root = place.root();
    // Moved, changed, touched, removed, new, unreadable, copied.
    fs::rename(root.join("0.png"), root.join("sub/moved.png")).unwrap();
    write_picture(&root.join("1.png"), 101);
    let touched = fs::File::options().write(true).open(root.join("2.png")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    fs::remove_file(root.join("sub/6.png")).unwrap();
    write_picture(&root.join("new.png"), 102);
    fs::write(root.join("bad.png"), "no picture").unwrap();
    fs::copy(root.join("3.png"), root.join("sub/copy.png")).unwrap();
    assert_eq!(numbers(&run(&store, &root, &options)), [2, 8, 2, 1, 1, 1]);
    let paths = paths(&store);
    assert!(paths.contains(&"sub/moved.png".into()) && !paths.contains(&"0.png".into()));
    assert_eq!(paths.len(), 13);
    assert_eq!(numbers(&run(&store, &root, &options)), [0, 13, 0, 0, 0, 1]);
    let found = verify(&store, true).unwrap();
    assert_eq!((found.photos, found.missing, found.changed, found.new), (13, 0, 0, 1));
}

#[test]
fn a_missing_root_or_folder_never_empties_a_store() {
    let place = Place::with_photos(6);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    run(&store, &place.root(), &options);
    let away = place.root().with_extension("away");
    fs::rename(place.root(), &away).unwrap();
    fs::create_dir(place.root()).unwrap();
    let summary = run(&store, &place.root(), &options);
    assert_eq!((summary.missing_roots.len(), paths(&store).len()), (1, 6));
    let prune = IndexOptions { prune: true, ..options };
    assert_eq!(run(&store, &place.root(), &prune).snapshot.removed, 6);
    assert_eq!(paths(&store).len(), 0);
}

#[test]
fn a_root_becomes_part_of_one_above_it() {
    let place = Place::with_photos(8);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    assert_eq!(run(&store, &place.root().join("sub"), &options).snapshot.embedded, 4);
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [4, 4, 0, 0, 0, 0]);
    let roots = store.roots().unwrap();
    assert_eq!((roots.len(), roots[0].photos), (1, 8));
}

#[test]
fn taking_in_a_root_goes_on_where_it_was_cut_off() {
    let place = Place::with_photos(8);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    run(&store, &place.root().join("sub"), &options);
    // Both roots are known then, with the same photos.
    *store.silent.lock().unwrap() = 1;
    let cut = index(&store, &[place.root()], &Colours::new(), &options, &NoProgress);
    assert!(matches!(cut, Err(Error::TimedOut { .. })));
    assert_eq!(store.roots().unwrap().len(), 2);
    // A part of the outer root will do.
    assert_eq!(numbers(&run(&store, &place.root().join("sub"), &options)), [0, 4, 0, 0, 0, 0]);
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [4, 4, 0, 0, 0, 0]);
    let roots = store.roots().unwrap();
    assert_eq!((roots.len(), roots[0].photos), (1, 8));
}

#[test]
fn a_photo_that_a_store_does_not_give_is_not_lost_with_its_root() {
    let place = Place::with_photos(8);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    run(&store, &place.root().join("sub"), &options);
    // A replica that has the list, and not yet all photos.
    *store.got.lock().unwrap() = Some(|records| records.truncate(3));
    // Its file is met, and its embedding known.
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [4, 3, 1, 0, 0, 0]);
    assert_eq!(numbers(&run(&store, &place.root(), &options)), [0, 8, 0, 0, 0, 0]);
    let roots = store.roots().unwrap();
    assert_eq!((roots.len(), roots[0].photos), (1, 8));
}

#[test]
fn another_machines_photos_are_copied_not_moved() {
    let place = Place::with_photos(2);
    let store = Elsewhere::new(place.gallery());
    let options = IndexOptions::default();
    let (theirs, ours) = (place.root(), place.root().with_extension("ours"));
    run(&store, &theirs, &options);
    // What this machine has at their root is something else, and so is what it has of theirs at another.
    fs::create_dir(&ours).unwrap();
    fs::rename(theirs.join("0.png"), ours.join("0.png")).unwrap();
    assert_eq!(numbers(&run(&store, &ours, &options)), [0, 0, 1, 0, 0, 0]);
    assert_eq!(paths(&store), ["0.png", "0.png", "sub/1.png"]);
    // A run of both roots is told that they are this machine's.
    fs::rename(theirs.join("sub/1.png"), ours.join("1.png")).unwrap();
    write_picture(&theirs.join("2.png"), 2);
    let both = [theirs, ours];
    let summary = index(&store, &both, &Colours::new(), &options, &NoProgress).unwrap();
    assert_eq!((summary.snapshot.moved, summary.snapshot.embedded), (1, 1));
    assert_eq!(paths(&store), ["0.png", "1.png", "2.png"]);
}

#[test]
fn a_place_in_an_object_store_is_refused() {
    let place = Place::with_photos(2);
    let store = Elsewhere::new(place.gallery());
    run(&store, &place.root(), &IndexOptions::default());
    let mut record = store.scan(None, 1).unwrap().items.remove(0);
    record.photo.root = "s3://bucket/photos".into();
    store.upsert(&[record]).unwrap();
    let prune = IndexOptions { prune: true, ..IndexOptions::default() };
    let folders = [place.root(), "s3://bucket/photos".into()];
    let error = index(&store, &folders, &Colours::new(), &prune, &NoProgress).unwrap_err();
    assert!(matches!(error, Error::InObjectStore { .. }), "{error}");
    for command in ["sbir manifest", "sbir embed --manifest", "sbir load"] {
        assert!(error.to_string().contains(command), "{error}");
    }
    assert_eq!(paths(&store).len(), 3);
}

#[test]
fn a_copy_is_whole_goes_on_and_is_verified() {
    let place = Place::with_photos(30);
    place.index(&Colours::new());
    let (from, other) = (place.gallery(), Place::new());
    let to = Elsewhere::new(other.gallery());
    let mut told = Vec::new();
    let report = copy(&from, &to, &CopyOptions::default(), &mut |done, all| told.push((done, all)));
    let report = report.unwrap();
    assert_eq!((report.photos, report.copied, report.present, report.others), (30, 30, 0, 0));
    assert_eq!((report.compared, &report.problems), (30, &Vec::new()));
    assert!(report.least_similarity > 0.9999 && told.contains(&(30, 30)));

    // As after an interruption: what is missing is brought, nothing else written.
    let ids: Vec<_> = to.list(None, None, 7).unwrap().items.iter().map(|photo| photo.id).collect();
    to.delete(&Selector::Ids(ids)).unwrap();
    to.written.lock().unwrap().clear();
    let again = copy(&from, &to, &CopyOptions::default(), &mut |_, _| ()).unwrap();
    assert_eq!((again.copied, again.present, again.problems.len()), (7, 23, 0));
    assert_eq!(to.written.lock().unwrap().len(), 7);

    // Another photo's vector is noticed.
    let mut records = to.scan(None, 2).unwrap().items;
    let (first, second) = records.split_at_mut(1);
    std::mem::swap(&mut first[0].embedding, &mut second[0].embedding);
    to.upsert(&records).unwrap();
    let again = copy(&from, &to, &CopyOptions::default(), &mut |_, _| ()).unwrap();
    assert_eq!(again.problems.len(), 2, "{:?}", again.problems);

    // So is one that is none.
    *to.got.lock().unwrap() = Some(|records| records[0].embedding.fill(0.0));
    let again = copy(&from, &to, &CopyOptions::default(), &mut |_, _| ()).unwrap();
    assert!(again.least_similarity.is_nan(), "{}", again.least_similarity);
    assert!(again.problems.iter().any(|line| line.contains("NaN")), "{:?}", again.problems);

    let cancel = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let options = CopyOptions { cancel: Some(cancel), ..CopyOptions::default() };
    assert!(matches!(copy(&from, &to, &options, &mut |_, _| ()), Err(Error::Cancelled)));

    let third = Place::new();
    let different = third.gallery();
    let space = Space { fingerprint: "another".into(), dimension: DIMENSION };
    different.ensure(&space).unwrap();
    let refused = copy(&from, &different, &CopyOptions::default(), &mut |_, _| ());
    assert!(matches!(refused, Err(Error::OtherEncoder { .. })));
}

#[test]
fn files_go_out_of_and_into_a_store_elsewhere() {
    let place = Place::with_photos(9);
    place.index(&Colours::new());
    let (npy, jsonl) = (place.folder.path().join("o.npy"), place.folder.path().join("o.jsonl"));
    assert_eq!(export(&Elsewhere::new(place.gallery()), &npy, &jsonl).unwrap(), 9);
    let other = Place::new();
    let to = Elsewhere::new(other.gallery());
    let report = import(&to, &npy, &jsonl).unwrap();
    assert_eq!((report.added, report.replaced), (9, 0));
    let report = import(&to, &npy, &jsonl).unwrap();
    assert_eq!((report.added, report.replaced), (0, 9));
    assert_eq!(paths(&to), place.paths());
}

//! Batches: the same for any number of threads, in order, with errors in their place.

use std::sync::Arc;

use sbir_data::{
    Augmentation, Batch, Error, OpenOptions, PairSet, Sampling, SketchSource, TrainingPictures,
    Transform, epoch_order, epoch_plan, image_batches, open, training_batches,
};

use crate::fscoco::Folder;
use crate::pictures::{jpeg, png};

/// Eleven photos with two sketches each, of which `bad` cannot be read.
fn folder(bad: Option<u8>) -> (Folder, Arc<PairSet>) {
    let folder = Folder::new();
    for n in 0..11_u8 {
        folder.write(&format!("photo/{n:02}.jpg"), jpeg(40 + u32::from(n), 30, n * 20));
        for k in 1..3 {
            folder.write(&format!("sketch/{n:02}_{k}.png"), png(32, 32, n * 10 + k));
        }
    }
    if let Some(n) = bad {
        folder.write(&format!("sketch/{n:02}_1.png"), "no picture");
    }
    folder.write("test.txt", "10\n");
    let set = open(folder.path(), &OpenOptions::default()).unwrap().train;
    (folder, Arc::new(set))
}

fn epoch(set: &Arc<PairSet>, threads: usize) -> Vec<Batch> {
    let order = epoch_order(42, 3, set.len());
    training_batches(set, &Transform::origin(16), &order, 6, threads).map(Result::unwrap).collect()
}

#[test]
fn one_seed_gives_one_epoch_for_any_number_of_threads() {
    let (_folder, set) = folder(None);
    let expected = epoch(&set, 1);
    for threads in [0, 2, 5] {
        assert_eq!(epoch(&set, threads), expected, "threads {threads}");
    }
    let sizes: Vec<usize> = expected.iter().map(|batch| batch.indices.len()).collect();
    assert_eq!(sizes, [6, 6, 6, 2]);
    let visited: Vec<usize> = expected.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!(visited, epoch_order(42, 3, 20));
}

#[test]
fn a_batch_holds_the_pictures_of_its_pairs() {
    let (_folder, set) = folder(None);
    let transform = Transform::origin(16);
    for batch in epoch(&set, 2) {
        assert_eq!(batch.sketches.len(), batch.indices.len() * transform.len());
        for (place, index) in batch.indices.iter().enumerate() {
            let pair = &set.pairs[*index];
            let range = place * transform.len()..(place + 1) * transform.len();
            assert_eq!(batch.photo_indices[place], pair.photo);
            assert_eq!(batch.sketches[range.clone()], transform.load_sketch(&pair.sketch).unwrap());
            let photo = transform.load_image(&set.photos[pair.photo].path).unwrap();
            assert_eq!(batch.photos[range], photo);
        }
    }
}

#[test]
fn a_cache_changes_nothing() {
    let (_folder, set) = folder(None);
    for augmentation in [Augmentation::None, Augmentation::Light, Augmentation::Strong] {
        let plans: Vec<_> =
            (0..3).map(|epoch| epoch_plan(&set, &Sampling::default(), 42, epoch, 6)).collect();
        let run = |cache: usize, threads: usize| -> Vec<Vec<Batch>> {
            let transform = Transform::origin(16);
            let pictures =
                TrainingPictures::new(Arc::clone(&set), transform, augmentation, 42, cache);
            let epoch = |(epoch, plan): (usize, &Vec<_>)| {
                pictures.batches(plan, epoch as u64, threads).map(Result::unwrap).collect()
            };
            let epochs = plans.iter().enumerate().map(epoch).collect();
            assert!(pictures.cached_bytes() <= cache);
            assert_eq!(pictures.cached_bytes() > 0, cache > 0);
            epochs
        };
        let expected = run(0, 1);
        assert_eq!(expected, run(1 << 20, 2), "{augmentation}");
        assert_eq!(expected, run(5000, 3), "{augmentation}");
        let plain = training_batches(&set, &Transform::origin(16), &epoch_order(42, 1, 20), 6, 1);
        let plain: Vec<Batch> = plain.map(Result::unwrap).collect();
        assert_eq!(plain == expected[1], augmentation == Augmentation::None);
        for (plain, changed) in plain.iter().zip(&expected[1]) {
            assert_eq!(plain.photos == changed.photos, augmentation != Augmentation::Strong);
        }
        // The rest of an epoch is what the whole has there.
        let pictures = TrainingPictures::new(
            Arc::clone(&set),
            Transform::origin(16),
            augmentation,
            42,
            1 << 20,
        );
        let rest: Vec<Batch> = pictures.batches(&plans[2][2..], 2, 2).map(Result::unwrap).collect();
        assert_eq!(rest, expected[2][2..]);
    }
}

#[test]
fn an_unreadable_sketch_fails_its_batch_and_no_other() {
    let (_folder, set) = folder(Some(4));
    for threads in [0, 1, 3] {
        let order: Vec<usize> = (0..20).collect();
        let results: Vec<_> =
            training_batches(&set, &Transform::origin(16), &order, 6, threads).collect();
        let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, true, false, false]);
        let message = results[1].as_ref().unwrap_err().to_string();
        assert!(message.contains("04_1.png"), "{message}");
    }
}

#[test]
fn lists_of_pictures_keep_their_order_and_the_last_smaller_batch() {
    let (_folder, set) = folder(None);
    let transform = Transform::origin(16);
    let batches: Vec<_> =
        image_batches(set.photo_sources(), &transform, 4, 3).map(Result::unwrap).collect();
    let indices: Vec<_> = batches.iter().map(|batch| batch.indices.clone()).collect();
    assert_eq!(indices, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    let last = transform.load_image(&set.photos[9].path).unwrap();
    assert_eq!(batches[2].images[transform.len()..], last);
    assert_eq!(image_batches(set.sketch_sources(), &transform, 60, 2).len(), 1);
    assert_eq!(image_batches(Vec::new(), &transform, 60, 2).count(), 0);
    assert_eq!(set.truth()[..4], [0, 0, 1, 1]);
}

#[test]
fn bad_pictures_are_skipped_when_asked() {
    let (folder, set) = folder(Some(1));
    let mut sources = set.sketch_sources();
    sources.push(SketchSource::Image(folder.path().join("none.png")));
    let transform = Transform::origin(16);
    let batches: Vec<_> =
        image_batches(sources.clone(), &transform, 8, 2).skip_bad().map(Result::unwrap).collect();
    assert_eq!(batches[0].indices, [0, 1, 3, 4, 5, 6, 7]);
    assert_eq!(batches[0].images.len(), 7 * transform.len());
    assert!(matches!(batches[0].failed[..], [(2, Error::NotAnImage { .. })]));
    assert_eq!(batches[2].failed[0].0, 20);
    let strict: Vec<bool> =
        image_batches(sources, &transform, 8, 2).map(|batch| batch.is_err()).collect();
    assert_eq!(strict, [true, false, true]);
}

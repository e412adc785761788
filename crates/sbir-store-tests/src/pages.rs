//! Going through a store in pages.

use std::path::Path;

use sbir_gallery::{Cursor, PhotoId, Selector, VectorStore};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// Every photo once, in order of id, whatever the pages' length, and whatever is deleted between two pages.
pub fn pages(maker: &Maker<'_>) {
    let store = (maker.open)("pages");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(10), Model::new(maker.exact));
    let batch: Vec<_> = (0..60)
        .map(|i| {
            record("/sbir/g", format!("{}/{i}", ["x", "xy", "x/y"][i % 3]), random.unit(DIMENSION))
        })
        .collect();
    model.upsert(&*store, &batch);
    for limit in 1..=62 {
        for (under, count) in [(None, 60), (Some("/sbir/g/x"), 40), (Some("/sbir/g/xy"), 20)] {
            let ids = walk(&*store, under.map(Path::new), limit, |_| ());
            assert_eq!(ids.len(), count, "pages of {limit} below {under:?}");
        }
        let (mut seen, mut after) = (0, None);
        loop {
            let page = store.scan(after, limit).expect("scan");
            assert!(page.items.len() <= limit);
            seen += page.items.len();
            page.items.iter().for_each(|record| model.knows(record));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, 60, "pages of {limit}");
    }
    // More than a page has at most.
    assert_eq!(store.list(None, None, usize::MAX).expect("list").items.len(), 60);
    // After the last and before the first.
    assert!(store.list(None, Some(Cursor(PhotoId(u128::MAX))), 5).expect("list").items.is_empty());
    assert_eq!(store.list(None, Some(Cursor(PhotoId(0))), 100).expect("list").items.len(), 60);

    // The photo that a page ended at, and the next one, go before the next page is asked for.
    let all = walk(&*store, None, 100, |_| ());
    let mut gone = Vec::new();
    let seen = walk(&*store, None, 7, |last| {
        let at = all.binary_search(&last).expect("it was there");
        let ids: Vec<_> = all[at..].iter().copied().take(2).collect();
        assert_eq!(store.delete(&Selector::Ids(ids.clone())).expect("delete"), ids.len() as u64);
        gone.extend(ids.into_iter().filter(|id| *id != last));
    });
    let expected: Vec<_> = all.iter().copied().filter(|id| !gone.contains(id)).collect();
    assert_eq!(seen, expected);
    assert!(!gone.is_empty());
}

/// The ids of all pages; after each but the last the caller hears of its end.
fn walk(
    store: &dyn VectorStore,
    under: Option<&Path>,
    limit: usize,
    mut ended: impl FnMut(PhotoId),
) -> Vec<PhotoId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(under, after, limit).expect("list");
        assert!(page.items.len() <= limit);
        assert!(!page.items.is_empty() || page.next.is_none(), "an empty page is the last");
        ids.extend(page.items.iter().map(|photo| photo.id));
        after = page.next;
        let Some(Cursor(last)) = after else { break };
        assert_eq!(Some(&last), ids.last(), "a page ends at its last photo");
        ended(last);
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "in order of id, none twice");
    ids
}

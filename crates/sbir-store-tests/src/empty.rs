//! A store with nothing in it answers everything.

use std::path::Path;

use sbir_gallery::{PhotoId, RelPath, SearchOptions, Selector, Touch, VectorStore};

use crate::Maker;
use crate::model::{DIMENSION, Random, record, space};

/// Every call on a store before it has a space, with one, and after its last photo has gone.
pub fn empty(maker: &Maker<'_>) {
    let store = (maker.open)("empty");
    assert!(!store.name().is_empty());
    answers(&*store);
    store.ensure(&space(DIMENSION)).expect("a space");
    answers(&*store);
    answers(&*(maker.open)("empty"));
    store.upsert(&[]).expect("nothing to write");
    answers(&*store);
    let photo = record("/sbir/e", "a", Random(2).unit(DIMENSION));
    store.upsert(&[photo]).expect("upsert");
    assert_eq!(store.delete(&Selector::All).expect("delete"), 1);
    answers(&*store);
}

fn answers(store: &dyn VectorStore) {
    let query = Random(3).unit(DIMENSION);
    let under = Path::new("/sbir/e");
    for options in [SearchOptions::default(), SearchOptions::nearest(3).under(under)] {
        let hits = store.search(&query, &options).expect("search");
        assert_eq!((hits.items.len(), hits.searched), (0, 0));
        let hits = store.search_batch(&[&query, &query], &options).expect("search_batch");
        assert_eq!(hits.len(), 2);
    }
    assert_eq!(store.search_batch(&[], &SearchOptions::default()).expect("no query").len(), 0);
    for under in [None, Some(under)] {
        let page = store.list(under, None, 10).expect("list");
        assert!(page.items.is_empty() && page.next.is_none());
    }
    let page = store.scan(None, 10).expect("scan");
    assert!(page.items.is_empty() && page.next.is_none());
    assert_eq!(store.get(&[]).expect("get"), []);
    assert_eq!(store.get(&[PhotoId(1), PhotoId(u128::MAX)]).expect("get"), []);
    let path = RelPath::new(b"a".to_vec()).expect("a path");
    assert_eq!(store.lookup(under, &[]).expect("lookup"), []);
    assert_eq!(store.lookup(under, &[path.clone(), path]).expect("lookup"), [None, None]);
    assert_eq!(store.with_content(&[7; 32]).expect("with_content"), []);
    assert_eq!(store.sample(5).expect("sample"), []);
    assert_eq!(store.roots().expect("roots"), []);
    let stats = store.stats().expect("stats");
    assert_eq!((stats.photos, stats.roots), (0, 0));
    store.touch(&[]).expect("touch");
    store.touch(&[Touch { id: PhotoId(9), size: 1, mtime_ns: 1 }]).expect("touch");
    for which in [
        Selector::Ids(Vec::new()),
        Selector::Ids(vec![PhotoId(5), PhotoId(u128::MAX)]),
        Selector::Under(under.into()),
        Selector::All,
    ] {
        assert_eq!(store.delete(&which).expect("delete"), 0, "{which:?}");
    }
    store.settle().expect("settle");
    store.compact().expect("compact");
    store.ready().expect("ready");
}

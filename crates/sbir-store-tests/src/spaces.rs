//! A store takes the space of the first that asks, and no other.

use sbir_gallery::{Error, Space};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// Binding a store to a space; another is refused, by this client and by the next.
pub fn spaces(maker: &Maker<'_>) {
    let store = (maker.open)("spaces");
    let mut random = Random(1);
    let early = record("/sbir/p", "early", random.unit(DIMENSION));
    assert!(store.upsert(std::slice::from_ref(&early)).is_err(), "no space yet");
    assert_eq!(store.stats().expect("stats").space, None);
    let own = space(DIMENSION);
    store.ensure(&own).expect("a new store takes any space");
    store.ensure(&own).expect("the same again");
    let mut model = Model::new(maker.exact);
    model.upsert(&*store, &[early]);
    let second = (maker.open)("spaces");
    for store in [&store, &second] {
        assert_eq!(store.stats().expect("stats").space.as_ref(), Some(&own));
        let other = Space { fingerprint: "another".into(), ..own.clone() };
        let error = store.ensure(&other).expect_err("another encoder");
        let Error::OtherEncoder { expected, found, .. } = &error else { panic!("{error:?}") };
        assert_eq!((&expected[..], &found[..]), ("another", "conformance"));
        assert_eq!(error.to_string().lines().count(), 1);
        let other = Space { dimension: DIMENSION + 1, ..own.clone() };
        let error = store.ensure(&other).expect_err("another dimension");
        let Error::OtherDimension { expected, found, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*expected, *found), (DIMENSION, DIMENSION + 1));
        store.ensure(&own).expect("its own is still taken");
    }
    // A client that never asked for the space knows it too.
    let third = (maker.open)("spaces");
    let long = record("/sbir/p", "long", random.unit(DIMENSION + 1));
    let error = third.upsert(&[long]).expect_err("another dimension");
    assert!(matches!(error, Error::OtherDimension { .. }), "{error:?}");
    model.holds(&*third);
}

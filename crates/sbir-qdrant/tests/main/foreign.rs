//! What others wrote into a collection, or made under the name.

use qdrant_client::qdrant::{
    CreateCollectionBuilder, DeletePayloadPointsBuilder, Distance, PointId, PointStruct,
    SetPayloadPointsBuilder, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant as Client};
use sbir_gallery::{Error, SearchOptions, VectorStore as _};

use crate::support::{DIMENSION, node, open, records, space, vector};

/// Runs a future of the plain client.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_collection_of_something_else_is_left_alone() {
    let Some(server) = node() else { return };
    let client = Client::from_url(&format!("http://{}", server.address()));
    let client = client.skip_compatibility_check().build().unwrap();
    run(async {
        let params = VectorParamsBuilder::new(DIMENSION as u64, Distance::Cosine);
        let create = CreateCollectionBuilder::new("foreign").vectors_config(params);
        client.create_collection(create).await.unwrap();
    });
    let gallery = open(&server.url("foreign"));
    let error = gallery.ensure(&space("a")).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    // As an alias of another's collection.
    run(async {
        let create = qdrant_client::qdrant::CreateAliasBuilder::new("foreign", "aliased");
        client.create_alias(create).await.unwrap();
    });
    let gallery = open(&server.url("aliased"));
    for error in [
        gallery.ensure(&space("a")).unwrap_err(),
        gallery.stats().unwrap_err(),
        gallery.upsert(&records(0..1)).unwrap_err(),
        gallery.search(&vector(1), &SearchOptions::default()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("another name"), "{error}");
    }
}

#[test]
fn broken_photos_are_told() {
    let Some(server) = node() else { return };
    let url = server.url("broken");
    let gallery = open(&url);
    gallery.ensure(&space("broken")).unwrap();
    gallery.upsert(&records(0..20)).unwrap();
    let collection = gallery.staging(&space("broken")).unwrap().publish();
    assert_eq!(collection.unwrap(), None);
    let collection = collections(&server, "broken-");
    let ids: Vec<_> = gallery.list(None, None, 3).unwrap().items.iter().map(|p| p.id).collect();
    let point = |index: usize| vec![PointId::from(ids[index].to_string())];
    let client = Client::from_url(&format!("http://{}", server.address()));
    let client = client.skip_compatibility_check().build().unwrap();
    run(async {
        let without = DeletePayloadPointsBuilder::new(&collection, vec!["hash".to_owned()]);
        client.delete_payload(without.points_selector(point(0)).wait(true)).await.unwrap();
        let payload: Payload = [("path", "../../etc/passwd".into())].into();
        let other = SetPayloadPointsBuilder::new(&collection, payload);
        client.set_payload(other.points_selector(point(1)).wait(true)).await.unwrap();
    });
    for error in [
        gallery.search(&vector(1), &SearchOptions::nearest(20)).unwrap_err(),
        gallery.list(None, None, 100).unwrap_err(),
        gallery.scan(None, 100).unwrap_err(),
        gallery.get(&ids[..1]).unwrap_err(),
        gallery.get(&ids[1..2]).unwrap_err(),
        gallery.sample(20).unwrap_err(),
    ] {
        assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    assert_eq!(gallery.get(&ids[2..3]).unwrap().len(), 1);
    // Written anew they are whole.
    gallery.upsert(&records(0..20)).unwrap();
    assert_eq!(gallery.list(None, None, 100).unwrap().items.len(), 20);
    // A point that is no photo.
    run(async {
        let foreign = PointStruct::new(7, vector(3), Payload::new());
        let upsert = UpsertPointsBuilder::new(&collection, vec![foreign]);
        client.upsert_points(upsert.wait(true)).await.unwrap();
    });
    let error = gallery.list(None, None, 100).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    let error = gallery.search(&vector(3), &SearchOptions::nearest(1)).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
}

#[test]
fn a_lost_alias_is_set_again() {
    let Some(server) = node() else { return };
    let gallery = open(&server.url("lost"));
    gallery.ensure(&space("lost")).unwrap();
    gallery.upsert(&records(0..10)).unwrap();
    let client = Client::from_url(&format!("http://{}", server.address()));
    let client = client.skip_compatibility_check().build().unwrap();
    run(client.delete_alias("lost")).unwrap();
    let gallery = open(&server.url("lost"));
    assert_eq!(gallery.stats().unwrap().space, None);
    gallery.ensure(&space("lost")).unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 10);
    assert_eq!(open(&server.url("lost")).unpublished().unwrap(), [""; 0]);
}

/// The collection whose name begins so.
fn collections(server: &std::sync::Arc<sbir_servers::qdrant::Qdrant>, prefix: &str) -> String {
    let client = Client::from_url(&format!("http://{}", server.address()));
    let client = client.skip_compatibility_check().build().unwrap();
    let list = run(client.list_collections()).unwrap();
    let mut names = list.collections.into_iter().map(|collection| collection.name);
    names.find(|name| name.starts_with(prefix)).unwrap()
}

//! Galleries that are removed and made anew while clients run on.

use sbir_gallery::{Error, PhotoId, Record, SearchOptions, Space, Touch, VectorStore};
use sbir_postgres::Postgres;
use sbir_servers::Postgres as Server;

use crate::support::{DIMENSION, open, record, server, space};

/// A record below another root.
fn below(root: &str, path: &str) -> Record {
    let mut record = record(path, &[1.0; DIMENSION]);
    record.photo.root = root.into();
    record
}

/// Removes the gallery as docs/scale-postgres.md tells, and lets another client make it for this space.
fn anew(server: &Server, space: &Space) -> Postgres {
    server.sql("photos", "DROP SCHEMA sbir CASCADE").unwrap();
    let other = open(server, "sbir");
    other.ensure(space).unwrap();
    other
}

/// Where the photos are, in order.
fn places(gallery: &Postgres) -> Vec<String> {
    let photos = gallery.list(None, None, 100).unwrap().items;
    let mut places: Vec<_> = photos.iter().map(sbir_gallery::Photo::display).collect();
    places.sort_unstable();
    places
}

#[test]
fn photos_keep_their_root_in_a_gallery_that_was_made_anew() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    gallery.upsert(&[below("/a", "1"), below("/c", "1")]).unwrap();
    let other = anew(&server, &space());
    other.upsert(&[below("/b", "1")]).unwrap();
    // The root /b has the number now that /a had, and /c is not there.
    gallery.upsert(&[below("/a", "2"), below("/c", "2"), below("/b", "2")]).unwrap();
    for gallery in [&gallery, &other] {
        assert_eq!(places(gallery), ["/a/2", "/b/1", "/b/2", "/c/2"]);
        let found = gallery.lookup("/a".as_ref(), &[below("/a", "2").photo.path]).unwrap();
        assert!(found[0].is_some());
    }
    let roots: Vec<_> = gallery.roots().unwrap().iter().map(|root| root.photos).collect();
    assert_eq!(roots, [1, 2, 1]);
    assert_eq!(server.sql("photos", "SELECT count(*) FROM sbir.root").unwrap(), "3");
}

#[test]
fn vectors_of_the_old_encoder_do_not_go_into_a_new_encoders_gallery() {
    let Some(server) = server() else { return };
    let writer = open(&server, "sbir");
    writer.ensure(&space()).unwrap();
    let one = record("a", &[1.0; DIMENSION]);
    writer.upsert(std::slice::from_ref(&one)).unwrap();
    // A client that never asked for a space goes by the one that it saw first.
    let reader = open(&server, "sbir");
    assert_eq!(reader.search(&one.embedding, &SearchOptions::default()).unwrap().items.len(), 1);
    let new = Space { fingerprint: "another".into(), ..space() };
    let other = anew(&server, &new);
    other.upsert(&[record("b", &[1.0; DIMENSION])]).unwrap();
    let touch = Touch { id: PhotoId(1), size: 1, mtime_ns: 1 };
    for gallery in [&writer, &reader] {
        for error in [
            gallery.upsert(std::slice::from_ref(&one)).unwrap_err(),
            gallery.touch(&[touch]).unwrap_err(),
            gallery.search(&one.embedding, &SearchOptions::default()).unwrap_err(),
        ] {
            let Error::OtherEncoder { expected, found, .. } = &error else { panic!("{error:?}") };
            assert_eq!((&expected[..], &found[..]), ("test", "another"));
        }
        assert!(matches!(gallery.ensure(&space()), Err(Error::OtherEncoder { .. })));
        // What it is now is told, and changes nothing.
        assert_eq!(gallery.space().unwrap().as_ref(), Some(&new));
        assert!(gallery.upsert(std::slice::from_ref(&one)).is_err());
    }
    assert_eq!(places(&other), ["/photos/b"]);
    // Who asks for the new space has it.
    writer.ensure(&new).unwrap();
    writer.upsert(std::slice::from_ref(&one)).unwrap();
    assert_eq!(places(&writer), ["/photos/a", "/photos/b"]);
}

//! Answers that are not what they should be.

use sbir_gallery::{Error, SearchOptions, VectorStore as _};

use crate::support::{DIMENSION, open, record, server, space};

#[test]
fn rows_that_no_photo_can_have_are_told() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    let one = record("a", &[1.0; DIMENSION]);
    gallery.upsert(std::slice::from_ref(&one)).unwrap();
    let changes = [
        ("UPDATE sbir.photo SET path = ''", "UPDATE sbir.photo SET path = 'a'"),
        ("UPDATE sbir.photo SET path = '../../etc/passwd'", "UPDATE sbir.photo SET path = 'a'"),
        ("UPDATE sbir.photo SET width = -1", "UPDATE sbir.photo SET width = 4"),
        ("UPDATE sbir.photo SET height = 4294967296", "UPDATE sbir.photo SET height = 3"),
        ("UPDATE sbir.root SET path = 'relative'", "UPDATE sbir.root SET path = '/photos'"),
        (
            "ALTER TABLE sbir.photo ALTER COLUMN width TYPE text",
            "ALTER TABLE sbir.photo ALTER COLUMN width TYPE bigint USING width::bigint",
        ),
    ];
    for (change, back) in changes {
        server.sql("photos", change).unwrap();
        let answers = [
            gallery.list(None, None, 5).map(drop),
            gallery.scan(None, 5).map(drop),
            gallery.sample(5).map(drop),
            gallery.search(&one.embedding, &SearchOptions::default()).map(drop),
        ];
        for answer in answers {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::BadAnswer { .. }), "{change}: {error:?}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
        server.sql("photos", back).unwrap();
    }
    assert_eq!(gallery.list(None, None, 5).unwrap().items.len(), 1);
    // A count that does not fit the rows would make a list short.
    server.sql("photos", "UPDATE sbir.tally SET photos = 5").unwrap();
    let error = gallery.search(&one.embedding, &SearchOptions::default()).unwrap_err();
    assert!(error.to_string().contains("gave 1 photos where "), "{error}");
    assert!(server.sql("photos", "TRUNCATE sbir.photo").is_err());
}

#[test]
fn dimensions_that_no_vector_can_have_are_told() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    let one = record("a", &[1.0; DIMENSION]);
    gallery.upsert(std::slice::from_ref(&one)).unwrap();
    server.sql("photos", "ALTER TABLE sbir.space DROP CONSTRAINT space_dimension_check").unwrap();
    for dimension in ["0", "-1", "16001", "2147483647"] {
        let change = format!("UPDATE sbir.space SET dimension = {dimension}");
        server.sql("photos", &change).unwrap();
        for answer in [
            gallery.scan(None, 5).map(drop),
            gallery.stats().map(drop),
            gallery.upsert(std::slice::from_ref(&one)),
            gallery.search(&one.embedding, &SearchOptions::default()).map(drop),
        ] {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::BadAnswer { .. }), "{dimension}: {error:?}");
        }
    }
    // The most that there can be is no photo's here.
    server.sql("photos", "UPDATE sbir.space SET dimension = 16000").unwrap();
    let error = open(&server, "sbir").scan(None, 5).unwrap_err();
    assert!(error.to_string().contains("another dimension"), "{error}");
}

#[test]
fn vectors_without_a_direction_are_told() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    let one = record("a", &[1.0; DIMENSION]);
    gallery.upsert(std::slice::from_ref(&one)).unwrap();
    let id = gallery.list(None, None, 5).unwrap().items[0].id;
    let zeros = "UPDATE sbir.photo SET embedding = array_fill(0, ARRAY[8])::halfvec";
    server.sql("photos", zeros).unwrap();
    for error in [
        gallery.scan(None, 5).unwrap_err(),
        gallery.get(&[id]).unwrap_err(),
        gallery.with_content(&[9; 32]).unwrap_err(),
    ] {
        assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
        assert!(error.to_string().contains("a vector of zeros"), "{error}");
    }
}

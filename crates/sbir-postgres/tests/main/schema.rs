//! Tables of other versions, servers without the extension, and many who make the tables at once.

use sbir_gallery::{Error, SearchOptions, VectorStore as _};
use sbir_postgres::{Options, Postgres};
use sbir_servers::Postgres as Server;

use crate::support::{DIMENSION, alone, open, options, record, server, space};

#[test]
fn other_versions_are_refused_with_the_remedy() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    gallery.upsert(&[record("a", &[1.0; DIMENSION])]).unwrap();
    let refused = |change: &str, back: &str, remedy: &str| {
        server.sql("photos", change).unwrap();
        let error = Postgres::connect(&server.url("photos"), options()).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(remedy) && text.lines().count() == 1, "{text}");
        server.sql("photos", back).unwrap();
        open(&server, "sbir").ready().unwrap();
    };
    refused(
        "INSERT INTO sbir.migration VALUES (2, 'later', '\\x00')",
        "DELETE FROM sbir.migration WHERE version = 2",
        "use a newer sbir",
    );
    refused(
        "UPDATE sbir.migration SET checksum = checksum || '\\x00'",
        "UPDATE sbir.migration SET checksum = substring(checksum FROM 1 FOR 32)",
        "?schema=NAME",
    );
    refused(
        "CREATE TABLE sbir.kept AS SELECT * FROM sbir.migration; DELETE FROM sbir.migration",
        "INSERT INTO sbir.migration SELECT * FROM sbir.kept",
        "brings it up to date",
    );
    // The photos were never touched.
    assert_eq!(gallery.stats().unwrap().photos, 1);
}

#[test]
fn ensuring_what_another_version_made_changes_nothing() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    server.sql("photos", "INSERT INTO sbir.migration VALUES (2, 'later', '\\x00')").unwrap();
    let fresh = server.sql("photos", "SELECT count(*) FROM pg_class").unwrap();
    assert!(gallery.ensure(&space()).is_err());
    assert_eq!(server.sql("photos", "SELECT count(*) FROM pg_class").unwrap(), fresh);
}

#[test]
fn without_the_extension_the_remedy_is_told() {
    let Some(server) = server() else { return };
    server.create_database("bare").unwrap();
    let limited = format!("CREATE ROLE limited LOGIN PASSWORD '{}'", Server::PASSWORD);
    server.sql("bare", &limited).unwrap();
    server.sql("bare", "CREATE SCHEMA sbir AUTHORIZATION limited").unwrap();
    let url = server.url("bare").replace("sbir@", "limited@");
    let gallery = Postgres::connect(&url, options()).unwrap();
    let error = gallery.ensure(&space()).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("owner run CREATE EXTENSION vector"), "{error}");
    assert_eq!(
        server.sql("bare", "SELECT count(*) FROM pg_tables WHERE schemaname = 'sbir'").unwrap(),
        "0"
    );
    // Once it is there, somebody who may do no more than that can work; in another schema too.
    server.sql("bare", "CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext; GRANT USAGE ON SCHEMA ext TO limited").unwrap();
    gallery.ensure(&space()).unwrap();
    gallery.upsert(&[record("a", &[1.0; DIMENSION])]).unwrap();
    let again = Postgres::connect(&url, options()).unwrap();
    assert_eq!(again.search(&[0.1; DIMENSION], &SearchOptions::default()).unwrap().items.len(), 1);
    // Somebody who may only read can search, and not write.
    server
        .sql(
            "bare",
            "CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA ext, sbir TO reader;
                        GRANT SELECT ON ALL TABLES IN SCHEMA sbir TO reader",
        )
        .unwrap();
    let options = Options { password: Some("r".into()), ..options() };
    let reader = Postgres::connect(&url.replace("limited@", "reader@"), options).unwrap();
    assert_eq!(reader.search(&[0.1; DIMENSION], &SearchOptions::default()).unwrap().items.len(), 1);
    reader.ensure(&space()).unwrap();
    let error = reader.upsert(&[record("b", &[1.0; DIMENSION])]).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[test]
fn reading_makes_no_tables() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "elsewhere");
    assert_eq!(gallery.stats().unwrap().photos, 0);
    assert_eq!(gallery.search(&[1.0], &SearchOptions::default()).unwrap().items, []);
    assert_eq!(server.sql("photos", "SELECT to_regnamespace('elsewhere') IS NULL").unwrap(), "t");
    // A schema may have any name.
    let odd = open(&server, "%22odd%20%22%22%3B--");
    odd.ensure(&space()).unwrap();
    odd.upsert(&[record("a", &[1.0; DIMENSION])]).unwrap();
    assert_eq!(odd.search(&[0.1; DIMENSION], &SearchOptions::default()).unwrap().items.len(), 1);
    odd.compact().unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 0);
}

#[test]
fn processes_that_make_the_tables_at_once_all_succeed() {
    const URL: &str = "SBIR_TEST_URL";
    const TEST: &str = "schema::processes_that_make_the_tables_at_once_all_succeed";
    if let Some(url) = std::env::var_os(URL) {
        let gallery = Postgres::connect(url.to_str().unwrap(), options()).unwrap();
        gallery.ensure(&space()).unwrap();
        return gallery.upsert(&[record("a", &[1.0; DIMENSION])]).unwrap();
    }
    let Some(server) = server() else { return };
    let url = server.url("photos");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| alone(TEST, &[(URL, &url)]));
        }
    });
    assert_eq!(open(&server, "sbir").stats().unwrap().photos, 1);
    assert_eq!(server.sql("photos", "SELECT count(*) FROM sbir.migration").unwrap(), "1");
}

//! What the environment says.

use sbir_gallery::{Error, VectorStore as _};
use sbir_postgres::{Options, Postgres};
use sbir_servers::Postgres as Server;

use crate::support::{alone, server};

const URL: &str = "SBIR_TEST_URL";

/// Connects with nothing but the environment; in the process that the test starts for it.
fn connects() -> Option<sbir_gallery::Result<Postgres>> {
    let url = std::env::var(URL).ok()?;
    Some(Postgres::connect(&url, Options::default()))
}

#[test]
fn the_password_comes_from_the_environment() {
    const TEST: &str = "environment::the_password_comes_from_the_environment";
    if let Some(gallery) = connects() {
        return gallery.unwrap().ready().unwrap();
    }
    let Some(server) = server() else { return };
    let url = server.url("photos");
    assert!(!alone(TEST, &[(URL, &url), ("PGPASSWORD", Server::PASSWORD)]));
    let folder = tempfile::tempdir().unwrap();
    let line =
        format!("other:*:*:*:x\n127.0.0.1:{}:photos:sbir:{}\n", server.port(), Server::PASSWORD);
    for name in ["pass", ".pgpass"] {
        let path = folder.path().join(name);
        std::fs::write(&path, &line).unwrap();
        private(&path);
    }
    let file = folder.path().join("pass");
    alone(TEST, &[(URL, &url), ("PGPASSFILE", file.to_str().unwrap())]);
    alone(TEST, &[(URL, &url), ("HOME", folder.path().to_str().unwrap())]);
    let nobody = url.replace("sbir@", "");
    alone(TEST, &[(URL, &nobody), ("PGUSER", "sbir"), ("PGPASSWORD", Server::PASSWORD)]);
}

#[cfg(unix)]
fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn without_a_password_the_remedy_is_told() {
    const TEST: &str = "environment::without_a_password_the_remedy_is_told";
    if let Some(gallery) = connects() {
        let error = gallery.unwrap_err();
        assert!(!matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("PGPASSWORD"), "{error}");
        return;
    }
    let Some(server) = server() else { return };
    alone(TEST, &[(URL, &server.url("photos"))]);
}

#[test]
fn modes_that_protect_nothing_are_refused() {
    const TEST: &str = "environment::modes_that_protect_nothing_are_refused";
    if let Some(gallery) = connects() {
        let error = gallery.unwrap_err();
        assert!(matches!(error, Error::BadAddress { .. }), "{error:?}");
        assert!(error.to_string().contains("PGSSLMODE"), "{error}");
        return;
    }
    alone(TEST, &[(URL, "postgres://sbir@127.0.0.1:1/x"), ("PGSSLMODE", "prefer")]);
}

//! What may go wrong without the server going down.

use sbir_gallery::{Gallery, LocalFiles};
use sbir_server::{Config, Error, Server, Services};
use std::sync::Arc;

use crate::cheap::Cheap;
use crate::support::{Site, drawing};

#[test]
fn unreadable_files_are_named() {
    let site = Site::start(
        3,
        |photos| {
            let whole = fs_err::read(photos.join("bar000.jpg")).unwrap();
            fs_err::write(photos.join("half.jpg"), &whole[..whole.len() / 2]).unwrap();
            fs_err::write(photos.join("text.png"), "no picture").unwrap();
        },
        |_| {},
    );
    site.wait_until_idle();
    let state = site.state();
    assert_eq!((&state["photos"], &state["skipped"]), (&3.into(), &2.into()));
    let files = state["skipped_files"].as_array().unwrap();
    let named = |name: &str| {
        files.iter().any(|file| {
            file["path"].as_str().unwrap().ends_with(name)
                && !file["reason"].as_str().unwrap().is_empty()
        })
    };
    assert!(named("half.jpg") && named("text.png"), "{files:?}");
}

#[test]
fn a_missing_folder_keeps_its_photos() {
    let site = Site::new();
    site.wait("the watch", |state| state["watching"] == true);
    let away = site.home.path().join("away");
    fs_err::rename(&site.photos, &away).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let hits = site.post("/api/search", &drawing(1)).ok().json();
    assert_eq!(hits["searched"], 12);
    let id = hits["hits"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(site.get(&format!("/api/photos/{id}")).status, 410);
    fs_err::rename(&away, &site.photos).unwrap();
    assert_eq!(site.get(&format!("/api/photos/{id}")).status, 200);
}

#[test]
fn another_encoders_gallery_is_said() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gallery.sbir");
    let gallery = Gallery::open_or_create(&path).unwrap();
    let space = sbir_gallery::Space { fingerprint: "another".into(), dimension: 7 };
    sbir_gallery::VectorStore::ensure(&gallery, &space).unwrap();
    drop(gallery);
    let site = Site::start(
        2,
        |photos| {
            fs_err::copy(&path, photos.parent().unwrap().join("gallery.sbir")).unwrap();
        },
        |_| {},
    );
    site.wait("the failure", |state| state["phase"] == "failed");
    let message = site.state()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("--model"), "{message}");
    assert_eq!(site.post("/api/search", &drawing(0)).status, 500);
    site.get("/api/health").ok();
}

fn bind(config: Config) -> Result<(), Error> {
    let home = tempfile::tempdir().unwrap();
    let gallery = Gallery::open_or_create(&home.path().join("gallery.sbir")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let embedder = Arc::new(Cheap::default());
    let services = Services { store: Arc::new(gallery), files: Arc::new(LocalFiles), embedder };
    runtime.block_on(Server::bind(config, services)).map(drop)
}

#[test]
fn a_taken_address_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = bind(Config { listen, ..Config::default() }).unwrap_err().to_string();
    assert!(error.contains(&listen.to_string()) && error.contains("--listen"), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn bad_settings_are_refused_before_serving() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let error =
        bind(Config { listen, token: Some("guess".into()), ..Config::default() }).unwrap_err();
    assert!(matches!(error, Error::WeakToken { .. }));
    let error = bind(Config { listen, hosts: vec!["*".into()], ..Config::default() }).unwrap_err();
    assert!(matches!(error, Error::BadHost { .. }));
}

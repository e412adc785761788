//! Photos and thumbnails by number.

use crate::support::{Site, bar, write_bar};

const HEIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sbir-data/tests/golden/photo.heic");

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9])
}

#[test]
fn photos_are_served_as_they_are() {
    let site = Site::new();
    let id = site.id("bar002.jpg");
    let reply = site.get(&format!("/api/photos/{id}")).ok();
    assert_eq!(reply.header("content-type"), "image/jpeg");
    assert_eq!(reply.body, fs_err::read(site.photos.join("bar002.jpg")).unwrap());
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    let etag = reply.header("etag").to_owned();
    let again = site.send("GET", &format!("/api/photos/{id}"), &[("If-None-Match", &etag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    // With its version it may be kept for good; a wrong one is no promise.
    let version = etag.trim_matches('"');
    for path in ["photos", "thumbnails"] {
        let kept = site.get(&format!("/api/{path}/{id}?v={version}")).ok();
        assert!(kept.header("cache-control").contains("immutable"));
        let other = site.get(&format!("/api/{path}/{id}?v=0000")).ok();
        assert_eq!(other.header("cache-control"), "private, no-cache");
    }
    let page = site.get("/api/gallery").ok().json();
    assert!(page["photos"].as_array().unwrap().iter().any(|photo| photo["version"] == version));
}

#[test]
fn other_formats_become_jpeg() {
    let site = Site::start(
        1,
        |photos| {
            let picture = bar(30);
            let buffer =
                image::RgbImage::from_raw(picture.width, picture.height, picture.pixels).unwrap();
            for name in ["a.bmp", "a.tiff", "a.png", "a.gif", "a.webp"] {
                buffer.save(photos.join(name)).unwrap();
            }
            // What the bytes are decides, not the name.
            fs_err::rename(photos.join("a.bmp"), photos.join("b.png")).unwrap();
            fs_err::copy(HEIC, photos.join("a.heic")).unwrap();
        },
        |_| {},
    );
    site.wait_until_idle();
    for (name, kind) in [
        ("b.png", "image/jpeg"),
        ("a.tiff", "image/jpeg"),
        ("a.heic", "image/jpeg"),
        ("a.png", "image/png"),
        ("a.gif", "image/gif"),
        ("a.webp", "image/webp"),
    ] {
        let reply = site.get(&format!("/api/photos/{}", site.id(name))).ok();
        assert_eq!(reply.header("content-type"), kind, "{name}");
        assert_eq!(is_jpeg(&reply.body), kind == "image/jpeg", "{name}");
        let small = site.get(&format!("/api/thumbnails/{}", site.id(name))).ok();
        assert!(is_jpeg(&small.body), "{name}");
    }
    let similar = site.post("/api/search/image", &fs_err::read(HEIC).unwrap()).ok().json();
    assert_eq!(similar["hits"][0]["name"], "a.heic", "{similar}");
}

#[test]
fn a_thumbnail_is_made_once() {
    let site = Site::start(
        0,
        |photos| {
            let large =
                image::RgbImage::from_fn(1600, 1000, |x, y| image::Rgb([x as u8, y as u8, 7]));
            large.save(photos.join("large.jpg")).unwrap();
        },
        |_| {},
    );
    site.wait_until_idle();
    let path = format!("/api/thumbnails/{}", site.id("large.jpg"));
    let replies: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| site.get(&path).ok().body)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|body| *body == replies[0]));
    let picture = image::load_from_memory(&replies[0]).unwrap();
    assert_eq!((picture.width(), picture.height()), (448, 280));
    assert!((site.metric("sbir_thumbnails_made_total") - 1.0).abs() < 1e-9);
}

#[test]
fn a_changed_photo_is_shown_as_it_is_now() {
    let site = Site::with(3, |config| config.index = true);
    let path = site.photos.join("bar001.jpg");
    let id = site.id("bar001.jpg");
    let address = format!("/api/photos/{id}");
    let before = site.get(&address).ok();
    write_bar(&path, 44);
    let after = site.get(&address).ok();
    assert_eq!(after.body, fs_err::read(&path).unwrap());
    assert_ne!(after.header("etag"), before.header("etag"));
    // No photo any more: its bytes are nobody's business.
    fs_err::write(&path, "the secret diary").unwrap();
    for path in ["photos", "thumbnails"] {
        let reply = site.get(&format!("/api/{path}/{id}"));
        assert!(matches!(reply.status, 404 | 410), "{}", reply.status);
        assert!(!String::from_utf8_lossy(&reply.body).contains("diary"));
    }
}

#[cfg(unix)]
#[test]
fn no_link_leads_out() {
    let site = Site::with(3, |config| config.index = true);
    let secret = site.home.path().join("secret.jpg");
    write_bar(&secret, 40);
    let id = site.id("bar001.jpg");
    let path = site.photos.join("bar001.jpg");
    fs_err::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    for kind in ["photos", "thumbnails"] {
        let reply = site.get(&format!("/api/{kind}/{id}"));
        assert!(matches!(reply.status, 404 | 410), "{kind}: {}", reply.status);
        assert_ne!(reply.body, fs_err::read(&secret).unwrap());
    }
}

#[test]
fn only_numbers_name_photos() {
    let site = Site::new();
    for id in [
        "0",
        "-1",
        "999999",
        "x",
        "1x",
        "99999999999999999999",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "1%00",
    ] {
        for path in ["photos", "thumbnails"] {
            assert_eq!(site.get(&format!("/api/{path}/{id}")).status, 404, "{path}/{id}");
        }
    }
    for path in [
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/index.html",
        "/assets/",
        "/photos/bar000.jpg",
    ] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
}

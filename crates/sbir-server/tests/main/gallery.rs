//! Pages, samples, names.

use std::collections::BTreeSet;

use crate::support::{Site, write_bar};

#[test]
fn pages_show_every_photo_once() {
    let site = Site::with(23, |_| {});
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = site.get(&format!("/api/gallery?limit=5{after}")).ok().json();
        assert_eq!(page["total"], 23);
        let photos = page["photos"].as_array().unwrap();
        assert!(photos.len() <= 5);
        seen.extend(photos.iter().map(|photo| photo["name"].as_str().unwrap().to_owned()));
        match page["next"].as_i64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 23);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 23);
}

#[test]
fn samples_are_random_and_without_repeats() {
    let site = Site::with(30, |_| {});
    let mut seen = BTreeSet::new();
    for count in [1, 5, 12, 30, 100] {
        let answer = site.get(&format!("/api/gallery/sample?count={count}")).ok().json();
        let names: Vec<_> =
            answer["photos"].as_array().unwrap().iter().map(|p| p["name"].to_string()).collect();
        let different: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(different.len(), names.len());
        assert!(names.len() <= count && names.len() >= count.min(20), "{count}: {}", names.len());
        seen.extend(different);
    }
    assert!(seen.len() > 20, "{}", seen.len());
    let empty = Site::with(0, |_| {});
    assert_eq!(
        empty.get("/api/gallery/sample?count=3").ok().json()["photos"],
        serde_json::json!([])
    );
}

#[cfg(unix)]
#[test]
fn hostile_names_are_just_names() {
    use std::os::unix::ffi::OsStrExt as _;
    let names: [&[u8]; 4] = [
        b"<img src=x onerror=alert(1)>.jpg",
        b"two\nlines\r\ndata: x.jpg",
        b"\xff\xfe not utf8.jpg",
        b"=cmd|'x'!A1.jpg",
    ];
    let site = Site::start(
        0,
        |photos| {
            for (number, name) in names.iter().enumerate() {
                write_bar(&photos.join(std::ffi::OsStr::from_bytes(name)), number as u32);
            }
            let broken = photos.join("broken\ndata: {\"phase\":\"failed\"}\n.jpg");
            fs_err::write(broken, [0xFF, 0xD8, 0xFF, 0xE0, 0, 4]).unwrap();
        },
        |_| {},
    );
    site.wait_until_idle();
    let page = site.get("/api/gallery").ok().json();
    let photos = page["photos"].as_array().unwrap();
    assert_eq!(photos.len(), 4);
    for photo in photos {
        for key in ["name", "path"] {
            let text = photo[key].as_str().unwrap();
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        site.get(&format!("/api/photos/{}", photo["id"].as_str().unwrap())).ok();
    }
    let state = site.state();
    assert_eq!(state["skipped"], 1);
    let mut stream = site.connect();
    site.write(&mut stream, "GET", "/api/events", &[], b"");
    let event = crate::live::Events::new(stream).next();
    assert_eq!(event["skipped"], 1);
    assert_eq!(event["phase"], "idle");
}

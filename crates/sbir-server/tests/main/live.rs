//! The state of the index as it changes.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Site, drawing, read_reply, write_bar};

/// The events of a stream.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    pub fn of(site: &Site) -> Self {
        Self::asked(site, site.connect())
    }

    pub fn asked(site: &Site, mut stream: TcpStream) -> Self {
        site.write(&mut stream, "GET", "/api/events", &[], b"");
        Self::new(stream)
    }

    /// The next state; every event is of one `data` line.
    pub fn next(&mut self) -> Value {
        self.try_next().expect("the stream ended")
    }

    pub fn try_next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn indexing_is_followed() {
    let site = Site::start(60, |_| {}, |config| config.limits.streams = 4);
    site.embedder.photo_ms.store(25, Ordering::SeqCst);
    let mut events = Events::of(&site);
    let mut done = Vec::new();
    let mut watched = false;
    let last = loop {
        let state = events.next();
        if state["phase"] == "idle" {
            break state;
        }
        // What is going on is told while it goes on.
        if state["phase"] == "indexing" {
            assert_eq!(state["roots"][0]["path"], site.photos.to_str().unwrap());
            watched |= state["watching"] == true;
        }
        done.push(state["done"].as_u64().unwrap());
    };
    assert!(done.is_sorted(), "{done:?}");
    assert!(watched, "the watch was told of only after the run");
    assert_eq!(last["photos"], 60);
    assert_eq!(last["roots"][0]["path"], site.photos.to_str().unwrap());
    assert_eq!(last["encoder"], "cheap");
}

#[test]
fn an_empty_folder_is_a_folder() {
    let site = Site::with(0, |_| {});
    assert_eq!(site.state()["roots"][0]["path"], site.photos.to_str().unwrap());
}

#[test]
fn changes_are_taken_up() {
    let site = Site::new();
    site.wait("the watch", |state| state["watching"] == true);
    let mut events = Events::of(&site);
    let revision = events.next()["revision"].as_u64().unwrap();
    write_bar(&site.photos.join("new.jpg"), 70);
    fs_err::remove_file(site.photos.join("bar003.jpg")).unwrap();
    let began = Instant::now();
    loop {
        let state = events.next();
        assert!(began.elapsed() < Duration::from_secs(25), "{state}");
        if state["phase"] == "idle" && state["revision"].as_u64().unwrap() > revision {
            break;
        }
    }
    let page = site.get("/api/gallery?limit=100").ok().json();
    let names: Vec<_> = page["photos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        names.contains(&"new.jpg".into()) && !names.contains(&"bar003.jpg".into()),
        "{names:?}"
    );
}

#[test]
fn a_folder_that_went_and_came_back_is_watched_again() {
    let site = Site::new();
    site.wait("the watch", |state| state["watching"] == true && state["phase"] == "idle");
    let away = site.home.path().join("away");
    fs_err::rename(&site.photos, &away).unwrap();
    fs_err::create_dir(&site.photos).unwrap();
    write_bar(&site.photos.join("only.jpg"), 40);
    site.wait("the other folder", |state| state["photos"] == 1 && state["phase"] == "idle");
    write_bar(&site.photos.join("second.jpg"), 90);
    site.wait("what is new in it", |state| state["photos"] == 2 && state["phase"] == "idle");
    fs_err::remove_dir_all(&site.photos).unwrap();
    site.wait("that it is gone", |state| state["watching"] == false);
    fs_err::rename(&away, &site.photos).unwrap();
    site.wait("that it is back", |state| state["photos"] == 12 && state["watching"] == true);
}

#[test]
fn a_gallery_inside_its_folder_comes_to_rest() {
    // The site's own gallery lies beside its folder of photos; watching that home makes the gallery part of it.
    let site = Site::start(
        3,
        |_| {},
        |config| {
            let home = config.folders[0].parent().unwrap().to_owned();
            config.folders = vec![home];
            config.cache = None;
        },
    );
    site.wait("the watch", |state| state["watching"] == true && state["phase"] == "idle");
    write_bar(&site.photos.join("new.jpg"), 9);
    site.wait("the new photo", |state| state["photos"] == 4 && state["phase"] == "idle");
    // Runs that change nothing tell of themselves all the same.
    let stream = site.connect();
    stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let mut events = Events::asked(&site, stream);
    events.next();
    assert_eq!(events.try_next(), None, "indexing sets itself off");
}

#[test]
fn stopping_ends_streams_and_finishes_answers() {
    let mut site = Site::new();
    site.embedder.query_ms.store(400, Ordering::SeqCst);
    let mut events = Events::of(&site);
    events.next();
    let idle = site.connect();
    let mut search = site.connect();
    site.write(&mut search, "POST", "/api/search", &[], &drawing(1));
    while site.embedder.running.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let began = Instant::now();
    let answer = std::thread::spawn(move || read_reply(&mut search).status);
    site.stop();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(answer.join().unwrap(), 200);
    while events.try_next().is_some() {}
    drop(idle);
    assert!(TcpStream::connect(site.loopback()).is_err());
}

#[test]
fn stopping_does_not_wait_for_the_index() {
    let mut site = Site::start(80, |_| {}, |_| {});
    site.embedder.photo_ms.store(50, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    site.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

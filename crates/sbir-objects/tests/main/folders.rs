//! Local folders.

use std::thread;

use sbir_objects::{Error, Extent, Options, Place};

use crate::support::{key, keys};

fn place() -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path().join("out").as_os_str(), &Options::default()).unwrap();
    (folder, place)
}

#[test]
fn files_read_as_they_were_written() {
    let (_folder, place) = place();
    let name = key("a b/é%20/x");
    assert!(place.get(&name, 10).unwrap_err().is_not_found());
    assert!(place.stat(&name).unwrap_err().is_not_found());
    place.put(&name, "first".into()).unwrap();
    place.put(&name, "second".into()).unwrap();
    let object = place.get(&name, 6).unwrap();
    assert_eq!((&object.bytes[..], object.stat.size), (&b"second"[..], 6));
    assert!(object.stat.mtime_ns > 1_600_000_000_000_000_000);
    assert_eq!(place.stat(&name).unwrap(), object.stat);
    assert_eq!(&place.get_start(&name, 3).unwrap()[..], b"sec");
    let too_large = place.get(&name, 5).unwrap_err();
    assert!(matches!(too_large, Error::TooLarge { size: 6, limit: 5, .. }), "{too_large}");
    assert_eq!(keys(&place), ["a b/é%20/x"]);
}

#[test]
fn one_of_many_creators_wins_and_nothing_is_left_over() {
    let (_folder, place) = place();
    let won: usize = thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let place = &place;
                scope.spawn(move || place.put_new(&key("x"), vec![n; 100_000].into()).unwrap())
            })
            .collect();
        tries.into_iter().map(|handle| usize::from(handle.join().unwrap())).sum()
    });
    assert_eq!(won, 1);
    let bytes = place.get(&key("x"), 1 << 20).unwrap().bytes;
    assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!(keys(&place), ["x"]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let (folder, place) = place();
    std::fs::write(folder.path().join("secret"), "outside").unwrap();
    place.put(&key("in/file"), "inside".into()).unwrap();
    let root = folder.path().join("out");
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    std::os::unix::fs::symlink("in", root.join("inner")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for name in ["link", "up/secret", "inner/file", "in", "socket", "in/file/x"] {
        let error = place.get(&key(name), 100).unwrap_err();
        assert_eq!(error.extent(), Extent::File, "{error}");
    }
    let mut listing = place.list().unwrap();
    assert_eq!(listing.by_ref().count(), 1);
    assert_eq!(listing.passed_over().links, 3);
}

#[cfg(unix)]
#[test]
fn names_need_not_be_utf8_and_what_cannot_be_written_is_said() {
    use std::os::unix::ffi::OsStrExt as _;
    let (_folder, place) = place();
    let name = sbir_objects::Key::new(b"f\xffx".to_vec()).unwrap();
    place.put(&name, "1".into()).unwrap();
    let entry = place.list().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.key, name);
    assert_eq!(place.name_of(&name).rsplit('/').next(), Some("f\\xffx"));
    assert!(place.root().join(std::ffi::OsStr::from_bytes(b"f\xffx")).exists());
    let error = place.put_new(&key(&"n".repeat(300)), "1".into()).unwrap_err().to_string();
    assert!(error.contains("cannot be written") && error.lines().count() == 1, "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_the_system_fails_to_read_says_nothing_for_good() {
    // Its first byte is at no address: EIO, as from a disk that fails.
    let place = Place::open("/proc/self".as_ref(), &Options::default()).unwrap();
    let error = place.get(&key("mem"), 100).unwrap_err();
    assert!(error.extent() == Extent::Unclear && error.to_string().contains("/mem: "), "{error}");
}

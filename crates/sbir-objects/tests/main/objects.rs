//! A real S3 server.

use std::io::{Read as _, Seek as _, Write as _};
use std::thread;

use sbir_objects::{Error, Extent, Options, Place};
use sbir_servers::S3;

use crate::support::{key, keys, options, place, prefix};

#[test]
fn objects_read_as_they_were_written_whatever_their_names() {
    let Some(server) = S3::shared() else { return };
    let place = place(server.address());
    let names = [
        "plain.jpg",
        "a b/c d.jpg",
        "per%20cent%.jpg",
        "ünï/図.png",
        "a+b&c=d?e#f.jpg",
        "...",
        "~'()*!,;:@$.x",
    ];
    for name in names {
        place.put(&key(name), name.to_owned().into()).unwrap();
    }
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(keys(&place), expected);
    for name in names {
        let object = place.get(&key(name), 100).unwrap();
        assert_eq!((&object.bytes[..], object.stat.size), (name.as_bytes(), name.len() as u64));
        let stat = place.stat(&key(name)).unwrap();
        assert!(stat.etag.is_some() && stat.mtime_ns > 1_600_000_000_000_000_000);
        assert_eq!((stat.size, &stat.etag), (object.stat.size, &object.stat.etag));
    }
    let too_large = place.get(&key("plain.jpg"), 8).unwrap_err();
    assert!(matches!(too_large, Error::TooLarge { size: 9, limit: 8, .. }), "{too_large}");
    assert_eq!(&place.get_start(&key("plain.jpg"), 3).unwrap()[..], b"pla");
    assert_eq!(place.get_start(&key("plain.jpg"), 30).unwrap().len(), 9);
    place.put(&key("empty"), "".into()).unwrap();
    assert_eq!(place.get_start(&key("empty"), 3).unwrap().len(), 0);
    assert_eq!(place.get(&key("empty"), 0).unwrap().stat.size, 0);
    // Nothing beyond the prefix is listed, nor what only begins like it.
    let name = place.root().display().to_string();
    let beside =
        Place::open(format!("{name} and more").as_ref(), &options(server.address())).unwrap();
    beside.put(&key("x"), "1".into()).unwrap();
    assert_eq!(keys(&place).len(), names.len() + 1);
}

#[test]
fn many_objects_are_listed_page_by_page() {
    let Some(server) = S3::shared() else { return };
    let place = place(server.address());
    thread::scope(|scope| {
        for part in 0..4 {
            let place = &place;
            scope.spawn(move || {
                for n in (part..1100).step_by(4) {
                    place.put(&key(&format!("{n:04}.jpg")), "x".into()).unwrap();
                }
            });
        }
    });
    let expected: Vec<_> = (0..1100).map(|n| format!("{n:04}.jpg")).collect();
    assert_eq!(keys(&place), expected);
}

#[test]
fn one_of_many_creators_wins() {
    let Some(server) = S3::shared() else { return };
    let place = place(server.address());
    for round in 0..5 {
        let name = key(&format!("{round}"));
        let won: usize = thread::scope(|scope| {
            let tries: Vec<_> = (0..6)
                .map(|n| {
                    let (place, name) = (&place, &name);
                    scope.spawn(move || place.put_new(name, vec![n; 50_000].into()).unwrap())
                })
                .collect();
            tries.into_iter().map(|handle| usize::from(handle.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
        let bytes = place.get(&name, 1 << 20).unwrap().bytes;
        assert!(bytes.len() == 50_000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
}

#[test]
fn large_files_go_in_parts_and_come_back() {
    let Some(server) = S3::shared() else { return };
    let place = place(server.address());
    let mut file = tempfile::tempfile().unwrap();
    let line: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for n in 0..40_u8 {
        file.write_all(&line).unwrap();
        file.write_all(&[n]).unwrap();
    }
    for (name, size) in [("large", None), ("small", Some(12_345)), ("empty", Some(0))] {
        if let Some(size) = size {
            file.set_len(size).unwrap();
        }
        place.upload(&key(name), &mut file).unwrap();
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        file.rewind().unwrap();
        file.read_to_end(&mut sent).unwrap();
        place.download(&key(name)).unwrap().read_to_end(&mut came).unwrap();
        assert!(sent == came, "{name}: {} and {} bytes", sent.len(), came.len());
    }
}

#[test]
fn what_is_wrong_is_said_with_the_remedy() {
    let Some(server) = S3::shared() else { return };
    let at = server.address();
    let own = options(at);
    let with = |name: &str, value: &str| {
        let mut options = own.clone();
        let environment = options.environment.as_mut().unwrap();
        environment.retain(|(key, _)| key != name);
        if !value.is_empty() {
            environment.push((name.to_owned(), value.to_owned()));
        }
        options
    };
    let said = |error: Error| {
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    let open = |options: &Options| Place::open(prefix().as_ref(), options);
    let first = |place: &Place| place.list().unwrap().next().unwrap().unwrap_err();

    let missing = Place::open("s3://no-such-bucket/x".as_ref(), &own).unwrap();
    let error = first(&missing);
    assert!(matches!(&error, Error::NoBucket { .. }) && error.extent() == Extent::Place, "{error}");
    assert!(said(error).contains("no-such-bucket"));

    let stranger = open(&with("AWS_ACCESS_KEY_ID", "nobody")).unwrap();
    assert!(matches!(first(&stranger), Error::BadCredentials { .. }));
    let liar = open(&with("AWS_SECRET_ACCESS_KEY", "wrong")).unwrap();
    let error = liar.put(&key("x"), "1".into()).unwrap_err();
    assert!(matches!(error, Error::BadCredentials { .. }), "{error}");
    assert!(said(error).contains("AWS_SECRET_ACCESS_KEY"));

    let reader = open(&with("AWS_ACCESS_KEY_ID", S3::READER_KEY)).unwrap();
    assert_eq!(keys(&reader), [""; 0]);
    let error = reader.put_new(&key("x"), "1".into()).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }) && error.is_denied(), "{error}");

    let half = open(&with("AWS_SECRET_ACCESS_KEY", "")).unwrap_err();
    assert!(said(half).contains("AWS_SECRET_ACCESS_KEY"));
    let plain = open(&with("AWS_ALLOW_HTTP", "")).unwrap_err();
    assert!(said(plain).contains("AWS_ALLOW_HTTP"));

    let mut nobody = with("AWS_ACCESS_KEY_ID", "");
    let environment = nobody.environment.as_mut().unwrap();
    environment.retain(|(key, _)| key != "AWS_SECRET_ACCESS_KEY");
    // Where machines in a cloud ask for theirs: here nobody answers.
    environment.push(("AWS_METADATA_ENDPOINT".into(), "http://127.0.0.1:9".into()));
    let error = first(&open(&nobody).unwrap());
    assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
    assert!(said(error).contains("AWS_ACCESS_KEY_ID"));

    let bad = own.clone();
    let name = sbir_objects::Key::new(b"\xff".to_vec()).unwrap();
    let place = open(&bad).unwrap();
    assert!(matches!(place.put(&name, "1".into()), Err(Error::BadKey { .. })));
    assert!(place.get(&key("none"), 1).unwrap_err().is_not_found());
    assert!(place.stat(&key("none")).unwrap_err().is_not_found());
}

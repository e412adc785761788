//! Files that are not what they should be.

use sbir_gallery::VectorStore as _;
use sbir_shards::{Error, LoadOptions, Piece, load};

use crate::support::{Colours, Work};

fn made() -> Work {
    let work = Work::with_photos(12);
    work.list(4);
    work.embed("0/1", &Colours::new()).unwrap();
    work
}

#[test]
fn damaged_pieces_are_named_and_the_rest_loaded() {
    let work = made();
    let whole = std::fs::read(work.piece(1)).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() - 100;
    flipped[middle] ^= 1;
    let copy = std::fs::read(work.piece(0)).unwrap();
    for (bytes, said) in [
        (&whole[..whole.len() - 1], "checksum"),
        (&whole[..20], "breaks off"),
        (&[][..], "breaks off"),
        (&flipped[..], "checksum"),
        (&copy[..], "piece 0"),
        (&b"something else, longer than a checksum"[..], "not a piece"),
    ] {
        std::fs::write(work.piece(1), bytes).unwrap();
        let gallery = work.gallery("g.sbir");
        let summary = work.load(&gallery).unwrap();
        assert_eq!((summary.loaded, summary.photos, summary.missing.len()), (2, 8, 1));
        let damage = summary.missing[0].damage.clone().unwrap();
        assert!(summary.missing[0].piece == 1 && damage.contains(said), "{damage}");
        // The run that would pass it over sees what it can see in its first bytes.
        let again = work.embed("0/1", &Colours::new());
        match said {
            "checksum" => assert_eq!(again.unwrap().snapshot.there, 3),
            _ => assert!(matches!(again, Err(Error::Piece { .. })), "{said}"),
        }
    }
    std::fs::remove_file(work.piece(1)).unwrap();
    assert_eq!(work.embed("0/1", &Colours::new()).unwrap().snapshot.written, 1);
    assert_eq!(std::fs::read(work.piece(1)).unwrap(), whole);
    assert_eq!(work.load(&work.gallery("g.sbir")).unwrap().photos, 12);
}

#[test]
fn sound_pieces_with_other_photos_are_found() {
    let work = made();
    let edited = |edit: &dyn Fn(&mut Piece)| {
        let mut piece = Piece::decode(&std::fs::read(work.piece(2)).unwrap()).unwrap();
        edit(&mut piece);
        piece.encode().unwrap()
    };
    let drop_one = edited(&|piece| {
        piece.photos.pop();
        piece.halves.truncate(piece.photos.len() * piece.header.space.dimension);
    });
    let twice = edited(&|piece| piece.photos[1] = piece.photos[0].clone());
    let other =
        edited(&|piece| piece.photos[1].path = sbir_gallery::RelPath::new(b"x".into()).unwrap());
    let whole = std::fs::read(work.piece(2)).unwrap();
    for (bytes, without_manifest) in [(drop_one, true), (twice, true), (other, false)] {
        std::fs::write(work.piece(2), bytes).unwrap();
        let gallery = work.gallery("g.sbir");
        let found = work.load(&gallery).unwrap().missing.len();
        assert_eq!(found, usize::from(without_manifest));
        let summary = work.load_checked(&work.gallery("h.sbir")).unwrap();
        assert!(summary.missing[0].damage.as_ref().unwrap().contains("manifest"));
    }
    let foreign = {
        let mut piece = Piece::decode(&whole).unwrap();
        piece.header.space.fingerprint = "others\n".into();
        piece.encode().unwrap()
    };
    std::fs::write(work.piece(2), foreign).unwrap();
    let error = work.load(&work.gallery("g.sbir")).unwrap_err();
    assert!(matches!(&error, Error::OtherEncoder { .. }), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
fn a_place_without_its_job_and_with_another_is_told() {
    let work = Work::with_photos(4);
    work.list(4);
    let error = work.load(&work.gallery("g.sbir")).unwrap_err();
    assert!(
        matches!(&error, Error::NoJob { .. }) && error.to_string().contains("sbir embed"),
        "{error}"
    );
    work.embed("0/1", &Colours::new()).unwrap();
    let job = work.path("out/job.json");
    let text = std::fs::read_to_string(&job).unwrap();
    for (from, to, said) in [
        ("\"version\": 1", "\"version\": 9", "newer sbir"),
        ("\"dimension\": 48", "\"dimension\": 0", "values"),
        ("\"dimension\": 48", "\"dimension\": 99999999999", "values"),
        ("\"piece\": 4", "\"piece\": 0", "values"),
        ("\"photos\": 4", "\"photos\": -4", "job.json"),
        ("\"photos\": 4", "\"photos\": 40000001", "values"),
        ("sbir pieces", "else", "something else"),
        ("{", "", "job.json"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&job, text.replacen(from, to, 1)).unwrap();
        let error = work.load(&work.gallery("g.sbir")).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(work.embed("0/1", &Colours::new()).is_err(), "{from}");
    }
    // The digest is the manifest's, and what is beside it is not.
    for (from, to) in
        [("photos\": 4", "photos\": 3"), ("piece\": 4", "piece\": 3"), ("/photos\"", "/other\"")]
    {
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&job, text.replacen(from, to, 1)).unwrap();
        let error = work.load_checked(&work.gallery("g.sbir")).unwrap_err();
        let named = error.to_string().contains("job.json: its root or its numbers");
        assert!(matches!(&error, Error::Job { .. }) && named, "{error}");
        assert!(matches!(work.embed("0/1", &Colours::new()), Err(Error::Job { .. })), "{from}");
    }
    // Many pieces that are not there are counted, and the first of them named.
    let many = text.replacen("\"photos\": 4", "\"photos\": 20000", 1);
    std::fs::write(&job, many.replacen("\"shards\": 1", "\"shards\": 3000", 1)).unwrap();
    let summary = work.load(&work.gallery("g.sbir")).unwrap();
    assert_eq!((summary.loaded, summary.lacking, summary.missing.len()), (1, 4999, 1000));
    assert_eq!(summary.shards().len(), 3000);
    // More photos than a piece holds would be asked for one by one, were they believed.
    std::fs::write(&job, text.replacen("\"photos\": 4", "\"photos\": 3", 1)).unwrap();
    assert_eq!(work.load(&work.gallery("g.sbir")).unwrap().missing.len(), 1);
    std::fs::write(&job, &text).unwrap();
    let expected = sbir_gallery::Space { fingerprint: "others".into(), dimension: 48 };
    let options = LoadOptions { expected: Some(expected), stop: None };
    let gallery = work.gallery("h.sbir");
    let error = load(&work.out(), None, &gallery, &options, &mut |_| {}).unwrap_err();
    assert!(matches!(&error, Error::OtherEncoder { .. }), "{error}");
    assert_eq!(gallery.stats().unwrap().space, None);
}

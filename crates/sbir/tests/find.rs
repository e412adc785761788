//! Indexing a folder and finding photos in it, with the bundled encoder.

use std::fs;

use serde_json::Value;

use crate::real_data::data;
use crate::util::Dir;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A folder of the photos of the small FS-COCO, indexed into `g.sbir`.
fn indexed() -> Dir {
    let dir = Dir::new();
    dir.fscoco();
    dir.run(&["index", "fscoco/images", "--gallery", "g.sbir"]).ok();
    dir
}

#[test]
fn a_photo_finds_itself_and_indexing_again_changes_nothing() {
    let dir = indexed();
    let again = json(&dir.run(&["index", "fscoco/images", "--gallery", "g.sbir", "--json"]).ok());
    assert_eq!((&again["unchanged"], &again["embedded"]), (&Value::from(24), &Value::from(0)));

    let photo = "fscoco/images/3/000000003001.jpg";
    let found = dir.run(&["search", photo, "--gallery", "g.sbir", "-k", "5", "--json"]).ok();
    let found = json(&found);
    let hits = found["hits"].as_array().unwrap();
    assert_eq!((hits.len(), &found["exhaustive"]), (5, &Value::from(true)));
    assert!(hits[0]["path"].as_str().unwrap().ends_with(photo), "{found}");
    assert!(hits[0]["score"].as_f64().unwrap() > 0.999);
    for (index, pair) in hits.windows(2).enumerate() {
        assert_eq!(pair[0]["rank"], index + 1);
        assert!(pair[0]["score"].as_f64() >= pair[1]["score"].as_f64());
    }

    // A filter does not shorten the list, a least score does.
    let args = ["search", photo, "--gallery", "g.sbir", "--json"];
    let under = json(&dir.run(&[&args[..], &["--under", "fscoco/images/7"]].concat()).ok());
    assert_eq!(under["hits"].as_array().unwrap().len(), 2);
    let close = json(&dir.run(&[&args[..], &["--min-score", "0.9999"]].concat()).ok());
    assert!((1..24).contains(&close["hits"].as_array().unwrap().len()));
    dir.run(&[&args[..], &["-k", "0"]].concat()).fails(2, &["-k"]);
    dir.run(&[&args[..], &["--min-score", "7"]].concat()).fails(2, &["--min-score"]);
}

#[test]
fn drawings_of_every_kind_are_queries() {
    let dir = indexed();
    dir.write(
        "d.json",
        r#"{"canvas": 100, "strokes": [[[10, 10], [80, 20], [50, 90], [10, 10]]]}"#,
    );
    dir.write("broken.json", r#"{"canvas": 100, "strokes": [[[10, 1e999]]]}"#);
    for query in ["d.json", "fscoco/raster_sketches/3/000000003001.jpg"] {
        let text = dir.run(&["search", query, "--gallery", "g.sbir", "--html", "found.html"]).ok();
        assert_eq!(text.lines().count(), 10, "{text}");
        let page = dir.read("found.html");
        assert_eq!(page.matches("data:image/jpeg").count(), 10);
        assert!(!page.contains("src=\"http") && !page.contains("<script"), "it stands alone");
    }
    dir.run(&["search", "broken.json", "--gallery", "g.sbir"]).fails(1, &["broken.json"]);
    dir.run(&["search", "gone.png", "--gallery", "g.sbir"]).fails(1, &["gone.png"]);
    dir.run(&["search", "d.json", "--gallery", "none.sbir"]).fails(1, &["none.sbir", "index"]);
}

#[test]
fn a_gallery_is_listed_checked_moved_and_keeps_to_its_encoder() {
    let dir = indexed();
    let gallery = |args: &[&str]| dir.run(&[&["gallery"], args, &["--gallery", "g.sbir"]].concat());
    let list = gallery(&["list"]).ok();
    assert_eq!(list.lines().count(), 24);
    assert!(list.lines().all(|line| line.ends_with(".jpg")));
    let info = json(&gallery(&["info", "--json"]).ok());
    assert_eq!((&info["photos"], &info["roots"][0]["photos"]), (&24.into(), &24.into()));
    assert!(gallery(&["verify", "--contents"]).ok().contains("24 photos, 0 missing, 0 changed"));
    let photo = dir.join("fscoco/images/1/000000001000.jpg");
    fs::rename(&photo, dir.join("kept.jpg")).unwrap();
    assert!(gallery(&["verify"]).ok().contains("1 missing"));
    fs::rename(dir.join("kept.jpg"), &photo).unwrap();
    gallery(&["compact"]).ok();

    gallery(&["export", "out.npy"]).ok();
    dir.run(&["gallery", "import", "out.npy", "--gallery", "h.sbir"]).ok();
    let copied = json(&dir.run(&["gallery", "info", "--json", "--gallery", "h.sbir"]).ok());
    assert_eq!((&copied["photos"], &copied["encoder"]), (&24.into(), &info["encoder"]));

    // A folder that is gone empties nothing unless asked to.
    fs::rename(dir.join("fscoco/images"), dir.join("elsewhere")).unwrap();
    let again = dir.run(&["index", "fscoco/images", "--gallery", "g.sbir"]);
    assert!(again.stderr.contains("stay in the gallery"), "{}", again.stderr);
    assert_eq!(gallery(&["list"]).ok().lines().count(), 24);
    fs::rename(dir.join("elsewhere"), dir.join("fscoco/images")).unwrap();

    dir.run(&crate::util::train_args(&["--run-dir", "run", "--epochs", "1"])).ok();
    let other = ["--model", "run/model.safetensors", "--gallery", "g.sbir"];
    let photo = "fscoco/images/3/000000003001.jpg";
    dir.run(&[&["index", "fscoco/images"], &other[..]].concat()).fails(1, &["g.sbir", "encoder"]);
    dir.run(&[&["search", photo], &other[..]].concat()).fails(1, &["g.sbir", "encoder"]);
}

#[test]
fn a_damaged_gallery_is_told_and_made_again() {
    let dir = indexed();
    let path = dir.join("g.sbir");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[8192..end].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    fs::remove_file(dir.join("g.sbir-vectors")).ok();
    let photo = "fscoco/images/3/000000003001.jpg";
    for args in [["search", photo], ["index", "fscoco/images"]] {
        dir.run(&[&args[..], &["--gallery", "g.sbir"]].concat())
            .fails(1, &["g.sbir", "index again"]);
    }
    fs::remove_file(&path).unwrap();
    let again = json(&dir.run(&["index", "fscoco/images", "--gallery", "g.sbir", "--json"]).ok());
    assert_eq!(again["embedded"], 24);
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_pass_through_the_binary() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let dir = Dir::new();
    dir.fscoco();
    let folder = dir.join("fscoco/images/3");
    let photo = folder.join("000000003001.jpg");
    let name = b"<b>two\nlines \xff.jpg";
    fs::rename(&photo, folder.join(OsStr::from_bytes(name))).unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"broken \xfe\n.jpg")), "no picture").unwrap();
    let run = dir.run(&["index", "fscoco/images", "--gallery", "g.sbir", "--json"]);
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("skipped: ")).count(), 1);
    assert_eq!(json(&run.ok())["failed"], 1);
    let query = "fscoco/raster_sketches/3/000000003001.jpg";
    let args = ["search", query, "--gallery", "g.sbir", "-k", "24", "--html", "found.html"];
    assert_eq!(dir.run(&args).ok().lines().count(), 24, "one line a photo");
    let page = dir.read("found.html");
    assert!(!page.contains("<b>two") && page.contains("&lt;b&gt;two"));
}

#[test]
fn doctor_says_where_the_gallery_is() {
    let dir = Dir::new();
    let mut doctor = dir.command(&["doctor"]);
    doctor.env("XDG_DATA_HOME", dir.path()).env_remove("SBIR_GALLERY");
    let told = crate::util::Ran::from(doctor.output().unwrap()).ok();
    assert!(told.contains(dir.join("sbir/gallery.sbir").to_str().unwrap()), "{told}");
}

#[test]
fn photos_become_drawings() {
    let dir = Dir::new();
    dir.fscoco();
    let photos = ["fscoco/images/3/000000003001.jpg", "fscoco/images/4/000000004000.jpg"];
    dir.run(&["sketchify", photos[0], photos[1], "--out", "drawn"]).ok();
    dir.run(&["sketchify", photos[0], "--out", "drawn", "--svg", "--style", "detailed"]).ok();
    assert_eq!(dir.list("drawn"), ["000000003001.json", "000000003001.svg", "000000004000.json"]);
    let drawn = json(&dir.read("drawn/000000003001.json"));
    assert!(!drawn["strokes"].as_array().unwrap().is_empty());
    // What comes out goes in again.
    dir.run(&["embed", "drawn", "--model", "bundled", "--out", "x.npy"]).ok();
}

#[test]
fn the_bundled_encoder_has_a_name_everywhere() {
    let dir = Dir::new();
    dir.fscoco();
    let value = json(&dir.run(&["eval", "--model", "bundled", "--no-cuda", "--json"]).ok());
    assert_eq!(value["queries"], 12);
    dir.run(&["convert", "bundled", "b.safetensors"]).ok();
    dir.run(&["embed", "fscoco/images/1", "--model", "bundled", "--out", "a.npy"]).ok();
    dir.run(&["embed", "fscoco/images/1", "--model", "b.safetensors", "--out", "b.npy"]).ok();
    assert_eq!(fs::read(dir.join("a.npy")).unwrap(), fs::read(dir.join("b.npy")).unwrap());
    dir.run(&["convert", "bundled", "b.pth", "--names", "timm"]).fails(1, &["timm"]);
}

/// Drawn chairs bring up their photos: the encoder that is shipped does find things.
#[test]
fn chairs_are_found_by_drawing() {
    let Some(data) = data("chairv2") else { return };
    let dir = Dir::new();
    let args = ["eval", data.to_str().unwrap(), "--model", "bundled", "--no-cuda", "--json"];
    let value = json(&dir.run(&args).ok());
    let recall = value["recall"]["10"].as_f64().unwrap();
    assert!(recall > 0.85, "recall@10 of {recall} among {} held-out chairs", value["gallery"]);
    assert_eq!(value["trained_on_photos"], 0, "the held-out photos were not trained on");
}

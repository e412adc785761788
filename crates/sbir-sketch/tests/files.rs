//! Reading sketches from files by name and content, and what users are told when that fails.

use std::path::{Path, PathBuf};

use sbir_sketch::format::strokes_ndjson::Record;
use sbir_sketch::format::{json, ndjson, quickdraw, strokes_ndjson};
use sbir_sketch::{Error, MAX_FILE_BYTES, Problem, Selector, Sketch, Stroke, read_sketch};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// The message is one line that names the file.
fn message(path: &Path) -> String {
    let text = read_sketch(path).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let name = path.file_name().unwrap().to_str().unwrap().split('#').next().unwrap();
    assert!(text.contains(name), "{text}");
    text
}

fn sample() -> Sketch {
    let stroke = Stroke { points: vec![[1.5, 2.0], [30.25, 4.0]], times: Some(vec![0.0, 0.1]) };
    Sketch::new([64.0, 48.0], vec![stroke, Stroke::new(vec![[5.0, 5.0]])]).unwrap()
}

#[test]
fn every_format_is_told_by_name_and_content() {
    let folder = Folder::new();
    let ours = folder.write("a.json", json::to_string(&sample()));
    assert_eq!(read_sketch(&ours).unwrap(), sample());
    let raw = r#" [{"timestamp": 0, "coordinates": [0.5, 0.25], "pen_state": [1, 0, 0]}]"#;
    let raw = folder.write("b.JSON", raw);
    assert_eq!(read_sketch(&raw).unwrap().strokes[0].points, [[0.5, 0.25]]);
    let svg =
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 8"><path d="M1 1h5v5z"/></svg>"#;
    let svg = folder.write("c.svg", svg);
    assert_eq!(read_sketch(&svg).unwrap().canvas, [9.0, 8.0]);
    let record = Record { name: None, photo: None, sketch: sample() };
    let one = folder.write("d.ndjson", record.to_line());
    assert_eq!(read_sketch(&one).unwrap(), sample());
    let drawing = folder.write("e.ndjson", r#"{"key_id":"7","drawing":[[[3,4],[5,6]]]}"#);
    assert_eq!(read_sketch(&drawing).unwrap().strokes[0].points, [[3.0, 5.0], [4.0, 6.0]]);
}

#[test]
fn records_are_chosen_by_index_or_key() {
    let folder = Folder::new();
    let lines: String = (0..3)
        .map(|index| {
            let mut sketch = sample();
            sketch.canvas = [100.0 + index as f32; 2];
            let name = Some(format!("s_{index}"));
            Record { name, photo: Some("p.png".into()), sketch }.to_line()
        })
        .collect();
    let path = folder.write("s.ndjson", format!("{lines}\n"));
    let at = |selector: &str| PathBuf::from(format!("{}#{selector}", path.display()));
    for (selector, width) in [("0", 100.0), ("2", 102.0), ("s_1", 101.0)] {
        assert_eq!(read_sketch(&at(selector)).unwrap().canvas[0], width, "{selector}");
    }
    assert!(matches!(read_sketch(&path).unwrap_err(), Error::SeveralRecords { .. }));
    assert!(message(&path).contains("#<index from 0 or key>"));
    for selector in ["3", "s_9", "", "1234567890"] {
        let error = read_sketch(&at(selector)).unwrap_err();
        assert!(matches!(error, Error::NoRecord { records: 3, .. }), "{selector}: {error}");
        message(&at(selector));
    }
    let names: Vec<_> = strokes_ndjson::open(&path).unwrap().map(|r| r.unwrap().name).collect();
    assert_eq!(names.len(), 3);
    let found = ndjson::find::<Record>(&path, &Selector::Key("s_2".into())).unwrap();
    assert_eq!(found.photo.as_deref(), Some("p.png"));
}

#[test]
fn quickdraw_keys_are_numbers_of_sixteen_digits() {
    let folder = Folder::new();
    let line = |key: &str, x: u8| format!("{{\"key_id\":\"{key}\",\"drawing\":[[[{x}],[0]]]}}\n");
    let lines = line("5201136883597312", 1) + &line("5201136883597313", 2);
    let path = folder.write("cat.ndjson", lines);
    let chosen = PathBuf::from(format!("{}#5201136883597313", path.display()));
    assert_eq!(read_sketch(&chosen).unwrap().strokes[0].points, [[2.0, 0.0]]);
    let mut records = quickdraw::open(&path).unwrap();
    assert_eq!(records.next().unwrap().unwrap().sketch.strokes[0].points, [[1.0, 0.0]]);
}

#[test]
fn an_index_reads_past_bad_lines_and_names_its_own() {
    let folder = Folder::new();
    let good = Record { name: None, photo: None, sketch: sample() }.to_line();
    let path = folder.write("s.ndjson", format!("{{broken\n{good}"));
    let at = |selector: &str| PathBuf::from(format!("{}#{selector}", path.display()));
    assert_eq!(read_sketch(&at("1")).unwrap(), sample());
    assert!(message(&at("0")).contains("s.ndjson:1: not valid"));
}

#[test]
fn bad_files_are_named_with_a_remedy() {
    let folder = Folder::new();
    for name in ["a.json", "a.npy", "a.svg", "a.ndjson"] {
        let path = folder.write(name, "");
        let error = read_sketch(&path).unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::Empty), "{name}: {error}");
        message(&path);
        let path = folder.write(name, "\u{0}\u{1}\n\u{7f}rubbish");
        assert!(message(&path).contains("not valid"), "{name}");
    }
    let state = r#"[{"coordinates": [0.5, 0.25], "pen_state": [0, 0, 1]}]"#;
    assert!(message(&folder.write("state.json", state)).contains("expected [0,1,0]"));
    let error = read_sketch(&folder.write("photo.png", "x")).unwrap_err();
    assert!(matches!(error, Error::UnknownExtension { .. }));
    let missing = folder.0.path().join("missing.json");
    assert!(matches!(read_sketch(&missing).unwrap_err(), Error::Io(_)));
    message(&missing);
    message(&folder.0.path().join("missing.ndjson#4"));
}

#[test]
fn files_beyond_the_limit_are_refused() {
    let folder = Folder::new();
    let path = folder.write("a.json", "");
    // Sparse, so that the test writes nothing.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = read_sketch(&path).unwrap_err();
    assert_eq!(error.problem(), Some(&Problem::TooLarge { limit: MAX_FILE_BYTES }));
}

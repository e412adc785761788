//! The page: its markup, its pictures, its failures, its script.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fs_err as fs;
use sbir_eval::report::{Entry, Picture, Report, Subject};
use sbir_eval::{Error, Ranking, Summary};

const SVG: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><path d=\"M1 1L8 8\"/></svg>";

/// Three sketches, four photos: a hit, a hit at two, and a miss.
fn ranking() -> (Ranking, Vec<usize>) {
    let ranking = Ranking {
        ranks: vec![1, 2, 12],
        truth_cosine: vec![0.9, 0.75, -0.125],
        nearest: vec![
            vec![(0, 0.9), (2, 0.5)],
            vec![(0, 0.8), (1, 0.75)],
            vec![(2, 0.25), (1, 0.0625)],
        ],
    };
    (ranking, vec![0, 1, 3])
}

/// Fourteen photos, so that a rank of 12 can be.
const GALLERY: usize = 14;

fn write(
    path: &Path,
    embed_images: bool,
    lookup: &sbir_eval::report::Lookup<'_>,
) -> Result<(), Error> {
    let (ranking, truth) = ranking();
    let summary = Summary::new(&ranking.ranks, GALLERY).unwrap();
    let report = Report {
        title: "Chairs & <stools>".to_owned(),
        facts: vec![("Checkpoint".to_owned(), "models/\"best\".pth".to_owned())],
        summary: &summary,
        ranking: &ranking,
        truth: &truth,
        embed_images,
    };
    report.write(path, lookup)
}

/// Files beside the page, with hostile names, and a sketch made of strokes.
fn files(folder: &Path) -> impl Fn(Subject) -> Entry {
    move |subject| match subject {
        Subject::Sketch(1) => {
            Entry { name: "strokes#1".to_owned(), picture: Picture::Svg(SVG.to_owned()) }
        }
        Subject::Sketch(index) => Entry {
            name: format!("s{index}"),
            picture: Picture::File(folder.join(format!("sketch/s{index}.png"))),
        },
        Subject::Photo(2) => Entry {
            name: "<img src=x onerror='alert(1)'>\".jpg\n".to_owned(),
            picture: Picture::File(folder.join("photo/<img src=x onerror='alert(1)'>\".jpg\n")),
        },
        Subject::Photo(index) => Entry {
            name: format!("p{index}.jpg"),
            picture: Picture::File(folder.join(format!("photo/p{index}.jpg"))),
        },
    }
}

/// Replaces what lies between `start` and `end`, so that the golden page shows markup only.
fn cut(html: &str, start: &str, end: &str) -> String {
    let from = html.find(start).unwrap() + start.len();
    let to = from + html[from..].find(end).unwrap();
    format!("{}…{}", &html[..from], &html[to..])
}

/// Compares with a file of tests/golden; UPDATE_GOLDEN=1 rewrites it.
fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}, line {}", line + 1);
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

#[test]
fn the_page_equals_the_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.html");
    let entries = files(folder.path());
    write(&path, false, &|subject| Ok(entries(subject))).unwrap();
    let html = fs::read_to_string(&path).unwrap();
    let html = cut(&html, "<style>\n", "</style>");
    assert_golden("result.html", &cut(&html, "<script>\n", "</script>"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn embedded_photos_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.html");
    let asked = Mutex::new(Vec::new());
    let lookup = |subject: Subject| {
        asked.lock().unwrap().push(subject);
        let picture = match subject {
            Subject::Sketch(1) => Picture::Svg(SVG.to_owned()),
            Subject::Sketch(_) => {
                Picture::Data { mime: "image/png".to_owned(), bytes: vec![1, 2, 3] }
            }
            Subject::Photo(index) => {
                let file = folder.path().join(format!("{index}.jpg"));
                fs::write(&file, [0xff, 0xd8, 0xff, index as u8]).unwrap();
                Picture::File(file)
            }
        };
        Ok(Entry { name: subject.to_string(), picture })
    };
    write(&path, true, &lookup).unwrap();
    let html = fs::read_to_string(&path).unwrap();
    for (photo, data, cells) in
        [(0, "/9j/AA==", 2), (1, "/9j/AQ==", 2), (2, "/9j/Ag==", 2), (3, "/9j/Aw==", 1)]
    {
        let rule = format!("\n.p{photo}{{background-image:url(data:image/jpeg;base64,{data})}}");
        assert_eq!(html.matches(&rule).count(), 1, "photo {photo}");
        assert_eq!(html.matches(&format!("class=\"i p{photo}\"")).count(), cells, "photo {photo}");
    }
    assert!(html.contains("src=\"data:image/png;base64,AQID\" alt=\"Sketch sketch 0\""));
    assert!(html.contains("src=\"data:image/svg+xml;base64,PHN2Zy"));
    // Nothing outside the page, and every subject asked for once.
    assert!(!html.contains("src=\"../") && !html.contains(".jpg"));
    let asked = asked.into_inner().unwrap();
    assert_eq!(asked.len(), 7);
    assert_eq!(asked.into_iter().collect::<HashSet<_>>().len(), 7);
}

#[test]
fn a_failure_names_the_picture_and_keeps_the_old_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.html");
    fs::write(&path, "old").unwrap();
    let missing = folder.path().join("none.jpg");
    let text_file = folder.path().join("text.jpg");
    fs::write(&text_file, "no picture").unwrap();
    type Give = Box<dyn Fn() -> Result<Picture, String> + Sync>;
    let cases: Vec<(Give, &str)> = vec![
        (Box::new(move || Ok(Picture::File(missing.clone()))), "none.jpg cannot be read"),
        (Box::new(move || Ok(Picture::File(text_file.clone()))), "text.jpg is in no format"),
        (
            Box::new(|| Ok(Picture::Data { mime: "text/html".to_owned(), bytes: vec![] })),
            "\"text/html\" is not the media type",
        ),
        (Box::new(|| Err("cannot\ndecode".to_owned())), "cannot decode"),
    ];
    for (give, reason) in cases {
        for broken in [Subject::Photo(1), Subject::Sketch(1)] {
            let lookup = |subject: Subject| {
                let picture =
                    if subject == broken { give()? } else { Picture::Svg(SVG.to_owned()) };
                Ok(Entry { name: String::new(), picture })
            };
            let text = write(&path, true, &lookup).unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("{broken} cannot be shown in the report: ")),
                "{text}"
            );
            assert!(text.contains(reason) && !text.contains('\n'), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let (ranking, truth) = ranking();
    let summary = Summary::new(&ranking.ranks, GALLERY).unwrap();
    let write = |ranking: &Ranking, truth: &[usize]| {
        let report = Report {
            title: String::new(),
            facts: Vec::new(),
            summary: &summary,
            ranking,
            truth,
            embed_images: false,
        };
        report.write(Path::new("/none/result.html"), &|_| Err("not asked for".into()))
    };
    assert!(matches!(write(&ranking, &truth[1..]), Err(Error::Length { .. })));
    assert!(matches!(write(&ranking, &[0, 1, GALLERY]), Err(Error::Truth { query: 2, .. })));
    let mut beyond = ranking.clone();
    beyond.nearest[1][0].0 = 99;
    assert!(matches!(write(&beyond, &truth), Err(Error::Truth { query: 1, index: 99, .. })));
    assert!(matches!(write(&ranking, &truth), Err(Error::Write(_))));
}

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

#[test]
fn the_script_runs_in_chromium() {
    let Some(chromium) = chromium() else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI without Chromium");
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no Chromium on the PATH");
        }
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.html");
    let entries = files(folder.path());
    write(&path, false, &|subject| Ok(entries(subject))).unwrap();
    // A second script plays the reader, and leaves what the page then shows in its title.
    let reader = "<script>
        const tools = document.getElementById('tools');
        const shown = () => [...document.querySelectorAll('tr')]
            .filter((row) => getComputedStyle(row).display !== 'none').map((row) => row.id).join(' ');
        const set = (name, value) => {
            tools.elements[name].value = value;
            tools.dispatchEvent(new Event('change'));
        };
        const seen = [tools.hidden, shown()];
        set('show', '1'); seen.push(shown());
        set('show', '10'); seen.push(shown(), document.getElementById('count').textContent);
        set('show', 'all'); set('order', 'worst'); seen.push(shown());
        set('order', 'best'); seen.push(shown());
        set('order', 'listed'); seen.push(shown());
        const red = getComputedStyle(document.querySelector('#q2 .true img'));
        seen.push(red.borderTopWidth + ' ' + red.borderTopStyle + ' ' + red.borderTopColor, red.width);
        document.title = seen.join('|');
        </script></body>";
    let html = fs::read_to_string(&path).unwrap();
    fs::write(&path, html.replace("</body>", reader)).unwrap();
    let output = std::process::Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(["--window-size=1280,900", "--dump-dom"])
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    assert_eq!(
        title,
        Some(
            "false|q1 q2 q3|q2 q3|q3|1 of 3 shown|q3 q2 q1|q1 q2 q3|q1 q2 q3|2px solid rgb(255, 0, 0)|256px"
        ),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

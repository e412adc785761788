//! Searching and ranks.

use crate::support::{Site, bar, drawing};

#[test]
fn a_drawing_finds_its_photo() {
    let site = Site::new();
    for number in [0, 5, 10] {
        let answer = site.post("/api/search?k=3", &drawing(number)).ok().json();
        let hits = answer["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 3);
        assert_eq!(hits[0]["name"], format!("bar{number:03}.jpg"));
        assert_eq!(answer["searched"], 12);
        assert_eq!(answer["exhaustive"], true);
        let scores: Vec<_> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        let ranks: Vec<_> = hits.iter().map(|hit| hit["rank"].as_u64().unwrap()).collect();
        assert_eq!(ranks, [1, 2, 3]);
    }
}

#[test]
fn options_narrow_the_search() {
    let site = Site::start(
        12,
        |photos| {
            fs_err::create_dir(photos.join("below")).unwrap();
            crate::support::write_bar(&photos.join("below/one.jpg"), 90);
        },
        |_| {},
    );
    site.wait_until_idle();
    let under = format!("/api/search?under={}/below", site.photos.display());
    let hits = site.post(&under, &drawing(0)).ok().json()["hits"].clone();
    assert_eq!(hits.as_array().unwrap().len(), 1);
    assert_eq!(hits[0]["name"], "one.jpg");
    let all = site.post("/api/search", &drawing(0)).ok().json()["hits"].clone();
    let second = all[1]["score"].as_f64().unwrap();
    let least = format!("/api/search?min_score={}", second + 1e-4);
    let hits = site.post(&least, &drawing(0)).ok().json()["hits"].clone();
    assert_eq!(hits.as_array().unwrap().len(), 1);
    // A wider line is another query, of the same drawing.
    let wide = site.post("/api/search?line=0.04", &drawing(0)).ok().json()["hits"].clone();
    assert_eq!(wide[0]["name"], "bar000.jpg");
    assert_ne!(wide[0]["score"], all[0]["score"]);
}

#[test]
fn a_picture_finds_itself() {
    let site = Site::new();
    let jpeg = bar(7).to_jpeg(92).unwrap();
    for kind in ["photo", "drawing", "auto"] {
        let hits = site.post(&format!("/api/search/image?kind={kind}"), &jpeg).ok().json();
        assert_eq!(hits["hits"][0]["name"], "bar007.jpg", "{kind}");
        assert!(hits["hits"][0]["score"].as_f64().unwrap() > 0.99);
    }
}

#[test]
fn a_photo_is_most_like_itself() {
    let site = Site::new();
    let id = site.id("bar004.jpg");
    let hits = site.get(&format!("/api/photos/{id}/similar?k=4")).ok().json();
    assert_eq!(hits["hits"][0]["id"], id.as_str());
    assert_eq!(hits["hits"].as_array().unwrap().len(), 4);
    assert_eq!(site.get("/api/photos/999999/similar").status, 404);
}

#[test]
fn a_rank_is_the_place_in_the_search() {
    let site = Site::new();
    let all = site.post("/api/search?k=12", &drawing(3)).ok().json();
    for (place, hit) in all["hits"].as_array().unwrap().iter().enumerate() {
        let id = hit["id"].as_str().unwrap();
        let rank = site.post(&format!("/api/photos/{id}/rank?k=2"), &drawing(3)).ok().json();
        assert_eq!(rank["rank"], place + 1);
        assert_eq!((&rank["exact"], &rank["of"]), (&true.into(), &12.into()));
        assert_eq!(rank["score"], hit["score"]);
        assert_eq!(rank["hits"].as_array().unwrap().len(), 2);
    }
    assert_eq!(site.post("/api/photos/999999/rank", &drawing(3)).status, 404);
}

#[test]
fn nothing_drawn_is_stored() {
    let site = Site::new();
    let files = || {
        let mut files = Vec::new();
        let mut folders = vec![site.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.to_string_lossy().ends_with("-shm") {
                    // But for SQLite's marks of who reads.
                    files.push((fs_err::read(&path).unwrap(), path));
                }
            }
        }
        files.sort();
        files
    };
    let before = files();
    for number in 0..5 {
        site.post("/api/search", &drawing(number)).ok();
        site.post("/api/search/image", &bar(number).to_jpeg(80).unwrap()).ok();
    }
    assert_eq!(files(), before);
}

//! The page's files, part of the binary.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../web/", $name)))),*]
    };
}

/// Every file by its path below `/assets/`.
const FILES: &[(&str, &[u8])] = files![
    "css/base.css"
    "css/layout.css"
    "css/pad.css"
    "css/photos.css"
    "css/viewer.css"
    "icon.svg"
    "index.html"
    "js/api.js"
    "js/browse.js"
    "js/connection.js"
    "js/dom.js"
    "js/draw.js"
    "js/export.js"
    "js/grid.js"
    "js/latest.js"
    "js/main.js"
    "js/menus.js"
    "js/pad/drawing.js"
    "js/pad/geometry.js"
    "js/pad/pad.js"
    "js/pad/paint.js"
    "js/practice.js"
    "js/status.js"
    "js/theme-early.js"
    "js/theme.js"
    "js/tools.js"
    "js/viewer.js"
];

pub(crate) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name == "index.html" { Problem::not_found().into_response() } else { file(&name, &headers) }
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((name, bytes)) = FILES.iter().find(|(known, _)| *known == name) else {
        return Problem::not_found().into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    };
    let digest = Sha256::digest(bytes);
    let etag = format!(
        "\"{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}\"",
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]
    );
    // Asked for again each time, so that a new binary's page is never mixed with an old one's.
    let caching = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, etag.clone())];
    if has_etag(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, kind)], *bytes).into_response()
}

/// Whether the browser has this version already.
pub(crate) fn has_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|each| each.trim().trim_start_matches("W/") == etag)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FILES;

    #[test]
    fn every_file_of_the_page_is_served() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut found = vec!["icon.svg".to_owned(), "index.html".to_owned()];
        for folder in ["css", "js", "js/pad"] {
            for entry in fs_err::read_dir(web.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.contains('.') {
                    found.push(format!("{folder}/{name}"));
                }
            }
        }
        found.sort();
        let mut served: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        served.sort();
        assert_eq!(served, found);
    }

    #[test]
    fn the_page_asks_for_nothing_that_is_not_there() {
        let (_, html) = FILES.iter().find(|(name, _)| *name == "index.html").unwrap();
        let html = std::str::from_utf8(html).unwrap();
        assert!(
            !html.contains("style=") && !html.contains("<style") && !html.contains("onclick="),
            "inline style or script"
        );
        let mut count = 0;
        for part in html.split("/assets/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(FILES.iter().any(|(known, _)| *known == name), "{name}");
            count += 1;
        }
        assert!(count > 5);
    }
}

//! A row of the report: a sketch, its nearest photos, and the true photo where it is not among them.

use std::fmt::Write;

use super::Report;
use super::text::thousands;

/// A photo as rows show it.
#[derive(Debug, Clone)]
pub(super) struct Photo {
    /// Its name, escaped.
    pub(super) name: String,
    /// Its address; none where the page's style holds it in the class `p<index>`.
    pub(super) url: Option<String>,
}

/// Writes rows of one report.
pub(super) struct RowWriter<'a> {
    report: &'a Report<'a>,
    most_nearest: usize,
    /// Whether some row has its true photo set apart, behind the nearest.
    any_apart: bool,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(report: &'a Report<'a>) -> Self {
        let nearest = &report.ranking.nearest;
        Self {
            report,
            most_nearest: nearest.iter().map(Vec::len).max().unwrap_or(0),
            any_apart: (0..nearest.len()).any(|query| is_apart(report, query)),
        }
    }

    /// Pictures side by side in the widest row.
    pub(super) fn columns(&self) -> usize {
        1 + self.most_nearest + usize::from(self.any_apart)
    }

    /// The row of a query.
    ///
    /// `name` is escaped for HTML, as are the photos' names; `url` needs no escaping.
    pub(super) fn row(
        &self,
        query: usize,
        name: &str,
        url: &str,
        photos: &[Option<Photo>],
    ) -> String {
        let ranking = self.report.ranking;
        let (rank, truth) = (ranking.ranks[query], self.report.truth[query]);
        let truth_cosine = ranking.truth_cosine[query];
        let number = query + 1;
        let (classes, badge) = match rank {
            1 => ("h1 h10", "first"),
            2..=10 => ("h10", "ten"),
            _ => ("", "far"),
        };

        let mut html = String::with_capacity(256 * (ranking.nearest[query].len() + 3) + url.len());
        put(
            &mut html,
            format_args!(
                "<tr role=\"row\" id=\"q{number}\" class=\"{classes}\" data-rank=\"{rank}\">\
                 <th role=\"rowheader\" scope=\"row\">{image}\
                 <p><a href=\"#q{number}\">{number}</a> <bdi>{name}</bdi></p>\
                 <p><b class=\"{badge}\">rank {shown_rank}</b> {truth_cosine:.3}</p></th>\n",
                image = image(url, &format!("Sketch {name}")),
                shown_rank = thousands(rank),
            ),
        );
        for (place, &(photo, cosine)) in ranking.nearest[query].iter().enumerate() {
            let class = if photo == truth { " class=\"true\"" } else { "" };
            put_photo(&mut html, class, place + 1, cosine, photo, photos);
        }
        if is_apart(self.report, query) {
            put_photo(&mut html, " class=\"true apart\"", rank, truth_cosine, truth, photos);
        }
        html.push_str("</tr>\n");
        html
    }
}

/// Whether the nearest photos are shown without the true one.
fn is_apart(report: &Report<'_>, query: usize) -> bool {
    let truth = report.truth[query];
    report.ranking.nearest[query].iter().all(|&(photo, _)| photo != truth)
}

fn put_photo(
    html: &mut String,
    class: &str,
    place: usize,
    cosine: f32,
    photo: usize,
    photos: &[Option<Photo>],
) {
    // Every photo of a row was looked up before the first row.
    let Some(Photo { name, url }) = &photos[photo] else { return };
    let picture = match url {
        Some(url) => image(url, name),
        None => format!("<span class=\"i p{photo}\" role=\"img\" aria-label=\"{name}\"></span>"),
    };
    let mark = if class.is_empty() { "" } else { " <em>true</em>" };
    put(
        html,
        format_args!(
            "<td role=\"cell\"{class}>{picture}<p><b>{}</b> {cosine:.3}{mark} <bdi>{name}</bdi></p></td>\n",
            thousands(place)
        ),
    );
}

fn image(url: &str, alt: &str) -> String {
    // `loading` comes before `src`: some browsers start loading as soon as they read that.
    format!(
        "<img loading=\"lazy\" decoding=\"async\" width=\"256\" height=\"256\" src=\"{url}\" alt=\"{alt}\">"
    )
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = html.write_fmt(text);
}

//! What stands around the rows: head, heading, controls, foot.

use super::Report;
use super::text::{escape, thousands};
use crate::CUTOFFS;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The document up to and including the style, with the head left open.
pub(super) fn head(report: &Report<'_>, columns: usize) -> String {
    // With a minimum scale phones do not zoom out to fit the rows, which are wider than any screen.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" style=\"--n:{columns}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1, minimum-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n",
        escape(&report.title)
    )
}

/// Closes the head, and holds everything above the first row.
pub(super) fn heading(report: &Report<'_>) -> String {
    let summary = report.summary;
    let facts: String = report
        .facts
        .iter()
        .map(|(name, value)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))
        })
        .collect();
    let facts = if facts.is_empty() { facts } else { format!("<dl>\n{facts}</dl>\n") };
    let scores: String = CUTOFFS.iter().map(|k| score(report, *k)).collect();
    format!(
        "</head>\n<body>\n<header>\n<h1>{title}</h1>\n{facts}<ul class=\"scores\">\n{scores}</ul>\n\
         <p class=\"more\">{queries} sketches, {gallery} photos · median rank {median} · mean rank {mean:.1} · \
         mean reciprocal rank {mrr:.3}</p>\n\
         <p class=\"more\">Under each photo: its rank, its cosine similarity to the sketch, its name. \
         <span class=\"key\">The true photo</span> is outlined in red; where it is not among the nearest it \
         follows them.</p>\n</header>\n{controls}\
         <table role=\"table\" aria-label=\"Sketches and their nearest photos\">\n\
         <tbody role=\"rowgroup\" id=\"rows\">\n",
        title = escape(&report.title),
        queries = thousands(summary.queries),
        gallery = thousands(summary.gallery),
        median = summary.median_rank,
        mean = summary.mean_rank,
        mrr = summary.mrr,
        controls = controls(report),
    )
}

fn score(report: &Report<'_>, k: usize) -> String {
    let summary = report.summary;
    let [low, high] = summary.recall_interval[&k].map(|share| 100.0 * share);
    let recall = 100.0 * summary.recall[&k];
    format!(
        "<li><h2>Recall@{k}</h2>\n<p class=\"value\">{recall:.1}<small>%</small></p>\n\
         <div class=\"track\" aria-hidden=\"true\"><i style=\"width:{recall:.2}%\"></i>\
         <b style=\"left:{low:.2}%;width:{width:.2}%\"></b></div>\n\
         <p>{hits} of {queries}</p>\n<p>95% interval {low:.1}–{high:.1}%</p></li>\n",
        width = high - low,
        hits = thousands(summary.hits[&k]),
        queries = thousands(summary.queries),
    )
}

/// The controls, hidden until the script that they need has run.
fn controls(report: &Report<'_>) -> String {
    let summary = report.summary;
    let choice = |value: &str, label: &str, count: usize| {
        let checked = if value == "all" { " checked" } else { "" };
        format!(
            "<label><input type=\"radio\" name=\"show\" value=\"{value}\"{checked}>\
             <span>{label} <small>{}</small></span></label>\n",
            thousands(count)
        )
    };
    format!(
        "<form id=\"tools\" autocomplete=\"off\" hidden>\n<fieldset>\n<legend>Show</legend>\n{}{}{}</fieldset>\n\
         <label class=\"pick\"><span>Order</span> <select name=\"order\">\
         <option value=\"listed\">As listed</option><option value=\"best\">Best rank first</option>\
         <option value=\"worst\">Worst rank first</option></select></label>\n\
         <label class=\"pick\"><span>Pictures</span> <select name=\"size\">\
         <option value=\"standard\">Standard</option><option value=\"half\">Half size</option>\
         <option value=\"fit\">Fit the window</option></select></label>\n\
         <p class=\"hint\"><kbd>J</kbd> <kbd>K</kbd> next, previous sketch</p>\n\
         <p class=\"count\" id=\"count\" role=\"status\"></p>\n</form>\n",
        choice("all", "All", summary.queries),
        choice("1", "Misses at 1", summary.queries - summary.hits[&1]),
        choice("10", "Misses at 10", summary.queries - summary.hits[&10]),
    )
}

/// Everything below the last row.
pub(super) fn foot() -> String {
    format!(
        "</tbody>\n</table>\n<p id=\"none\" hidden>There are no such misses.</p>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n"
    )
}

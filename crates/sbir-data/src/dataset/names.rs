//! Which photo a sketch belongs to, by their names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::Entry;
use crate::error::{Error, Result};

/// Photos by name.
pub(super) struct PhotoNames {
    by_stem: BTreeMap<String, PathBuf>,
}

impl PhotoNames {
    /// Photos by the part of their names before the extension.
    ///
    /// # Errors
    /// If two share it.
    pub(super) fn new(photos: Vec<Entry>) -> Result<Self> {
        let mut by_stem = BTreeMap::new();
        for Entry { path, stem } in photos {
            if let Some(other) = by_stem.insert(stem, path.clone()) {
                return Err(Error::DuplicatePhoto { path, other });
            }
        }
        Ok(Self { by_stem })
    }

    /// The photo that a sketch is named after: the one of its own name, else the one of the longest name that becomes
    /// the sketch's with `_<k>` or `-<k>` at its end, where `<k>` is a number (or several, `_2-1`).
    pub(super) fn of_sketch(&self, sketch: &str) -> Option<(&str, &PathBuf)> {
        candidates(sketch)
            .find_map(|name| self.by_stem.get_key_value(name))
            .map(|(stem, path)| (stem.as_str(), path))
    }

    pub(super) fn len(&self) -> usize {
        self.by_stem.len()
    }
}

/// The sketch's name, then it without its last number, and so on.
fn candidates(sketch: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(sketch), |name| {
        let (rest, number) = name.rsplit_once(['_', '-'])?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && !rest.is_empty()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stems: &[&str]) -> PhotoNames {
        let entries = stems
            .iter()
            .map(|stem| Entry { path: format!("{stem}.jpg").into(), stem: (*stem).to_owned() });
        PhotoNames::new(entries.collect()).unwrap()
    }

    #[test]
    fn the_exact_name_wins_then_the_longest() {
        let names = names(&["12", "12_1", "001", "00140128_v1", "a-b", "7"]);
        for (sketch, photo) in [
            ("12", Some("12")),
            ("12_1", Some("12_1")),
            ("12_1_1", Some("12_1")),
            ("12_2", Some("12")),
            ("12-2", Some("12")),
            ("12_2_1", Some("12")),
            ("001-1", Some("001")),
            ("00140128_v1_3", Some("00140128_v1")),
            ("00140128_v1", Some("00140128_v1")),
            ("00140128_v2_3", None),
            ("a-b_10", Some("a-b")),
            ("a", None),
            ("12_", None),
            ("12_x", None),
            ("121", None),
            ("_7", None),
            ("", None),
        ] {
            assert_eq!(names.of_sketch(sketch).map(|found| found.0), photo, "{sketch}");
        }
    }
}

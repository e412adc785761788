//! The most similar name, for error messages.

/// Longer names are not compared, and not more of them: the work is their product.
const MAX_LEN: usize = 128;
const MAX_NAMES: usize = 4096;

/// The candidate with the smallest edit distance to `name`, the first of equals; `None` when none
/// shares at least half of it.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > MAX_LEN {
        return None;
    }
    candidates
        .into_iter()
        .take(MAX_NAMES)
        .filter(|candidate| candidate.len() <= MAX_LEN)
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance * 2 <= name.len().max(candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's edit distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"same", b"same"), 0);
    }

    #[test]
    fn the_nearest_name_is_similar_or_none() {
        let names = ["stem.0.weight", "stem.0.bias", "head.fc.weight"];
        assert_eq!(nearest("stem.0.weights", names), Some("stem.0.weight"));
        assert_eq!(nearest("completely.different.thing", names), None);
    }
}

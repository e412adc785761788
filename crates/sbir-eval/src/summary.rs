//! The numbers of one evaluation.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{Error, metrics};

/// The cutoffs that every summary has.
pub const CUTOFFS: [usize; 3] = [1, 5, 10];

/// Recall, its intervals and the ranks' means over one set of queries.
///
/// Serialised with serde to a JSON writer it gives
/// `{"queries", "gallery", "recall": {"1", "5", "10"}, "recall_interval": {…}, "hits": {…}, "median_rank", "mean_rank",
/// "mrr"}`, cutoffs in numeric order. (A detour through `serde_json::Value` would order them as text: 1, 10, 5.)
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Number of queries.
    pub queries: usize,
    /// Number of photos ranked for each.
    pub gallery: usize,
    /// By cutoff k: the share of queries whose true photo is among the first k, in 0 to 1.
    pub recall: BTreeMap<usize, f64>,
    /// By cutoff: Wilson's 95 % interval of the recall, `[low, high]`.
    pub recall_interval: BTreeMap<usize, [f64; 2]>,
    /// By cutoff: the number of queries whose true photo is among the first k.
    pub hits: BTreeMap<usize, usize>,
    /// Median rank of the true photo, from 1; the mean of the two middle ones for an even number of queries.
    pub median_rank: f64,
    /// Mean rank of the true photo.
    pub mean_rank: f64,
    /// Mean reciprocal rank, in 0 to 1.
    pub mrr: f64,
    /// Recall by group, in natural order of their names; left out of the JSON where there are no groups.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub groups: Vec<Group>,
}

/// The numbers of one group of queries, such as the sketches of one FS-COCO user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The group's name; the key in the JSON.
    #[serde(skip)]
    pub name: String,
    /// Number of queries in it.
    pub queries: usize,
    /// By cutoff: recall in 0 to 1, over the whole gallery.
    pub recall: BTreeMap<usize, f64>,
}

fn as_map<S: Serializer>(groups: &[Group], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(groups.len()))?;
    for group in groups {
        map.serialize_entry(&group.name, group)?;
    }
    map.end()
}

impl Summary {
    /// Summarises 1-based ranks in a gallery of `gallery` photos at the cutoffs [`CUTOFFS`].
    ///
    /// # Errors
    /// Where there are no ranks, or one lies outside 1 to `gallery`.
    pub fn new(ranks: &[usize], gallery: usize) -> Result<Self, Error> {
        Self::with_cutoffs(ranks, gallery, &[])
    }

    /// As [`new`](Self::new), with further cutoffs.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and where a cutoff is 0.
    pub fn with_cutoffs(ranks: &[usize], gallery: usize, further: &[usize]) -> Result<Self, Error> {
        metrics::check(ranks, gallery)?;
        if further.contains(&0) {
            return Err(Error::Cutoff);
        }
        let hits: BTreeMap<usize, usize> =
            CUTOFFS.iter().chain(further).map(|&k| (k, metrics::hits(ranks, k))).collect();
        let queries = ranks.len();
        Ok(Self {
            queries,
            gallery,
            recall: hits.iter().map(|(&k, &hits)| (k, hits as f64 / queries as f64)).collect(),
            recall_interval: hits
                .iter()
                .map(|(&k, &hits)| (k, metrics::wilson(hits, queries)))
                .collect(),
            hits,
            median_rank: metrics::median_rank(ranks),
            mean_rank: metrics::mean_rank(ranks),
            mrr: metrics::mean_reciprocal_rank(ranks),
            groups: Vec::new(),
        })
    }

    /// Adds the recall of each group at this summary's cutoffs.
    ///
    /// # Shapes
    /// - `ranks`, `groups`: one of each per query; a query without a group counts in no group
    ///
    /// # Errors
    /// Where either has another length than there are queries.
    pub fn with_groups(mut self, ranks: &[usize], groups: &[Option<&str>]) -> Result<Self, Error> {
        if ranks.len() != self.queries {
            return Err(Error::Length {
                what: "the ranks",
                expected: self.queries,
                found: ranks.len(),
            });
        }
        self.groups = metrics::by_group(ranks, groups)?
            .into_iter()
            .map(|(name, ranks)| Group {
                name: name.to_owned(),
                queries: ranks.len(),
                recall: self.recall.keys().map(|&k| (k, metrics::recall(&ranks, k))).collect(),
            })
            .collect();
        Ok(self)
    }

    /// The three lines that the Python original prints, byte for byte, without a final line break:
    ///
    /// ```text
    ///  top1: 0.5150 (1545)
    ///  top5: 0.7380 (2215)
    /// top10: 0.8150 (2446)
    /// ```
    #[must_use]
    pub fn lines(&self) -> String {
        let line = |k: &usize| {
            let (recall, hits) = (self.recall[k], self.hits[k]);
            format!("{:>5}: {recall:.4} ({hits})", format!("top{k}"))
        };
        CUTOFFS.each_ref().map(line).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks with given numbers of hits at 1, 5 and 10 of a total.
    fn ranks(hits: [usize; 3], total: usize) -> Vec<usize> {
        (0..total)
            .map(|index| match hits.iter().position(|&hits| index < hits) {
                Some(cutoff) => CUTOFFS[cutoff],
                None => 11,
            })
            .collect()
    }

    #[test]
    fn lines_are_the_originals() {
        let summary = Summary::new(&ranks([1545, 2215, 2446], 3000), 3000).unwrap();
        // 2215 / 3000 = 0.73833, 2446 / 3000 = 0.81533: four decimals of the fraction.
        assert_eq!(
            summary.lines(),
            " top1: 0.5150 (1545)\n top5: 0.7383 (2215)\ntop10: 0.8153 (2446)"
        );
    }

    #[test]
    fn fractions_round_as_python_rounds_them() {
        // Python: '%.4f' % (1 / 32), '%.4f' % (3 / 32), '%.4f' % (1 / 3) -> 0.0312 0.0938 0.3333
        let summary = Summary::new(&ranks([1, 3, 32], 32), 32).unwrap();
        assert_eq!(summary.lines(), " top1: 0.0312 (1)\n top5: 0.0938 (3)\ntop10: 1.0000 (32)");
        let summary = Summary::new(&ranks([0, 1, 1], 3), 32).unwrap();
        assert_eq!(summary.lines(), " top1: 0.0000 (0)\n top5: 0.3333 (1)\ntop10: 0.3333 (1)");
    }

    #[test]
    fn json_has_the_documented_shape() {
        let summary = Summary::with_cutoffs(&[1, 2, 7, 12], 20, &[50]).unwrap();
        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            concat!(
                r#"{"queries":4,"gallery":20,"#,
                r#""recall":{"1":0.25,"5":0.5,"10":0.75,"50":1.0},"#,
                r#""recall_interval":{"1":[0.045587260809700575,0.6993581574175981],"#,
                r#""5":[0.15003898915214947,0.8499610108478506],"#,
                r#""10":[0.3006418425824019,0.9544127391902995],"50":[0.5101091635454027,1.0]},"#,
                r#""hits":{"1":1,"5":2,"10":3,"50":4},"#,
                r#""median_rank":4.5,"mean_rank":5.5,"mrr":0.431547619047619}"#
            )
        );
    }

    #[test]
    fn groups_are_summarised_over_their_own_queries() {
        let ranks = [1, 6, 1, 30];
        let groups = [Some("10"), Some("2"), Some("2"), None];
        let summary = Summary::new(&ranks, 40).unwrap().with_groups(&ranks, &groups).unwrap();
        let json = serde_json::to_string(&summary).unwrap();
        let expected = concat!(
            r#""groups":{"2":{"queries":2,"recall":{"1":0.5,"5":0.5,"10":1.0}},"#,
            r#""10":{"queries":1,"recall":{"1":1.0,"5":1.0,"10":1.0}}}}"#
        );
        assert!(json.ends_with(expected), "{json}");
        assert!(Summary::new(&ranks, 40).unwrap().with_groups(&ranks[1..], &groups).is_err());
    }

    #[test]
    fn hopeless_input_is_refused() {
        assert!(matches!(Summary::new(&[], 10), Err(Error::Empty { .. })));
        assert!(matches!(Summary::new(&[11], 10), Err(Error::Rank { .. })));
        assert!(matches!(Summary::with_cutoffs(&[1], 10, &[0]), Err(Error::Cutoff)));
    }
}

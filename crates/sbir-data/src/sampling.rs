//! Which pairs meet in a batch.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::augment::{Alignment, Random};
use crate::error::{Error, Result};
use crate::pairs::{PairSet, Part};
use crate::split::epoch_order;

/// Tell the draws made here from each other.
const ORDER: u64 = 0x006f_7264_6572;
const PHOTO: u64 = 0x0070_686f_746f;

/// How much of an epoch each dataset gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetWeights {
    /// Each as much as it has pairs.
    #[default]
    Size,
    /// Each by the square root of its number of pairs.
    Root,
    /// All the same.
    Equal,
    /// In this proportion, in the order of the datasets; those beyond the list get nothing.
    Given(Vec<f32>),
}

impl FromStr for SetWeights {
    type Err = Error;

    /// `size`, `root`, `equal`, or numbers from 0 with commas between them, not all of them 0.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownName {
            what: "weight of datasets",
            expected: "size, root, equal, or a number for each such as 3,1,1",
            found: text.into(),
        };
        match text {
            "size" => Ok(Self::Size),
            "root" => Ok(Self::Root),
            "equal" => Ok(Self::Equal),
            _ => {
                let weights: Vec<f32> = text
                    .split(',')
                    .map(|number| number.trim().parse().map_err(|_| unknown()))
                    .collect::<Result<_>>()?;
                let good = |weight: &f32| weight.is_finite() && *weight >= 0.0;
                if weights.iter().all(good) && weights.iter().any(|weight| *weight > 0.0) {
                    Ok(Self::Given(weights))
                } else {
                    Err(unknown())
                }
            }
        }
    }
}

impl fmt::Display for SetWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("size"),
            Self::Root => f.write_str("root"),
            Self::Equal => f.write_str("equal"),
            Self::Given(weights) => {
                let weights: Vec<String> = weights.iter().map(f32::to_string).collect();
                f.write_str(&weights.join(","))
            }
        }
    }
}

/// How an epoch is drawn from the training pairs. The default is the origin's: every pair once, in random order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Whether each batch comes from one dataset, so that its negatives are hard: another dataset's photos are told
    /// apart by their looks.
    pub one_set: bool,
    /// How much each dataset gets.
    pub weights: SetWeights,
    /// Pairs in an epoch; 0 for as many as there are.
    pub pairs: usize,
}

impl Sampling {
    fn is_plain(&self) -> bool {
        !self.one_set && self.weights == SetWeights::Size && self.pairs == 0
    }
}

/// One pair of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The pair's index.
    pub pair: usize,
    /// The photo's index: the pair's own, or another one of its class.
    pub photo: usize,
    /// The place in the epoch, from 0: with the epoch's number, what the pictures' changes are drawn from.
    pub place: u64,
}

/// The batches of an epoch, of `batch_size` pairs (at least 1) or fewer: a function of the arguments alone.
///
/// With the default [`Sampling`] these are the batches of [`epoch_order`]. Else each dataset is visited in a shuffled
/// order of its own, which goes on in the next epoch where this one leaves it, so that every pair has its turn.
/// In a dataset of classes, every sketch gets a random photo of its class.
#[must_use]
pub fn epoch_plan(
    set: &PairSet,
    sampling: &Sampling,
    seed: u64,
    epoch: u64,
    batch_size: usize,
) -> Vec<Vec<Draw>> {
    let batch_size = batch_size.max(1);
    let parts = set.parts();
    let batches: Vec<Vec<usize>> = if sampling.is_plain() {
        let order = epoch_order(seed, epoch, set.len());
        order.chunks(batch_size).map(<[usize]>::to_vec).collect()
    } else {
        weighted(set, &parts, sampling, seed, epoch, batch_size)
    };
    let classes = Classes::new(set, &parts);
    let mut place = 0;
    batches
        .into_iter()
        .map(|batch| {
            let draw = |pair: usize| {
                let photo = classes.photo(set, pair, seed, &[epoch, place]);
                let draw = Draw { pair, photo, place };
                place += 1;
                draw
            };
            batch.into_iter().map(draw).collect()
        })
        .collect()
}

fn weighted(
    set: &PairSet,
    parts: &[Part],
    sampling: &Sampling,
    seed: u64,
    epoch: u64,
    batch_size: usize,
) -> Vec<Vec<usize>> {
    let wanted = if sampling.pairs == 0 { set.len() } else { sampling.pairs };
    // In whole batches where these are of one dataset.
    let unit = if sampling.one_set { batch_size } else { 1 };
    let units = shares(parts, &sampling.weights, wanted.div_ceil(unit));
    let mut random = Random::new(seed, &[ORDER, epoch]);
    if sampling.one_set {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for (number, (part, count)) in parts.iter().zip(&units).enumerate() {
            let size = batch_size.min(part.pairs.len());
            let visited = visit(part, number, seed, epoch, count * size);
            batches.extend(visited.chunks(size.max(1)).map(<[usize]>::to_vec));
        }
        shuffle(&mut batches, &mut random);
        return batches;
    }
    let mut all: Vec<usize> = parts
        .iter()
        .zip(&units)
        .enumerate()
        .flat_map(|(number, (part, count))| visit(part, number, seed, epoch, *count))
        .collect();
    shuffle(&mut all, &mut random);
    all.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

/// How many of `count` units each dataset gets: the whole parts of its share, then one for the largest remainders.
fn shares(parts: &[Part], weights: &SetWeights, count: usize) -> Vec<usize> {
    let weight = |(number, part): (usize, &Part)| {
        let size = part.pairs.len() as f64;
        match weights {
            SetWeights::Size => size,
            SetWeights::Root => size.sqrt(),
            SetWeights::Equal => f64::from(u8::from(size > 0.0)),
            SetWeights::Given(given) => {
                let weight = given.get(number).copied().map_or(0.0, f64::from);
                if weight.is_finite() && size > 0.0 { weight.max(0.0) } else { 0.0 }
            }
        }
    };
    let weights: Vec<f64> = parts.iter().enumerate().map(weight).collect();
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return vec![0; parts.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| weight / total * count as f64).collect();
    let mut units: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..parts.len()).filter(|&part| weights[part] > 0.0).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let left = count.saturating_sub(units.iter().sum());
    for part in order.into_iter().take(left) {
        units[part] += 1;
    }
    units
}

/// The next `count` pairs of a dataset, where every epoch takes that many.
fn visit(part: &Part, number: usize, seed: u64, epoch: u64, count: usize) -> Vec<usize> {
    let length = part.pairs.len();
    if length == 0 {
        return Vec::new();
    }
    let mut visited = Vec::with_capacity(count);
    let mut at = epoch as u128 * count as u128;
    // Each round of the dataset has an order of its own.
    let part_seed = seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while visited.len() < count {
        let round = (at / length as u128) as u64;
        let first = (at % length as u128) as usize;
        let order = epoch_order(part_seed, round, length);
        let taken = (length - first).min(count - visited.len());
        visited.extend(order[first..first + taken].iter().map(|index| part.pairs.start + index));
        at += taken as u128;
    }
    visited
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

/// The photos of each label in the datasets of classes.
struct Classes {
    photos: BTreeMap<u32, Vec<usize>>,
}

impl Classes {
    fn new(set: &PairSet, parts: &[Part]) -> Self {
        let mut photos: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for part in parts.iter().filter(|part| part.alignment == Alignment::Unrelated) {
            for pair in &set.pairs[part.pairs.clone()] {
                photos.extend(set.photos[pair.photo].label.map(|label| (label, Vec::new())));
            }
        }
        if !photos.is_empty() {
            for (index, photo) in set.photos.iter().enumerate() {
                if let Some(list) = photo.label.and_then(|label| photos.get_mut(&label)) {
                    list.push(index);
                }
            }
        }
        Self { photos }
    }

    fn photo(&self, set: &PairSet, pair: usize, seed: u64, coordinates: &[u64; 2]) -> usize {
        let own = set.pairs[pair].photo;
        let class = set.photos[own].label.and_then(|label| self.photos.get(&label));
        match class {
            Some(photos) => {
                let [epoch, place] = *coordinates;
                photos[Random::new(seed, &[PHOTO, epoch, place]).below(photos.len())]
            }
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Pair, Photo, SketchSource, mix};

    fn set(name: &str, pairs: usize, labels: Option<u32>) -> PairSet {
        let photo = |i: usize| Photo {
            id: i.to_string(),
            path: format!("{name}/{i}").into(),
            label: labels.map(|labels| i as u32 % labels),
        };
        let pair = |i: usize| Pair {
            id: i.to_string(),
            sketch: SketchSource::Image(i.to_string().into()),
            photo: i,
            group: None,
        };
        let alignment = if labels.is_some() { Alignment::Unrelated } else { Alignment::Loose };
        PairSet {
            name: name.into(),
            photos: (0..pairs).map(photo).collect(),
            pairs: (0..pairs).map(pair).collect(),
            parts: vec![Part { name: name.into(), pairs: 0..pairs, alignment }],
        }
    }

    fn pairs(plan: &[Vec<Draw>]) -> Vec<Vec<usize>> {
        plan.iter().map(|batch| batch.iter().map(|draw| draw.pair).collect()).collect()
    }

    #[test]
    fn the_default_is_the_epochs_order() {
        let mixed = mix(vec![set("a", 30, None), set("b", 13, None)]);
        let plan = epoch_plan(&mixed, &Sampling::default(), 42, 3, 8);
        let order = epoch_order(42, 3, 43);
        let expected: Vec<Vec<usize>> = order.chunks(8).map(<[usize]>::to_vec).collect();
        assert_eq!(pairs(&plan), expected);
        assert!(plan.iter().flatten().all(|draw| draw.photo == mixed.pairs[draw.pair].photo));
        assert!(plan.iter().flatten().map(|draw| draw.place).eq(0..43));
    }

    #[test]
    fn batches_of_one_set_in_proportion() {
        let mixed = mix(vec![set("a", 900, None), set("b", 100, None), set("c", 5, None)]);
        let sampling = Sampling { one_set: true, weights: SetWeights::Root, pairs: 1000 };
        let plan = epoch_plan(&mixed, &sampling, 1, 0, 10);
        let mut counts = [0; 3];
        for batch in &plan {
            let part = |draw: &Draw| mixed.parts.iter().position(|p| p.pairs.contains(&draw.pair));
            let first = part(&batch[0]).unwrap();
            assert!(batch.iter().all(|draw| part(draw) == Some(first)));
            assert_eq!(batch.len(), if first == 2 { 5 } else { 10 });
            counts[first] += 1;
        }
        // √900 : √100 : √5 of 100 batches.
        assert_eq!(counts, [71, 24, 5]);
        assert_eq!(plan, epoch_plan(&mixed, &sampling, 1, 0, 10));
        assert_ne!(plan, epoch_plan(&mixed, &sampling, 2, 0, 10));
    }

    #[test]
    fn every_pair_has_its_turn() {
        let mixed = mix(vec![set("a", 50, None), set("b", 7, None)]);
        let given = SetWeights::Given(vec![1.0, 1.0]);
        for one_set in [false, true] {
            let sampling = Sampling { one_set, weights: given.clone(), pairs: 20 };
            let mut seen = vec![0; 57];
            for epoch in 0..5 {
                for draw in epoch_plan(&mixed, &sampling, 3, epoch, 5).iter().flatten() {
                    seen[draw.pair] += 1;
                }
            }
            assert!(seen[..50].iter().all(|count| *count == 1), "{seen:?}");
            assert!(seen[50..].iter().all(|count| (7..=8).contains(count)), "{seen:?}");
        }
        let none = Sampling { weights: SetWeights::Given(vec![]), ..Sampling::default() };
        assert!(epoch_plan(&mixed, &none, 3, 0, 5).is_empty());
    }

    #[test]
    fn weights_are_text_both_ways() {
        for text in ["size", "root", "equal", "3,0.5,0"] {
            assert_eq!(text.parse::<SetWeights>().unwrap().to_string(), text);
        }
        for text in ["", "big", "1,", "-1,2", "nan", "0,0", "inf"] {
            assert!(text.parse::<SetWeights>().is_err(), "{text}");
        }
    }

    #[test]
    fn sketches_of_a_class_get_any_photo_of_it() {
        let mixed = mix(vec![set("a", 10, None), set("classes", 40, Some(4))]);
        let plans = [0, 1].map(|epoch| epoch_plan(&mixed, &Sampling::default(), 5, epoch, 50));
        let mut others = 0;
        for draw in plans.iter().flatten().flatten() {
            let own = mixed.pairs[draw.pair].photo;
            assert_eq!(mixed.photos[draw.photo].label, mixed.photos[own].label);
            if draw.pair < 10 {
                assert_eq!(draw.photo, own);
            }
            others += usize::from(draw.photo != own);
        }
        assert!((60..=80).contains(&others), "{others}");
    }
}

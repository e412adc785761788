//! Whose names a checkpoint uses, and what each of its tensors is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use super::architecture::Architecture;
use super::error::{Error, Mismatch, shown};
use super::names::{Layer, Parameter, Part, Role, Scheme, canonical_shape};
use super::nearest::nearest;
use super::state_dict::StateDict;

/// Leading components that may stand before a naming's own keys (`module.model.visual`).
const MAX_PREFIX: usize = 4;

/// What each tensor of a checkpoint is, under canonical names; made by [`map`].
///
/// Recognised under any one prefix (`module.` of DataParallel, the name of a wrapping model): what
/// stands outside it, such as a text tower, is [left out](Self::outside). Classifiers are
/// [dropped](Self::dropped).
#[derive(Debug, Clone)]
pub struct Mapping {
    path: PathBuf,
    /// Every key of the file.
    names: Vec<String>,
    scheme: Scheme,
    prefix: String,
    /// The file's key and the canonical shape.
    found: BTreeMap<Parameter, (String, Vec<usize>)>,
    dropped: Vec<String>,
    unexpected: Vec<(String, Vec<usize>)>,
    outside: Vec<String>,
}

/// Tells whose names a checkpoint uses.
///
/// # Errors
///
/// [`Error::UnknownNames`] and [`Error::SeveralEncoders`].
pub fn detect(dict: &StateDict) -> Result<Scheme, Error> {
    recognise(dict).map(|(scheme, _)| scheme)
}

/// The naming and prefix under which most keys are a ConvNeXt's.
fn recognise(dict: &StateDict) -> Result<(Scheme, String), Error> {
    #[derive(Default)]
    struct Votes {
        count: usize,
        depthwise: bool,
    }
    let mut votes: HashMap<(&str, Scheme), Votes> = HashMap::new();
    for name in dict.names() {
        let inner = name.match_indices('.').map(|(dot, _)| dot + 1);
        for start in std::iter::once(0).chain(inner).take(MAX_PREFIX + 1) {
            for scheme in Scheme::ALL {
                if let Some(Role::Parameter(parameter)) = scheme.parse(&name[start..]) {
                    let votes = votes.entry((&name[..start], scheme)).or_default();
                    votes.count += 1;
                    votes.depthwise |=
                        matches!(parameter, Parameter::Block(_, _, Layer::Depthwise, Part::Weight));
                }
            }
        }
    }
    votes.retain(|_, votes| votes.depthwise);
    // Of equals the shortest prefix: timm's names inside open_clip's are open_clip's.
    let best = votes
        .iter()
        .max_by_key(|((prefix, scheme), votes)| {
            (votes.count, std::cmp::Reverse(prefix.len()), *prefix, scheme.to_string())
        })
        .map(|(&(prefix, scheme), votes)| (prefix, scheme, votes.count));
    let Some((prefix, scheme, count)) = best else {
        let sample: Vec<&str> = dict.names().take(3).collect();
        return Err(Error::UnknownNames {
            path: dict.path().to_owned(),
            sample: if sample.is_empty() { "(none)".to_owned() } else { shown(&sample.join(", ")) },
        });
    };
    let rival = votes
        .iter()
        .filter(|((other, kind), votes)| {
            *kind == scheme && *other != prefix && votes.count * 2 > count
        })
        .map(|((other, _), _)| *other)
        .min();
    match rival {
        None => Ok((scheme, prefix.to_owned())),
        Some(rival) => Err(Error::SeveralEncoders {
            path: dict.path().to_owned(),
            first: shown(prefix),
            second: shown(rival),
        }),
    }
}

/// Recognises the names of a checkpoint.
///
/// # Errors
///
/// [`Error::UnknownNames`] when no naming fits, [`Error::SeveralEncoders`] when one fits under two
/// prefixes.
pub fn map(dict: &StateDict) -> Result<Mapping, Error> {
    let (scheme, prefix) = recognise(dict)?;
    let mut mapping = Mapping {
        path: dict.path().to_owned(),
        names: dict.names().map(str::to_owned).collect(),
        scheme,
        prefix,
        found: BTreeMap::new(),
        dropped: Vec::new(),
        unexpected: Vec::new(),
        outside: Vec::new(),
    };
    for (name, entry) in dict.iter() {
        let Some(key) = name.strip_prefix(&mapping.prefix) else {
            mapping.outside.push(name.to_owned());
            continue;
        };
        match scheme.parse(key) {
            Some(Role::Parameter(parameter)) => {
                let shape = canonical_shape(parameter, entry.shape());
                mapping.found.insert(parameter, (name.to_owned(), shape));
            }
            Some(Role::Classifier) => mapping.dropped.push(name.to_owned()),
            None => mapping.unexpected.push((name.to_owned(), entry.shape().to_vec())),
        }
    }
    Ok(mapping)
}

impl Mapping {
    /// Whose names they are.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What stands before every key, beyond the naming's own (`module.`); often empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The canonical names found, with canonical shapes, in a fixed order.
    pub fn shapes(&self) -> impl Iterator<Item = (String, &[usize])> {
        self.found.iter().map(|(parameter, (_, shape))| (parameter.to_string(), shape.as_slice()))
    }

    /// The file's own key of a canonical name, if it has it.
    pub fn file_key(&self, canonical: &str) -> Option<&str> {
        let parameter: Parameter = canonical.parse().ok()?;
        self.found.get(&parameter).map(|(key, _)| key.as_str())
    }

    /// Keys of classifiers, recognised and left out.
    pub fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// Keys beside the encoder, such as those of a text tower.
    pub fn outside(&self) -> &[String] {
        &self.outside
    }

    /// Reads a parameter from `dict`, which the mapping was made of, by its canonical name;
    /// row-major in the canonical shape.
    ///
    /// # Errors
    ///
    /// As [`StateDict::read_f32`].
    pub fn read_f32(&self, dict: &StateDict, canonical: &str) -> Result<Vec<f32>, Error> {
        let key = self.file_key(canonical).map_or_else(|| self.key_for(canonical), str::to_owned);
        dict.read_f32(&key)
    }

    /// The architecture, from keys and shapes alone.
    ///
    /// # Errors
    ///
    /// [`Error::Architecture`] when a stage is missing or a size is out of range. Whether every
    /// parameter is there is for [`check`](Self::check) to say, against
    /// [`Architecture::parameters`].
    pub fn infer_architecture(&self) -> Result<Architecture, Error> {
        let found = self.found.iter().map(|(&parameter, (_, shape))| (parameter, shape.clone()));
        Architecture::of(&found.collect())
            .map_err(|detail| Error::Architecture { path: self.path.clone(), detail })
    }

    /// Compares with the canonical names and shapes that a model expects, before any value is read.
    ///
    /// A head norm that the model does not expect is no difference: the origin's encoder leaves
    /// out the one that torchvision's weights have.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for the first difference in the order of the model, naming keys as the
    /// file does.
    pub fn check(&self, expected: &[(String, Vec<usize>)]) -> Result<(), Error> {
        let names: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let extra: Vec<&(String, Vec<usize>)> = self
            .found
            .iter()
            .filter(|(parameter, _)| !matches!(parameter, Parameter::HeadNorm(_)))
            .filter(|(parameter, _)| !names.contains(parameter.to_string().as_str()))
            .map(|(_, found)| found)
            .chain(&self.unexpected)
            .collect();
        let differing: Vec<_> = expected
            .iter()
            .map(|(name, shape)| {
                let found = name.parse().ok().and_then(|parameter| self.found.get(&parameter));
                (name, shape, found)
            })
            .filter(|(_, shape, found)| found.is_none_or(|(_, found)| found != *shape))
            .collect();

        let (key, expected_shape, found, nearest) = match (differing.first(), extra.first()) {
            (None, None) => return Ok(()),
            (Some(&(_, expected, Some((key, found)))), _) => {
                (key.clone(), Some(expected), Some(found), None)
            }
            (Some(&(name, expected, None)), _) => {
                let key = self.key_for(name);
                // A key that is nobody's is the likelier misspelling.
                let nearest = nearest(&key, self.unexpected.iter().map(|(name, _)| name.as_str()))
                    .or_else(|| nearest(&key, self.names.iter().map(String::as_str)))
                    .map(shown);
                (key, Some(expected), None, nearest)
            }
            (None, Some((key, found))) => {
                let known: Vec<String> =
                    expected.iter().map(|(name, _)| self.key_for(name)).collect();
                let nearest = nearest(key, known.iter().map(String::as_str)).map(shown);
                (key.clone(), None, Some(found), nearest)
            }
        };
        Err(Error::Mismatch(Box::new(Mismatch {
            path: self.path.clone(),
            key: shown(&key),
            expected: expected_shape.cloned(),
            found: found.cloned(),
            nearest,
            more: differing.len() + extra.len() - 1,
            hint: self.hint(expected),
        })))
    }

    /// The key that the file would have for a canonical name; the name itself where its naming
    /// has none.
    fn key_for(&self, canonical: &str) -> String {
        canonical
            .parse()
            .ok()
            .and_then(|parameter| self.scheme.key(parameter))
            .map_or_else(|| canonical.to_owned(), |key| format!("{}{key}", self.prefix))
    }

    /// What the file holds, when its size is not the one expected.
    fn hint(&self, expected: &[(String, Vec<usize>)]) -> Option<String> {
        let shapes = expected
            .iter()
            .filter_map(|(name, shape)| Some((name.parse::<Parameter>().ok()?, shape.clone())));
        let expected = Architecture::of(&shapes.collect()).ok();
        let found = self.infer_architecture().ok()?;
        let differs = expected.is_none_or(|e| (e.depths, e.dims) != (found.depths, found.dims));
        differs.then(|| {
            format!("it holds a ConvNeXt of depths {:?} and widths {:?}", found.depths, found.dims)
        })
    }
}

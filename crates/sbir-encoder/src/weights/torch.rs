//! PyTorch checkpoints: the zip container, and the stream of pickles that preceded it.
//!
//! Not through the crate `pytorch-reader`: in 0.22.1, a zip of 61 KB takes 5.5 GB (a deflated
//! `data.pkl`, 90 bytes of stack an opcode) and a sparse tar of 1.5 KB 4.2 GB, a call of
//! `posix.system` beside the weights goes unmentioned, and the order of the keys is lost. Here the
//! worst file of 16 MB takes 70 MB. The tar container of PyTorch before 0.1.10 is not read: it is
//! five years older than the first ConvNeXt.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::{Error, shown};
use super::pickle::{Id, MAX_PICKLE, Node, Pickle, PickleError, Tensor};
use super::tensor::{Extent, Source, TensorEntry};
use super::zip::Archive;

/// What the first pickle of the legacy format holds: 0x1950a86a20f9469cfc6c, little-endian.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Protocol of the legacy format; there was only ever this one.
const LEGACY_PROTOCOL: i64 = 1001;

/// Keys under which training scripts keep the weights, the usual ones first.
const WRAPPERS: [&str; 11] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "state",
    "net",
    "network",
    "encoder",
    "module",
    "weights",
    "params",
];

/// Levels of wrapping dictionaries that are looked into.
const MAX_LEVELS: usize = 4;

/// Longest tensor name.
const MAX_NAME: usize = 512;

/// Values beside the weights that are kept as metadata: objects, and levels of nesting.
const MAX_METADATA: usize = 10_000;
const MAX_METADATA_LEVELS: usize = 16;

/// The tensors by name in file order, and what stood beside them as JSON.
pub(super) type Contents = (Vec<(String, TensorEntry)>, BTreeMap<String, String>);

/// Reads the zip container (PyTorch 1.6 and later).
pub(super) fn open_zip(source: &Source) -> Result<Contents, Error> {
    let archive = Archive::open(source)?;
    let root = archive.root().map(str::to_owned).ok_or_else(|| Error::NotACheckpoint {
        path: source.path.clone(),
        found: "a zip archive without data.pkl".to_owned(),
    })?;
    let byte_order = format!("{root}byteorder");
    if archive.get(&byte_order).is_some() && archive.read(source, &byte_order, 16)? != b"little" {
        return Err(source.unsupported("it was written in big-endian byte order"));
    }
    let bytes = archive.read(source, &format!("{root}data.pkl"), MAX_PICKLE)?;
    let (pickle, _) = Pickle::read(&bytes).map_err(|error| pickle_error(source, error))?;
    contents(source, &pickle, |key| archive.get(&format!("{root}data/{key}")))
}

/// Reads the legacy format (before 1.6, and `_use_new_zipfile_serialization=False`): pickles of a
/// magic number, a protocol, the byte order, the object and the storage keys; then each storage in
/// the order of the keys, its element count as an i64 before its bytes.
pub(super) fn open_legacy(source: &Source) -> Result<Contents, Error> {
    let bytes = source.read_up_to(0, MAX_PICKLE)?;
    let mut at = 0;
    let mut next = || {
        let (pickle, taken) =
            Pickle::read(&bytes[at..]).map_err(|error| pickle_error(source, error))?;
        at += taken;
        Ok::<_, Error>(pickle)
    };
    let magic = next()?;
    if !matches!(magic.node(magic.root()), Node::BigInt(magic) if *magic == LEGACY_MAGIC) {
        return Err(Error::NoStateDict {
            path: source.path.clone(),
            found: "a plain pickle, not one of torch.save".to_owned(),
        });
    }
    let protocol = next()?;
    if !matches!(protocol.node(protocol.root()), Node::Int(LEGACY_PROTOCOL)) {
        return Err(source.damaged("its legacy protocol is not 1001"));
    }
    let system = next()?;
    let little_endian = dict(&system, system.root())
        .and_then(|items| items.iter().find(|item| system.text(item.0) == Some("little_endian")))
        .map(|item| system.node(item.1));
    match little_endian {
        Some(Node::Bool(true)) => {}
        Some(Node::Bool(false)) => {
            return Err(source.unsupported("it was written in big-endian byte order"));
        }
        _ => return Err(source.damaged("its byte order is missing")),
    }
    let object = next()?;
    let keys = next()?;
    let storages = legacy_storages(source, &object, &keys, at as u64)?;
    contents(source, &object, |key| storages.get(key).copied())
}

fn legacy_storages(
    source: &Source,
    object: &Pickle,
    keys: &Pickle,
    mut at: u64,
) -> Result<HashMap<String, Extent>, Error> {
    let mut declared: HashMap<&str, (u64, usize)> = HashMap::new();
    for storage in object.storages() {
        if storage.is_view {
            return Err(source.unsupported("it holds windows of storages, as PyTorch 0.3 wrote"));
        }
        let place = (storage.byte_len(), storage.len);
        if declared.insert(&storage.key, place).is_some_and(|earlier| earlier != place) {
            return Err(source.damaged("a storage is declared with two sizes"));
        }
    }
    let Node::List(keys_in_order) = keys.node(keys.root()) else {
        return Err(source.damaged("its list of storages is missing"));
    };
    let mut storages = HashMap::new();
    for &key in keys_in_order {
        let key = keys.text(key).unwrap_or_default();
        let &(len, count) = declared
            .get(key)
            .ok_or_else(|| source.damaged("it lists a storage that no tensor uses"))?;
        let mut found = [0; 8];
        if at.checked_add(8).and_then(|at| at.checked_add(len)).is_none_or(|end| end > source.len) {
            // Left out: the tensors that use it say which they are and what they need.
            break;
        }
        source.read_at(at, &mut found)?;
        if u64::from_le_bytes(found) != count as u64 {
            return Err(source.damaged("a storage has not the length that its tensors declare"));
        }
        storages.insert(key.to_owned(), Extent { offset: at + 8, len, crc32: None });
        at += 8 + len;
    }
    Ok(storages)
}

/// Finds the state dict in `pickle`, resolves its tensors, and keeps what stood beside it.
fn contents(
    source: &Source,
    pickle: &Pickle,
    storage: impl Fn(&str) -> Option<Extent>,
) -> Result<Contents, Error> {
    let mut search = Search { pickle, seen: HashSet::new() };
    let levels = search
        .state_dict(pickle.root(), MAX_LEVELS)
        .map_err(|found| Error::NoStateDict { path: source.path.clone(), found: shown(&found) })?;
    let Some((&state, wrappers)) = levels.split_first() else {
        return Err(Error::NoStateDict { path: source.path.clone(), found: "nothing".to_owned() });
    };

    let mut tensors = Vec::new();
    for &(key, value) in dict(pickle, state).unwrap_or_default() {
        let (Some(name), Node::Tensor(tensor)) = (pickle.text(key), pickle.node(value)) else {
            continue;
        };
        if name.len() > MAX_NAME {
            return Err(source.damaged(format!("the name {} is too long", shown(name))));
        }
        let Tensor { storage: declared, view } = &**tensor;
        let extent = storage(&declared.key);
        let entry = TensorEntry::new(source, name, view.clone(), declared.byte_len(), extent)?;
        tensors.push((name.to_owned(), entry));
    }

    let mut metadata = BTreeMap::new();
    let mut budget = MAX_METADATA;
    for &(key, value) in wrappers.iter().flat_map(|&id| dict(pickle, id).unwrap_or_default()) {
        let Some(name) = pickle.text(key).filter(|name| name.len() <= MAX_NAME) else {
            continue;
        };
        match json(pickle, value, MAX_METADATA_LEVELS, &mut budget) {
            Some(serde_json::Value::String(text)) => {
                metadata.insert(name.to_owned(), text);
            }
            Some(value) => {
                metadata.insert(name.to_owned(), value.to_string());
            }
            None => {}
        }
    }
    Ok((tensors, metadata))
}

fn dict(pickle: &Pickle, id: Id) -> Option<&[(Id, Id)]> {
    match pickle.node(id) {
        Node::Dict(items) => Some(items),
        _ => None,
    }
}

struct Search<'a> {
    pickle: &'a Pickle,
    seen: HashSet<Id>,
}

impl Search<'_> {
    /// The state dict at or under `id`, then the dictionaries around it, inside out; or what there
    /// is instead.
    fn state_dict(&mut self, id: Id, levels: usize) -> Result<Vec<Id>, String> {
        let Some(items) = dict(self.pickle, id) else {
            return Err(match self.pickle.node(id) {
                Node::Tensor(_) => "a single tensor".to_owned(),
                Node::List(_) => "a list".to_owned(),
                _ => "no dictionary".to_owned(),
            });
        };
        let keys = || {
            let names = items.iter().filter_map(|item| self.pickle.text(item.0)).take(8);
            format!("the keys {}", names.collect::<Vec<_>>().join(", "))
        };
        if levels == 0 || !self.seen.insert(id) {
            return Err(keys());
        }
        let found = keys();
        let here = self.tensor_count(items);
        // By the usual names first; else the only dictionary that leads to weights.
        for wrapper in WRAPPERS {
            let child = items.iter().rev().find(|item| self.pickle.text(item.0) == Some(wrapper));
            if let Some(&(_, child)) = child
                && dict(self.pickle, child).is_some()
                && let Ok(mut path) = self.state_dict(child, levels - 1)
                && dict(self.pickle, path[0]).is_some_and(|i| self.tensor_count(i) > here)
            {
                path.push(id);
                return Ok(path);
            }
        }
        if here > 0 {
            return Ok(vec![id]);
        }
        let mut candidates = Vec::new();
        for &(key, child) in items {
            let optimizer = self.pickle.text(key).is_none_or(|key| key.starts_with("optim"));
            if !optimizer && dict(self.pickle, child).is_some() {
                candidates.extend(self.state_dict(child, levels - 1));
            }
        }
        match candidates.len() {
            1 => {
                let mut path = candidates.swap_remove(0);
                path.push(id);
                Ok(path)
            }
            _ => Err(found),
        }
    }

    /// Floating-point tensors directly in a dictionary; a generator's state is bytes.
    fn tensor_count(&self, items: &[(Id, Id)]) -> usize {
        items
            .iter()
            .filter(|item| self.pickle.text(item.0).is_some())
            .filter(|item| {
                matches!(self.pickle.node(item.1), Node::Tensor(tensor) if tensor.view.dtype.is_float())
            })
            .count()
    }
}

/// Plain data as JSON; `None` where there is anything else inside, or too much of it.
fn json(pickle: &Pickle, id: Id, levels: usize, budget: &mut usize) -> Option<serde_json::Value> {
    *budget = budget.checked_sub(1)?;
    let inner = levels.checked_sub(1)?;
    Some(match pickle.node(id) {
        Node::None => serde_json::Value::Null,
        Node::Bool(value) => (*value).into(),
        Node::Int(value) => (*value).into(),
        Node::Float(value) => serde_json::Number::from_f64(*value)?.into(),
        Node::Text(text) => {
            *budget = budget.checked_sub(text.len() / 64)?;
            text.as_str().into()
        }
        Node::List(items) => items
            .iter()
            .map(|&item| json(pickle, item, inner, budget))
            .collect::<Option<Vec<_>>>()?
            .into(),
        Node::Dict(items) => items
            .iter()
            .map(|&(key, value)| {
                let key = pickle.text(key)?;
                *budget = budget.checked_sub(key.len() / 64)?;
                Some((key.to_owned(), json(pickle, value, inner, budget)?))
            })
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
        _ => return None,
    })
}

fn pickle_error(source: &Source, error: PickleError) -> Error {
    match error {
        PickleError::Truncated => source.damaged("its pickle ends too early"),
        PickleError::Opcode(code) => {
            source.damaged(format!("its pickle has the unknown opcode {code:#04x}"))
        }
        PickleError::Global(global) => {
            Error::Global { path: source.path.clone(), global: shown(&global) }
        }
        PickleError::Unsupported(what) => source.unsupported(shown(&what)),
        PickleError::Invalid(what) => source.damaged(format!("in its pickle, {what}")),
        PickleError::TooLarge => source.damaged("its pickle is larger than any state dict's"),
    }
}

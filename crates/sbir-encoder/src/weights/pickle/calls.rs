//! The calls that a checkpoint makes: recognised by name, never made.

use super::globals::Global;
use super::machine::Machine;
use super::{Id, Node, PickleError, Result, Storage, Tensor};
use crate::weights::tensor::{DType, View};

/// Most tensors, and most items that calls may copy from lists.
const MAX_TENSORS: usize = 1 << 16;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;

/// Longest key of a storage: a number of up to 20 digits in every PyTorch so far.
const MAX_KEY: usize = 64;

impl Machine<'_> {
    /// The result of calling a global with a tuple of arguments.
    pub(super) fn call(&mut self, callable: Id, arguments: Id) -> Result<Id> {
        let Node::Global(global) = *self.node(callable) else {
            return Err(PickleError::Invalid("it calls what is no function"));
        };
        let Node::List(arguments) = self.node(arguments) else {
            return Err(PickleError::Invalid("the arguments of a call are no tuple"));
        };
        let result = match global {
            Global::OrderedDict => self.ordered_dict(arguments)?,
            Global::RebuildTensor => self.tensor(arguments, None)?,
            Global::RebuildTensorV3 => {
                let dtype = match arguments.get(6).map(|&id| self.node(id)) {
                    Some(Node::Global(Global::DType(dtype))) => *dtype,
                    _ => return Err(PickleError::Invalid("a tensor lacks its element type")),
                };
                self.tensor(arguments, Some(dtype))?
            }
            Global::RebuildParameter => {
                return arguments
                    .first()
                    .copied()
                    .filter(|&id| matches!(self.node(id), Node::Tensor(_)))
                    .ok_or(PickleError::Invalid("a parameter holds no tensor"));
            }
            Global::Collection => match arguments.first() {
                Some(&items) if matches!(self.node(items), Node::List(_)) => return Ok(items),
                Some(_) => return Err(PickleError::Invalid("a set is not made from a list")),
                None => Node::List(Vec::new()),
            },
            Global::Storage(_) | Global::DType(_) | Global::Inert => Node::Opaque,
        };
        self.built += match &result {
            Node::Dict(items) => items.len(),
            Node::Tensor(_) => 1,
            _ => 0,
        };
        if self.built > MAX_TENSORS {
            return Err(PickleError::TooLarge);
        }
        self.add(result)
    }

    fn ordered_dict(&self, arguments: &[Id]) -> Result<Node> {
        let Some(&items) = arguments.first() else {
            return Ok(Node::Dict(Vec::new()));
        };
        let Node::List(items) = self.node(items) else {
            return Err(PickleError::Invalid("an OrderedDict is not made from a list"));
        };
        if items.len() > MAX_TENSORS {
            return Err(PickleError::TooLarge);
        }
        let pair = |&item: &Id| match self.node(item) {
            Node::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(PickleError::Invalid("an item of an OrderedDict is no pair")),
        };
        items.iter().map(pair).collect::<Result<_>>().map(Node::Dict)
    }

    /// `('storage', type, key, location, length[, view])`, the persistent id of a storage.
    pub(super) fn storage(&self, id: Id) -> Result<Storage> {
        const INVALID: PickleError = PickleError::Invalid("a storage is not described as one");
        let Node::List(fields) = self.node(id) else {
            return Err(INVALID);
        };
        let [tag, kind, key, _location, len, view @ ..] = fields.as_slice() else {
            return Err(INVALID);
        };
        if !matches!(self.node(*tag), Node::Text(tag) if tag == "storage") {
            return Err(INVALID);
        }
        let Node::Global(Global::Storage(dtype)) = *self.node(*kind) else {
            return Err(INVALID);
        };
        let key = match self.node(*key) {
            Node::Text(key) if key.len() <= MAX_KEY => key.clone(),
            Node::Int(key) => key.to_string(),
            _ => return Err(INVALID),
        };
        let is_view = view.first().is_some_and(|&view| !matches!(self.node(view), Node::None));
        Ok(Storage { key, dtype, len: self.size(*len)?, is_view })
    }

    /// `_rebuild_tensor…(storage, offset, size, stride, …)`.
    fn tensor(&self, arguments: &[Id], dtype: Option<DType>) -> Result<Node> {
        let [storage, start, shape, strides, ..] = *arguments else {
            return Err(PickleError::Invalid("a tensor lacks its shape"));
        };
        let Node::Storage(storage) = self.node(storage) else {
            return Err(PickleError::Invalid("a tensor has no storage"));
        };
        let dtype = match (dtype, storage.dtype) {
            (Some(dtype), None) => dtype,
            (Some(dtype), Some(stored)) if dtype == stored => dtype,
            (None, Some(stored)) => stored,
            _ => return Err(PickleError::Invalid("a tensor and its storage differ in type")),
        };
        let view = View {
            shape: self.sizes(shape)?,
            strides: self.sizes(strides)?,
            start: self.size(start)?,
            dtype,
        };
        Ok(Node::Tensor(Box::new(Tensor { storage: Storage::clone(storage), view })))
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        match self.node(id) {
            Node::List(items) if items.len() <= MAX_RANK => {
                items.iter().map(|&item| self.size(item)).collect()
            }
            _ => Err(PickleError::Invalid("a tensor has no valid shape")),
        }
    }

    fn size(&self, id: Id) -> Result<usize> {
        match *self.node(id) {
            Node::Int(value) => {
                usize::try_from(value).map_err(|_| PickleError::Invalid("a size is negative"))
            }
            _ => Err(PickleError::Invalid("a size is no integer")),
        }
    }
}

//! A restricted pickle reader: enough for what `torch.save` writes, and nothing is ever executed.
//!
//! The stack machine follows CPython's `pickletools`. Objects live in an arena and are referred to
//! by index, so that a memo fetch copies four bytes: neither a memo bomb nor a deeply nested or
//! self-containing object costs memory, time or stack. Only the globals listed in [`globals`] are
//! accepted; any other (`posix.system`, a pickled model class) is an error that names it. Calls are
//! not made but recognised: the ones that rebuild tensors become [`Node::Tensor`], those that make
//! inert values (a device, a numpy scalar) become [`Node::Opaque`].

use super::tensor::{DType, View};

mod calls;
mod globals;
mod machine;

use globals::Global;
use machine::Machine;

/// Longest pickle that is read, in bytes. A state dict takes some 250 bytes a tensor.
pub(super) const MAX_PICKLE: usize = 16 << 20;

/// Why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PickleError {
    Truncated,
    Opcode(u8),
    Global(String),
    Unsupported(String),
    Invalid(&'static str),
    TooLarge,
}

type Result<T> = std::result::Result<T, PickleError>;

/// Index of a [`Node`] in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// A storage by the key under which its container keeps the bytes.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) key: String,
    /// `None` for an untyped storage, whose length counts bytes.
    pub(super) dtype: Option<DType>,
    pub(super) len: usize,
    /// Whether it is a window of another storage, as only PyTorch before 0.4 wrote.
    pub(super) is_view: bool,
}

impl Storage {
    /// Declared size in bytes.
    pub(super) fn byte_len(&self) -> u64 {
        (self.len as u64).saturating_mul(self.dtype.map_or(1, DType::size) as u64)
    }
}

/// A tensor as the pickle describes it; nothing about it has been checked against the file.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    pub(super) view: View,
}

/// A value of the pickle.
#[derive(Debug, Clone)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian.
    BigInt(Vec<u8>),
    Float(f64),
    Text(String),
    Bytes,
    /// A list, tuple or set.
    List(Vec<Id>),
    /// A dict or `OrderedDict`, in file order.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Box<Storage>),
    Tensor(Box<Tensor>),
    /// A recognised object whose content does not matter here.
    Opaque,
}

/// A pickle, read: its objects and which of them is the outermost.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads one pickle from the start of `bytes`; also gives the number of bytes it took.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        let limit = bytes.len().min(MAX_PICKLE);
        match Machine::new(&bytes[..limit]).run() {
            Ok(read) => Ok(read),
            Err(PickleError::Truncated) if limit < bytes.len() => Err(PickleError::TooLarge),
            Err(error) => Err(error),
        }
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// All storages that the pickle's tensors name.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// The text of a string node.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

//! A restricted pickle reader: enough for what `torch.save` writes, and nothing is ever executed.
//!
//! The stack machine follows CPython's `pickletools`. Objects live in an arena and are referred to
//! by index, so that a memo fetch copies four bytes: neither a memo bomb nor a deeply nested or
//! self-containing object costs memory, time or stack. Only the globals of [`known_global`] are
//! accepted; any other (`posix.system`, a pickled model class) is an error that names it. Calls are
//! not made but recognised: the ones that rebuild tensors become [`Node::Tensor`], those that make
//! inert values (a device, a numpy scalar) become [`Node::Opaque`].

use std::collections::HashMap;

use super::tensor::{DType, View};

/// Longest pickle that is read, in bytes. A state dict takes some 250 bytes a tensor.
pub(super) const MAX_PICKLE: usize = 16 << 20;

/// Most objects, memo slots and stack places. A state dict takes some 30 a tensor.
const MAX_OBJECTS: usize = 1 << 20;

/// Most tensors, and most items that calls may copy from lists.
const MAX_TENSORS: usize = 1 << 16;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;

/// Longest key of a storage: a number of up to 20 digits in every PyTorch so far.
const MAX_KEY: usize = 64;

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

/// The globals that a checkpoint may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV3,
    RebuildParameter,
    Storage(Option<DType>),
    DType(DType),
    Collection,
    Inert,
}

/// Looks `module.name` up among the globals that are accepted.
fn known_global(module: &str, name: &str) -> Result<Global> {
    let global = match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch" | "torch.storage" | "torch.cuda", name) if name.ends_with("Storage") => {
            return storage_global(name);
        }
        ("torch", name) if dtype_by_name(name).is_some() => {
            Global::DType(dtype_by_name(name).unwrap_or(DType::F32))
        }
        ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple") => Global::Collection,
        // Values that trainers keep beside the weights. They are skipped, never built.
        ("torch", "device" | "Size" | "strided" | "contiguous_format" | "channels_last")
        | ("torch.serialization", "_get_layout")
        | ("argparse", "Namespace")
        | ("types", "SimpleNamespace")
        | ("collections", "defaultdict" | "Counter")
        | ("numpy", "dtype" | "ndarray")
        | (
            "numpy.core.multiarray" | "numpy._core.multiarray",
            "scalar" | "_reconstruct" | "_frombuffer",
        )
        | ("_codecs", "encode")
        | ("datetime", "datetime" | "date" | "timedelta")
        | ("pathlib" | "pathlib._local", "Path" | "PosixPath" | "WindowsPath" | "PurePosixPath")
        | ("builtins" | "__builtin__", "int" | "float" | "complex" | "str" | "bool" | "bytes")
        | ("builtins" | "__builtin__", "dict" | "bytearray" | "slice" | "range") => Global::Inert,
        _ => return Err(PickleError::Global(format!("{module}.{name}"))),
    };
    Ok(global)
}

fn storage_global(name: &str) -> Result<Global> {
    let dtype = match name {
        "UntypedStorage" => return Ok(Global::Storage(None)),
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        other => return Err(PickleError::Unsupported(format!("it holds a torch.{other}"))),
    };
    Ok(Global::Storage(Some(dtype)))
}

fn dtype_by_name(name: &str) -> Option<DType> {
    Some(match name {
        "float32" => DType::F32,
        "float64" => DType::F64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" => DType::U8,
        "bool" => DType::Bool,
        _ => return None,
    })
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
        let mut machine = Machine {
            bytes: &bytes[..limit],
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            built: 0,
        };
        match machine.run() {
            Ok(root) => Ok((Self { nodes: machine.nodes, root }, machine.at)),
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

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Stack heights at each open `MARK`.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Tensors and dict items made by calls, which a few bytes of a fetched call can repeat.
    built: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            if self.stack.len() > MAX_OBJECTS || self.memo.len() > MAX_OBJECTS {
                return Err(PickleError::TooLarge);
            }
            match self.byte()? {
                b'.' => return self.pop(),
                0x80 => match self.byte()? {
                    2..=5 => {}
                    _ => return Err(PickleError::Invalid("its protocol is not 2 to 5")),
                },
                0x95 => drop(self.take(8)?), // FRAME: for streaming readers only.
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Node::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))
            }
            0x8a => {
                let len = self.byte()?.into();
                self.push_long(len)
            }
            0x8b => {
                let len = self.len32()?;
                self.push_long(len)
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value))
            }
            // Text, and the str of Python 2.
            0x8c | b'U' => {
                let len = self.byte()?.into();
                self.push_text(len, opcode == b'U')
            }
            b'X' | b'T' => {
                let len = self.len32()?;
                self.push_text(len, opcode == b'T')
            }
            0x8d => {
                let len = self.len64()?;
                self.push_text(len, false)
            }
            b'C' => {
                let len = self.byte()?.into();
                self.push_bytes(len)
            }
            b'B' => {
                let len = self.len32()?;
                self.push_bytes(len)
            }
            0x8e | 0x96 => {
                let len = self.len64()?;
                self.push_bytes(len)
            }
            b')' | b']' | 0x8f => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'(' => {
                if self.marks.len() > MAX_OBJECTS {
                    return Err(PickleError::TooLarge);
                }
                self.marks.push(self.stack.len());
                Ok(())
            }
            b't' | b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            0x85..=0x87 => {
                let from = self.height_below(usize::from(opcode - 0x84))?;
                let items = self.split_stack(from);
                self.push(Node::List(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Node::Dict(pairs))
            }
            b'a' => {
                let item = self.pop()?;
                self.list()?.push(item);
                Ok(())
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.list()?.extend(items);
                Ok(())
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'h' => {
                let slot = self.byte()?.into();
                self.fetch(slot)
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.fetch(slot)
            }
            b'q' => {
                let slot = self.byte()?.into();
                self.memoize(slot)
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.memoize(slot)
            }
            0x94 => self.memoize(self.memo.len() as u32),
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Node::Global(known_global(module, name)?))
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let global = match (self.node(module), self.node(name)) {
                    (Node::Text(module), Node::Text(name)) => known_global(module, name)?,
                    _ => return Err(PickleError::Invalid("a global is not named by two strings")),
                };
                self.push(Node::Global(global))
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Node::Storage(Box::new(storage)))
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                let result = self.call(callable, arguments)?;
                self.stack.push(result);
                Ok(())
            }
            b'b' => {
                // The attributes of a dict (`_metadata` of a state dict) or of an inert object.
                self.pop()?;
                match self.node(self.top()?) {
                    Node::Dict(_) | Node::Opaque => Ok(()),
                    _ => Err(PickleError::Invalid("it sets attributes of a plain value")),
                }
            }
            other => Err(PickleError::Opcode(other)),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or(PickleError::Truncated)?;
        let bytes = self.bytes.get(self.at..end).ok_or(PickleError::Truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.first_chunk().copied().ok_or(PickleError::Truncated)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn len32(&mut self) -> Result<usize> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn len64(&mut self) -> Result<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| PickleError::Truncated)
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated)?;
        self.at += len + 1;
        str::from_utf8(&rest[..len]).map_err(|_| PickleError::Invalid("a name is not UTF-8"))
    }

    fn push_text(&mut self, len: usize, python2: bool) -> Result<()> {
        match (str::from_utf8(self.take(len)?), python2) {
            (Ok(text), _) => self.push(Node::Text(text.to_owned())),
            (Err(_), true) => self.push(Node::Bytes),
            (Err(_), false) => Err(PickleError::Invalid("a text is not UTF-8")),
        }
    }

    fn push_bytes(&mut self, len: usize) -> Result<()> {
        self.take(len)?;
        self.push(Node::Bytes)
    }

    fn push_long(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        if len > 8 {
            return self.push(Node::BigInt(bytes.to_vec()));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut value = [if negative { 0xff } else { 0 }; 8];
        value[..len].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(value)))
    }

    fn push(&mut self, node: Node) -> Result<()> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<Id> {
        if self.nodes.len() >= MAX_OBJECTS {
            return Err(PickleError::TooLarge);
        }
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The stack height after taking `count` values, none of them below the innermost mark.
    fn height_below(&self, count: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .len()
            .checked_sub(count)
            .filter(|&height| height >= floor)
            .ok_or(PickleError::Invalid("a value is missing on its stack"))
    }

    fn pop(&mut self) -> Result<Id> {
        let height = self.height_below(1)?;
        let id = self.stack[height];
        self.stack.truncate(height);
        Ok(id)
    }

    fn top(&self) -> Result<Id> {
        Ok(self.stack[self.height_below(1)?])
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or(PickleError::Invalid("a mark is missing"))?;
        // No pop reaches below a mark, so the stack is at least as high.
        Ok(self.split_stack(mark.min(self.stack.len())))
    }

    /// Takes what lies above `height`, in a vector of just that size.
    fn split_stack(&mut self, height: usize) -> Vec<Id> {
        let items = self.stack[height..].to_vec();
        self.stack.truncate(height);
        items
    }

    fn list(&mut self) -> Result<&mut Vec<Id>> {
        let top = self.top()?;
        match &mut self.nodes[top.0 as usize] {
            Node::List(items) => Ok(items),
            _ => Err(PickleError::Invalid("it appends to what is no list")),
        }
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let pairs = pairs(items)?;
        let top = self.top()?;
        match &mut self.nodes[top.0 as usize] {
            Node::Dict(dict) => dict.extend(pairs),
            // A defaultdict or Counter: its items do not matter here.
            Node::Opaque => {}
            _ => return Err(PickleError::Invalid("it sets items of what is no dict")),
        }
        Ok(())
    }

    fn fetch(&mut self, slot: u32) -> Result<()> {
        let id = self.memo.get(&slot).ok_or(PickleError::Invalid("a memo slot is empty"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn memoize(&mut self, slot: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<Id> {
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
    fn storage(&self, id: Id) -> Result<Storage> {
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

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(PickleError::Invalid("a dict has a key without a value")),
    }
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;

//! The opcodes.

use std::collections::HashMap;

use super::globals::known_global;
use super::{Id, Node, Pickle, PickleError, Result};

/// Most objects, memo slots and stack places. A state dict takes some 30 a tensor.
pub(super) const MAX_OBJECTS: usize = 1 << 20;

/// CPython's stack machine over an arena of nodes.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Stack heights at each open `MARK`.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Tensors and dict items made by calls, which a few bytes of a fetched call can repeat.
    pub(super) built: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            built: 0,
        }
    }

    /// Reads up to `STOP`; gives the pickle and the number of bytes it took.
    pub(super) fn run(mut self) -> Result<(Pickle, usize)> {
        loop {
            if self.stack.len() > MAX_OBJECTS || self.memo.len() > MAX_OBJECTS {
                return Err(PickleError::TooLarge);
            }
            match self.byte()? {
                b'.' => {
                    let root = self.pop()?;
                    return Ok((Pickle { nodes: self.nodes, root }, self.at));
                }
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

    pub(super) fn add(&mut self, node: Node) -> Result<Id> {
        if self.nodes.len() >= MAX_OBJECTS {
            return Err(PickleError::TooLarge);
        }
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    pub(super) fn node(&self, id: Id) -> &Node {
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
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(PickleError::Invalid("a dict has a key without a value")),
    }
}

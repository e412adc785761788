//! The globals that a checkpoint may name. Everything else is refused by name.

use super::{PickleError, Result};
use crate::weights::tensor::DType;

/// The globals that a checkpoint may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) enum Global {
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
pub(super) fn known_global(module: &str, name: &str) -> Result<Global> {
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

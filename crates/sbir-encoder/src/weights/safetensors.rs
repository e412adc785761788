//! The safetensors container: a JSON header, then the values back to back.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata};

use super::error::shown;
use super::tensor::{DType, Extent, Source, TensorEntry, View, contiguous_strides};
use super::torch::Contents;
use crate::weights::Error;

/// Largest header that is read: some 100 bytes a tensor (the format itself allows 100 MB).
const MAX_HEADER: u64 = 16 << 20;

/// Reads the header; `declared` is its length in bytes, from the first eight bytes of the file.
pub(super) fn open(source: &Source, declared: u64) -> Result<Contents, Error> {
    if declared > source.len - 8 {
        return Err(source.damaged("its safetensors header is longer than the file"));
    }
    if declared > MAX_HEADER {
        return Err(source.damaged("its safetensors header is larger than 16 MiB"));
    }
    let header = source.read_up_to(8, declared as usize)?;
    // Checks that offsets follow one another without gap and agree with shape and type.
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| {
        source.damaged(format!("its safetensors header: {}", shown(&error.to_string())))
    })?;
    let data = 8 + declared;
    if header.data_len() as u64 != source.len - data {
        return Err(source.damaged(format!(
            "its tensors take {} bytes, it holds {}",
            header.data_len(),
            source.len - data
        )));
    }

    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else {
            continue;
        };
        let dtype = dtype(info.dtype).ok_or_else(|| {
            source.unsupported(format!("{} holds {:?} values", shown(&name), info.dtype))
        })?;
        let strides = contiguous_strides(&info.shape)
            .ok_or_else(|| source.damaged(format!("the shape of {} overflows", shown(&name))))?;
        let (start, end) = info.data_offsets;
        let len = (end - start) as u64;
        let extent = Extent { offset: data + start as u64, len, crc32: None };
        let view = View { shape: info.shape.clone(), strides, start: 0, dtype };
        let entry = TensorEntry::new(source, &name, view, len, Some(extent))?;
        tensors.push((name, entry));
    }
    let metadata: BTreeMap<_, _> =
        header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok((tensors, metadata))
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

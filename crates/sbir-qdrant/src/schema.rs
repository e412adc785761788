//! What a collection is made of.

// The fields named since in the client's interface are unknown to Qdrant 1.16, which takes these; later servers take both.
#![allow(deprecated)]

use std::collections::HashMap;

use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollection, CreateFieldIndexCollection, Datatype, Distance, FieldType,
    HnswConfigDiff, IntegerIndexParams, KeywordIndexParams, PayloadIndexParams, QuantizationConfig,
    QuantizationType, ScalarQuantization, VectorParams, VectorsConfig, WalConfigDiff,
    WriteOrdering, WriteOrderingType,
};
use sbir_files::names::to_hex;
use sbir_gallery::Space;
use sha2::{Digest as _, Sha256};

use crate::point::{field, integer, text};

/// The format of what this program writes.
const FORMAT: i64 = 1;
/// The names of a collection's own data.
const META_FORMAT: &str = "sbir";
const META_GALLERY: &str = "gallery";
const META_FINGERPRINT: &str = "fingerprint";

/// The links of a node in the graph, and the candidates while it is built: with these a beam of 256 finds 99 in 100 of
/// the nearest ten (docs/scale.md).
const LINKS: u64 = 16;
const BUILD_BEAM: u64 = 200;

/// What a gallery's collection is called: its name, and a digest of the encoder's fingerprint.
pub(crate) fn collection_name(gallery: &str, fingerprint: &str) -> String {
    format!("{gallery}-{}", to_hex(&Sha256::digest(fingerprint)[..8]))
}

/// Whether a collection's name is one of a gallery's.
pub(crate) fn is_of(gallery: &str, collection: &str) -> bool {
    let digest = collection.strip_prefix(gallery).and_then(|rest| rest.strip_prefix('-'));
    digest.is_some_and(|digest| {
        digest.len() == 16
            && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// What decides between those who make a gallery at once: a collection without photos that only one can make, with the
/// space that the gallery will have. It goes once the gallery is there.
pub(crate) fn register_name(gallery: &str) -> String {
    format!("{gallery}-first")
}

fn metadata(gallery: &str, space: &Space) -> HashMap<String, qdrant_client::qdrant::Value> {
    HashMap::from([
        (META_FORMAT.into(), integer(FORMAT)),
        (META_GALLERY.into(), text(gallery.into())),
        (META_FINGERPRINT.into(), text(space.fingerprint.clone())),
    ])
}

fn vectors(params: VectorParams) -> Option<VectorsConfig> {
    Some(VectorsConfig { config: Some(Config::Params(params)) })
}

/// The register of a gallery that is being made.
pub(crate) fn register(gallery: &str, space: &Space, timeout: u64) -> CreateCollection {
    CreateCollection {
        collection_name: register_name(gallery),
        timeout: Some(timeout),
        shard_number: Some(1),
        wal_config: Some(WalConfigDiff { wal_capacity_mb: Some(1), ..Default::default() }),
        vectors_config: vectors(VectorParams {
            size: space.dimension as u64,
            distance: Distance::Dot.into(),
            ..Default::default()
        }),
        metadata: metadata(gallery, space),
        ..Default::default()
    }
}

/// The collection of a gallery's photos.
pub(crate) fn collection(
    gallery: &str,
    space: &Space,
    shards: Option<u32>,
    replicas: u32,
    timeout: u64,
) -> CreateCollection {
    let codes = ScalarQuantization {
        r#type: QuantizationType::Int8.into(),
        quantile: None,
        always_ram: Some(true),
        memory: None,
    };
    CreateCollection {
        collection_name: collection_name(gallery, &space.fingerprint),
        timeout: Some(timeout),
        shard_number: shards,
        replication_factor: Some(replicas),
        // One is enough for a write to count, and the server acknowledges it only when the replicas that lack it are
        // known to be gone. With more, a stalled node is never found to be gone, and all writes end at their deadline.
        write_consistency_factor: Some(1),
        on_disk_payload: Some(true),
        hnsw_config: Some(HnswConfigDiff {
            m: Some(LINKS),
            ef_construct: Some(BUILD_BEAM),
            on_disk: Some(false),
            ..Default::default()
        }),
        vectors_config: vectors(VectorParams {
            size: space.dimension as u64,
            // Of unit vectors it is the cosine, and the server changes none of their bits.
            distance: Distance::Dot.into(),
            on_disk: Some(true),
            datatype: Some(Datatype::Float16.into()),
            ..Default::default()
        }),
        quantization_config: Some(QuantizationConfig {
            quantization: Some(Quantization::Scalar(codes)),
        }),
        metadata: metadata(gallery, space),
        ..Default::default()
    }
}

/// The fields that are filtered, counted or ordered by, and so have an index.
pub(crate) const INDEXED: [&str; 4] = [field::ROOT, field::ABOVE, field::HASH, field::WRITTEN];

/// The index of a field.
pub(crate) fn index(collection: &str, field: &str) -> CreateFieldIndexCollection {
    let (kind, params) = if field == field::WRITTEN {
        let params = IntegerIndexParams {
            lookup: Some(false),
            range: Some(true),
            on_disk: Some(true),
            ..Default::default()
        };
        (FieldType::Integer, IndexParams::IntegerIndexParams(params))
    } else {
        // There are few roots, and many of the others.
        let params =
            KeywordIndexParams { on_disk: Some(field != field::ROOT), ..Default::default() };
        (FieldType::Keyword, IndexParams::KeywordIndexParams(params))
    };
    CreateFieldIndexCollection {
        collection_name: collection.into(),
        wait: Some(true),
        field_name: field.into(),
        field_type: Some(kind.into()),
        field_index_params: Some(PayloadIndexParams { index_params: Some(params) }),
        ordering: ordering(),
        timeout: None,
    }
}

/// Each write goes to all replicas at once. With a replica that puts them in order (`Medium`), those who wait for it when
/// it stalls are taken for stalled by those who wait for them: seen to leave shards without any replica.
pub(crate) fn ordering() -> Option<WriteOrdering> {
    Some(WriteOrdering { r#type: WriteOrderingType::Weak.into() })
}

/// What a collection says of itself.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) gallery: String,
    pub(crate) space: Space,
    /// The fields whose index is missing.
    pub(crate) unindexed: Vec<&'static str>,
}

/// Reads it; else what is wrong with it.
pub(crate) fn describe(info: &CollectionInfo) -> Result<Described, String> {
    let config = info.config.as_ref().ok_or("no configuration")?;
    let meta = |name: &str| config.metadata.get(name).and_then(|value| value.kind.as_ref());
    match meta(META_FORMAT) {
        Some(Kind::IntegerValue(FORMAT)) => {}
        Some(Kind::IntegerValue(format)) => {
            return Err(format!("the format {format}, of a later sbir"));
        }
        _ => return Err("no data of sbir".into()),
    }
    let (Some(Kind::StringValue(gallery)), Some(Kind::StringValue(fingerprint))) =
        (meta(META_GALLERY), meta(META_FINGERPRINT))
    else {
        return Err("no fingerprint".into());
    };
    let vectors = config.params.as_ref().and_then(|params| params.vectors_config.as_ref());
    let Some(Config::Params(params)) = vectors.and_then(|vectors| vectors.config.as_ref()) else {
        return Err("no plain vectors".into());
    };
    let dimension = usize::try_from(params.size).ok().filter(|size| (1..=1 << 16).contains(size));
    let dimension = dimension.ok_or_else(|| format!("vectors of {} values", params.size))?;
    if params.distance() != Distance::Dot {
        return Err(format!("the distance {}", params.distance().as_str_name()));
    }
    Ok(Described {
        gallery: gallery.clone(),
        space: Space { fingerprint: fingerprint.clone(), dimension },
        unindexed: INDEXED
            .into_iter()
            .filter(|field| !info.payload_schema.contains_key(*field))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_belong_to_one_gallery() {
        let name = collection_name("a", "weights");
        assert!(is_of("a", &name), "{name}");
        let longer = collection_name(&name, "weights");
        assert!(is_of(&name, &longer) && !is_of("a", &longer));
        assert!(!is_of("a", &register_name("a")));
        for other in ["a", "a-", "a-0123456789abcdeF", "a-0123456789abcde", "ab-0123456789abcdef"] {
            assert!(!is_of("a", other), "{other}");
        }
    }
}

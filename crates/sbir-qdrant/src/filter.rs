//! Conditions that the server applies before it ranks, so that they never shorten a list.

use std::path::Path;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{Condition, FieldCondition, Filter, HasIdCondition, Match};
use sbir_files::names::to_hex;
use sbir_gallery::{PhotoId, Result};

use crate::point::{field, point_id};
use crate::text::{canonical, ids_at, place_key};

fn condition(condition: ConditionOneOf) -> Condition {
    Condition { condition_one_of: Some(condition) }
}

fn keyword(field: &str, keyword: String) -> Condition {
    let keyword = Match { match_value: Some(MatchValue::Keyword(keyword)) };
    condition(ConditionOneOf::Field(FieldCondition {
        key: field.into(),
        r#match: Some(keyword),
        ..FieldCondition::default()
    }))
}

fn has_id(ids: &[PhotoId]) -> Condition {
    let has_id = ids.iter().map(|id| point_id(*id)).collect();
    condition(ConditionOneOf::HasId(HasIdCondition { has_id }))
}

/// The photos at or below a place.
pub(crate) fn under(place: &Path) -> Result<Filter> {
    let place = canonical(place)?;
    let mut should = vec![keyword(field::ABOVE, place_key(&place))];
    let ids = ids_at(&place);
    if !ids.is_empty() {
        should.push(has_id(&ids));
    }
    Ok(Filter { should, ..Filter::default() })
}

/// The photos whose file has this content.
pub(crate) fn content(hash: &[u8; 32]) -> Filter {
    Filter { must: vec![keyword(field::HASH, to_hex(hash))], ..Filter::default() }
}

/// The photos of these ids that there are.
pub(crate) fn ids(ids: &[PhotoId]) -> Filter {
    Filter { must: vec![has_id(ids)], ..Filter::default() }
}

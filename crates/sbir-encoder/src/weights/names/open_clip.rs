//! The visual tower of open_clip (`open_clip.timm_model`), without its `visual.`: timm's names under
//! `trunk`, and the projection `head.proj.weight`.

use super::{Parameter, Role, timm};

pub(super) fn parse(parts: &[&str]) -> Option<Role> {
    match parts {
        ["trunk", trunk @ ..] => timm::parse(trunk),
        ["head", "proj", "weight"] => Some(Role::Parameter(Parameter::Projection)),
        _ => None,
    }
}

pub(super) fn key(parameter: Parameter) -> Option<String> {
    match parameter {
        Parameter::Projection => Some("head.proj.weight".to_owned()),
        _ => timm::key(parameter).map(|key| format!("trunk.{key}")),
    }
}

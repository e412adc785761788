//! EfficientNet-Lite0 from a checkpoint: our own names, or those of lukemelas/EfficientNet-PyTorch, which the
//! published ImageNet weights have (`_blocks.0._depthwise_conv.weight`).

use super::config::{LiteConfig, conv_names, weight_shape};
use super::first_projection;
use crate::weights::{Error, Mismatch, Scheme, StateDict};

/// Epsilon of TensorFlow's EfficientNets.
const NORM_EPSILON: f64 = 1e-3;
/// Seed of a projection that the checkpoint does not have.
const PROJECTION_SEED: u64 = 42;

/// What was read.
pub(crate) struct Read {
    pub(crate) config: LiteConfig,
    pub(crate) scheme: Scheme,
    /// Names, shapes and values in the architecture's order.
    pub(crate) values: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// Keys that were left out.
    pub(crate) dropped: Vec<String>,
}

/// Reads `state` where it holds an EfficientNet-Lite0; `None` where it holds something else. A head that `wanted`
/// names and the file lacks is drawn at random.
pub(crate) fn read(state: &StateDict, wanted: Option<&LiteConfig>) -> Result<Option<Read>, Error> {
    if state.get("blocks.0.depthwise.scale").is_some() {
        return canonical(state, wanted).map(Some);
    }
    if state.get("_blocks.0._depthwise_conv.weight").is_some() {
        return published(state, wanted).map(Some);
    }
    Ok(None)
}

fn check(state: &StateDict, key: &str, expected: &[usize]) -> Result<(), Error> {
    let found = state.get(key).map(|entry| entry.shape().to_vec());
    if found.as_deref() == Some(expected) {
        return Ok(());
    }
    let missing = found.is_none();
    Err(Error::Mismatch(Box::new(Mismatch {
        path: state.path().to_owned(),
        key: key.to_owned(),
        expected: Some(expected.to_vec()),
        found,
        nearest: None,
        more: 0,
        hint: missing.then(|| "it was taken for an EfficientNet-Lite0".to_owned()),
    })))
}

fn canonical(state: &StateDict, wanted: Option<&LiteConfig>) -> Result<Read, Error> {
    let architecture =
        |detail: String| Error::Architecture { path: state.path().to_owned(), detail };
    let head = "head.projection.weight";
    let found = match state.get(head).map(|entry| entry.shape().to_vec()).as_deref() {
        Some(&[width, 1280]) => LiteConfig::new(width, false),
        Some(&[width, 6400]) => LiteConfig::new(width, true),
        Some(shape) => return Err(architecture(format!("a projection of shape {shape:?}"))),
        None => return Err(architecture(format!("no {head}"))),
    };
    let config = found.map_err(|error| architecture(error.to_string()))?;
    if let Some(wanted) = wanted.filter(|wanted| **wanted != config) {
        return Err(architecture(format!("{config}, and {wanted} was asked for")));
    }
    let shapes = config.parameter_shapes();
    for (name, shape) in &shapes {
        check(state, name, shape)?;
    }
    if state.len() != shapes.len() {
        return Err(architecture(format!("{} tensors, expected {}", state.len(), shapes.len())));
    }
    let values = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = state.read_f32(&name)?;
            Ok((name, shape, values))
        })
        .collect::<Result<_, Error>>()?;
    Ok(Read { config, scheme: Scheme::Sbir, values, dropped: Vec::new() })
}

fn published(state: &StateDict, wanted: Option<&LiteConfig>) -> Result<Read, Error> {
    let config = match wanted {
        Some(config) => config.clone(),
        None => LiteConfig { width: 512, quadrants: false },
    };
    let convolutions = conv_names(&config.spec());
    let keys: Vec<(String, String)> =
        convolutions.iter().map(|(name, _)| published_keys(name)).collect();
    let norm = ["weight", "bias", "running_mean", "running_var"];
    for ((_, conv), (key, norm_key)) in convolutions.iter().zip(&keys) {
        check(state, &format!("{key}.weight"), &weight_shape(conv))?;
        for part in norm {
            check(state, &format!("{norm_key}.{part}"), &[conv.channels_out])?;
        }
    }
    let mut values = Vec::new();
    for ((name, conv), (key, norm_key)) in convolutions.into_iter().zip(keys) {
        let weight = state.read_f32(&format!("{key}.weight"))?;
        let [gain, bias, mean, variance] = {
            let mut parts = Vec::with_capacity(4);
            for part in norm {
                parts.push(state.read_f32(&format!("{norm_key}.{part}"))?);
            }
            <[Vec<f32>; 4]>::try_from(parts).expect("four parts")
        };
        let mut scale = Vec::with_capacity(gain.len());
        let mut shift = Vec::with_capacity(gain.len());
        for channel in 0..gain.len() {
            let deviation = (f64::from(variance[channel].max(0.0)) + NORM_EPSILON).sqrt();
            let factor = f64::from(gain[channel]) / deviation;
            scale.push(factor as f32);
            shift.push((f64::from(bias[channel]) - factor * f64::from(mean[channel])) as f32);
        }
        let channels = conv.channels_out;
        values.push((format!("{name}.weight"), weight_shape(&conv), weight));
        values.push((format!("{name}.scale"), vec![channels], scale));
        values.push((format!("{name}.shift"), vec![channels], shift));
    }
    let projection = first_projection(&config, PROJECTION_SEED);
    let shape = vec![config.width, projection.len() / config.width];
    values.push(("head.projection.weight".to_owned(), shape, projection));
    let dropped =
        state.names().filter(|name| name.starts_with("_fc.")).map(str::to_owned).collect();
    Ok(Read { config, scheme: Scheme::EfficientnetPytorch, values, dropped })
}

/// Keys of a convolution's weight and of its BatchNorm, without `.weight` and so on.
fn published_keys(name: &str) -> (String, String) {
    match name {
        "stem" => ("_conv_stem".to_owned(), "_bn0".to_owned()),
        "features" => ("_conv_head".to_owned(), "_bn1".to_owned()),
        inner => {
            let (block, part) = inner.rsplit_once('.').unwrap_or(("", inner));
            let norm = match part {
                "expand" => "_bn0",
                "depthwise" => "_bn1",
                _ => "_bn2",
            };
            (format!("_{block}._{part}_conv"), format!("_{block}.{norm}"))
        }
    }
}

//! An encoder: architecture, parameters, and how pictures are prepared for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use burn_tensor::{Device, Tensor, TensorData};
use sbir_kernels::Precision;
use sbir_kernels::simd::Simd;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::architecture::EncoderConfig;
use crate::convnext::{self, ConvNextConfig, Head, MIN_SIDE, Pass, StochasticDepth};
use crate::lite;
use crate::net::{Arithmetic, Net};
use crate::parameters::Parameters;
use crate::values::to_host;
use crate::weights::{Scheme, StateDict, Stored, TensorValues, names, save_pth, save_safetensors};

/// Key of the metadata entry of a safetensors file that holds the [`Card`].
const CARD: &str = "sbir.card";
/// Largest side of an input picture.
const MAX_SIDE: usize = 2048;

/// Interpolation kernel of the resize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Bilinear with antialiasing, as the origin has it.
    #[default]
    Bilinear,
    /// Bicubic with antialiasing, as CLIP has it.
    Bicubic,
}

/// How pictures become input: resized to a square, scaled to 0–1, normalised by channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Side in pixels.
    pub image_size: usize,
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
    /// Kernel of the resize.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Width of rendered strokes as a share of the side, in `(0, 1]`; `None` for the style `fscoco`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_width: Option<f32>,
}

impl Preprocessing {
    /// The origin's: ImageNet statistics, bilinear.
    ///
    /// # Errors
    /// [`Error::ImageSize`] for a side below 32 or above 2048 pixels.
    pub fn origin(image_size: usize) -> Result<Self, Error> {
        if !(MIN_SIDE..=MAX_SIDE).contains(&image_size) {
            return Err(Error::ImageSize { side: image_size });
        }
        Ok(Self {
            image_size,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            interpolation: Interpolation::Bilinear,
            line_width: None,
        })
    }

    /// EfficientNet-Lite's: values of −1 to 1, bilinear.
    ///
    /// # Errors
    /// [`Error::ImageSize`] for a side below 32 or above 2048 pixels.
    pub fn lite(image_size: usize) -> Result<Self, Error> {
        let (mean, std) = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
        Ok(Self { mean, std, ..Self::origin(image_size)? })
    }

    /// CLIP's statistics, bicubic, as open_clip's towers were trained with.
    ///
    /// # Errors
    /// [`Error::ImageSize`] for a side below 32 or above 2048 pixels.
    pub fn clip(image_size: usize) -> Result<Self, Error> {
        Ok(Self {
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            interpolation: Interpolation::Bicubic,
            ..Self::origin(image_size)?
        })
    }
}

/// What a safetensors file of ours says beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// How pictures are prepared.
    pub preprocessing: Preprocessing,
    /// Digests of the photos trained on, 16 hexadecimal digits each, so that an evaluation on them
    /// can say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<String>,
}

/// A siamese encoder: one tower for sketches and photos.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: EncoderConfig,
    preprocessing: Preprocessing,
    parameters: Parameters,
    device: Device,
    arithmetic: Arithmetic,
    /// The kernels' form of the parameters, made when first needed; `None` where there are no kernels.
    net: OnceLock<Option<Arc<Net>>>,
}

/// What was found while loading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The encoder.
    pub encoder: Encoder,
    /// The file's naming scheme.
    pub scheme: Scheme,
    /// What the file says beside its tensors; `None` for files that this program did not write.
    pub card: Option<Card>,
    /// Tensors that were left out, e.g. a classifier's.
    pub dropped: Vec<String>,
}

impl Encoder {
    /// An encoder with random parameters, drawn as torchvision draws them; `layer_scale` is a ConvNeXt's.
    pub fn random(
        config: impl Into<EncoderConfig>,
        preprocessing: Preprocessing,
        seed: u64,
        layer_scale: f32,
        device: &Device,
    ) -> Self {
        let config = config.into();
        let parameters = match &config {
            EncoderConfig::ConvNext(config) => {
                convnext::random_parameters(config, seed, layer_scale, device)
            }
            EncoderConfig::Lite(config) => lite::random_parameters(config, seed, device),
        };
        Self::assemble(config, preprocessing, parameters, device)
    }

    fn assemble(
        config: EncoderConfig,
        preprocessing: Preprocessing,
        parameters: Parameters,
        device: &Device,
    ) -> Self {
        let (device, arithmetic) = (device.clone(), Arithmetic::default());
        Self { config, preprocessing, parameters, device, arithmetic, net: OnceLock::new() }
    }

    /// Reads a checkpoint in any known form and naming. Architecture and head are told from names and
    /// shapes; every shape is compared before a value is read. Without a card, pictures are prepared
    /// as the origin does, and for open_clip's names as CLIP does.
    ///
    /// # Errors
    /// [`Error::Weights`] names file, key, and the shapes expected and found.
    pub fn load(path: &Path, device: &Device) -> Result<Loaded, Error> {
        Self::read(&StateDict::open(path)?, None, device)
    }

    /// Reads a checkpoint that is part of the program; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_static(name: &str, bytes: &'static [u8], device: &Device) -> Result<Loaded, Error> {
        Self::read(&StateDict::from_static(name, bytes)?, None, device)
    }

    /// Reads a checkpoint that must be of the given architecture.
    ///
    /// # Errors
    /// As [`Self::load`], where the file holds another architecture too.
    pub fn load_as(path: &Path, config: &EncoderConfig, device: &Device) -> Result<Loaded, Error> {
        Self::read(&StateDict::open(path)?, Some(config), device)
    }

    fn read(
        state: &StateDict,
        wanted: Option<&EncoderConfig>,
        device: &Device,
    ) -> Result<Loaded, Error> {
        let lite = match wanted {
            Some(EncoderConfig::Lite(config)) => Some(config),
            _ => None,
        };
        if let Some(read) = lite::read(state, lite)? {
            return Self::finish_lite(state, read, wanted, device);
        }
        let mapping = names::map(state)?;
        let config = match wanted {
            Some(EncoderConfig::ConvNext(config)) => config.clone(),
            Some(other) => {
                let detail = format!("a ConvNeXt, and {other} was asked for");
                let path = state.path().to_owned();
                return Err(crate::weights::Error::Architecture { path, detail }.into());
            }
            None => {
                let found = mapping.infer_architecture()?;
                let head = match found.projection {
                    Some(width) => Head::Projection { width },
                    None => Head::Pool,
                };
                ConvNextConfig::new(found.depths, found.dims)?.with_head(head)
            }
        };
        let expected = config.parameter_shapes();
        mapping.check(&expected)?;
        let mut values = Vec::with_capacity(expected.len());
        for (name, shape) in expected {
            let data = mapping.read_f32(state, &name)?;
            values.push((name, shape, data));
        }
        let card = read_card(state)?;
        let preprocessing = match &card {
            Some(card) => card.preprocessing,
            None if mapping.scheme() == Scheme::OpenClip => Preprocessing::clip(224)?,
            None => Preprocessing::origin(224)?,
        };
        let parameters = Parameters::from_values(values, device);
        let encoder = Self::assemble(config.into(), preprocessing, parameters, device);
        let dropped = mapping.dropped().to_vec();
        Ok(Loaded { encoder, scheme: mapping.scheme(), card, dropped })
    }

    fn finish_lite(
        state: &StateDict,
        read: lite::Read,
        wanted: Option<&EncoderConfig>,
        device: &Device,
    ) -> Result<Loaded, Error> {
        let config = EncoderConfig::Lite(read.config);
        if let Some(wanted) = wanted.filter(|wanted| **wanted != config) {
            let detail = format!("{config}, and {wanted} was asked for");
            let path = state.path().to_owned();
            return Err(crate::weights::Error::Architecture { path, detail }.into());
        }
        let card = read_card(state)?;
        let preprocessing = match &card {
            Some(card) => card.preprocessing,
            None => Preprocessing::lite(224)?,
        };
        let parameters = Parameters::from_values(read.values, device);
        let encoder = Self::assemble(config, preprocessing, parameters, device);
        Ok(Loaded { encoder, scheme: read.scheme, card, dropped: read.dropped })
    }

    /// Architecture.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// How pictures are prepared.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// The same encoder with pictures prepared otherwise.
    #[must_use]
    pub fn with_preprocessing(self, preprocessing: Preprocessing) -> Self {
        Self { preprocessing, ..self }
    }

    /// Parameters in order.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The same architecture with other parameters.
    #[must_use]
    pub fn with_parameters(&self, parameters: Parameters) -> Self {
        let (config, arithmetic) = (self.config.clone(), self.arithmetic);
        let encoder = Self::assemble(config, self.preprocessing, parameters, &self.device);
        Self { arithmetic, ..encoder }
    }

    /// Changes the parameters in place.
    pub fn update<T>(&mut self, change: impl FnOnce(&mut Parameters) -> T) -> T {
        let changed = change(&mut self.parameters);
        // A clone of this encoder may hold the same one.
        let net = self.net.get_mut().and_then(Option::as_mut).and_then(Arc::get_mut);
        if !net.is_some_and(|net| net.update(&self.parameters)) {
            self.net.take();
        }
        changed
    }

    /// The same encoder whose products are made in `precision`, where the CPU's kernels compute a ConvNeXt; without
    /// effect elsewhere. [`crate::PrecisionChoice::resolve`] tells what there is.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        let arithmetic = Arithmetic { precision, ..self.arithmetic };
        Self { arithmetic, net: OnceLock::new(), ..self }
    }

    /// What products are made in where the CPU's kernels compute.
    pub fn precision(&self) -> Precision {
        self.arithmetic.precision
    }

    /// The same encoder, computed by a given path of the CPU's kernels; the first is [`Simd::chosen`].
    ///
    /// # Panics
    /// Where this processor lacks it.
    #[must_use]
    pub fn with_simd(self, simd: Simd) -> Self {
        assert!(simd.is_available(), "this processor lacks {simd}");
        let arithmetic = Arithmetic { simd, ..self.arithmetic };
        Self { arithmetic, net: OnceLock::new(), ..self }
    }

    /// The same encoder with another epsilon of LayerNorm than [`crate::NORM_EPSILON`], to show that it matters.
    #[must_use]
    pub fn with_norm_epsilon(self, norm_epsilon: f64) -> Self {
        let arithmetic = Arithmetic { norm_epsilon, ..self.arithmetic };
        Self { arithmetic, net: OnceLock::new(), ..self }
    }

    /// The same encoder, computed by Burn's operations alone, on any device: what the kernels are compared to.
    #[must_use]
    pub fn without_kernels(self) -> Self {
        let arithmetic = Arithmetic { kernels: false, ..self.arithmetic };
        Self { arithmetic, net: OnceLock::new(), ..self }
    }

    /// The device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.config.embedding_width()
    }

    /// Embeds pictures: rows of unit length, bit-equal for any number of threads on the CPU.
    ///
    /// # Shapes
    /// - `pixels`: `[count, 3, height, width]`, row-major, normalised
    /// - `size`: `[count, height, width]`
    /// - output: `[count, self.width()]`, row-major
    ///
    /// # Panics
    /// Where `pixels` is not of that shape, or a side is below 32 pixels.
    pub fn embed(&self, pixels: Vec<f32>, size: [usize; 3]) -> Vec<f32> {
        let [count, height, width] = size;
        assert!(height.min(width) >= MIN_SIDE, "images of at least {MIN_SIDE} pixels");
        assert_eq!(pixels.len(), count * 3 * height * width, "length of the pixels");
        if count == 0 {
            return Vec::new();
        }
        match self.net() {
            Some(Net::ConvNext(net)) => return net.embed(&pixels, size),
            Some(Net::Lite(net)) if height == width => return net.embed(&pixels, height),
            _ => {}
        }
        let data = TensorData::new(pixels, [count, 3, height, width]);
        let images = Tensor::from_data(data, &self.device);
        let pass = self.pass(None);
        to_host(&crate::architecture::forward(&self.config, &self.parameters, images, pass))
    }

    /// How a pass through the graph ([`crate::forward`]) computes this encoder.
    pub fn pass<'a>(&self, drop: Option<&'a StochasticDepth>) -> Pass<'a> {
        let Arithmetic { kernels, norm_epsilon, .. } = self.arithmetic;
        Pass { drop, norm_epsilon, kernels }
    }

    /// The form that the CPU's kernels compute; `None` for other devices.
    pub fn net(&self) -> Option<&Net> {
        let make = || Net::new(&self.config, &self.parameters, &self.arithmetic).map(Arc::new);
        self.net.get_or_init(make).as_deref()
    }

    /// Adds to the gradients at the parameters, in their order, those of an EfficientNet-Lite's [`Self::net`].
    ///
    /// # Panics
    /// For another family, or where the lengths are not the parameters'.
    pub fn unfold(&self, folded: &sbir_kernels::lite::LiteWeights, gradients: &mut [Vec<f32>]) {
        match &self.config {
            EncoderConfig::Lite(config) => {
                lite::unfold(config, &self.parameters, folded, gradients);
            }
            EncoderConfig::ConvNext(_) => {
                panic!("folded gradients are an EfficientNet-Lite's")
            }
        }
    }

    /// Names weights and preprocessing: vectors of two encoders of one fingerprint may be compared. 32 hexadecimal
    /// digits of a SHA-256.
    ///
    /// Precision, instructions and device are no part of it: what they change about an embedding (a cosine of 0.999
    /// at least, in bf16) is far below what tells two photos apart, and a gallery must outlive its machine.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let preprocessing =
            serde_json::to_string(&self.preprocessing).expect("plain data serialises");
        hash.update(format!("{}\n{preprocessing}\n", self.config));
        let mut bytes = Vec::new();
        for parameter in &self.parameters {
            hash.update(format!("{} {:?}\n", parameter.name, parameter.shape));
            let values = parameter.value.to_host();
            bytes.resize(values.len() * 4, 0);
            for (place, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values.iter()) {
                *place = value.to_le_bytes();
            }
            hash.update(&bytes);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes the weights as safetensors under canonical names, with a card.
    ///
    /// # Errors
    /// [`Error::Weights`] names the file; nothing half-written is left.
    pub fn save(&self, path: &Path, trained_on: Vec<String>) -> Result<(), Error> {
        let card = Card { preprocessing: self.preprocessing, trained_on };
        self.write(path, Scheme::Sbir, Some(card))
    }

    /// Writes the weights under the names of `scheme`: a `.pth` that `torch.load(weights_only=True)`
    /// reads where `path` ends in `.pth` or `.pt`, else safetensors.
    ///
    /// # Errors
    /// [`Error::Weights`] names the file; nothing half-written is left.
    pub fn write(&self, path: &Path, scheme: Scheme, card: Option<Card>) -> Result<(), Error> {
        self.write_as(path, scheme, card, Stored::F32)
    }

    /// As [`Self::write`], with values stored as asked; `.pth` files hold 32-bit floats.
    ///
    /// # Errors
    /// As [`Self::write`], or where a value is beyond the range of 16-bit floats.
    pub fn write_as(
        &self,
        path: &Path,
        scheme: Scheme,
        card: Option<Card>,
        stored: Stored,
    ) -> Result<(), Error> {
        let entries = self
            .parameters
            .iter()
            .map(|parameter| {
                let (name, shape) = match (&self.config, scheme) {
                    (EncoderConfig::Lite(_), Scheme::Sbir) => {
                        (parameter.name.clone(), parameter.shape.clone())
                    }
                    _ => names::to_scheme(&parameter.name, &parameter.shape, scheme)?,
                };
                Ok(TensorValues::new(name, shape, parameter.value.to_host()))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let is_pickle = path.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("pth") || extension.eq_ignore_ascii_case("pt")
        });
        if is_pickle {
            save_pth(path, &entries)?;
        } else {
            let mut metadata = BTreeMap::new();
            if let Some(card) = card {
                let text = serde_json::to_string(&card).expect("plain data serialises");
                metadata.insert(CARD.to_owned(), text);
            }
            save_safetensors(path, &entries, &metadata, stored)?;
        }
        Ok(())
    }
}

/// The card of a file, checked: it comes from outside.
fn read_card(state: &StateDict) -> Result<Option<Card>, Error> {
    let Some(text) = state.metadata().get(CARD) else { return Ok(None) };
    let problem = |problem: String| Error::Metadata { path: state.path().to_owned(), problem };
    let card: Card = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
    let Preprocessing { image_size, mean, std, line_width, .. } = card.preprocessing;
    if !(MIN_SIDE..=MAX_SIDE).contains(&image_size) {
        return Err(problem(format!("an image size of {image_size}")));
    }
    let sane = |x: &f32| x.is_finite() && x.abs() < 1e3;
    if !mean.iter().all(sane) || !std.iter().all(|x| sane(x) && *x > 1e-6) {
        return Err(problem(format!("mean {mean:?} and deviation {std:?}")));
    }
    if line_width.is_some_and(|width| !(width > 0.0 && width <= 1.0)) {
        return Err(problem(format!("a line width of {line_width:?}")));
    }
    Ok(Some(card))
}

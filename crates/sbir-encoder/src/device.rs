//! Which device computes, and why.
//!
//! With `vulkan` compiled in, Burn's default device is Vulkan and panics where there is no driver, so
//! nothing in this project asks for a default: a device is chosen here once and handed on. As long
//! as the CPU is chosen nothing here touches a graphics driver.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use burn_std::config::{BurnConfig, RuntimeConfig};
use burn_tensor::Device;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The Vulkan adapter with this place in [`adapters`], software ones included.
    Vulkan(usize),
    /// The CUDA device with this index.
    Cuda(usize),
    /// The Metal device (macOS).
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownDevice { given: text.to_owned() };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("metal", None) => Ok(Self::Metal),
            ("vulkan", index) => Ok(Self::Vulkan(index.unwrap_or(0))),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Vulkan(index) => write!(f, "vulkan:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// A GPU, or a software stand-in for one, that this build can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// What selects it: `vulkan:0`, `cuda:1`.
    pub choice: DeviceChoice,
    /// Name and kind, e.g. `NVIDIA H200, discrete GPU`.
    pub kind: String,
    /// Whether it is a program on the CPU that passes for a GPU.
    pub software: bool,
}

/// A chosen device.
#[derive(Clone, Debug)]
pub struct Selected {
    /// What was chosen, never [`DeviceChoice::Auto`].
    pub choice: DeviceChoice,
    /// The device, without autodiff.
    pub device: Device,
    /// Why, in a few words.
    pub reason: String,
}

impl Selected {
    /// The CPU, for `reason`.
    pub fn cpu(reason: impl Into<String>) -> Self {
        configure(None);
        Self { choice: DeviceChoice::Cpu, device: Device::flex(), reason: reason.into() }
    }
}

/// Names of the GPU interfaces that were compiled in.
pub fn compiled() -> Vec<&'static str> {
    let mut list = vec!["cpu"];
    for (feature, name) in [
        (cfg!(feature = "vulkan"), "vulkan"),
        (cfg!(feature = "metal"), "metal"),
        (cfg!(feature = "cuda"), "cuda"),
    ] {
        if feature {
            list.push(name);
        }
    }
    list
}

/// Sets Burn's and CubeCL's process-wide configuration: they would read `burn.toml` and
/// `cubecl.toml` from the working folder and its parents, and cache under a nearby `target/`.
/// The first call counts; kernels are cached under `cache` where one is given.
pub fn configure(cache: Option<&Path>) {
    BurnConfig::try_set(BurnConfig::default());
    #[cfg(any(feature = "vulkan", feature = "metal", feature = "cuda"))]
    gpu::configure(cache);
    #[cfg(not(any(feature = "vulkan", feature = "metal", feature = "cuda")))]
    let _ = cache;
}

/// Lists the GPUs that this build can reach, real ones first. Loads drivers: a broken one can end
/// the process, so callers that must live ask in a child process.
pub fn adapters() -> Vec<Adapter> {
    configure(None);
    #[cfg(any(feature = "vulkan", feature = "metal", feature = "cuda"))]
    return gpu::adapters();
    #[cfg(not(any(feature = "vulkan", feature = "metal", feature = "cuda")))]
    Vec::new()
}

/// Turns a choice into a device. For [`DeviceChoice::Auto`], `adapters` are looked through for a
/// real GPU (see [`adapters`]); for every other choice they are not needed.
///
/// # Errors
/// [`Error::DeviceNotCompiled`], [`Error::DeviceNotFound`], [`Error::DeviceFailed`].
pub fn select(choice: DeviceChoice, found: &[Adapter]) -> Result<Selected, Error> {
    configure(None);
    match choice {
        DeviceChoice::Cpu => Ok(Selected::cpu("asked for")),
        DeviceChoice::Auto => match found.iter().find(|adapter| !adapter.software) {
            Some(adapter) => {
                let reason = format!("{} found", adapter.kind);
                open(adapter.choice).map(|selected| Selected { reason, ..selected })
            }
            None => Ok(Selected::cpu("no GPU found")),
        },
        other => open(other),
    }
}

fn open(choice: DeviceChoice) -> Result<Selected, Error> {
    #[cfg(any(feature = "vulkan", feature = "metal", feature = "cuda"))]
    {
        let device = gpu::open(choice)?;
        Ok(Selected { choice, device, reason: "asked for".to_owned() })
    }
    #[cfg(not(any(feature = "vulkan", feature = "metal", feature = "cuda")))]
    Err(Error::DeviceNotCompiled { choice, compiled: compiled().join(", ") })
}

#[cfg(any(feature = "vulkan", feature = "metal", feature = "cuda"))]
mod gpu {
    use std::path::Path;

    use burn_tensor::Device;
    #[cfg(feature = "vulkan")]
    use burn_tensor::DeviceKind;
    #[cfg(feature = "cuda")]
    use burn_tensor::DeviceType;
    use cubecl_runtime::config::autotune::AutotuneLevel;
    use cubecl_runtime::config::cache::CacheConfig;
    use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig};

    use super::{Adapter, DeviceChoice, compiled};
    use crate::Error;

    pub(super) fn configure(cache: Option<&Path>) {
        let mut config = CubeClRuntimeConfig::default();
        config.environment.path = match cache {
            Some(folder) => CacheConfig::Directory(folder.to_owned()),
            None => CacheConfig::Global,
        };
        // Measuring every kernel candidate costs minutes on a software device and buys little.
        config.autotune.level = AutotuneLevel::Minimal;
        CubeClRuntimeConfig::try_set(config);
    }

    /// The Vulkan adapters in the driver's order: name, whether software, and what selects it. Each kind
    /// counts from zero on its own.
    #[cfg(feature = "vulkan")]
    fn vulkan() -> Vec<(String, bool, DeviceKind)> {
        use burn_tensor::wgpu::wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};

        let instance = Instance::new(InstanceDescriptor {
            backends: Backends::VULKAN,
            ..InstanceDescriptor::new_without_display_handle()
        });
        let mut seen = [0usize; 3];
        let mut list = Vec::new();
        let mut number = |place: usize| {
            seen[place] += 1;
            seen[place] - 1
        };
        for adapter in pollster::block_on(instance.enumerate_adapters(Backends::VULKAN)) {
            let info = adapter.get_info();
            let (kind, software, selector) = match info.device_type {
                DeviceType::DiscreteGpu => {
                    ("discrete GPU", false, DeviceKind::DiscreteGpu(number(0)))
                }
                DeviceType::IntegratedGpu => {
                    ("integrated GPU", false, DeviceKind::IntegratedGpu(number(1)))
                }
                DeviceType::VirtualGpu => ("virtual GPU", false, DeviceKind::VirtualGpu(number(2))),
                DeviceType::Cpu => ("software on the CPU", true, DeviceKind::Cpu),
                DeviceType::Other => continue,
            };
            list.push((format!("{}, {kind}", info.name), software, selector));
        }
        list.sort_by_key(|(_, software, _)| *software);
        list
    }

    pub(super) fn adapters() -> Vec<Adapter> {
        let mut list = Vec::new();
        #[cfg(feature = "cuda")]
        for index in 0..Device::enumerate(DeviceType::Cuda).into_vec().len() {
            let kind = "CUDA GPU".to_owned();
            list.push(Adapter { choice: DeviceChoice::Cuda(index), kind, software: false });
        }
        #[cfg(feature = "metal")]
        list.push(Adapter {
            choice: DeviceChoice::Metal,
            kind: "Metal GPU".to_owned(),
            software: false,
        });
        #[cfg(feature = "vulkan")]
        for (index, (kind, software, _)) in vulkan().into_iter().enumerate() {
            let choice = DeviceChoice::Vulkan(index);
            list.push(Adapter { choice, kind, software });
        }
        list.sort_by_key(|adapter| adapter.software);
        list
    }

    pub(super) fn open(choice: DeviceChoice) -> Result<Device, Error> {
        match choice {
            #[cfg(feature = "vulkan")]
            DeviceChoice::Vulkan(index) => {
                let mut found = vulkan();
                if index >= found.len() {
                    return Err(Error::DeviceNotFound { choice, found: found.len() });
                }
                let (_, _, kind) = found.swap_remove(index);
                start_vulkan(kind)
                    .map_err(|message| Error::DeviceFailed { choice, message: message.clone() })
            }
            #[cfg(feature = "cuda")]
            DeviceChoice::Cuda(index) => {
                let found = Device::enumerate(DeviceType::Cuda).into_vec().len();
                if index >= found {
                    return Err(Error::DeviceNotFound { choice, found });
                }
                Ok(Device::cuda(index))
            }
            #[cfg(feature = "metal")]
            DeviceChoice::Metal => Ok(Device::metal(burn_tensor::DeviceKind::DefaultDevice)),
            _ => Err(Error::DeviceNotCompiled { choice, compiled: compiled().join(", ") }),
        }
    }

    /// Starts the runtime of an adapter; a second start in one process hands out the first.
    #[cfg(feature = "vulkan")]
    fn start_vulkan(kind: DeviceKind) -> Result<Device, String> {
        use std::sync::{Mutex, PoisonError};

        use burn_tensor::wgpu::WgpuBackend;

        static STARTED: Mutex<Vec<(DeviceKind, Device)>> = Mutex::new(Vec::new());
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, device)) = started.iter().find(|(other, _)| *other == kind) {
            return Ok(device.clone());
        }
        let device = Device::wgpu_options()
            .device_kind(kind.clone())
            .graphics_api(WgpuBackend::Vulkan)
            .init()
            .map_err(|error| error.to_string())?;
        started.push((kind, device.clone()));
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_round_trip() {
        for text in ["auto", "cpu", "vulkan:0", "vulkan:3", "cuda:1", "metal"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("vulkan".parse::<DeviceChoice>().unwrap(), DeviceChoice::Vulkan(0));
        for text in ["", "gpu", "cpu:0", "auto:1", "vulkan:x", "vulkan:-1", "cuda:"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn auto_never_takes_a_software_adapter() {
        let adapter = Adapter {
            choice: DeviceChoice::Vulkan(0),
            kind: "software on the CPU".to_owned(),
            software: true,
        };
        let selected = select(DeviceChoice::Auto, &[adapter]).unwrap();
        assert_eq!(selected.choice, DeviceChoice::Cpu);
        assert_eq!(selected.reason, "no GPU found");
    }
}

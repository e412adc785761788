//! `sbir doctor`.

use std::path::PathBuf;

use sbir_encoder::weights::fetch;
use sbir_encoder::{Adapter, DeviceChoice, PrecisionChoice, Selected, Simd, compiled};
use serde::Serialize;

use super::args::DoctorArgs;
use super::failure::Failure;
use super::{compute, output};

#[derive(Serialize)]
struct Report {
    version: &'static str,
    features: Vec<&'static str>,
    /// What `--device auto` takes.
    device: DeviceChoice,
    reason: String,
    adapters: Vec<Adapter>,
    cores: usize,
    cpu_features: Vec<&'static str>,
    /// The kernels' instructions; what is wrong with SBIR_SIMD where it names none.
    simd: String,
    /// Those that this processor has, the fastest first.
    simd_available: Vec<String>,
    /// What `--precision auto` is on the CPU.
    precision: PrecisionChoice,
    weights_folder: Option<PathBuf>,
    kernel_folder: Option<PathBuf>,
    /// Where `index`, `search` and `serve` keep their gallery unless told otherwise.
    gallery: Option<PathBuf>,
}

/// Vector instructions that change speed here.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let list = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let list: [(&str, bool); 0] = [];
    list.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let (adapters, trouble) = match compute::find_adapters() {
        Ok(adapters) => (adapters, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    // Chosen without starting it: a doctor should not need a healthy patient.
    let (device, reason) = match (adapters.iter().find(|adapter| !adapter.software), trouble) {
        (Some(adapter), _) => (adapter.choice, format!("{} found", adapter.kind)),
        (None, Some(trouble)) => (DeviceChoice::Cpu, trouble),
        (None, None) => (DeviceChoice::Cpu, Selected::cpu("no GPU found").reason),
    };
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        features: compiled(),
        device,
        reason,
        adapters,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu_features: cpu_features(),
        simd: Simd::chosen().map_or_else(|error| error.to_string(), |simd| simd.to_string()),
        simd_available: Simd::available().map(|simd| simd.to_string()).collect(),
        precision: Simd::chosen().map_or(PrecisionChoice::Auto, PrecisionChoice::of_cpu),
        weights_folder: fetch::weights_folder().ok(),
        kernel_folder: compute::kernel_cache(),
        gallery: sbir_gallery::default_path().ok(),
    };
    if args.json {
        return output::json(&report);
    }
    output::line(&format!("sbir {}", report.version))?;
    output::line(&format!("features:       {}", report.features.join(", ")))?;
    output::line(&format!(
        "cpu:            {} cores, {}",
        report.cores,
        report.cpu_features.join(" ")
    ))?;
    output::line(&format!(
        "simd:           {} (there are: {})",
        report.simd,
        report.simd_available.join(", ")
    ))?;
    output::line(&format!("--precision auto: {} on the CPU", report.precision))?;
    output::line(&format!("--device auto:  {} ({})", report.device, report.reason))?;
    for adapter in &report.adapters {
        output::line(&format!("adapter:        {} ({})", adapter.choice, adapter.kind))?;
    }
    for (name, folder) in [
        ("weights folder", &report.weights_folder),
        ("kernel folder", &report.kernel_folder),
        ("gallery", &report.gallery),
    ] {
        let shown = folder
            .as_ref()
            .map_or("none: set HOME or SBIR_CACHE".into(), |path| path.display().to_string());
        output::line(&format!("{:<15} {shown}", format!("{name}:")))?;
    }
    Ok(())
}

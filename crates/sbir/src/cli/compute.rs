//! Device and threads.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use sbir_encoder::weights::fetch;
use sbir_encoder::{
    Adapter, DeviceChoice, Encoder, Selected, Simd, Work, adapters, compiled, configure, select,
};

use super::args::ComputeArgs;
use super::failure::Failure;
use super::output;

/// A driver that takes longer than this to answer is left alone.
const PROBE_TIME: Duration = Duration::from_secs(20);

/// Folder for compiled kernels and measurements of them.
pub(crate) fn kernel_cache() -> Option<PathBuf> {
    Some(fetch::cache_folder().ok()?.join("kernels"))
}

/// What the child process of [`find_adapters`] prints.
pub(crate) fn print_adapters() -> Result<(), Failure> {
    output::json(&adapters())
}

/// Asks a child process for the graphics adapters: a broken driver ends the child and not us.
pub(crate) fn find_adapters() -> anyhow::Result<Vec<Adapter>> {
    if compiled().len() == 1 {
        return Ok(Vec::new());
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(program)
        .arg("__adapters")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the look for graphics adapters")?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            let found = child.wait_with_output()?;
            anyhow::ensure!(status.success(), "the graphics driver failed ({status})");
            return Ok(serde_json::from_slice(&found.stdout)?);
        }
        if started.elapsed() > PROBE_TIME {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("the graphics driver did not answer within {} s", PROBE_TIME.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same encoder in the precision asked for.
pub(crate) fn precise(
    encoder: Encoder,
    args: &ComputeArgs,
    selected: &Selected,
) -> Result<Encoder, sbir_encoder::Error> {
    let choice = args.precision.unwrap_or_default();
    let precision = choice.resolve(Work::Embed, encoder.config(), selected)?;
    Ok(encoder.with_precision(precision))
}

/// As [`prepare`], for commands in which a GPU hardly matters: without a word, on the CPU unless one is asked for.
pub(crate) fn prepare_quiet(args: &ComputeArgs) -> Result<(Selected, usize), Failure> {
    prepare(
        &ComputeArgs { device: Some(args.device.unwrap_or(DeviceChoice::Cpu)), ..args.clone() },
        None,
    )
}

/// Device and number of threads as asked for. Says which device it is where that was left open. A bad `SBIR_SIMD` ends it
/// here.
pub(crate) fn prepare(
    args: &ComputeArgs,
    or: Option<DeviceChoice>,
) -> Result<(Selected, usize), Failure> {
    Simd::chosen()?;
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    // Fails only where a pool exists already, which nothing here makes before this.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    let choice =
        if args.no_cuda { DeviceChoice::Cpu } else { args.device.or(or).unwrap_or_default() };
    if choice == DeviceChoice::Cpu {
        return Ok((Selected::cpu("asked for"), threads));
    }
    configure(kernel_cache().as_deref());
    let selected = match choice {
        DeviceChoice::Auto => {
            let selected = match find_adapters() {
                Ok(found) => select(choice, &found)?,
                Err(error) => Selected::cpu(format!("{error:#}")),
            };
            output::note(&format!("device: {} ({})", selected.choice, selected.reason));
            selected
        }
        other => select(other, &[])?,
    };
    Ok((selected, threads))
}

//! `sbir serve`.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sbir_encoder::weights::fetch;
use sbir_gallery::Embedder as _;
use sbir_server::{Config, Server, Services, serve};

use super::args::{CreateArgs, ServeArgs};
use super::embedder::EncoderEmbedder;
use super::failure::Failure;
use super::{compute, interrupt, output, store};

/// Environment variable of the token, so that it is in no command's history.
const TOKEN: &str = "SBIR_TOKEN";

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    let folders = args.folders.iter().map(store::folder).collect::<Result<Vec<_>, _>>()?;
    for folder in &folders {
        if !folder.is_dir() {
            return Err(anyhow::anyhow!(
                "{}: no such folder; name a folder of photos",
                folder.display()
            )
            .into());
        }
    }
    let (selected, _) = compute::prepare_quiet(&args.compute)?;
    let embedder = EncoderEmbedder::load(&args.model, &args.compute, &selected)?;
    let opened = store::open_or_create(&args.place, &CreateArgs::default())?;
    let local = opened.store.local().is_some();
    if local || !folders.is_empty() {
        opened.store.ensure(&embedder.space())?;
    } else {
        opened.check(&embedder)?;
    }
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let config = Config {
        listen: args.listen,
        hosts: args.host.clone(),
        token,
        // Servers that share a gallery do not all index what they happen to see of its folders.
        index: local || !folders.is_empty(),
        folders,
        encoder: args.model.display().to_string(),
        cache: fetch::cache_folder().ok(),
        ..Config::default()
    };
    output::note(&format!("gallery: {}", opened.store.name()));
    let ready = |server: &Server| {
        let url = server.url();
        if let Some(why) = server.why_token() {
            output::note(&format!(
                "a token is needed, since {why}: the address below holds it; keep it to yourself"
            ));
        }
        // Standard output, so that a script can read where the page is.
        let _ = output::line(&format!("sbir is at {url}"));
        // With a token in it the address is for no other user's eyes, and a program's arguments are.
        if !args.no_open && server.why_token().is_none() {
            open_browser(&url);
        }
    };
    let services =
        Services { store: opened.store, files: store::files(), embedder: Arc::new(embedder) };
    serve(config, services, ready, || stop.load(Ordering::Relaxed))?;
    // It ends by nothing else.
    Err(Failure::Interrupted("stopped".to_owned()))
}

/// Shows the page where there is a desktop; that there is none is no error.
fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if cfg!(target_os = "linux")
        && std::env::var_os("DISPLAY").is_none()
        && std::env::var_os("WAYLAND_DISPLAY").is_none()
    {
        return;
    }
    let child = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut child) = child {
        // Waited for, so that it does not stay behind as a zombie.
        std::thread::spawn(move || child.wait());
    }
}

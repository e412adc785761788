//! A server with an embedder that needs no weights, for the tests of the page: it takes the arguments of `sbir serve`.
//!
//! `test_server serve DIR… --gallery FILE --listen ADDRESS [--no-open]`; `SBIR_TEST_PHOTO_MS` and `SBIR_TEST_QUERY_MS`
//! slow it down, `SBIR_TEST_STREAM_MS` shortens its event streams.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sbir_gallery::{Gallery, LocalFiles};
use sbir_server::{Config, Services, serve};

#[path = "../tests/support/cheap.rs"]
mod cheap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config { encoder: "cheap".into(), ..Config::default() };
    let mut gallery = None;
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "serve");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--gallery" => gallery = Some(PathBuf::from(value()?)),
            "--listen" => config.listen = value()?.parse()?,
            "--host" => config.hosts.push(value()?),
            "--no-open" => {}
            _ => config.folders.push(argument.into()),
        }
    }
    let gallery = gallery.ok_or("--gallery is needed")?;
    config.cache = gallery.parent().map(|folder| folder.join("cache"));
    config.token = std::env::var("SBIR_TOKEN").ok();
    let embedder = cheap::Cheap::default();
    for (name, slot) in
        [("SBIR_TEST_PHOTO_MS", &embedder.photo_ms), ("SBIR_TEST_QUERY_MS", &embedder.query_ms)]
    {
        if let Ok(value) = std::env::var(name) {
            slot.store(value.parse()?, Ordering::SeqCst);
        }
    }
    if let Ok(value) = std::env::var("SBIR_TEST_STREAM_MS") {
        config.limits.stream_life = Duration::from_millis(value.parse()?);
    }
    let gallery = Gallery::open_or_create(&gallery)?;
    let ready = |server: &sbir_server::Server| println!("listening on {}", server.url());
    let services = Services {
        store: Arc::new(gallery),
        files: Arc::new(LocalFiles),
        embedder: Arc::new(embedder),
    };
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;
    serve(config, services, ready, move || stop.load(Ordering::Relaxed))?;
    Ok(())
}

//! Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::sync::{Arc, LazyLock};

/// Set by the first Ctrl-C (or SIGTERM).
static STOP: AtomicBool = AtomicBool::new(false);

/// Lets the first Ctrl-C ask for an orderly end and the second end the process at once. Files are
/// written beside their place and renamed, so even that leaves nothing half-written.
pub(crate) fn install() -> &'static AtomicBool {
    // A second call, or a system that refuses, leaves the default: Ctrl-C ends the process.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    &STOP
}

/// Turns a file-size limit (`ulimit -f`) into an error of the write that meets it: its signal would end the
/// process without a word.
pub(crate) fn survive_size_limits() {
    #[cfg(unix)]
    {
        static HIT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
        // Where the system refuses, the limit ends the process; files stay whole in any case.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::clone(&HIT));
    }
}

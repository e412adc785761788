//! Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};

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

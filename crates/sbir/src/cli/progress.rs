//! Progress on standard error: a bar with rate and time left on a terminal, now and then a plain line
//! elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::output;

/// Seconds between plain lines.
const EVERY: Duration = Duration::from_secs(15);

/// Progress of one piece of work with a known number of units.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    unit: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to show progress of `total` units, e.g. `embedding` of `pictures`.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, total: u64) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = format!(
                "{{msg}} {{wide_bar:.cyan/dim}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let now = Instant::now();
        Self { what, unit, total, done: 0, started: now, told: now, bar }
    }

    /// Begins to show progress of a download.
    pub(crate) fn bytes(what: impl Into<String>, total: u64) -> Self {
        let progress = Self::new(what, "bytes", total);
        if let Some(bar) = &progress.bar {
            let template =
                "{msg} {wide_bar:.cyan/dim} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━━─"));
            }
        }
        progress
    }

    /// More units are done.
    pub(crate) fn add(&mut self, units: u64) {
        self.done += units;
        if let Some(bar) = &self.bar {
            bar.inc(units);
        } else if self.told.elapsed() >= EVERY && self.done < self.total {
            self.told = Instant::now();
            let rate = self.done as f64 / self.started.elapsed().as_secs_f64();
            let left = Duration::from_secs_f64((self.total - self.done) as f64 / rate.max(1e-9));
            output::note(&format!(
                "{}: {}/{} {}, {rate:.1}/s, {} left",
                self.what,
                self.done,
                self.total,
                self.unit,
                HumanDuration(left)
            ));
        }
    }

    /// This many units are done in all.
    pub(crate) fn set(&mut self, done: u64) {
        self.add(done.saturating_sub(self.done));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Runs `print` without the bar in its way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

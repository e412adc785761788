//! Threads that work through the same short phases together.
//!
//! One picture's layers take tens of microseconds each, which is what it costs to hand work to a sleeping thread and back. So threads
//! meet once a picture and find their tiles themselves: whoever finishes the last tile of a phase opens the next.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Looks at a phase before the processor is offered to others.
const PATIENCE: u32 = 1 << 10;
/// Bits of each count of tiles.
const BITS: u32 = 20;
const MASK: u64 = (1 << BITS) - 1;
/// The phase after the last.
const OVER: u64 = u64::MAX >> (2 * BITS);

/// From which end of a phase's tiles a thread takes its next. Neighbouring tiles of successive phases touch the same memory, so a
/// thread that stays at its end finds it in its own cache; where ends meet, the load is balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

impl End {
    /// The `step`-th tile of `count` from this end.
    pub(crate) fn tile(self, step: usize, count: usize) -> usize {
        match self {
            Self::Front => step,
            Self::Back => count - 1 - step,
        }
    }
}

/// What is taken of the phases so far.
struct Team<'a> {
    /// Tiles of each phase, at least one.
    phases: &'a [usize],
    /// The phase, the tiles taken at its front, and those at its back.
    taken: Apart<AtomicU64>,
    /// Tiles of the phase that are done.
    done: Apart<AtomicUsize>,
}

/// A cache line of its own, and the one that is fetched with it.
#[repr(align(128))]
struct Apart<T>(T);

fn state(phase: u64, front: u64, back: u64) -> u64 {
    phase << (2 * BITS) | front << BITS | back
}

/// Ends all phases if a tile panics, so that nobody waits for it.
struct Abandon<'a>(&'a AtomicU64);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.store(state(OVER, 0, 0), Ordering::Release);
    }
}

impl Team<'_> {
    fn work(&self, end: End, run: &(impl Fn(usize, usize, End) + Sync)) {
        let mut waited = 0;
        let mut now = self.taken.0.load(Ordering::Acquire);
        loop {
            let phase = now >> (2 * BITS);
            let (front, back) = (now >> BITS & MASK, now & MASK);
            let Some(&count) = usize::try_from(phase).ok().and_then(|at| self.phases.get(at))
            else {
                return;
            };
            if front + back == count as u64 {
                waited += 1;
                if waited < PATIENCE {
                    std::hint::spin_loop();
                } else {
                    std::thread::yield_now();
                }
                now = self.taken.0.load(Ordering::Acquire);
                continue;
            }
            waited = 0;
            let (next, step) = match end {
                End::Front => (state(phase, front + 1, back), front),
                End::Back => (state(phase, front, back + 1), back),
            };
            // Reading what the phase before wrote comes after this; see the store below.
            match self.taken.0.compare_exchange_weak(
                now,
                next,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {}
                Err(other) => {
                    now = other;
                    continue;
                }
            }
            let abandon = Abandon(&self.taken.0);
            run(phase as usize, end.tile(step as usize, count), end);
            std::mem::forget(abandon);
            if self.done.0.fetch_add(1, Ordering::AcqRel) + 1 == count {
                self.done.0.store(0, Ordering::Relaxed);
                self.taken.0.store(state(phase + 1, 0, 0), Ordering::Release);
            }
            now = self.taken.0.load(Ordering::Acquire);
        }
    }
}

/// Runs `run(phase, tile, end)` for every tile of every phase, each phase after the one before it; on all threads of the current pool
/// where the work is `shared`. Threads that are busy with something else are not waited for.
///
/// # Panics
/// Where a phase has no tile or 2²⁰ and more, or a tile panics.
pub(crate) fn run(phases: &[usize], shared: bool, run: impl Fn(usize, usize, End) + Sync) {
    assert!(phases.iter().all(|count| (1..=MASK as usize).contains(count)), "tiles of a phase");
    let team = Team { phases, taken: Apart(AtomicU64::new(0)), done: Apart(AtomicUsize::new(0)) };
    let threads = if shared { rayon::current_num_threads() } else { 1 };
    if threads == 1 {
        return team.work(End::Front, &run);
    }
    let (team, run) = (&team, &run);
    rayon::scope(|scope| {
        for helper in 1..threads {
            let end = if helper % 2 == 0 { End::Front } else { End::Back };
            scope.spawn(move |_| team.work(end, run));
        }
        team.work(End::Front, run);
    });
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_tile_is_run_once_and_phases_follow_each_other() {
        let phases: Vec<usize> = (0..200).map(|phase| 1 + phase * 7 % 13).collect();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let seen = Mutex::new(Vec::new());
            pool.install(|| {
                run(&phases, true, |phase, tile, _| seen.lock().unwrap().push((phase, tile)));
            });
            let mut seen = seen.into_inner().unwrap();
            assert!(seen.is_sorted_by_key(|(phase, _)| *phase), "{threads} threads");
            seen.sort_unstable();
            let all = phases
                .iter()
                .enumerate()
                .flat_map(|(phase, count)| (0..*count).map(move |tile| (phase, tile)));
            assert!(all.eq(seen.iter().copied()), "{threads} threads");
        }
    }

    #[test]
    fn a_panic_in_a_tile_reaches_the_caller() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let work = || {
                run(&[3, 50, 3], true, |phase, tile, _| assert!((phase, tile) != (1, 20)));
            };
            let caught = std::panic::catch_unwind(AssertUnwindSafe(|| pool.install(work)));
            assert!(caught.is_err(), "{threads} threads");
        }
    }
}

//! Burning CPU time.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Reading the thread's CPU clock is a system call; this many rounds of work between two readings take some
/// microseconds.
const ROUNDS: u32 = 2_000;

/// Uses the CPU of this thread for `cost`: CPU time, not wall time, so that a throttled container takes longer.
pub(crate) fn burn(cost: Duration) {
    if cost.is_zero() {
        return;
    }
    let end = thread_cpu_time() + cost;
    let mut state = 1_u32;
    while thread_cpu_time() < end {
        for _ in 0..ROUNDS {
            state = black_box(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        }
    }
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

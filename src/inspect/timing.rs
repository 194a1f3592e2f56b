//! How long some runs take together: the order in which a load starts them is gone through, with what each is expected to take.
//!
//! As in a load, the run that was requested first of those whose upstream is there takes the next free worker, and waits there until the processors and
//! the memory that its dataset declares are free too. What publishing takes is left out.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// One run.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// How long it is expected to take. Infinite and negative ones, and what is no number, count as nothing.
    pub(super) seconds: f64,
    pub(super) cpus: f64,
    pub(super) memory_bytes: u64,
    /// The runs that have to be over before it, by their places, each before its own.
    pub(super) after: Vec<usize>,
}

/// What runs at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) workers: usize,
    pub(super) cpus: f64,
    pub(super) memory_bytes: u64,
}

/// A point in time, in nanoseconds since the first run began.
type At = u64;

/// How long all of these take, in seconds.
pub(super) fn together(runs: &[Run], capacity: Capacity) -> f64 {
    let mut waits_for: Vec<usize> = runs.iter().map(|run| run.after.len()).collect();
    let mut next = vec![Vec::new(); runs.len()];
    for (nth, run) in runs.iter().enumerate() {
        run.after.iter().for_each(|before| next[*before].push(nth));
    }
    let mut ready: BTreeSet<usize> = (0..runs.len()).filter(|nth| waits_for[*nth] == 0).collect();
    let mut running: BinaryHeap<Reverse<(At, usize)>> = BinaryHeap::new();
    let (mut now, mut cpus, mut memory) = (0, capacity.cpus, capacity.memory_bytes);
    let demands = |nth: usize| (runs[nth].cpus.min(capacity.cpus), runs[nth].memory_bytes.min(capacity.memory_bytes));
    loop {
        while running.len() < capacity.workers.max(1)
            && let Some(&nth) = ready.first()
        {
            let (wants_cpus, wants_memory) = demands(nth);
            // Half a thousandth of a processor is lost in the sums.
            if !running.is_empty() && (wants_cpus > cpus + 5e-4 || wants_memory > memory) {
                break;
            }
            ready.pop_first();
            cpus -= wants_cpus;
            memory = memory.saturating_sub(wants_memory);
            running.push(Reverse((At::saturating_add(now, nanoseconds(runs[nth].seconds)), nth)));
        }
        let Some(Reverse((over, nth))) = running.pop() else { return now as f64 / 1e9 };
        now = over;
        let (wants_cpus, wants_memory) = demands(nth);
        cpus += wants_cpus;
        memory = memory.saturating_add(wants_memory);
        for after in std::mem::take(&mut next[nth]) {
            waits_for[after] -= 1;
            if waits_for[after] == 0 {
                ready.insert(after);
            }
        }
    }
}

fn nanoseconds(seconds: f64) -> At {
    if seconds.is_finite() { (seconds.max(0.0) * 1e9) as At } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(seconds: &[f64]) -> Vec<Run> {
        seconds.iter().map(|seconds| Run { seconds: *seconds, ..Run::default() }).collect()
    }

    fn workers(workers: usize) -> Capacity {
        Capacity { workers, cpus: 4.0, memory_bytes: 100 }
    }

    #[test]
    fn workers_share_the_runs_and_resources_hold_them_up() {
        assert_eq!(together(&[], workers(2)), 0.0);
        assert_eq!(together(&runs(&[2.0, 2.0, 2.0]), workers(2)), 4.0);
        assert_eq!(together(&runs(&[2.0, 2.0, 2.0]), workers(3)), 2.0);
        let heavy = |cpus, memory_bytes| vec![Run { seconds: 1.0, cpus, memory_bytes, after: Vec::new() }; 4];
        assert_eq!(together(&heavy(2.0, 0), workers(4)), 2.0);
        assert_eq!(together(&heavy(0.0, 60), workers(4)), 4.0);
        assert_eq!(together(&heavy(0.0, 500), workers(4)), 4.0, "more than there is runs alone");
    }

    #[test]
    fn a_derived_run_begins_when_its_upstream_is_there() {
        let mut chain = runs(&[3.0, 1.0, 1.0]);
        chain[1].after = vec![0];
        assert_eq!(together(&chain, workers(1)), 5.0);
        assert_eq!(together(&chain, workers(2)), 4.0);
        assert_eq!(together(&runs(&[f64::NAN, f64::INFINITY, -1.0]), workers(1)), 0.0);
    }

    proptest! {
        /// Never sooner than the longest run or than all workers at work all the time; never later than one after the other.
        #[test]
        fn it_lies_between_what_no_order_beats_and_one_after_the_other(
            seconds in prop::collection::vec(0u32..100, 1..60), count in 1usize..9, links in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut runs = runs(&seconds.iter().map(|seconds| f64::from(*seconds)).collect::<Vec<_>>());
            for nth in 1..runs.len() {
                if nth % 3 == 0 {
                    runs[nth].after = vec![links[nth].index(nth)];
                }
            }
            let took = together(&runs, workers(count));
            let sum: f64 = runs.iter().map(|run| run.seconds).sum();
            let longest = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
            prop_assert!(took + 1e-6 >= longest.max(sum / count as f64) && took <= sum + 1e-6, "{took} of {sum}");
        }
    }
}

//! The same work on many things, by a few threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// How many threads this process may use processors for: what its affinity and its control group's quota allow, 1 where that is not known. Asked once: it
/// costs several times what looking up a partition does.
pub(crate) fn machine_parallelism() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Does `work` on each item by at most so many threads, this one among them; gives the answers in the items' order.
pub(crate) fn map<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(items.len()));
    let take_turns = || {
        while let Some((nth, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|nth| Some((nth, items.get(nth)?))) {
            let answer = work(item);
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((nth, answer));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            // Where no thread is to be had, the others do its share.
            let _ = thread::Builder::new().spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(nth, _)| *nth);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_come_in_order() {
        let items: Vec<u32> = (0..1000).collect();
        for threads in [1, 4] {
            assert_eq!(super::map(threads, &items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(super::map(4, &[] as &[u32], |item| *item).is_empty());
    }
}

//! The weighted limit on what runs at once: so many runs, so many processors, so much memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parallel::machine_parallelism;

const MEMORY_UNIT_BYTES: u64 = 1 << 20;
const THOUSANDTHS: f64 = 1000.0;

/// What may run at once. Cloning is cheap and shares the limit.
///
/// Runs wait in the order in which they asked, at each queue in turn: workers, processors, memory, what else there is. All go through them in the
/// same order, and whoever holds all of them finishes without asking for more, so nothing can wait in a circle.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    workers: Pool,
    cpu_thousandths: Pool,
    memory_mib: Pool,
    /// What nodes of a cluster have beside, in thousandths. In the order of their names, as all go through them.
    others: BTreeMap<String, Pool>,
}

/// The right to run, given back when dropped.
#[derive(Debug)]
#[must_use = "the limit counts a run for as long as its permit lives"]
pub(crate) struct Permit {
    _held: Vec<OwnedSemaphorePermit>,
}

/// A permit that whoever works under it gives back as soon as it needs it no more, at the latest when the last copy is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<Mutex<Option<Permit>>>);

impl Share {
    pub(crate) fn of(permit: Permit) -> Self {
        Self(Arc::new(Mutex::new(Some(permit))))
    }

    /// Others may use it from now on.
    pub(crate) fn give_back(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Limits {
    /// At most `workers` runs (at least one), which together declare at most `cpus` processors (counted in thousandths) and `memory_bytes`
    /// (counted in whole MiB, rounded down).
    pub(crate) fn new(workers: usize, cpus: f64, memory_bytes: u64) -> Self {
        Self {
            workers: Pool::new(u32::try_from(workers.max(1)).unwrap_or(u32::MAX)),
            cpu_thousandths: Pool::new(thousandths(cpus)),
            memory_mib: Pool::new(clamped(memory_bytes / MEMORY_UNIT_BYTES)),
            others: BTreeMap::new(),
        }
    }

    /// The same, with so much in all of what else runs take. What is not named is not limited.
    pub(crate) fn with_others<'a>(self, others: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let others = others.into_iter().map(|(name, amount)| (name.to_owned(), Pool::new(thousandths(amount)))).collect();
        Self { others, ..self }
    }

    /// Waits until one run that takes this much may start. What is zero (or, for processors, negative or no number) takes nothing; memory is
    /// rounded up to whole MiB. Dropping the future gives back what it had and its place.
    ///
    /// What does not [fit](Limits::fits) waits for all there is and runs alone; refuse it beforehand.
    pub(crate) async fn acquire(&self, cpus: f64, memory_bytes: u64, others: &BTreeMap<String, f64>) -> Permit {
        let mut held = Vec::with_capacity(3 + others.len());
        held.extend(self.workers.acquire(1).await);
        held.extend(self.cpu_thousandths.acquire(thousandths(cpus)).await);
        held.extend(self.memory_mib.acquire(memory_units(memory_bytes)).await);
        for (name, pool) in &self.others {
            held.extend(pool.acquire(others.get(name).copied().map_or(0, thousandths)).await);
        }
        Permit { _held: held }
    }

    /// Whether a run that takes this much could ever start.
    pub(crate) fn fits(&self, cpus: f64, memory_bytes: u64) -> bool {
        thousandths(cpus) <= self.cpu_thousandths.size && memory_units(memory_bytes) <= self.memory_mib.size
    }
}

/// One resource: a fair semaphore that knows how much there is in all.
#[derive(Debug, Clone)]
struct Pool {
    size: u32,
    free: Arc<Semaphore>,
}

impl Pool {
    fn new(size: u32) -> Self {
        let permits = usize::try_from(size).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { size, free: Arc::new(Semaphore::new(permits)) }
    }

    async fn acquire(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        let units = units.min(self.size);
        if units == 0 {
            return None;
        }
        Some(Arc::clone(&self.free).acquire_many_owned(units).await.expect("the semaphore is never closed"))
    }
}

/// Thousandths of a processor or the like; anything above nothing counts as one of them at least. Saturates, and what is no number is nothing.
fn thousandths(amount: f64) -> u32 {
    let units = (amount * THOUSANDTHS).round() as u32;
    if amount > 0.0 { units.max(1) } else { 0 }
}

fn memory_units(bytes: u64) -> u32 {
    clamped(bytes.div_ceil(MEMORY_UNIT_BYTES))
}

fn clamped(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// How many processors this process may use.
pub(crate) fn machine_cpus() -> f64 {
    machine_parallelism() as f64
}

/// How many runs may go on at once by the descriptors that this process may still open, at least one. Where that is not known, any number.
pub(crate) fn workers_by_descriptors() -> usize {
    /// A run's claim, its output streams, what asks it to stop and tells its end, and for a moment what starts it and what publishes it.
    const OF_A_RUN: usize = 12;
    /// What is opened beside the runs: the journal, an index, a runtime.
    const BESIDE: usize = 20;
    let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else { return usize::MAX };
    let Ok(open) = std::fs::read_dir("/dev/fd") else { return usize::MAX };
    let free = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(open.count() + BESIDE);
    let workers = (free / OF_A_RUN).max(1);
    tracing::debug!(workers, open_files_max = most, "generators that may run at once by the limit on open files (ulimit -n)");
    workers
}

/// How much memory this process may use in bytes: the machine's, or less where a control group (version 2) it is in allows less. Where
/// neither is known, as on macOS, `u64::MAX`: no limit. Asked once.
pub(crate) fn machine_memory_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(machine::memory_bytes)
}

#[cfg(target_os = "linux")]
mod machine {
    use std::fs;
    use std::path::Path;

    pub(super) fn memory_bytes() -> u64 {
        let info = rustix::system::sysinfo();
        let installed = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        group_limit_bytes(&groups, Path::new("/sys/fs/cgroup")).map_or(installed, |limit| limit.min(installed))
    }

    /// The lowest `memory.max` from this process's group up to the root of the hierarchy; version 2 is the line that begins with `0::`.
    pub(super) fn group_limit_bytes(groups: &str, root: &Path) -> Option<u64> {
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let group = root.join(group);
        let limits = group.ancestors().take_while(|ancestor| ancestor.starts_with(root));
        limits.filter_map(|ancestor| fs::read_to_string(ancestor.join("memory.max")).ok()?.trim().parse().ok()).min()
    }
}

#[cfg(not(target_os = "linux"))]
mod machine {
    pub(super) fn memory_bytes() -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const GIB: u64 = 1 << 30;
    static NONE: BTreeMap<String, f64> = BTreeMap::new();

    fn ready<T>(future: &mut std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_could_never_start_is_refused_beforehand() {
        let limits = Limits::new(4, 2.0, 8 * GIB);
        assert!(limits.fits(2.0, 8 * GIB));
        assert!(limits.fits(0.0, 0));
        assert!(!limits.fits(2.001, 0));
        assert!(!limits.fits(f64::INFINITY, 0));
        assert!(!limits.fits(0.0, 8 * GIB + 1));
        assert!(Limits::new(1, f64::INFINITY, u64::MAX).fits(1000.0, 1 << 50));
    }

    #[test]
    fn each_resource_bounds_what_runs_at_once() {
        for (limits, cpus, memory_bytes, at_once) in [
            (Limits::new(3, 100.0, 100 * GIB), 1.0, GIB, 3),
            (Limits::new(100, 2.0, 100 * GIB), 0.5, GIB, 4),
            (Limits::new(100, 0.3, 100 * GIB), 0.1, 0, 3),
            (Limits::new(100, 100.0, 5 * GIB), 1.0, 2 * GIB, 2),
            (Limits::new(100, 100.0, 3 << 20), 0.0, 1, 3),
            (Limits::new(0, 0.0, 0), 0.0, 0, 1),
        ] {
            let mut held = Vec::new();
            while let Some(permit) = ready(&mut pin!(limits.acquire(cpus, memory_bytes, &NONE))) {
                held.push(permit);
            }
            assert_eq!(held.len(), at_once, "{limits:?}");
            held.pop();
            assert!(ready(&mut pin!(limits.acquire(cpus, memory_bytes, &NONE))).is_some(), "a permit given back is not used again: {limits:?}");
        }
    }

    #[test]
    fn what_a_cluster_has_by_names_of_its_own_bounds_what_takes_it() {
        let limits = Limits::new(100, f64::INFINITY, u64::MAX).with_others([("feed", 2.0)]);
        let feed = BTreeMap::from([("feed".to_owned(), 1.0), ("unknown".to_owned(), 9.0)]);
        let held = [0; 2].map(|_| ready(&mut pin!(limits.acquire(1.0, 0, &feed))).expect("there are two"));
        assert!(ready(&mut pin!(limits.acquire(1.0, 0, &feed))).is_none());
        assert!(ready(&mut pin!(limits.acquire(1.0, 0, &NONE))).is_some(), "what takes none of it waits");
        drop(held);
        assert!(ready(&mut pin!(limits.acquire(1.0, 0, &feed))).is_some());
    }

    #[test]
    fn a_big_run_is_not_starved_by_small_ones_that_come_later() {
        let limits = Limits::new(10, 4.0, GIB);
        let running = ready(&mut pin!(limits.acquire(1.0, 0, &NONE))).expect("nothing else runs");
        let mut big = pin!(limits.acquire(4.0, 0, &NONE));
        assert!(ready(&mut big).is_none());
        let mut small = pin!(limits.acquire(1.0, 0, &NONE));
        assert!(ready(&mut small).is_none(), "it overtook the one that waits");
        drop(running);
        let big = ready(&mut big).expect("all is free for it");
        assert!(ready(&mut small).is_none());
        drop(big);
        assert!(ready(&mut small).is_some());
    }

    #[test]
    fn a_wait_that_is_given_up_keeps_nothing() {
        let limits = Limits::new(2, 1.0, GIB);
        let running = ready(&mut pin!(limits.acquire(1.0, 0, &NONE))).expect("nothing else runs");
        {
            let mut waiting = pin!(limits.acquire(1.0, 0, &NONE));
            assert!(ready(&mut waiting).is_none());
        }
        assert!(ready(&mut pin!(limits.acquire(0.0, 0, &NONE))).is_some(), "its worker is still taken");
        drop(running);
        assert!(ready(&mut pin!(limits.acquire(1.0, GIB, &NONE))).is_some());
    }

    #[test]
    fn a_run_that_declares_more_than_there_is_runs_alone_rather_than_never() {
        let limits = Limits::new(2, 2.0, GIB);
        let permit = ready(&mut pin!(limits.acquire(64.0, 64 * GIB, &NONE)));
        assert!(permit.is_some());
        assert!(ready(&mut pin!(limits.acquire(0.1, 0, &NONE))).is_none());
    }

    #[test]
    fn the_machine_has_processors_and_memory() {
        assert!(machine_cpus() >= 1.0);
        assert!(machine_memory_bytes() >= 64 << 20);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_container_is_not_given_more_memory_than_its_group_may_have() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let inner = root.path().join("outer/inner");
        std::fs::create_dir_all(&inner).expect("made");
        std::fs::write(inner.join("memory.max"), "max\n").expect("written");
        let groups = "1:name=systemd:/\n0::/outer/inner\n";
        assert_eq!(machine::group_limit_bytes(groups, root.path()), None);
        std::fs::write(root.path().join("outer/memory.max"), "1073741824\n").expect("written");
        assert_eq!(machine::group_limit_bytes(groups, root.path()), Some(GIB));
        assert_eq!(machine::group_limit_bytes("4:memory:/docker\n", root.path()), None);
    }
}

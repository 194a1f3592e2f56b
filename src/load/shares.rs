//! How much of a load runs at once, and where: on this machine, or on a cluster and on this machine beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::load::plan::Plan;
use crate::parallel::machine_parallelism;
use crate::runner::{self, Limits, OnRay, Permit, Ray, Runner};
use crate::store::Store;

/// More generators at once than any one process can look after.
const WORKERS_MAX: usize = 10_000;

/// What a load was told of how much may run. What was not said is zero or `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) workers: usize,
    pub(super) cpus: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
}

/// Where commands run, before it is known whether any has to.
pub(super) enum Place {
    Here(Arc<runner::Local>),
    Cluster(Arc<OnRay>),
}

/// The limits of a load.
pub(crate) struct Shares {
    /// Where commands run.
    pub(crate) runner: Arc<dyn Runner>,
    commands: Limits,
    commands_max: usize,
    functions: Limits,
    functions_max: usize,
}

impl Place {
    pub(super) fn of(ray: Option<Ray>) -> Self {
        ray.map_or_else(|| Place::Here(Arc::new(runner::Local)), |ray| Place::Cluster(Arc::new(OnRay::new(ray))))
    }

    pub(super) fn runner(&self) -> Arc<dyn Runner> {
        match self {
            Place::Here(local) => Arc::clone(local) as Arc<dyn Runner>,
            Place::Cluster(ray) => Arc::clone(ray) as Arc<dyn Runner>,
        }
    }
}

impl Shares {
    /// The limits of a load with this plan. Connects to the cluster where a command may have to run there.
    pub(super) fn of(place: &Place, store: &Store, plan: &Plan, wanted: Wanted) -> Result<Self> {
        let here = Wanted { workers: if wanted.workers == 0 { machine_parallelism() } else { wanted.workers }, ..wanted };
        let in_motion: Vec<&Dataset> = plan.nodes.iter().filter(|node| plan.is_in_motion(node)).map(|node| plan.dataset(node)).collect();
        // Counted only where something runs: it costs more than a hit.
        let most = if in_motion.is_empty() { WORKERS_MAX } else { runner::workers_by_descriptors().min(WORKERS_MAX) };
        let cpus = here.cpus.unwrap_or_else(runner::machine_cpus);
        let memory_bytes = here.memory_bytes.unwrap_or_else(runner::machine_memory_bytes);
        let workers_here = here.workers.min(most);
        let local = Limits::new(workers_here, cpus, memory_bytes);
        let is_function = |dataset: &Dataset| dataset.body().is_some();
        let datasets = || plan.generators.iter().map(|generator| generator.dataset());
        let Place::Cluster(ray) = place else {
            datasets().try_for_each(|dataset| check_resources(dataset, &local, cpus, memory_bytes))?;
            let (commands, functions) = (local.clone(), local);
            return Ok(Self { runner: place.runner(), commands, commands_max: workers_here, functions, functions_max: 0 });
        };
        datasets().filter(|dataset| is_function(dataset)).try_for_each(|dataset| check_resources(dataset, &local, cpus, memory_bytes))?;
        let mut functions: Vec<&str> = in_motion.iter().filter(|dataset| is_function(dataset)).map(|dataset| dataset.name()).collect();
        functions.dedup();
        if !functions.is_empty() {
            tracing::info!(datasets = functions.join(", "), "made by Rust functions, which run in this process and not on the cluster");
        }
        let mut commands: Vec<&Dataset> = in_motion.into_iter().filter(|dataset| !is_function(dataset)).collect();
        commands.dedup_by_key(|dataset| dataset.name().to_owned());
        let totals = if commands.is_empty() { BTreeMap::new() } else { ray.begin(&store.work_directory())? };
        let unlimited = wanted.workers > 0;
        let total = |name: &str| totals.get(name).copied().unwrap_or(0.0);
        let in_all = |said: Option<f64>, name: &str| said.unwrap_or(if unlimited { f64::INFINITY } else { total(name) });
        let (cpus, memory) = (in_all(wanted.cpus, "CPU"), in_all(wanted.memory_bytes.map(|bytes| bytes as f64), "memory"));
        let slots = commands.iter().map(|dataset| slots(&dataset.wants_of_a_node(), &totals)).max().unwrap_or(1);
        let commands_max = if unlimited { wanted.workers } else { slots }.clamp(1, most);
        let mut limits = Limits::new(commands_max, cpus, memory as u64);
        if !unlimited {
            limits = limits.with_others(
                totals.iter().filter(|(name, _)| !["CPU", "memory"].contains(&name.as_str())).map(|(name, most)| (name.as_str(), *most)),
            );
        }
        let said = |dataset: &&Dataset| wanted.cpus.is_some() || dataset.resources().memory_bytes > 0 && wanted.memory_bytes.is_some();
        commands.iter().filter(|dataset| said(dataset)).try_for_each(|dataset| check_resources(dataset, &limits, cpus, memory as u64))?;
        Ok(Self { runner: place.runner(), commands: limits, commands_max, functions: local, functions_max: workers_here })
    }

    /// How many may run at once in all.
    pub(crate) fn workers(&self) -> usize {
        self.commands_max + self.functions_max
    }

    /// Waits until a partition of this dataset may be generated.
    pub(crate) async fn acquire(&self, dataset: &Dataset) -> Permit {
        let resources = dataset.resources();
        if dataset.body().is_some() {
            return self.functions.acquire(resources.cpus, resources.memory_bytes, &BTreeMap::new()).await;
        }
        let cpus = if self.runner.is_elsewhere() { dataset.wants_of_a_node().get("CPU").copied().unwrap_or(1.0) } else { resources.cpus };
        self.commands.acquire(cpus, resources.memory_bytes, dataset.cluster_resources()).await
    }
}

/// How many generators a load would run at once, and by how many processors and how much memory in all, without asking a cluster what it has: as many
/// then as this machine would.
pub(super) fn foreseen(plan: &Plan, wanted: Wanted, elsewhere: bool) -> Result<(usize, f64, u64)> {
    let workers = if wanted.workers == 0 { machine_parallelism() } else { wanted.workers };
    let workers = workers.min(runner::workers_by_descriptors());
    if elsewhere {
        return Ok((workers, wanted.cpus.unwrap_or(f64::INFINITY), wanted.memory_bytes.unwrap_or(u64::MAX)));
    }
    let cpus = wanted.cpus.unwrap_or_else(runner::machine_cpus);
    let memory_bytes = wanted.memory_bytes.unwrap_or_else(runner::machine_memory_bytes);
    let limits = Limits::new(workers, cpus, memory_bytes);
    plan.generators.iter().try_for_each(|generator| check_resources(generator.dataset(), &limits, cpus, memory_bytes))?;
    Ok((workers, cpus, memory_bytes))
}

/// How many runs that take this much a cluster has room for, by what it has in all. At least one, since more may join it.
fn slots(wants: &BTreeMap<String, f64>, totals: &BTreeMap<String, f64>) -> usize {
    let room = wants.iter().map(|(name, amount)| (totals.get(name).copied().unwrap_or(0.0) / amount).floor() as usize);
    room.min().unwrap_or(1).max(1)
}

/// Refuses what could never start.
fn check_resources(dataset: &Dataset, limits: &Limits, cpus: f64, memory_bytes: u64) -> Result<()> {
    let wanted = dataset.resources();
    let short =
        |resource, wanted: String, available: String| Err(Error::Resources { dataset: dataset.name().to_owned(), resource, wanted, available });
    if !limits.fits(wanted.cpus, 0) {
        return short("cpus", wanted.cpus.to_string(), cpus.to_string());
    }
    if !limits.fits(0.0, wanted.memory_bytes) {
        return short("memory", format!("{} bytes of", wanted.memory_bytes), format!("{memory_bytes} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_as_many_places_as_its_scarcest_resource_allows() {
        let of = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect::<BTreeMap<_, _>>();
        let totals = of(&[("CPU", 48.0), ("memory", 64e9), ("feed", 3.0)]);
        for (wants, places) in [
            (of(&[("CPU", 1.0)]), 48),
            (of(&[("CPU", 0.5)]), 96),
            (of(&[("CPU", 1.0), ("memory", 16e9)]), 4),
            (of(&[("CPU", 1.0), ("feed", 1.0)]), 3),
            (of(&[("CPU", 1.0), ("nobody_has_it", 1.0)]), 1),
        ] {
            assert_eq!(slots(&wants, &totals), places, "{wants:?}");
        }
    }
}

//! Who waits for whom inside a load: which partitions may go on, and what becomes of those whose upstream does not come.

use std::collections::{BTreeSet, HashMap};

use crate::load::plan::Plan;
use crate::store::Entry;

/// Who waits for whom inside the load.
pub(super) struct Order {
    /// What may go on, the first requested first.
    pub(super) ready: BTreeSet<usize>,
    /// Of those that may not yet: for how many others they wait.
    missing: HashMap<usize, usize>,
    dependants: HashMap<usize, Vec<usize>>,
    /// What has come.
    pub(super) made: HashMap<usize, Entry>,
}

impl Order {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut order = Self { ready: BTreeSet::new(), missing: HashMap::new(), dependants: HashMap::new(), made: HashMap::new() };
        for (nth, node) in plan.nodes.iter().enumerate().filter(|(_, node)| plan.is_in_motion(node)) {
            let upstream = node.upstream.iter().flatten().filter(|upstream| plan.is_in_motion(&plan.nodes[**upstream]));
            let upstream: BTreeSet<usize> = upstream.copied().collect();
            if upstream.is_empty() {
                order.ready.insert(nth);
            } else {
                order.missing.insert(nth, upstream.len());
                upstream.into_iter().for_each(|upstream| order.dependants.entry(upstream).or_default().push(nth));
            }
        }
        order
    }

    /// Notes that a partition has its entry: what only waited for it is ready.
    pub(super) fn has_come(&mut self, nth: usize, entry: &Entry) {
        let dependants = self.dependants.remove(&nth).unwrap_or_default();
        if dependants.is_empty() {
            return;
        }
        self.made.insert(nth, entry.clone());
        for dependant in dependants {
            if let Some(missing) = self.missing.get_mut(&dependant) {
                *missing -= 1;
                if *missing == 0 {
                    self.missing.remove(&dependant);
                    self.ready.insert(dependant);
                }
            }
        }
    }

    /// Notes that a partition does not come, and gives back all that therefore does not come either, each once, with what it lacks.
    pub(super) fn does_not_come(&mut self, nth: usize) -> Vec<(usize, usize)> {
        let mut lost = Vec::new();
        let mut gone = vec![nth];
        while let Some(upstream) = gone.pop() {
            for dependant in self.dependants.remove(&upstream).unwrap_or_default() {
                if self.missing.remove(&dependant).is_some() {
                    lost.push((dependant, upstream));
                    gone.push(dependant);
                }
            }
        }
        lost
    }
}

//! What a load tells while it runs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::address::Address;
use crate::dataset::{Dataset, Identified, Key, Upstreams};
use crate::failure::Failure;
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::load::report::Partition;

/// Something that happened in a load.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// What there is to do is known. Comes first, once.
    #[non_exhaustive]
    Planned {
        /// How many partitions were requested.
        requested: usize,
        /// How many of them need no generator: hits, known to be empty, or left out because they are missing.
        answered: usize,
        /// How many partitions that were not requested are generated because requested ones are derived from them.
        upstream: usize,
        /// What of all that has to be generated because the store has no entry of its key, as far as that is known before the rest is there.
        absent: &'a [Absent<'a>],
    },
    /// A generator is started. How many have started and not finished is how many run.
    #[non_exhaustive]
    Started {
        /// What it generates.
        place: Place<'a>,
        /// Which attempt it is, counted from one.
        attempt: u32,
    },
    /// An attempt failed, and another follows.
    #[non_exhaustive]
    Retrying {
        /// What is generated.
        place: Place<'a>,
        /// The attempt that failed, counted from one.
        attempt: u32,
        /// How it failed.
        failure: &'a Failure,
        /// How long the load pauses before the next.
        pause: Duration,
    },
    /// A partition that was not requested, and that the load set out to generate because a requested one is derived from it, was dealt with.
    Upstream(&'a Partition),
    /// The outcome of a requested partition is known: what [`Load::each`](crate::Load::each) is called with.
    Partition(&'a Partition),
}

/// A partition that the store has no entry of, and that a load is to generate.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Absent<'a> {
    /// Where it is.
    pub place: Place<'a>,
    /// Where its entry will be.
    pub address: Address,
    pub(crate) dataset: &'a Dataset,
    pub(crate) identified: &'a Identified,
    pub(crate) key: &'a Key,
    /// What it is derived from.
    pub(crate) upstream: &'a Upstreams,
}

/// Where in a load something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The dataset's name.
    pub dataset: &'a str,
    /// The instrument.
    pub instrument: &'a Instrument,
    /// The partition.
    pub interval: Interval,
}

pub(crate) type Each = Box<dyn FnMut(&Partition) + Send>;
pub(crate) type OnProgress = Box<dyn FnMut(&Progress<'_>) + Send>;

/// Those who are told.
#[derive(Default)]
pub(crate) struct Watch {
    each: Mutex<Vec<Each>>,
    progress: Mutex<Vec<OnProgress>>,
}

impl Watch {
    pub(crate) fn add_each(&mut self, callback: Each) {
        self.each.get_mut().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    pub(crate) fn add_progress(&mut self, callback: OnProgress) {
        self.progress.get_mut().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    pub(crate) fn progress(&self, progress: &Progress<'_>) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(|callback| callback(progress));
    }

    /// Tells the outcome of a requested partition.
    pub(crate) fn partition(&self, partition: &Partition) {
        self.each.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(|callback| callback(partition));
        self.progress(&Progress::Partition(partition));
    }
}

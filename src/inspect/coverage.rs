//! What of an interval is there, empty, failed, missing: instruments × time, as sets of intervals, never a row a partition.

mod known;

use known::Known;

use crate::closed::ClosedTimes;
use crate::dataset::{Dataset, GeneratorId};
use crate::error::Result;
use crate::instrument::Instrument;
use crate::interval::{Align, Interval, Split, Time};
use crate::interval_set::IntervalSet;
use crate::store::Store;

/// Whose coverage is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// What a dataset's definition would find: entries of its program, configuration and inputs as they are now, under whatever name they were made.
    ///
    /// Of a derived dataset, what it was made of is not looked at: an entry counts also where its upstream has changed since, and a load would make
    /// it again.
    Defined(&'a Dataset),
    /// What the store holds under a dataset's name, of whatever programs and configurations.
    Named(&'a str),
}

impl Subject<'_> {
    /// The dataset's name.
    pub fn name(&self) -> &str {
        match self {
            Subject::Defined(dataset) => dataset.name(),
            Subject::Named(name) => name,
        }
    }
}

/// Which part of a dataset is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CoverageOptions {
    /// Of which instruments; of all that the store knows of the dataset, where none is named.
    pub instruments: Vec<Instrument>,
    /// From when. Without it, from the first entry or failure that the store has of these instruments.
    pub start: Option<Time>,
    /// Until when. Without it, until the last. The time that is still to come is left out in any case.
    pub end: Option<Time>,
    /// When there is no data by design, beside what the dataset's own definition says.
    pub closed: ClosedTimes,
}

/// What a store has of a dataset within an interval.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// The dataset's name.
    pub dataset: String,
    /// The generator whose entries count; `None` where everything under the name does.
    pub generator: Option<GeneratorId>,
    /// How the dataset is cut, where its definition is known.
    pub split: Option<Split>,
    /// What was looked at.
    pub interval: Interval,
    /// Whether the end that was asked for lies in the future, so that the interval ends earlier: with the last partition that is over.
    pub cut_at_present: bool,
    /// What of the interval is closed, for every instrument. It is in none of the other sets.
    pub closed: IntervalSet,
    /// The instruments in their order, each once.
    pub instruments: Vec<InstrumentCoverage>,
    /// How many entries of these instruments and this interval have the dataset's name, and do not count: made by another program or under another
    /// configuration.
    pub elsewhere: usize,
}

/// What a store has of one instrument. No time is in two of the sets, and together with [`Coverage::closed`] they are the whole interval.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InstrumentCoverage {
    /// The instrument.
    pub instrument: Instrument,
    /// Of which there is data.
    pub have: IntervalSet,
    /// Of which the generator said that there is no data.
    pub empty: IntervalSet,
    /// Of which there is nothing, since generating it failed.
    pub failed: IntervalSet,
    /// Of which there is nothing, and nothing is known.
    pub missing: IntervalSet,
    /// How many entries in the interval count, empty ones among them.
    pub entries: usize,
    /// How many of those are empty.
    pub empty_entries: usize,
    /// Whether the store knows anything of the dataset and instrument at all, at whatever time.
    pub is_known: bool,
    /// Where it does not: the instrument of the store that was probably meant.
    pub nearest: Option<Instrument>,
}

/// Lengths of time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Of which there is data.
    pub have_ns: u128,
    /// Of which it is known that there is no data.
    pub empty_ns: u128,
    /// Of which generating failed.
    pub failed_ns: u128,
    /// Of which nothing is known.
    pub missing_ns: u128,
    /// When there is no data by design.
    pub closed_ns: u128,
}

impl Totals {
    /// All but what is closed: what the shares are shares of.
    pub fn open_ns(&self) -> u128 {
        self.have_ns + self.empty_ns + self.failed_ns + self.missing_ns
    }

    /// Which part of it is there, data or known to be empty, from 0 to 1; `None` where all is closed.
    pub fn share_there(&self) -> Option<f64> {
        self.share(self.have_ns + self.empty_ns)
    }

    /// Which part of the open time a length is, from 0 to 1; `None` where all is closed.
    pub fn share(&self, part_ns: u128) -> Option<f64> {
        (self.open_ns() > 0).then(|| part_ns as f64 / self.open_ns() as f64)
    }
}

impl std::ops::Add for Totals {
    type Output = Totals;

    fn add(self, other: Totals) -> Totals {
        Totals {
            have_ns: self.have_ns + other.have_ns,
            empty_ns: self.empty_ns + other.empty_ns,
            failed_ns: self.failed_ns + other.failed_ns,
            missing_ns: self.missing_ns + other.missing_ns,
            closed_ns: self.closed_ns + other.closed_ns,
        }
    }
}

impl InstrumentCoverage {
    /// How long each set is, beside what is closed of the same interval.
    pub fn totals(&self, closed: &IntervalSet) -> Totals {
        self.totals_by(closed, IntervalSet::total_ns)
    }

    /// The same within an interval.
    pub fn totals_in(&self, closed: &IntervalSet, interval: Interval) -> Totals {
        self.totals_by(closed, |set| set.total_ns_in(interval))
    }

    fn totals_by(&self, closed: &IntervalSet, length_ns: impl Fn(&IntervalSet) -> u64) -> Totals {
        let of = |set: &IntervalSet| u128::from(length_ns(set));
        Totals {
            have_ns: of(&self.have),
            empty_ns: of(&self.empty),
            failed_ns: of(&self.failed),
            missing_ns: of(&self.missing),
            closed_ns: of(closed),
        }
    }

    /// What is neither there nor known to be empty.
    pub fn gaps(&self) -> IntervalSet {
        self.missing.union(&self.failed)
    }
}

impl Coverage {
    /// All instruments together.
    pub fn totals(&self) -> Totals {
        self.instruments.iter().map(|one| one.totals(&self.closed)).fold(Totals::default(), std::ops::Add::add)
    }

    /// What would have to be loaded so that nothing is missing any more: the gaps of every instrument, as requests.
    ///
    /// Where the dataset is cut on the grid, a gap that closed time cuts short reaches over it to the end of its partition, so that loading it makes
    /// the partition that any other request would make.
    pub fn gaps(&self) -> Vec<(Instrument, Interval)> {
        let of_one = |one: &InstrumentCoverage| {
            let there = one.have.union(&one.empty);
            one.gaps().into_iter().map(|gap| self.to_partitions(gap, &there)).collect::<IntervalSet>()
        };
        self.instruments.iter().flat_map(|one| of_one(one).into_iter().map(|gap| (one.instrument.clone(), gap)).collect::<Vec<_>>()).collect()
    }

    /// Widens a gap over closed time, as far as its first and last partition reach and nothing is there.
    fn to_partitions(&self, gap: Interval, there: &IntervalSet) -> Interval {
        let Some(split) = self.split.filter(|split| split.align() != Align::Start) else { return gap };
        let (first, last) = (cell(split, gap.start()), cell(split, Time::from_ns(gap.end().ns() - 1)));
        let reach = IntervalSet::from(first).union(&IntervalSet::from(last)).intersection(&self.closed).difference(there);
        let touching = |at: Time, end: bool| reach.into_iter().find(|closed| if end { closed.start() == at } else { closed.end() == at });
        let start = touching(gap.start(), false).map_or(gap.start(), |closed| closed.start());
        let end = touching(gap.end(), true).map_or(gap.end(), |closed| closed.end());
        Interval::new(start, end).unwrap_or(gap)
    }
}

/// The cell of the grid in which a time lies, as far as times reach.
fn cell(split: Split, time: Time) -> Interval {
    let every = i128::from(split.every_ns());
    let from = i128::from(time.ns()).div_euclid(every) * every;
    let time_of = |ns: i128| Time::from_ns(ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
    Interval::new(time_of(from), time_of(from + every)).expect("a cell of the grid is at least a nanosecond long")
}

/// Looks at what a store has of a dataset, without changing anything and without looking at any artifact: what [`Store::entries_in`] would list, and
/// what failures are recorded.
///
/// An entry counts by its time: also what is covered by partitions that are cut otherwise than the dataset is now, or clipped. An entry that a load
/// would not take counts as not there: one that was generated before its interval was over, or taken as empty by an exit status that the
/// dataset no longer declares.
///
/// # Errors
/// * [`Error::NothingHeld`] where the store knows nothing under a name.
/// * [`Error::NothingCovered`] where no instrument or no interval is named and the store has none to take instead, or the interval has not begun.
/// * [`Error::InvalidDataset`] where a definition's program or inputs are not there, and [`Error::Io`].
///
/// [`Error::NothingHeld`]: crate::Error::NothingHeld
/// [`Error::NothingCovered`]: crate::Error::NothingCovered
/// [`Error::InvalidDataset`]: crate::Error::InvalidDataset
/// [`Error::Io`]: crate::Error::Io
pub fn coverage(store: &Store, subject: Subject<'_>, options: &CoverageOptions) -> Result<Coverage> {
    let known = Known::look(store, subject, options)?;
    let (interval, cut_at_present) = known.interval(store, options)?;
    let own = match subject {
        Subject::Defined(dataset) => dataset.closed().clone(),
        Subject::Named(_) => ClosedTimes::default(),
    };
    let closed = own.and(&options.closed).within(interval);
    let open = closed.complement(interval);

    let instruments = known.instruments(store, options)?;
    let mut of_store = None;
    let mut covered = Vec::with_capacity(instruments.len());
    for instrument in instruments {
        let mut one = known.covered(instrument, interval, &open);
        if !one.is_known {
            let of_store = match &of_store {
                Some(of_store) => of_store,
                None => of_store.insert(known.instruments_of_store(store)?),
            };
            one.is_known = of_store.of_dataset.contains(&one.instrument);
            if !one.is_known {
                one.nearest = of_store.nearest(&one.instrument);
            }
        }
        covered.push(one);
    }
    Ok(Coverage {
        dataset: subject.name().to_owned(),
        generator: known.generator,
        split: known.split(),
        interval,
        cut_at_present,
        closed,
        instruments: covered,
        elsewhere: known.elsewhere_in(interval),
    })
}

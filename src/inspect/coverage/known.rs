//! What the store knows of a dataset, and what of that is taken where nothing is named.

use std::collections::BTreeSet;

use super::{CoverageOptions, InstrumentCoverage, Subject, cell};
use crate::dataset::{GeneratorId, StoredKey, closest};
use crate::error::{Error, Result, shortened};
use crate::instrument::Instrument;
use crate::interval::{Align, Interval, Split, Time};
use crate::interval_set::IntervalSet;
use crate::store::{Empty, FailureRecord, Held, Look, Span, Store, Window};

/// What the store knows of a dataset.
pub(super) struct Known<'a> {
    subject: Subject<'a>,
    pub(super) generator: Option<GeneratorId>,
    /// Of entries that count.
    held: Vec<Held>,
    /// Of entries of the same name that do not.
    elsewhere: Vec<Held>,
    failures: Vec<FailureRecord>,
}

/// The instruments that a store has entries of.
pub(super) struct OfStore {
    pub(super) of_dataset: BTreeSet<Instrument>,
    all: BTreeSet<Instrument>,
}

impl OfStore {
    /// The instrument that was probably meant: one of the dataset's own, or else of any other.
    pub(super) fn nearest(&self, instrument: &Instrument) -> Option<Instrument> {
        let nearest = |among: &BTreeSet<Instrument>| {
            let texts: Vec<String> = among.iter().filter(|other| *other != instrument).map(Instrument::to_string).collect();
            closest(&instrument.to_string(), texts.iter().map(String::as_str))?.parse().ok()
        };
        nearest(&self.of_dataset).or_else(|| nearest(&self.all))
    }
}

impl<'a> Known<'a> {
    pub(super) fn look(store: &Store, subject: Subject<'a>, options: &CoverageOptions) -> Result<Self> {
        let generator = match subject {
            Subject::Defined(dataset) => Some(dataset.identify(store.fingerprints())?.identity().id()),
            Subject::Named(_) => None,
        };
        let name = subject.name();
        let is_asked = |instrument: &Instrument| options.instruments.is_empty() || options.instruments.contains(instrument);
        let look = |of: &GeneratorId, instrument: &Instrument| match generator {
            _ if !is_asked(instrument) => Look::Away,
            Some(generator) if *of == generator => Look::AtAll,
            Some(_) => Look::IfNamed(name),
            None => Look::Named(name),
        };
        // Under a name alone, an instrument is known only by its entries, whenever they are.
        let window = if generator.is_some() { Window { start: options.start, end: options.end } } else { Window::default() };
        let (held, elsewhere): (Vec<Held>, Vec<Held>) =
            store.held(window, look)?.into_iter().partition(|held| generator.is_none_or(|generator| held.generator == generator));
        let mut failures = store.failures()?;
        failures.retain(|record| {
            is_asked(&record.instrument)
                && match generator {
                    Some(generator) => StoredKey::from_value(record.key.clone()).is_ok_and(|key| key.generator() == generator),
                    None => record.dataset == name,
                }
        });
        let known = Self { subject, generator, held, elsewhere, failures };
        if generator.is_none() && known.held.is_empty() && known.failures.is_empty() {
            known.check_name(store)?;
        }
        Ok(known)
    }

    /// How many entries of an interval have the name, and do not count.
    pub(super) fn elsewhere_in(&self, interval: Interval) -> usize {
        let overlaps = |span: &&Span| span.start < interval.end() && interval.start() < span.end;
        self.elsewhere.iter().flat_map(|held| &held.spans).filter(overlaps).count()
    }

    /// Says so where the store knows nothing at all under the name.
    fn check_name(&self, store: &Store) -> Result<()> {
        let name = self.subject.name();
        let entries = store.held(Window::default(), |_, _| Look::AtAll)?;
        let mut known: BTreeSet<String> = entries.iter().map(|held| held.dataset.to_string()).collect();
        known.extend(store.failures()?.into_iter().map(|record| record.dataset));
        if known.contains(name) {
            return Ok(());
        }
        let closest = closest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Err(Error::NothingHeld { store: store.path().to_path_buf(), name: shortened(name), closest, known: known.into_iter().collect() })
    }

    pub(super) fn split(&self) -> Option<Split> {
        match self.subject {
            Subject::Defined(dataset) => Some(dataset.split()),
            Subject::Named(_) => None,
        }
    }

    fn nothing(&self, reason: &str) -> Error {
        Error::NothingCovered { dataset: self.subject.name().to_owned(), reason: reason.to_owned() }
    }

    /// What is looked at, and whether it was to reach into the future.
    pub(super) fn interval(&self, store: &Store, options: &CoverageOptions) -> Result<(Interval, bool)> {
        let spans = || self.held.iter().flat_map(|held| &held.spans).map(|span| (span.start, span.end));
        let failures = || self.failures.iter().map(|record| (record.interval.start(), record.interval.end()));
        let start = options.start.or_else(|| spans().chain(failures()).map(|(start, _)| start).min());
        let end = options.end.or_else(|| spans().chain(failures()).map(|(_, end)| end).max());
        let (Some(start), Some(end)) = (start, end) else {
            return Err(self.nothing(&self.why_no_interval(store, options)?));
        };
        if options.start.is_some() && options.end.is_some() {
            Interval::new(start, end)?;
        }
        let now = Time::now();
        let over = match self.split().filter(|split| split.align() != Align::Start) {
            Some(split) => cell(split, now).start(),
            None => now,
        };
        let cut = end > now;
        let end = if cut { over } else { end };
        match Interval::new(start, end) {
            Ok(interval) => Ok((interval, cut)),
            Err(_) if cut => Err(self.nothing("no partition of that interval is over yet")),
            Err(_) => Err(self.nothing("what the store holds of it lies outside of that interval; name both of its ends (--start, --end)")),
        }
    }

    fn why_no_interval(&self, store: &Store, options: &CoverageOptions) -> Result<String> {
        const WAY_OUT: &str = "name an interval (--start, --end) to see what is missing of it";
        let of_store = self.instruments_of_store(store)?;
        let unknown = options.instruments.iter().find(|instrument| !of_store.of_dataset.contains(instrument));
        Ok(match unknown {
            Some(unknown) => {
                let meant = of_store.nearest(unknown).map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default();
                format!("the store knows nothing of it of {unknown}{meant}; {WAY_OUT}")
            }
            None => format!("the store holds nothing of it there that says from when to when; {WAY_OUT}"),
        })
    }

    /// The instruments that are asked for, or all that are known, at whatever time.
    pub(super) fn instruments(&self, store: &Store, options: &CoverageOptions) -> Result<BTreeSet<Instrument>> {
        if !options.instruments.is_empty() {
            return Ok(options.instruments.iter().cloned().collect());
        }
        let mut known = self.instruments_of_store(store)?.of_dataset;
        known.extend(self.failures.iter().map(|record| record.instrument.clone()));
        if known.is_empty() {
            return Err(self.nothing("the store holds nothing of it; name its instruments (-i MARKET/PAIR)"));
        }
        Ok(known)
    }

    pub(super) fn covered(&self, instrument: Instrument, interval: Interval, open: &IntervalSet) -> InstrumentCoverage {
        let (mut have, mut empty) = (Vec::new(), Vec::new());
        let (mut entries, mut empty_entries, mut is_known) = (0, 0, false);
        for held in self.held.iter().filter(|held| held.instrument == instrument) {
            is_known = true;
            for span in &held.spans {
                let Ok(of) = Interval::new(span.start, span.end) else { continue };
                let Some(is_empty) = self.is_empty(span) else { continue };
                if of.start() < interval.end() && interval.start() < of.end() {
                    entries += 1;
                    empty_entries += usize::from(is_empty);
                    if is_empty { empty.push(of) } else { have.push(of) }
                }
            }
        }
        let failures = self.failures.iter().filter(|record| record.instrument == instrument);
        let failed: IntervalSet = failures.inspect(|_| is_known = true).map(|record| record.interval).collect();
        let have = have.into_iter().collect::<IntervalSet>().intersection(open);
        let rest = open.difference(&have);
        let empty = empty.into_iter().collect::<IntervalSet>().intersection(&rest);
        let rest = rest.difference(&empty);
        let failed = failed.intersection(&rest);
        let missing = rest.difference(&failed);
        InstrumentCoverage { instrument, have, empty, failed, missing, entries, empty_entries, is_known, nearest: None }
    }

    /// Whether an entry is empty; `None` where a load would not take it at all.
    fn is_empty(&self, span: &Span) -> Option<bool> {
        let is_declared = |code: &u8| match self.subject {
            Subject::Defined(dataset) => dataset.empty_exit_codes().contains(code),
            Subject::Named(_) => true,
        };
        match &span.empty {
            _ if span.early => None,
            Some(Empty::ExitCode(code)) if !is_declared(code) => None,
            empty => Some(empty.is_some()),
        }
    }

    pub(super) fn instruments_of_store(&self, store: &Store) -> Result<OfStore> {
        let places = store.places()?;
        let of_dataset = match self.generator {
            Some(own) => places.iter().filter(|(generator, _)| *generator == own).map(|(_, instrument)| instrument.clone()).collect(),
            None => self.held.iter().map(|held| held.instrument.clone()).collect(),
        };
        Ok(OfStore { of_dataset, all: places.into_iter().map(|(_, instrument)| instrument).collect() })
    }
}

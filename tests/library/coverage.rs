//! Coverage: what of an interval is there, as real loads have left it.

use tickbarn::inspect::{Coverage, CoverageOptions, InstrumentCoverage, Subject, coverage};
use tickbarn::{
    Align, ClosedTimes, Dataset, Error, IndexMode, Instrument, Interval, IntervalSet, OnFailure, Policy, Split, Store, StoreOptions, Time,
};

use crate::barn::{Barn, COPY, instrument};

/// Nothing at 03:00, a failure at 05:00, by which hour of the day the partition starts.
const UNEVEN: &str = r#"case "$2" in *T03:*) exit 3;; *T05:*) exit 9;; esac; cp "$FIXTURES/three.parquet" "$1""#;

fn day(start: &str, end: &str) -> Interval {
    let at = |text: &str| format!("2024-01-01T{text}").parse::<Time>().unwrap();
    Interval::new(at(start), at(end)).unwrap()
}

fn asked(interval: Option<Interval>) -> CoverageOptions {
    let mut options = CoverageOptions::default();
    (options.start, options.end) = (interval.map(|interval| interval.start()), interval.map(|interval| interval.end()));
    options
}

fn skipping() -> Policy {
    Policy { failure: OnFailure::Skip, ..Policy::default() }
}

fn load(barn: &Barn, dataset: &Dataset, instrument: &Instrument, interval: Interval) {
    barn.store.load().request(dataset, instrument, interval).policy(skipping()).blocking().unwrap();
}

/// The one instrument's, after checking that its sets are the whole interval, each time in one of them.
#[track_caller]
fn only(coverage: &Coverage) -> &InstrumentCoverage {
    for one in &coverage.instruments {
        let sets = [&one.have, &one.empty, &one.failed, &one.missing, &coverage.closed];
        assert_eq!(sets.iter().fold(IntervalSet::new(), |all, set| all.union(set)), IntervalSet::from(coverage.interval));
        assert_eq!(sets.iter().map(|set| set.total_ns()).sum::<u64>(), IntervalSet::from(coverage.interval).total_ns());
    }
    assert_eq!(coverage.instruments.len(), 1);
    &coverage.instruments[0]
}

#[track_caller]
fn assert_is(set: &IntervalSet, expected: &[(&str, &str)]) {
    assert_eq!(set.intervals(), expected.iter().map(|(start, end)| day(start, end)).collect::<Vec<_>>());
}

#[test]
fn data_empties_failures_and_what_is_missing_are_told_apart() {
    let barn = Barn::new();
    let dataset = barn.dataset(UNEVEN).empty_exit_codes([3]).build().unwrap();
    load(&barn, &dataset, &instrument(), day("01:00", "07:00"));
    let covered = coverage(&barn.store, Subject::Defined(&dataset), &asked(Some(day("00:00", "08:30")))).unwrap();
    let one = only(&covered);
    assert_is(&one.have, &[("01:00", "03:00"), ("04:00", "05:00"), ("06:00", "07:00")]);
    assert_is(&one.empty, &[("03:00", "04:00")]);
    assert_is(&one.failed, &[("05:00", "06:00")]);
    assert_is(&one.missing, &[("00:00", "01:00"), ("07:00", "08:30")]);
    assert_eq!((one.entries, one.empty_entries, covered.elsewhere), (5, 1, 0));
    let share = covered.totals().share_there().unwrap();
    assert!((share - 5.0 / 8.5).abs() < 1e-9, "{share}");

    // Without an interval: from the first to the last that the store knows, failures too. And by manifests alone.
    let manifests = barn.store.clone().with_options(StoreOptions::default().index(IndexMode::Off));
    for store in [&barn.store, &manifests] {
        let covered = coverage(store, Subject::Defined(&dataset), &asked(None)).unwrap();
        assert_eq!(covered.interval, day("01:00", "07:00"));
        assert!(only(&covered).missing.is_empty());
    }
    // What another status said does not count once that is no longer declared: a load would make it again.
    let undeclared = barn.dataset(UNEVEN).build().unwrap();
    let covered = coverage(&barn.store, Subject::Defined(&undeclared), &asked(Some(day("01:00", "05:00")))).unwrap();
    assert_is(&only(&covered).missing, &[("03:00", "04:00")]);
}

#[test]
fn gaps_that_are_loaded_leave_no_gap() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).split(Split::every("2h").unwrap()).build().unwrap();
    load(&barn, &dataset, &instrument(), day("03:00", "05:00"));
    load(&barn, &dataset, &instrument(), day("09:00", "12:00"));
    let closed = ClosedTimes::of(["07:00-07:30", "13:30-23:00"]).unwrap();
    let mut options = asked(Some(day("00:00", "15:00")));
    options.closed = closed;
    let look = || coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    let before = look();
    let gaps = before.gaps();
    // Over what is closed to the partition's end, so that whole partitions are made, but not beyond what was asked for.
    let expected = [day("00:00", "03:00"), day("05:00", "09:00"), day("12:00", "14:00")];
    assert_eq!(gaps.iter().map(|(_, gap)| *gap).collect::<Vec<_>>(), expected);
    for (instrument, gap) in gaps {
        load(&barn, &dataset, &instrument, gap);
    }
    let after = look();
    assert!(after.gaps().is_empty(), "{after:?}");
    assert_eq!(after.totals().share_there(), Some(1.0));
}

#[test]
fn data_in_closed_times_does_no_harm_and_counts_nowhere() {
    let barn = Barn::new();
    let own: ClosedTimes = "02:00-04:00".parse().unwrap();
    let dataset = barn.dataset(COPY).closed(own).build().unwrap();
    load(&barn, &dataset, &instrument(), day("00:00", "03:00"));
    let mut options = asked(Some(day("00:00", "06:00")));
    options.closed = "05:00-05:30".parse().unwrap();
    let covered = coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    assert_is(&covered.closed, &[("02:00", "04:00"), ("05:00", "05:30")]);
    let one = only(&covered);
    assert_is(&one.have, &[("00:00", "02:00")]);
    assert_is(&one.missing, &[("04:00", "05:00"), ("05:30", "06:00")]);
    // And closing the times changes no address: it is the same dataset.
    let open = barn.dataset(COPY).build().unwrap();
    assert_eq!(barn.load(&open, 2).blocking().unwrap().summary().hit, 2);
    options.closed = "00:00-24:00".parse().unwrap();
    let all_closed = coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    assert_eq!(all_closed.totals().share_there(), None);
}

#[test]
fn partitions_of_other_splits_count_by_their_time() {
    let barn = Barn::new();
    let cut = |every: &str, align| barn.dataset(COPY).split(Split::every(every).unwrap().aligned(align)).build().unwrap();
    load(&barn, &cut("1h", Align::Grid), &instrument(), day("00:30", "02:00"));
    load(&barn, &cut("3h", Align::Start), &instrument(), day("01:00", "05:00"));
    load(&barn, &cut("4h", Align::Cover), &instrument(), day("09:00", "10:00"));
    let hourly = cut("1h", Align::Grid);
    let covered = coverage(&barn.store, Subject::Defined(&hourly), &asked(Some(day("00:00", "11:00")))).unwrap();
    let one = only(&covered);
    // The covering cell reaches from 08:00 to 12:00.
    assert_is(&one.have, &[("00:30", "05:00"), ("08:00", "11:00")]);
    assert_eq!(one.entries, 5);
}

#[test]
fn what_was_made_under_another_configuration_is_only_hinted_at() {
    let barn = Barn::new();
    let [old, new] = [1, 2].map(|levels| barn.dataset(COPY).config("levels", levels).build().unwrap());
    load(&barn, &old, &instrument(), day("00:00", "04:00"));
    load(&barn, &new, &instrument(), day("00:00", "01:00"));
    let covered = coverage(&barn.store, Subject::Defined(&new), &asked(Some(day("00:00", "03:00")))).unwrap();
    assert_is(&only(&covered).have, &[("00:00", "01:00")]);
    assert_eq!(covered.elsewhere, 3, "of the interval that is looked at");
    // By its name alone, all of it is there.
    let named = coverage(&barn.store, Subject::Named("numbers"), &asked(None)).unwrap();
    assert_eq!((named.interval, named.elsewhere, named.generator), (day("00:00", "04:00"), 0, None));
    assert!(only(&named).missing.is_empty());
}

#[test]
fn what_the_store_does_not_know_is_said_with_the_nearest_name() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let nothing = coverage(&barn.store, Subject::Defined(&dataset), &asked(None)).unwrap_err();
    assert!(matches!(nothing, Error::NothingCovered { .. }) && nothing.to_string().contains("--start"), "{nothing}");
    load(&barn, &dataset, &instrument(), day("00:00", "01:00"));
    let error = coverage(&barn.store, Subject::Named("nubmers"), &asked(None)).unwrap_err().to_string();
    assert!(error.contains("did you mean \"numbers\"?"), "{error}");

    let mut misspelt = asked(None);
    misspelt.instruments.push("binance/BTC-USDR".parse().unwrap());
    let error = coverage(&barn.store, Subject::Defined(&dataset), &misspelt).unwrap_err().to_string();
    assert!(error.contains("did you mean binance/BTC-USDT?"), "{error}");

    let mut options = asked(Some(day("00:00", "02:00")));
    options.instruments = ["binance/BTC-USDR", "binance/BTC-USDT"].map(|text| text.parse().unwrap()).into();
    let covered = coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    let [unknown, known] = &covered.instruments[..] else { panic!("{covered:?}") };
    assert_eq!((unknown.is_known, unknown.nearest.clone()), (false, Some(instrument())));
    assert_eq!(unknown.missing, IntervalSet::from(day("00:00", "02:00")), "it can be loaded all the same");
    assert!(known.is_known && known.nearest.is_none());
    // One whose data lies elsewhere in time is known.
    for subject in [Subject::Defined(&dataset), Subject::Named("numbers")] {
        let elsewhere = coverage(&barn.store, subject, &asked(Some(day("05:00", "06:00")))).unwrap();
        assert!(only(&elsewhere).is_known && only(&elsewhere).have.is_empty());
    }
    options.start = Some("2024-01-01T05:00".parse().unwrap());
    options.end = Some("2024-01-01T06:00".parse().unwrap());
    let covered = coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    assert_eq!(covered.instruments.iter().map(|one| one.is_known).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_is_not_over_yet_is_not_missing() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).build().unwrap();
    let now = Time::now();
    const HOUR_NS: i64 = 3_600_000_000_000;
    let mut options = asked(Interval::new(Time::from_ns(now.ns() - 3 * HOUR_NS), Time::from_ns(now.ns() + 24 * HOUR_NS)).ok());
    options.instruments.push(instrument());
    let covered = coverage(&barn.store, Subject::Defined(&dataset), &options).unwrap();
    assert!(covered.cut_at_present && covered.interval.end() <= Time::now() && covered.interval.end().ns() % HOUR_NS == 0);
    for (instrument, gap) in covered.gaps() {
        load(&barn, &dataset, &instrument, gap);
    }
    // What was generated before its interval was over is no data to a load, nor to its coverage.
    let early = Interval::new(covered.interval.end(), Time::from_ns(covered.interval.end().ns() + HOUR_NS)).unwrap();
    let allowed = Policy { allow_future: true, ..Policy::default() };
    let daily = barn.dataset(COPY).split(Split::every("1h").unwrap().aligned(Align::Start)).build().unwrap();
    barn.store.load().request(&daily, &instrument(), early).policy(allowed).blocking().unwrap();
    options.end = Some(early.end());
    let after = coverage(&barn.store, Subject::Defined(&daily), &options).unwrap();
    assert_eq!(only(&after).have.span().unwrap().end(), covered.interval.end());
}

/// Enough entries that the index answers: the same as the manifests do.
#[test]
fn the_index_and_the_manifests_show_the_same_coverage() {
    let barn = Barn::new();
    let dataset = Dataset::function("ticks", "1", |job: &tickbarn::Job| {
        crate::barn::write_table(job.output("table")?, &[job.start().ns()]);
        Ok::<_, tickbarn::BoxError>((job.start().ns() / 60_000_000_000 % 7 != 3).then_some(()))
    });
    let dataset = dataset.split(Split::every("1m").unwrap()).build().unwrap();
    let instruments: [Instrument; 2] = ["a/B", "a/B/C"].map(|text| text.parse().unwrap());
    for (instrument, end) in instruments.iter().zip(["10:00", "05:00"]) {
        barn.store.load().request(&dataset, instrument, day("00:00", end)).workers(4).blocking().unwrap();
    }
    let store = Store::open(barn.store.path()).unwrap();
    let manifests = store.clone().with_options(StoreOptions::default().index(IndexMode::Off));
    for (start, end) in [("00:00", "12:00"), ("00:00:30", "00:09:30"), ("04:59", "23:00")] {
        let [by_index, by_manifests] =
            [&store, &manifests].map(|store| coverage(store, Subject::Defined(&dataset), &asked(Some(day(start, end)))).unwrap());
        assert_eq!(by_index, by_manifests);
        assert_eq!(by_index.instruments.len(), 2);
    }
    let covered = coverage(&store, Subject::Defined(&dataset), &asked(None)).unwrap();
    assert_eq!(covered.instruments.iter().map(|one| (one.entries, one.empty_entries)).collect::<Vec<_>>(), [(600, 86), (300, 43)]);
    assert_eq!(covered.instruments[1].missing.intervals(), [day("05:00", "10:00")]);
}

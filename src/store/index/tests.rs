use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::store::manifest::Empty;
use crate::store::record::{JournalRecord, OutputRecord, Span};

/// Starts are on both sides of it.
const EPOCH_NS: i64 = 0;

fn layout() -> (tempfile::TempDir, Layout, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path().to_path_buf());
    layout.directories().for_each(|path| fs::create_dir(path).unwrap());
    let journal = Journal::new(layout.clone());
    journal.ensure().unwrap();
    (directory, layout, journal)
}

fn generator(nth: u8) -> GeneratorId {
    GeneratorId::from_bytes([nth; 32])
}

fn published(nth: u8, pair: &str, start: i64, rows: u64) -> Published {
    let digest = crate::address::Digest::of(&rows.to_le_bytes());
    Published {
        generator: generator(nth),
        instrument: Instrument::new("binance", pair).unwrap(),
        entry: EntryRecord {
            start: Time::from_ns(start),
            end: Time::from_ns(start + 10),
            address: Address::of_canonical(&format!("{nth} {pair} {start}")),
            dataset: "md".into(),
            outputs: vec![OutputRecord { name: "trades".into(), digest, schema: digest, bytes: 1, rows, bounds: [].into() }],
            empty: [None, Some(Empty::ExitCode(rows as u8 + 250)), Some(Empty::ZeroRows), Some(Empty::NoData)]
                [start.unsigned_abs() as usize / 10 % 4],
            started: Time::from_ns(start + 20 - 20 * i64::from(rows == 2)),
            seconds: 1.5,
            upstream_seconds: 0.0,
            upstream: Vec::new(),
            log: None,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever was published and removed, in whatever order and however often the index was opened between: a range holds what is left, in order.
    #[test]
    fn the_index_is_the_journal_in_order(
        changes in prop::collection::vec((0u8..2, 0usize..2, -200i64..200, 0u64..3, any::<bool>()), 1..600),
        batch in 1usize..200,
    ) {
        let pairs = ["BTC-USDT", "BTC"];
        let at = |ns: i64| EPOCH_NS + ns;
        let (_directory, layout, journal) = layout();
        let mut expected = BTreeMap::new();
        let mut index = Index::open(&layout, &journal).unwrap();
        for (round, changes) in changes.chunks(batch).enumerate() {
            let mut records = Vec::new();
            for (nth, pair, start, rows, keep) in changes {
                let one = published(*nth, pairs[*pair], at(start * 10), *rows);
                let place = (*nth, *pair, at(start * 10));
                if *keep || !expected.contains_key(&place) {
                    records.push(JournalRecord::Published(one.clone()));
                    expected.insert(place, one);
                } else {
                    records.push(one.removed());
                    expected.remove(&place);
                }
            }
            journal.append(&records).unwrap();
            if round % 3 == 2 {
                drop(index);
                index = Index::open(&layout, &journal).unwrap();
            }
            prop_assert!(index.follow(&journal));
        }
        for (nth, pair) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let interval = Interval::new(Time::from_ns(at(-555)), Time::from_ns(at(1005))).unwrap();
            let range = index.range(&generator(nth), &Instrument::new("binance", pairs[pair]).unwrap(), interval).unwrap();
            let wanted: Vec<EntryRecord> =
                expected.range((nth, pair, at(-555))..(nth, pair, at(1005))).map(|(_, published)| published.entry.clone()).collect();
            prop_assert_eq!(range, wanted);
        }
        for (pair, name) in pairs.into_iter().enumerate() {
            let interval = Interval::new(Time::from_ns(at(-555)), Time::from_ns(at(1005))).unwrap();
            let any = index.of_any_generator(&Instrument::new("binance", name).unwrap(), interval).unwrap();
            let wanted: Vec<_> = (0..2)
                .flat_map(|nth| expected.range((nth, pair, at(-555))..(nth, pair, at(1005))).map(move |(_, one)| (generator(nth), one.entry.clone())))
                .collect();
            prop_assert_eq!(any, wanted);
        }
        prop_assert_eq!(index.all().unwrap().len(), expected.len());
        prop_assert_eq!(index.tallies.count(), expected.len() as u64);

        // A part of it, and its spans alone, are what the whole shows of them.
        let window = Window { start: Some(Time::from_ns(at(-555))), end: Some(Time::from_ns(at(1005))) };
        let in_window = |one: &Published| window.takes(one.entry.start, one.entry.end);
        let part = index.entries(window, |instrument| instrument.pair() == "BTC", |dataset| dataset == "md").unwrap();
        let wanted: Vec<Published> = expected.values().filter(|one| one.instrument.pair() == "BTC" && in_window(one)).cloned().collect();
        prop_assert_eq!(part, wanted);
        prop_assert!(index.entries(window, |_| true, |dataset| dataset == "other").unwrap().is_empty());
        for (nth, look) in [Look::AtAll, Look::Named("md"), Look::IfNamed("md"), Look::Named("other"), Look::Away].into_iter().enumerate() {
            let held = index.held(window, |generator, _| if *generator == self::generator(1) { look } else { Look::Away }).unwrap();
            let spans: Vec<Span> = held.into_iter().flat_map(|held| held.spans).collect();
            let wanted = expected.iter().filter(|((generator, ..), one)| *generator == 1 && in_window(one));
            let mut wanted: Vec<Span> = wanted.map(|(_, one)| Span::of(&one.entry)).collect();
            if nth > 2 {
                wanted.clear();
            }
            // In order of the pairs' names, not of their numbers.
            let by_pair = |spans: &mut Vec<Span>| spans.sort_by_key(|span| (span.start, span.end, span.early, format!("{:?}", span.empty)));
            let mut spans = spans;
            by_pair(&mut spans);
            by_pair(&mut wanted);
            prop_assert_eq!(spans, wanted);
        }
    }
}

#[test]
fn a_manifest_that_was_read_before_it_was_replaced_is_not_put_back() {
    let (_directory, layout, journal) = layout();
    let (old, new) = (published(1, "BTC", 0, 3), published(1, "BTC", 0, 2));
    let mut index = Index::open(&layout, &journal).unwrap();
    let everything = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
    let rows = |index: &mut Index| {
        let range = index.range(&generator(1), &Instrument::new("binance", "BTC").unwrap(), everything).unwrap();
        range.iter().map(|entry| entry.outputs[0].rows).collect::<Vec<_>>()
    };
    // What only a manifest shows is put back.
    index.put_back(std::slice::from_ref(&old));
    assert_eq!(rows(&mut index), [3]);
    // Its removal was journaled, its replacement not yet: the manifest answers, and an old one that was read before does not count.
    journal.append(&[old.removed()]).unwrap();
    assert!(index.follow(&journal));
    index.put_back(std::slice::from_ref(&old));
    assert_eq!(rows(&mut index), [] as [u64; 0]);
    journal.append(&[JournalRecord::Published(new)]).unwrap();
    assert!(index.follow(&journal));
    index.put_back(&[old]);
    assert_eq!(rows(&mut index), [2]);
}

/// An index that handed on what stands in a damaged place would show a wrong partition.
#[test]
fn a_record_that_is_not_as_it_was_read_is_not_handed_on() {
    type Spoil = fn(&mut Vec<u8>, usize);
    let spoil: [Spoil; 3] = [
        // A bit of the first record, a part of the last one, and a whole other record in the first one's place.
        |bytes, length| bytes[HEADER_BYTES + length / 2] ^= 1,
        |bytes, length| bytes.truncate(HEADER_BYTES + 2 * length + 40),
        |bytes, length| bytes.copy_within(HEADER_BYTES + length..HEADER_BYTES + 2 * length, HEADER_BYTES),
    ];
    const HEADER_BYTES: usize = 32;
    for spoil in spoil {
        let (_directory, layout, journal) = layout();
        // Records of one length.
        let records: Vec<JournalRecord> = (0..3).map(|nth| JournalRecord::Published(published(1, "BTC", 64 + 10 * nth, 1))).collect();
        journal.append(&records[..1]).unwrap();
        let length = usize::try_from(journal.size().unwrap().unwrap()).unwrap() - HEADER_BYTES;
        journal.append(&records[1..]).unwrap();
        let mut index = Index::open(&layout, &journal).unwrap();
        let everything = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
        let instrument = Instrument::new("binance", "BTC").unwrap();
        assert_eq!(index.range(&generator(1), &instrument, everything).unwrap().len(), 3);
        let mut bytes = fs::read(layout.journal()).unwrap();
        spoil(&mut bytes, length);
        fs::write(layout.journal(), &bytes).unwrap();
        assert_eq!(index.range(&generator(1), &instrument, everything), None);
    }
}

#[test]
fn a_journal_that_was_replaced_is_read_on_until_the_new_one_is_followed() {
    let (_directory, layout, journal) = layout();
    journal.append(&[JournalRecord::Published(published(1, "BTC", 0, 1))]).unwrap();
    let mut index = Index::open(&layout, &journal).unwrap();
    journal.write_anew().unwrap();
    let everything = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
    let count = |index: &mut Index| index.range(&generator(1), &Instrument::new("binance", "BTC").unwrap(), everything).map(|range| range.len());
    assert_eq!(count(&mut index), Some(1));
    // There are no manifests, so nothing is told any more.
    assert!(index.follow(&journal));
    assert_eq!(count(&mut index), Some(0));
}

#[test]
fn each_process_has_a_slot_and_the_one_too_many_goes_without() {
    let (_directory, layout, journal) = layout();
    let held: Vec<Index> = (0..INDEX_SLOTS).map(|_| Index::open(&layout, &journal).unwrap()).collect();
    assert!(Index::open(&layout, &journal).is_none());
    drop(held);
    assert!(Index::open(&layout, &journal).is_some());
}

#[test]
fn an_index_that_was_not_closed_in_order_or_was_changed_since_is_made_anew() {
    let (_directory, layout, journal) = layout();
    journal.append(&[JournalRecord::Published(published(1, "BTC", 0, 1))]).unwrap();
    drop(Index::open(&layout, &journal).unwrap());
    let everything = Interval::new(Time::from_ns(i64::MIN), Time::from_ns(i64::MAX)).unwrap();
    let instrument = Instrument::new("binance", "BTC").unwrap();
    let seal = fs::read(layout.index_slot_seal(0)).unwrap();
    let spoil: [&dyn Fn(); 3] = [
        &|| fs::remove_file(layout.index_slot_seal(0)).unwrap(),
        &|| fs::write(layout.index_slot(0).join("db"), vec![0xa5; 1 << 19]).unwrap(),
        // The seal of an earlier close.
        &|| fs::write(layout.index_slot_seal(0), &seal).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        // Were the slot believed, this stray file would still be in it.
        fs::write(layout.index_slot(0).join("stray"), "").unwrap();
        let mut index = Index::open(&layout, &journal).unwrap();
        assert_eq!(index.range(&generator(1), &instrument, everything).unwrap().len(), 1);
        assert!(!layout.index_slot(0).join("stray").exists());
        assert!(!layout.index_slot_seal(0).exists(), "broken while it is open");
    }
}

#[test]
fn an_index_whose_slot_was_taken_from_it_leaves_the_next_one_alone() {
    let (_directory, layout, journal) = layout();
    let mut first = Index::open(&layout, &journal).unwrap();
    fs::remove_dir_all(layout.indexes()).unwrap();
    let second = Index::open(&layout, &journal).unwrap();
    journal.append(&[JournalRecord::Published(published(1, "BTC", 0, 1))]).unwrap();
    assert!(first.follow(&journal));
    drop(first);
    assert!(!layout.index_slot_seal(0).exists(), "the second still has it open");
    drop(second);
    assert!(layout.index_slot_seal(0).exists());
}

/// Behind the bytes of 255 that a plain number would have close before 1970, sled does not find the row before, and panics; and where it seeks from one of its
/// leaves to the next, which takes dozens of rows.
#[test]
fn rows_are_found_wherever_entries_start_and_in_whatever_order_they_come() {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let around = |middle: i64, step: i64| (-300..300).map(move |nth: i64| middle.saturating_add(nth * step));
    let first = (0..300).map(|nth| i64::MIN + nth * 3);
    let last = (1..300).map(|nth| i64::MAX - 30 - nth * 3);
    let mut starts: Vec<i64> = around(0, 100_000).chain(around(0, HOUR_NS)).chain(first).chain(last).collect();
    starts.sort_unstable();
    starts.dedup();
    let shuffled = |nth: usize| starts[nth * 7_919 % starts.len()];
    for order in ["descending", "shuffled"] {
        let (_directory, layout, journal) = layout();
        let mut index = Index::open(&layout, &journal).unwrap();
        let come: Vec<i64> = match order {
            "descending" => starts.iter().rev().copied().collect(),
            _ => (0..starts.len()).map(shuffled).collect(),
        };
        // A few at a time: each is folded into rows that are there.
        for some in come.chunks(3) {
            let records: Vec<JournalRecord> = some.iter().map(|start| JournalRecord::Published(published(1, "BTC", *start, 1))).collect();
            journal.append(&records).unwrap();
            assert!(index.follow(&journal), "{order}: {some:?}");
        }
        let rows = index.database().unwrap_or_else(|_| panic!("it is open")).scan_prefix([ENTRIES]).count();
        assert!((starts.len() / 16..starts.len() / 4).contains(&rows), "{order}: {} entries in {rows} rows", starts.len());
        let instrument = Instrument::new("binance", "BTC").unwrap();
        let found = |index: &mut Index, from: i64, to: i64| -> Vec<i64> {
            let range = index.range(&generator(1), &instrument, Interval::new(Time::from_ns(from), Time::from_ns(to)).unwrap()).unwrap();
            range.iter().map(|entry| entry.start.ns()).collect()
        };
        assert_eq!(found(&mut index, i64::MIN, i64::MAX), starts, "{order}");
        for pair in starts.windows(2) {
            assert_eq!(found(&mut index, pair[0], pair[1]), [pair[0]], "{order}");
        }
        // A window over several rows, by spans and by entries.
        let window = Window { start: Some(Time::from_ns(-HOUR_NS)), end: Some(Time::from_ns(5 * HOUR_NS)) };
        let wanted = starts.iter().filter(|start| window.takes(Time::from_ns(**start), Time::from_ns(**start + 10))).count();
        assert_eq!(index.entries(window, |_| true, |_| true).unwrap().len(), wanted);
        let held = index.held(window, |_, _| Look::IfNamed("md")).unwrap();
        assert_eq!(held.iter().map(|held| held.spans.len()).sum::<usize>(), wanted);
        // And out of them again.
        let gone: Vec<Published> = starts.iter().step_by(2).map(|start| published(1, "BTC", *start, 1)).collect();
        index.forget(&gone);
        assert_eq!(found(&mut index, i64::MIN, i64::MAX), starts.iter().skip(1).step_by(2).copied().collect::<Vec<_>>(), "{order}");
    }
}

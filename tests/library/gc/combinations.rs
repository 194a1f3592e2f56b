//! Every combination of options: what goes is what they say together, what is held can still be read, what went is generated again, and the store is
//! whole before and after.

use std::sync::atomic::{AtomicUsize, Ordering};

use tickbarn::{Free, Order, Pin};

use super::*;

type Setting = (&'static str, fn(&mut Retention, &Template));

/// The options that are combined, a bit each; the order in which space is made follows from the others.
const OPTIONS: [Setting; 10] = [
    ("dataset", |retention, _| retention.datasets = vec!["numbers".to_owned()]),
    ("instrument", |retention, _| retention.instruments = vec![instrument()]),
    ("max-bytes", |retention, template| retention.max_bytes = Some(template.bytes / 2)),
    ("min-free", |retention, _| retention.min_free = Some(Free::Bytes(u64::MAX))),
    ("max-age", |retention, _| retention.max_age = Some(30 * DAY)),
    ("superseded", |retention, _| retention.superseded = true),
    ("failures", |retention, _| retention.failures = true),
    ("leftovers", |retention, _| retention.leftovers = true),
    ("keep-last", |retention, _| retention.keep_last = Some(1)),
    ("grace", |retention, _| retention.grace = Duration::from_secs(3600)),
];

/// A store with something for every option to take, and to keep.
struct Template {
    barn: Barn,
    entries: Vec<Listed>,
    failures: usize,
    bytes: u64,
}

/// An entry in the words of what was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Which<'a> {
    dataset: &'a str,
    other: bool,
    hour: u32,
    old: bool,
}

fn which(listed: &Listed) -> Which<'_> {
    Which {
        dataset: &listed.dataset,
        other: listed.instrument == other_instrument(),
        hour: u32::try_from(listed.interval.start().ns() / 3_600_000_000_000 % 24).unwrap(),
        old: Time::now().ns() - listed.entry.started.ns() > 30 * 86_400_000_000_000,
    }
}

impl Template {
    fn new() -> Self {
        let barn = Barn::new();
        let store = barn.store.path();
        elsewhere(&barn, "numbers@1 0 6\nsums@1 0 3\nsame@1 0 4\nfailing@1 0 2\nfailing@1 0 1 other");
        age(store, 40 * DAY, |_| true);
        elsewhere(&barn, "numbers@2 0 3\nnumbers@1 0 2 other\nturning@1 0 1");
        fs::write(barn.path("again"), "").unwrap();
        elsewhere(&barn, "turning@1 0 1 refresh");
        forget_uses(store);
        // Both versions of an hour, whoever makes them.
        let hour = Pin::range("hour", ["numbers".to_owned()], [instrument()], Some(hours(1, 2).start()), Some(hours(1, 2).end())).unwrap();
        barn.store.pin(&hour).unwrap();
        let entries = barn.store.entries().unwrap();
        let sum = entries.iter().find(|listed| &*listed.dataset == "sums").unwrap();
        barn.store.pin(&Pin::addresses("sum", [sum.entry.address]).unwrap()).unwrap();
        // What lies about.
        let orphan = Digest::of(b"nobody's").to_string();
        fs::write(store.join("artifacts").join(&orphan[..2]).join(format!("{orphan}.parquet")), "nobody's").unwrap();
        fs::create_dir(store.join("work").join("1".repeat(64))).unwrap();
        fs::write(store.join("claims").join("2".repeat(64)), "").unwrap();
        fs::write(store.join("trash").join("large"), "unlinked soon").unwrap();
        let bytes = entries.iter().flat_map(|listed| &listed.entry.outputs).map(|output| (output.digest, output.bytes)).collect::<BTreeMap<_, _>>();
        let failures = barn.store.failures().unwrap().len();
        // Copied for every combination: what is empty is made again where it is needed.
        for parent in ["entries", "artifacts"] {
            for shard in fs::read_dir(store.join(parent)).unwrap() {
                let _ = fs::remove_dir(shard.unwrap().path());
            }
        }
        Self { bytes: bytes.into_values().sum(), entries, failures, barn }
    }
}

/// The hour of the first version that a process has loaded which lives.
const HELD: u32 = 2;

fn is_in_scope(retention: &Retention, which: &Which<'_>) -> bool {
    (retention.datasets.is_empty() || which.dataset == "numbers") && (retention.instruments.is_empty() || !which.other)
}

fn is_superseded(retention: &Retention, which: &Which<'_>) -> bool {
    retention.superseded && which.dataset == "numbers" && !which.other && which.old && which.hour < 3
}

fn is_protected(retention: &Retention, which: &Which<'_>) -> bool {
    let Which { dataset, other, hour, old } = *which;
    let numbers = dataset == "numbers" && !other;
    let held = numbers && old && hour == HELD;
    let pinned = (numbers && hour == 1) || (dataset == "sums" && hour == 0) || (numbers && old && hour == 0);
    let recent = !retention.grace.is_zero() && !old;
    let last = match dataset {
        "numbers" if other => 1,
        "numbers" => 5,
        "sums" => 2,
        "same" => 3,
        _ => 0,
    };
    held || pinned || recent || (retention.keep_last.is_some() && hour == last && !is_superseded(retention, which))
}

/// What rules take that concern single entries.
fn is_due(retention: &Retention, which: &Which<'_>) -> bool {
    let Retention { max_bytes, min_free, max_age, superseded, failures, leftovers, .. } = retention;
    let no_rule = max_bytes.is_none() && min_free.is_none() && max_age.is_none() && !superseded && !failures && !leftovers;
    let of_rule = no_rule || is_superseded(retention, which) || (max_age.is_some() && which.old);
    of_rule && is_in_scope(retention, which) && !is_protected(retention, which)
}

/// Collects from a copy of the store under some of the options.
fn collect_with(template: &Template, options: usize, root: &Path) {
    let mut retention = retention(|_| {});
    let chosen: Vec<&str> = (0..OPTIONS.len()).filter(|bit| options >> bit & 1 == 1).map(|bit| OPTIONS[bit].0).collect();
    (0..OPTIONS.len()).filter(|bit| options >> bit & 1 == 1).for_each(|bit| OPTIONS[bit].1(&mut retention, template));
    retention.order = if options.count_ones().is_multiple_of(2) { Order::Value } else { Order::Lru };
    let case = chosen.join(" ");
    let directory = template.barn.path("");
    copy(template.barn.store.path(), root);
    let store = Store::open_existing(root).unwrap();
    let load = |word: &str, other: bool, from: u32, to: u32| {
        let instrument = if other { other_instrument() } else { instrument() };
        store.load().request(&dataset(&directory, word), &instrument, hours(from, to)).blocking().unwrap()
    };
    if !retention.says_anything() {
        assert!(gc::plan(&store, &retention).is_err(), "{case}");
        return;
    }
    // This process lives, and holds an hour.
    assert_eq!(load("numbers@1", false, HELD, HELD + 1).summary().hit, 1);
    let plan = gc::plan(&store, &retention).unwrap_or_else(|error| panic!("{case}: {error}"));
    let planned = GcPlanned::of(&plan);
    let swept = gc::sweep(plan).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!((swept.price.entries, swept.price.bytes, swept.kept), (planned.price.entries, planned.price.bytes, 0), "{case}");

    let there = addresses(&store);
    let gone: Vec<&Listed> = template.entries.iter().filter(|listed| !there.contains(&listed.entry.address)).collect();
    assert_eq!(gone.iter().map(|listed| listed.entry.address).collect::<BTreeSet<_>>(), planned.entries, "{case}");
    for listed in &template.entries {
        let which = which(listed);
        let is_gone = !there.contains(&listed.entry.address);
        let may_go = is_in_scope(&retention, &which) && !is_protected(&retention, &which);
        assert!(may_go || !is_gone, "{case}: {which:?} is kept by something");
        if is_due(&retention, &which) {
            assert!(is_gone, "{case}: {which:?} is due");
        } else if retention.min_free.is_some() {
            // Unless it shares all that it has with one that is kept.
            let kept_beside = which.dataset == "same" && retention.keep_last.is_some() && !is_due(&retention, &which);
            assert_eq!(is_gone, may_go && !kept_beside, "{case}: {which:?}");
        } else if retention.max_bytes.is_none() {
            assert!(!is_gone, "{case}: {which:?} was not asked for");
        }
    }
    let left: BTreeMap<Digest, u64> = template
        .entries
        .iter()
        .filter(|listed| there.contains(&listed.entry.address))
        .flat_map(|listed| listed.entry.outputs.iter().map(|output| (output.digest, output.bytes)))
        .collect();
    let left: u64 = left.into_values().sum();
    assert_eq!(swept.price.bytes, template.bytes - left, "{case}: freed is what is no more");
    if retention.max_bytes.is_some() && retention.min_free.is_none() {
        assert!(left <= template.bytes / 2 || planned.shortfall_bytes > 0, "{case}: {left} bytes are left");
    }
    let failures = if retention.failures { store.failures().unwrap().len() } else { template.failures };
    let expected = match (retention.datasets.is_empty(), retention.instruments.is_empty()) {
        _ if !retention.failures || !retention.grace.is_zero() => template.failures,
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => template.failures,
    };
    assert_eq!((failures, template.failures - swept.failures), (expected, expected), "{case}");

    // What lies about is gone, where that was asked for, and nothing that is wrong has come.
    let findings = whole(&store);
    let kinds: BTreeSet<&str> = findings.iter().map(|finding| finding.kind.as_str()).collect();
    match (retention.leftovers, retention.grace.is_zero()) {
        (true, true) => assert!(kinds.is_empty(), "{case}: {findings:#?}"),
        (true, false) => assert_eq!(kinds, BTreeSet::from(["orphan"]), "{case}: {findings:#?}"),
        (false, _) => assert_eq!(kinds, BTreeSet::from(["leftover", "orphan"]), "{case}: {findings:#?}"),
    }
    assert!(fs::read_dir(root.join("trash")).unwrap().next().is_none(), "{case}");

    // Everything is there again for who asks, and only what went is made.
    let mut generated = 0;
    for (word, other, from, to) in [
        ("numbers@1", false, 0, 6),
        ("numbers@2", false, 0, 3),
        ("numbers@1", true, 0, 2),
        ("sums@1", false, 0, 3),
        ("same@1", false, 0, 4),
        ("turning@1", false, 0, 1),
    ] {
        let loaded = load(word, other, from, to);
        for partition in &loaded.partitions {
            let address = partition.address.unwrap();
            assert!(template.entries.iter().any(|listed| listed.entry.address == address), "{case}: {word} has another address");
            let expected = if there.contains(&address) { "hit" } else { "generated" };
            assert_eq!(partition.outcome.as_str(), expected, "{case}: {word} {}", partition.interval);
        }
        generated += loaded.summary().generated;
    }
    assert_eq!(generated, gone.len(), "{case}");
    whole(&store);
}

#[test]
fn any_options_together_take_what_they_say_and_leave_a_whole_store() {
    let template = Template::new();
    assert_eq!((template.entries.len(), template.failures), (6 + 3 + 4 + 3 + 2 + 1, 3));
    // In memory, where there is such a place: a thousand stores are seven times as quick there.
    let copies = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let options = next.fetch_add(1, Ordering::SeqCst);
                    if options >= 1 << OPTIONS.len() {
                        return;
                    }
                    let root = copies.path().join(options.to_string());
                    collect_with(&template, options, &root);
                    fs::remove_dir_all(root).unwrap();
                }
            });
        }
    });
}

//! Datasets that are derived from others.
//!
//! Invariant 10 of ARCHITECTURE.md.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tickbarn::{
    Align, BoxError, Dataset, DatasetBuilder, DatasetFile, Error, Interval, Job, Load, Mode, OnFailure, OnMissing, Outcome, Policy, Progress, Split,
    Time,
};

use crate::barn::{Barn, COPY, first_hours, instrument, outcomes, write_table};

fn hourly(builder: DatasetBuilder) -> Dataset {
    every("1h", builder)
}

fn every(length: &str, builder: DatasetBuilder) -> Dataset {
    builder.split(Split::every(length).unwrap()).build().unwrap()
}

fn skip_failures() -> Policy {
    Policy { failure: OnFailure::Skip, ..Policy::default() }
}

/// A function that writes how many tables it was derived from, and what it saw of them.
#[derive(Clone, Default)]
struct Sums {
    calls: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Vec<Interval>>>>,
}

impl Sums {
    /// Derived from the output `table` of one upstream.
    fn of(&self, upstream: &Dataset) -> DatasetBuilder {
        self.named("sums", upstream.name()).upstream(upstream)
    }

    fn named(&self, name: &str, upstream: &str) -> DatasetBuilder {
        let (sums, upstream) = (self.clone(), upstream.to_owned());
        Dataset::function(name, "1", move |job: &Job| -> Result<(), BoxError> {
            sums.calls.fetch_add(1, Ordering::SeqCst);
            let read = job.upstream(&upstream)?;
            sums.seen.lock().unwrap().push(read.partitions().iter().map(|partition| partition.interval).collect());
            let rows: i64 = read.tables("table")?.iter().map(|table| table.rows as i64).sum();
            assert!(read.paths("table")?.iter().all(|path| path.is_file()));
            write_table(job.output("table")?, &[rows]);
            Ok(())
        })
    }

    /// `second`, which is derived from `first`, which is derived from `numbers`.
    fn chain(&self, numbers: &Dataset) -> Dataset {
        let first = hourly(self.named("first", "numbers").upstream(numbers));
        hourly(self.named("second", "first").upstream(&first))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[test]
fn what_is_missing_upstream_is_generated_first_and_reported_apart() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    let loaded = barn.load(&derived, 3).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated"; 3]);
    assert_eq!((barn.runs(), sums.calls()), (3, 3));
    assert!(loaded.upstream.iter().all(|partition| &*partition.dataset == "numbers" && matches!(partition.outcome, Outcome::Generated { .. })));
    assert_eq!((loaded.upstream.len(), loaded.summary().requested), (3, 3));

    let again = barn.load(&derived, 3).blocking().unwrap();
    assert_eq!((outcomes(&again), again.upstream.len()), (vec!["hit"; 3], 0));
    assert_eq!(outcomes(&barn.load(&numbers, 3).blocking().unwrap()), ["hit"; 3], "an upstream's entries are entries like others");

    let manifest = barn.store.manifest(&loaded.partitions[0].address.unwrap()).unwrap().unwrap();
    let read = loaded.upstream.iter().find(|partition| partition.interval == first_hours(1)).unwrap();
    assert_eq!(manifest.provenance.upstream["numbers"], [read.address.unwrap()]);
    let digest = read.outcome.entry().unwrap().outputs[0].digest.to_string();
    let key = serde_json::to_value(manifest.key()).unwrap();
    assert_eq!(key["upstream"]["numbers"]["partitions"][0]["outputs"]["table"], digest);
}

#[test]
fn both_sides_may_be_asked_for_in_one_load() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    let loaded = barn.load(&derived, 2).request(&numbers, &instrument(), first_hours(2)).blocking().unwrap();
    assert_eq!((outcomes(&loaded), loaded.upstream.len()), (vec!["generated"; 4], 0));
    assert_eq!((barn.runs(), sums.calls()), (2, 2));
}

/// The first run of an hour copies three rows, later ones what the flag says.
fn turning(barn: &Barn) -> String {
    let flag = barn.path("two").display().to_string();
    format!(r#"if [ -e {flag} ]; then cp "$FIXTURES/two.parquet" "$1"; else {COPY}; fi"#)
}

#[test]
fn an_upstream_made_again_to_the_same_bytes_changes_nothing_and_to_others_does() {
    let barn = Barn::new();
    let numbers = barn.dataset(&turning(&barn)).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    let refresh = |load: Load| load.refresh().blocking().unwrap();
    let before = barn.load(&derived, 2).blocking().unwrap();

    refresh(barn.load(&numbers, 2));
    assert_eq!(outcomes(&barn.load(&derived, 2).blocking().unwrap()), ["hit"; 2], "the same bytes came out");
    fs::write(barn.path("two"), "").unwrap();
    refresh(barn.load(&numbers, 2));
    let after = barn.load(&derived, 2).blocking().unwrap();
    assert_eq!((outcomes(&after), sums.calls()), (vec!["generated"; 2], 4));
    assert_ne!(before.partitions[0].address, after.partitions[0].address);

    // And back: the first ones were never lost.
    fs::remove_file(barn.path("two")).unwrap();
    refresh(barn.load(&numbers, 2));
    let back = barn.load(&derived, 2).blocking().unwrap();
    assert_eq!((outcomes(&back), back.partitions[0].address), (vec!["hit"; 2], before.partitions[0].address));
}

#[test]
fn a_refresh_of_both_in_one_load_waits_for_what_comes_out() {
    let barn = Barn::new();
    let numbers = barn.dataset(&turning(&barn)).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    barn.load(&derived, 1).blocking().unwrap();
    fs::write(barn.path("two"), "").unwrap();
    let loaded = barn.load(&derived, 1).request(&numbers, &instrument(), first_hours(1)).refresh().blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated"; 2]);
    assert_eq!(outcomes(&barn.load(&derived, 1).blocking().unwrap()), ["hit"], "it was made of what is there now");
    assert_eq!(sums.calls(), 2);
    // Only what was asked for is made anew.
    let runs = barn.runs();
    barn.load(&derived, 1).refresh().blocking().unwrap();
    assert_eq!((barn.runs(), sums.calls()), (runs, 3));
}

#[test]
fn an_upstream_with_another_configuration_is_another_address_only_where_its_bytes_are_others() {
    let barn = Barn::new();
    let sums = Sums::default();
    let of = |levels: i64, script: &str| hourly(sums.of(&barn.dataset(script).config("levels", levels).build().unwrap()));
    let first = barn.load(&of(40, COPY), 1).blocking().unwrap();
    // Cut off early: the upstream is generated for its new key, and gives the same.
    let same = barn.load(&of(20, COPY), 1).blocking().unwrap();
    assert_eq!((outcomes(&same), same.partitions[0].address), (vec!["hit"], first.partitions[0].address));
    assert_eq!((barn.runs(), sums.calls()), (2, 1));
    let other = barn.load(&of(20, r#"cp "$FIXTURES/two.parquet" "$1""#), 1).blocking().unwrap();
    assert_ne!(other.partitions[0].address, first.partitions[0].address);
}

#[test]
fn a_partition_starts_when_its_own_upstream_is_ready() {
    let barn = Barn::new();
    // The second hour of the upstream waits for the first hour of what is derived from it.
    let flag = barn.path("derived");
    let wait = format!(r#"case "$2" in *T01:*) n=0; while [ ! -e {} ]; do sleep 0.02; n=$((n+1)); [ $n -lt 1000 ]; done;; esac"#, flag.display());
    let numbers = barn.dataset(&format!("{wait}\n{COPY}")).build().unwrap();
    let derived = hourly(
        Dataset::function("follows", "1", move |job: &Job| -> Result<(), BoxError> {
            fs::write(&flag, "")?;
            write_table(job.output("table")?, &[1]);
            Ok(())
        })
        .upstream(&numbers),
    );
    assert_eq!(outcomes(&barn.load(&derived, 2).workers(2).blocking().unwrap()), ["generated"; 2]);
}

#[test]
fn datasets_may_be_derived_from_derived_ones() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let second = sums.chain(&numbers);
    let third = hourly(sums.named("third", "numbers").upstream(&numbers).upstream(&second));
    let loaded = barn.load(&third, 2).blocking().unwrap();
    assert_eq!((outcomes(&loaded), loaded.upstream.len()), (vec!["generated"; 2], 6));
    assert_eq!((barn.runs(), sums.calls()), (2, 6));
    let again = barn.load(&third, 2).blocking().unwrap();
    assert_eq!((outcomes(&again), again.upstream.len()), (vec!["hit"; 2], 0));
}

#[test]
fn what_is_missing_upstream_is_a_policy_of_its_own() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    barn.load(&numbers, 1).blocking().unwrap();

    let loaded = barn.load(&derived, 3).on_missing_upstream(OnMissing::Skip).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["generated", "missing", "missing"]);
    let Outcome::Missing { reason: Some(reason) } = &loaded.partitions[1].outcome else { panic!() };
    assert!(reason.starts_with("its upstream numbers binance/BTC-USDT 2024-01-01T01:00:00Z/") && reason.ends_with("is missing"), "{reason}");
    assert_eq!(loaded.partitions[1].address, None, "its address holds what it would read");
    assert_eq!((barn.runs(), sums.calls()), (1, 1));

    let error = barn.load(&derived, 3).on_missing_upstream(OnMissing::Fail).blocking().unwrap_err();
    let Error::Missing { missing: 2, requested: 3, dataset, reason, .. } = &error else { panic!("{error}") };
    assert!(dataset == "sums" && reason.contains("its upstream numbers"), "{error}");
    assert_eq!((barn.runs(), sums.calls()), (1, 1), "it failed before anything was generated");

    assert_eq!(outcomes(&barn.load(&derived, 3).blocking().unwrap()), ["hit", "generated", "generated"]);
}

#[test]
fn a_load_that_only_reads_generates_no_upstream() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    assert_eq!(outcomes(&barn.load(&derived, 2).policy(Mode::ReadIgnoreErrors.policy()).blocking().unwrap()), ["missing"; 2]);
    let error = barn.load(&derived, 2).policy(Mode::Read.policy()).blocking().unwrap_err();
    assert!(matches!(&error, Error::Missing { missing: 2, .. }) && error.to_string().contains("its upstream numbers"), "{error}");
    barn.load(&derived, 1).blocking().unwrap();
    assert_eq!(outcomes(&barn.load(&derived, 2).policy(Mode::ReadIgnoreErrors.policy()).blocking().unwrap()), ["hit", "missing"]);
    assert_eq!((barn.runs(), sums.calls()), (1, 1));
}

#[test]
fn what_fails_upstream_is_a_failure_of_all_that_follows() {
    let barn = Barn::new();
    let numbers = barn.dataset(&format!(r#"case "$2" in *T00:*) echo "no feed" >&2; exit 7;; esac; {COPY}"#)).build().unwrap();
    let sums = Sums::default();
    let second = sums.chain(&numbers);
    let loaded = barn.load(&second, 2).policy(skip_failures()).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["failed", "generated"]);
    let Outcome::Failed { failure, recorded: false } = &loaded.partitions[0].outcome else { panic!() };
    assert_eq!(failure.class.as_str(), "upstream");
    assert!(failure.message.contains("its upstream first binance/BTC-USDT") && failure.message.contains("exit status 7: no feed"), "{failure}");
    let upstream: Vec<_> = loaded.upstream.iter().map(|partition| (&*partition.dataset, partition.outcome.as_str())).collect();
    assert_eq!(upstream.iter().filter(|(_, outcome)| *outcome == "failed").count(), 2, "{upstream:?}");

    let error = barn.load(&second, 2).blocking().unwrap_err();
    assert!(matches!(&error, Error::Generation { dataset, .. } if dataset == "numbers"), "{error}");
}

#[test]
fn an_upstream_without_data_is_told_as_such() {
    let barn = Barn::new();
    let numbers = barn.dataset(&format!(r#"case "$2" in *T00:*) exit 3;; esac; {COPY}"#)).empty_exit_codes([3]).build().unwrap();
    let derived = hourly(
        Dataset::function("maybe", "1", |job: &Job| -> Result<Option<()>, BoxError> {
            let numbers = job.upstream("numbers")?;
            if numbers.is_empty() {
                assert!(numbers.partitions()[0].outputs.is_empty());
                return Ok(None);
            }
            write_table(job.output("table")?, &[1]);
            Ok(Some(()))
        })
        .upstream(&numbers),
    );
    assert_eq!(outcomes(&barn.load(&derived, 2).blocking().unwrap()), ["empty", "generated"]);
    assert_eq!(outcomes(&barn.load(&derived, 2).blocking().unwrap()), ["empty", "hit"]);
}

#[test]
fn a_coarser_partition_reads_all_the_finer_ones_in_time_order() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let derived = every("3h", sums.of(&numbers));
    let loaded = barn.load(&derived, 5).blocking().unwrap();
    assert_eq!((outcomes(&loaded), barn.runs()), (vec!["generated"; 2], 5));
    let hour = |hour: u32| Interval::new(first_hours(hour + 1).end(), first_hours(hour + 2).end()).unwrap();
    let mut seen = sums.seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [vec![first_hours(1), hour(0), hour(1)], vec![hour(2), hour(3)]], "the last one is clipped as the request is");
}

#[test]
fn finer_partitions_share_the_whole_cell_around_them() {
    let barn = Barn::new();
    let numbers = every("4h", barn.dataset(COPY));
    let sums = Sums::default();
    let derived = hourly(sums.of(&numbers));
    let two = Interval::new(first_hours(1).end(), first_hours(3).end()).unwrap();
    let loaded = barn.store.load().request(&derived, &instrument(), two).blocking().unwrap();
    assert_eq!((outcomes(&loaded), barn.runs(), sums.calls()), (vec!["generated"; 2], 1, 2));
    assert_eq!(*sums.seen.lock().unwrap(), [[first_hours(4)], [first_hours(4)]]);
    // The cell is what a load of four hours asks for.
    assert_eq!(outcomes(&barn.load(&numbers, 4).blocking().unwrap()), ["hit"]);
}

#[test]
fn splits_that_do_not_fit_are_refused_at_the_definition() {
    let barn = Barn::new();
    let split = |every: &str, align| Split::every(every).unwrap().aligned(align);
    let refusal = |derived: Split, upstream: Split| {
        let numbers = barn.dataset(COPY).split(upstream).build().unwrap();
        match Sums::default().of(&numbers).split(derived).build() {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    let (grid, cover, start) = (Align::Grid, Align::Cover, Align::Start);
    let odd = refusal(split("5h", grid), split("2h", grid));
    assert!(odd.contains("dataset sums: inputs numbers: its partitions (5h) do not fit those of dataset numbers (2h)"), "{odd}");
    assert!(odd.contains("neither length divides the other"), "{odd}");
    for (derived, upstream) in [((grid), (start)), ((start), (grid)), ((cover), (start)), ((start), (cover))] {
        let refused = refusal(split("1h", derived), split("1h", upstream));
        assert!(refused.contains("align both alike"), "{refused}");
    }
    assert!(refusal(split("1h", start), split("2h", start)).contains("none of them is whole"));
    for (derived, upstream) in [("1h", "4h"), ("4h", "1h"), ("1h", "1h")] {
        for (one, other) in [(grid, grid), (grid, cover), (cover, grid), (cover, cover)] {
            assert_eq!(refusal(split(derived, one), split(upstream, other)), "");
        }
    }
    assert_eq!(refusal(split("4h", start), split("2h", start)), "");
}

#[test]
fn a_whole_cell_that_ends_in_the_future_is_refused_before_anything_runs() {
    let barn = Barn::new();
    let numbers = every("24h", barn.dataset(COPY));
    let derived = every("1m", Sums::default().of(&numbers));
    let now = Time::now().ns();
    let minute = Interval::new(Time::from_ns(now - 180_000_000_000), Time::from_ns(now - 120_000_000_000)).unwrap();
    let load = |allow_future| {
        let policy = Policy { allow_future, ..Policy::default() };
        barn.store.load().request(&derived, &instrument(), minute).policy(policy).blocking()
    };
    let error = load(false).unwrap_err();
    assert!(matches!(&error, Error::Future { dataset, .. } if dataset == "numbers"), "{error}");
    assert_eq!(barn.runs(), 0);
    assert!(load(true).unwrap().partitions.iter().all(|partition| partition.outcome.entry().is_some()));
}

#[test]
fn only_the_outputs_that_are_read_are_in_the_key() {
    let barn = Barn::new();
    let sums = Sums::default();
    let of = |second: &str, outputs: &[&str]| {
        let both = DatasetFile::parse(
            &format!(
                r#"[dataset.numbers]
                command = ["/bin/sh", "-c", "cp \"$1/three.parquet\" \"$2\"; cp \"$1/{second}.parquet\" \"$3\"", "sh", "{fixtures}", "{{output.table}}", "{{output.other}}"]
                outputs = {{ table = "table.parquet", other = "other.parquet" }}
                split = "1h""#,
                fixtures = barn.path("fixtures").display()
            ),
            &barn.path("tickbarn.toml"),
            &barn.path(""),
            &[],
        );
        let both = both.unwrap().dataset("numbers").unwrap().clone();
        let derived = hourly(sums.named("sums", "numbers").upstream_outputs("numbers", &both, outputs.iter().copied()));
        barn.load(&derived, 1).blocking().unwrap().partitions[0].clone()
    };
    let one = of("three", &["table"]);
    assert_eq!(of("two", &["table"]).address, one.address, "the output that is not read may change");
    let all = of("three", &["table", "other"]);
    assert_ne!(all.address, one.address);
    assert_ne!(of("two", &["table", "other"]).address, all.address);
    assert_eq!(sums.calls(), 3);
    let error = sums.named("sums", "numbers").upstream_outputs("numbers", &barn.dataset(COPY).build().unwrap(), ["tabel"]).build().unwrap_err();
    assert!(error.to_string().contains("has no output \"tabel\" (did you mean table?)"), "{error}");
}

/// A dataset file with `numbers`, and after it what a test says.
fn file(barn: &Barn, more: &str) -> Result<DatasetFile, Error> {
    let text = format!(
        r#"
{more}
[dataset.numbers]
command = ["/bin/sh", "-c", "echo run >> \"$1/runs\"; cp \"$1/fixtures/three.parquet\" \"$2\"", "sh", "{}", "{{output.table}}"]
outputs = {{ table = "table.parquet" }}
split = "1h"
"#,
        barn.path("").display()
    );
    DatasetFile::parse(&text, &barn.path("tickbarn.toml"), &barn.path(""), &[])
}

#[test]
fn a_command_is_told_the_files_of_its_upstream() {
    let barn = Barn::new();
    let derived = |split: &str, argument: &str| {
        file(
            &barn,
            &format!(
                r#"
[dataset.copies]
command = ["/bin/sh", "-c", "shift; out=$1; shift; echo \"$#\" >> {counts}; cat {{file.list}} >> {counts}; cp \"${{{{1#--in=}}}}\" \"$out\"", "sh", "x", "{{output.copy}}", "{argument}"]
outputs = {{ copy = "copy.parquet" }}
inputs = ["numbers"]
split = "{split}"
[dataset.copies.file.list]
files = "{{upstream.numbers.table}}"
"#,
                counts = barn.path("counts").display()
            ),
        )
    };
    let load = |split: &str, argument: &str| {
        let _ = fs::remove_file(barn.path("counts"));
        let loaded = barn.load(derived(split, argument).unwrap().dataset("copies").unwrap(), 2).workers(1).blocking().unwrap();
        assert!(loaded.partitions.iter().all(|partition| partition.outcome.as_str() == "generated"));
        fs::read_to_string(barn.path("counts")).unwrap()
    };
    let artifact = barn.load(file(&barn, "").unwrap().dataset("numbers").unwrap(), 2).blocking().unwrap();
    let path = artifact.partitions[0].outcome.entry().unwrap().outputs[0].path.display().to_string();
    for argument in ["{upstream.numbers.table}", "--in={upstream.numbers.table}"] {
        assert_eq!(load("1h", argument), format!("1\n{{\"files\":[\"{path}\"]}}").repeat(2));
    }
    assert_eq!(load("2h", "{upstream.numbers.table}"), format!("2\n{{\"files\":[\"{path}\",\"{path}\"]}}"));
    let error = derived("2h", "--in={upstream.numbers.table}").unwrap_err();
    assert!(error.to_string().contains("let it be an argument of its own"), "{error}");
    assert_eq!(barn.runs(), 2);
}

#[test]
fn a_command_that_needs_a_file_where_there_is_none_fails_as_such() {
    let barn = Barn::new();
    let numbers = barn.dataset("exit 3").empty_exit_codes([3]).build().unwrap();
    let derived = |argument: &str| {
        let command = ["/bin/sh", "-c", "[ \"$#\" = 1 ] && cp {input.two} \"$1\"", "sh", "{output.table}", argument];
        hourly(Dataset::command("copies", command).output("table", "t.parquet").input("two", barn.path("fixtures/two.parquet")).upstream(&numbers))
    };
    let loaded = barn.load(&derived("--in={upstream.numbers.table}"), 1).policy(skip_failures()).blocking().unwrap();
    let Outcome::Failed { failure, .. } = &loaded.partitions[0].outcome else { panic!("{loaded:?}") };
    assert_eq!(failure.class.as_str(), "upstream");
    assert!(failure.message.contains("no file for {upstream.numbers.table}"), "{failure}");
    assert_eq!(outcomes(&barn.load(&derived("{upstream.numbers.table}"), 1).blocking().unwrap()), ["generated"], "an argument of its own goes");
}

#[test]
fn a_dataset_file_finds_upstreams_wherever_they_stand_and_refuses_circles() {
    let barn = Barn::new();
    let dataset = |name: &str, inputs: &str| {
        format!("[dataset.{name}]\ncommand = [\"/bin/sh\"]\noutputs = {{ table = \"t.parquet\" }}\ninputs = {inputs}\nsplit = \"1h\"\n")
    };
    let refusal = |more: &str| file(&barn, more).map(drop).unwrap_err().to_string();
    let upstream = |more: &str| {
        let file = file(&barn, more).unwrap();
        file.dataset("a").unwrap().upstream().map(|(name, dataset)| format!("{name}={}", dataset.name())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(upstream(&[dataset("a", r#"["numbers", "b.table"]"#), dataset("b", r#"["numbers"]"#)].concat()), "b=b numbers=numbers");
    assert_eq!(upstream(&dataset("a", r#"{ feed = "numbers", same = ["numbers.table"] }"#)), "feed=numbers same=numbers");

    let circle = refusal(&[dataset("a", r#"["b"]"#), dataset("b", r#"["c"]"#), dataset("c", r#"["a"]"#)].concat());
    assert!(circle.contains("a would be derived from itself: a → b → c → a"), "{circle}");
    assert!(circle.contains("tickbarn.toml:15: [dataset.c] inputs"), "{circle}");
    assert!(refusal(&dataset("a", r#"["a"]"#)).contains("a → a"));
    let unknown = refusal(&dataset("a", r#"["number"]"#));
    assert!(unknown.contains("there is no dataset number (did you mean numbers?); the file has a, numbers"), "{unknown}");
    let output = refusal(&dataset("a", r#"["numbers.tabel"]"#));
    assert!(output.contains("has no output \"tabel\" (did you mean table?)"), "{output}");
    for bad in ["7", "\"numbers\"", "[7]", "{ feed = 7 }"] {
        assert!(refusal(&dataset("a", bad)).contains("a list such as"), "{bad}: {}", refusal(&dataset("a", bad)));
    }
    let both = refusal(&[dataset("a", r#"{ feed = ["numbers", "b"] }"#), dataset("b", "[]")].concat());
    assert!(both.contains("feed would be both numbers and b"), "{both}");
}

#[test]
fn progress_tells_of_upstreams_and_attempts() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let derived = hourly(
        Dataset::function("flaky", "1", |job: &Job| -> Result<(), BoxError> {
            if job.attempt() == 1 {
                return Err("not yet".into());
            }
            write_table(job.output("table")?, &[1]);
            Ok(())
        })
        .upstream(&numbers)
        .retries(1)
        .retry_delay(Duration::from_millis(1)),
    );
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let load = barn.load(&derived, 1).progress(move |progress| {
        telling.lock().unwrap().push(match progress {
            Progress::Planned { requested, answered, upstream, .. } => format!("planned {requested} {answered} {upstream}"),
            Progress::Started { place, attempt, .. } => format!("started {} {attempt}", place.dataset),
            Progress::Retrying { place, attempt, failure, .. } => format!("retrying {} {attempt} {failure}", place.dataset),
            Progress::Upstream(partition) => format!("upstream {} {}", partition.dataset, partition.outcome.as_str()),
            Progress::Partition(partition) => format!("partition {} {}", partition.dataset, partition.outcome.as_str()),
            other => format!("{other:?}"),
        });
    });
    load.blocking().unwrap();
    let expected = [
        "planned 1 0 1",
        "started numbers 1",
        "upstream numbers generated",
        "started flaky 1",
        "retrying flaky 1 not yet (error)",
        "started flaky 2",
        "partition flaky generated",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn two_processes_worth_of_loads_make_each_upstream_once() {
    let barn = Barn::new();
    let numbers = barn.dataset(&format!("sleep 0.02\n{COPY}")).build().unwrap();
    let sums = Sums::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let store = tickbarn::Store::open(barn.store.path()).unwrap();
            let derived = hourly(sums.of(&numbers));
            scope.spawn(move || {
                let loaded = store.load().request(&derived, &instrument(), first_hours(6)).workers(2).blocking().unwrap();
                assert_eq!(loaded.summary().read, 6);
            });
        }
    });
    assert_eq!((barn.runs(), sums.calls()), (6, 6));
    assert!(barn.is_tidy());
}

#[test]
fn the_column_by_which_an_upstream_is_trimmed_is_in_the_key() {
    let barn = Barn::new();
    let sums = Sums::default();
    let over = |column: &str| hourly(sums.of(&every("4h", barn.dataset(COPY).time_column(column))));
    let first = barn.load(&over("ts"), 1).blocking().unwrap();
    let other = barn.load(&over("received"), 1).blocking().unwrap();
    assert_ne!(first.partitions[0].address, other.partitions[0].address, "the same bytes trimmed by another column are other rows");
    assert_eq!((barn.runs(), sums.calls()), (1, 2));
}

#[test]
fn how_the_two_are_cut_changes_nothing_that_a_command_is_told() {
    let barn = Barn::new();
    let told = |split: &str| {
        let more = format!(
            r#"
[dataset.copies]
command = ["/bin/sh", "-c", "cp \"$1\" {told}; cp {two} \"$2\"", "sh", "{{file.list}}", "{{output.copy}}"]
outputs = {{ copy = "copy.parquet" }}
inputs = ["numbers"]
split = "{split}"
[dataset.copies.file.list]
files = "{{upstream.numbers.table}}"
"#,
            told = barn.path("told").display(),
            two = barn.path("fixtures/two.parquet").display()
        );
        let loaded = barn.load(file(&barn, &more).unwrap().dataset("copies").unwrap(), 1).refresh().blocking().unwrap();
        (loaded.partitions[0].address, fs::read_to_string(barn.path("told")).unwrap())
    };
    // A request of an hour is one hour of either.
    assert_eq!(told("1h"), told("2h"));
}

#[test]
fn missing_upstream_fails_also_where_it_turns_out_late() {
    let barn = Barn::new();
    let numbers = barn.dataset(COPY).build().unwrap();
    let sums = Sums::default();
    let second = sums.chain(&numbers);
    let load = |failure| {
        let load = barn.load(&second, 1).request(&numbers, &instrument(), first_hours(1));
        load.on_missing_upstream(OnMissing::Fail).on_failure(failure).refresh().blocking()
    };
    for failure in [OnFailure::Fail, OnFailure::Skip] {
        let error = load(failure).unwrap_err();
        assert!(matches!(&error, Error::Missing { dataset, .. } if dataset == "first"), "{error}");
    }
    assert_eq!(sums.calls(), 0);
}

#[test]
fn a_variable_never_holds_a_word_in_place_of_a_file() {
    let barn = Barn::new();
    let numbers = barn.dataset("exit 3").empty_exit_codes([3]).build().unwrap();
    let script = ["/bin/sh", "-c", "cp {input.two} \"$0\"", "{output.table}"];
    let plain = || Dataset::command("copies", script).output("table", "t.parquet").input("two", barn.path("fixtures/two.parquet"));
    let failure = |builder: DatasetBuilder| {
        let loaded = barn.load(&hourly(builder.upstream(&numbers)), 1).policy(skip_failures()).blocking().unwrap();
        match &loaded.partitions[0].outcome {
            Outcome::Failed { failure, .. } => failure.class.as_str(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure(plain().env("MD", "{upstream.numbers.table}")), "upstream");
    assert_eq!(failure(plain().file("list", "path={upstream.numbers.table}")), "upstream");
}

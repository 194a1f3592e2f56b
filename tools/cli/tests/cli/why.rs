//! Why something is generated: what is told of a partition, of addresses, and in a line of a load.

use std::fs;

use crate::support::{Barn, COPIES, Ran, Samples};

const WHY: [&str; 6] = ["why", "md", "-i", "test/ONE", "--start", "2024-01-01"];

fn why(barn: &Barn, more: &[&str]) -> Ran {
    barn.run(&[&WHY[..], more].concat()).ok()
}

/// `copies`, each of whose partitions is a copy of the one of `md`.
fn with_copies(barn: &Barn) {
    let text = fs::read_to_string(barn.at("tickbarn.toml")).unwrap();
    let copies = "[dataset.copies]\ncommand = [\"/bin/cp\", \"{upstream.md.trades}\", \"{output.copy}\"]\noutputs = { copy = \"copy.parquet\" }\n\
                  inputs = [\"md\"]\nsplit = \"1h\"\n";
    barn.write("tickbarn.toml", (text + copies).as_bytes());
}

fn load_copies(barn: &Barn, more: &[&str]) -> Ran {
    let mut arguments = Barn::load_arguments(1, more);
    arguments[1] = "copies";
    barn.run(&arguments)
}

#[test]
fn every_change_of_a_dataset_is_named() {
    let barn = Barn::with(COPIES, "env = { HOST = \"a\" }");
    barn.load(1, &[]).ok();
    let address = barn.address(0);
    let told = |words: &str| {
        let ran = why(&barn, &[]);
        assert!(ran.stdout.contains("is not in the store under this key; would be generated"), "{ran:#?}");
        assert!(ran.stdout.contains(&format!("\n{} was generated at ", &address[..12])), "{ran:#?}");
        let [line] = &ran.stdout.lines().filter(|line| line.starts_with("  ")).skip(1).collect::<Vec<_>>()[..] else { panic!("{ran:#?}") };
        assert!(line.trim_start().starts_with(words), "{ran:#?}");
    };
    for (from, to, words) in [
        ("levels = 40", "levels = 20", "config.levels 40 → 20"),
        ("levels = 40", "levels = 40\nnew = \"x\"", "config.new added: \"x\""),
        ("HOST = \"a\"", "HOST = \"b\"", "env.HOST \"a\" → \"b\""),
        ("\"{config.levels}\"]", "\"{config.levels}\", \"--fast\"]", "argument 7 \"--fast\" added"),
        ("\"{start}\"", "\"--start={start}\"", "argument 4 \"{start}\" → \"--start={start}\""),
        ("command = [\"/bin/sh\"", "version = \"2\"\ncommand = [\"/bin/sh\"", "program known by its digest "),
    ] {
        barn.edit(from, to);
        told(words);
        barn.edit(to, from);
    }
    fs::copy(Samples::get().other(), barn.at("sample.parquet")).unwrap();
    told("input sample sample.parquet changed: written 20");
    fs::copy(Samples::get().one(), barn.at("sample.parquet")).unwrap();
    let set = why(&barn, &["--set", "md.config.levels=5", "--json"]);
    let line = &set.json()[0];
    let difference = &line["nearest"][0]["differences"][0];
    assert_eq!((line["type"].as_str(), line["standing"].as_str()), (Some("why"), Some("absent")), "{set:#?}");
    assert_eq!(line["nearest"][0]["address"], address);
    assert_eq!(
        (difference["before"].as_i64(), difference["after"].as_i64(), difference["field"].as_str()),
        (Some(40), Some(5), Some("config.levels"))
    );
    assert_eq!(barn.calls(), 1, "nothing runs to tell why");
}

#[test]
fn a_rebuilt_program_is_named_with_its_time_and_digests() {
    let barn = Barn::new(COPIES);
    let build = |note: &str| {
        use std::os::unix::fs::PermissionsExt;
        barn.write("new", format!("#!/bin/sh\n# {note}\ncp \"$1\" \"$2\"\n").as_bytes());
        fs::set_permissions(barn.at("new"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(barn.at("new"), barn.at("exporter")).unwrap();
    };
    build("first");
    barn.edit("\"/bin/sh\", \"{input.script}\"", "\"./exporter\"");
    barn.load(2, &[]).ok();
    build("second");
    let told = why(&barn, &[]);
    let line = told.stdout.lines().last().unwrap().trim();
    assert!(line.starts_with("program ./exporter changed: built 20") && line.contains(", digest ") && line.contains("… → "), "{told:#?}");
    let ran = barn.load(2, &[]).ok();
    let again = ran.stderr.lines().find(|line| line.starts_with("md: ")).unwrap_or_else(|| panic!("{ran:#?}"));
    assert!(again.starts_with("md: 2 partitions are generated again because program ./exporter changed: built 20"), "{again}");
    assert!(again.ends_with("; `tickbarn why md -i test/ONE --start 2024-01-01T00:00:00Z` says more"), "{again}");
}

#[test]
fn a_load_says_once_why_it_generates_what_was_there() {
    let barn = Barn::new(COPIES);
    let says = |ran: &Ran| ran.stderr.lines().filter(|line| line.contains("again because")).map(str::to_owned).collect::<Vec<_>>();
    assert!(says(&barn.load(3, &[]).ok()).is_empty(), "nothing was there");
    assert!(says(&barn.load(4, &[]).ok()).is_empty(), "hits, and what was never there");
    let set = ["--set", "md.config.levels=5"];
    assert!(says(&barn.load(1, &[&set[..], &["--json"]].concat()).ok()).is_empty(), "programs are told nothing new");
    let said = says(&barn.load(3, &set).ok());
    let more = "`tickbarn why md -i test/ONE --start 2024-01-01T01:00:00Z --set 'md.config.levels=5'` says more";
    assert_eq!(said, [format!("md: 2 partitions are generated again because config.levels 40 → 5; {more}")]);
    // The command that is named does say more.
    let told = barn.run(&["why", "md", "-i", "test/ONE", "--start", "2024-01-01T01:00:00Z", "--set", "md.config.levels=6"]).ok();
    assert!(told.stdout.contains("config.levels 5 → 6") && told.stdout.contains("config.levels 40 → 6"), "{told:#?}");
    // A part of a cell is named as that.
    let part = ["load", "md", "-i", "test/ONE", "--start", "2024-01-01T00:10:00Z", "--end", "2024-01-01T00:40:00Z"];
    barn.run(&part).ok();
    let said = says(&barn.run(&[&part[..], &set[..]].concat()).ok());
    assert!(said[0].starts_with("md: 1 partition is generated again") && said[0].contains("--start 2024-01-01T00:10:00Z --end 2024-01-01T00:40:00Z"));
    assert!(says(&barn.load(1, &["--refresh"]).ok()).is_empty(), "who asks for it knows why");
}

#[test]
fn failures_are_told_with_how_often_and_what_was_there_before() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    barn.script("echo 'no such feed' >&2; exit 7");
    for _ in 0..3 {
        barn.load(1, &["--on-failure", "skip"]).ok();
    }
    let told = why(&barn, &[]);
    assert!(told.stdout.contains("\n  failed 3 times: the generator ended with exit status 7: no such feed (exit), last at 20"), "{told:#?}");
    assert!(told.stdout.contains("tickbarn logs ") && told.stdout.contains("  input script gen.sh changed: "), "{told:#?}");
    let json = why(&barn, &["--json"]).json().remove(0);
    assert_eq!(
        (json["failure"]["count"].as_u64(), json["failure"]["class"].as_str(), json["standing"].as_str()),
        (Some(3), Some("exit"), Some("absent"))
    );
    // By its address alone, too.
    let address = json["address"].as_str().unwrap();
    let told = barn.run(&["why", &address[..10]]).ok();
    assert!(told.stdout.contains("failed 3 times") && told.stdout.contains("input script changed: digest "), "{told:#?}");
}

#[test]
fn what_is_there_and_what_never_was_is_said() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let before = barn.tree();
    let hit = why(&barn, &[]);
    assert!(
        hit.stdout.contains("\n  is in the store since 20") && hit.stdout.contains(" ago), generated in ")
            || hit.stdout.contains("(just now), generated in "),
        "{hit:#?}"
    );
    assert!(hit.stdout.ends_with("; would not be generated\n"), "{hit:#?}");
    // Anywhere in the partition; and as a load cuts it.
    assert_eq!(barn.run(&["why", "md", "-i", "test/ONE", "--start", "2024-01-01T00:59:59Z"]).ok().stdout.lines().next(), hit.stdout.lines().next());
    let more = barn.run(&["why", "md", "-i", "test/ONE", "--start", "2024-01-01", "--end", "2024-01-02", "--json"]).ok();
    assert!(more.stderr.contains("that interval has 24 partitions; this is about the first"), "{more:#?}");
    assert_eq!(more.json()[0]["standing"], "usable");
    let never = barn.run(&["why", "md", "-i", "test/TWO", "--start", "2024-01-01"]).ok();
    assert!(never.stdout.ends_with("\n  never generated; would be generated\n"), "{never:#?}");
    let future = barn.run(&["why", "md", "-i", "test/ONE", "--start", "2099-01-01"]).ok();
    assert!(future.stdout.contains("ends in the future: loads refuse it, but with --allow-future"), "{future:#?}");
    // A part of the partition is another one, whose nearest is the whole.
    let part = barn.run(&["why", "md", "-i", "test/ONE", "--start", "2024-01-01T00:30", "--end", "2024-01-01T01:00"]).ok();
    assert!(
        part.stdout.contains(" was generated for 2024-01-01 00:00 to 01:00 at ") && part.stdout.contains("\n  interval 2024-01-01T00:00:00Z/"),
        "{part:#?}"
    );
    assert!(barn.tree() == before, "nothing is changed by asking");
}

#[test]
fn what_is_there_and_counts_as_missing_is_said_with_the_reason() {
    let barn = Barn::new(COPIES);
    barn.load(1, &[]).ok();
    let path = barn.run(&["path", &barn.address(0)]).ok().stdout.trim().to_owned();
    fs::rename(&path, barn.at("aside")).unwrap();
    let told = why(&barn, &[]);
    assert!(told.stdout.contains(" since 20") && told.stdout.contains(", and counts as missing: damaged: artifact "), "{told:#?}");
    assert!(told.stdout.contains(" is gone; would be generated"), "{told:#?}");
    assert_eq!(why(&barn, &["--json"]).json()[0]["standing"], "unusable");
    fs::rename(barn.at("aside"), &path).unwrap();

    barn.script("exit 3");
    barn.load(1, &[]).ok();
    let empty = why(&barn, &[]);
    assert!(empty.stdout.contains("without data, as its generator said; would not be generated"), "{empty:#?}");
    barn.edit("empty_exit_codes = [3]", "empty_exit_codes = [4]");
    let told = why(&barn, &[]);
    assert!(told.stdout.contains("counts as missing: it was taken as empty by exit status 3, which the dataset no longer declares"), "{told:#?}");

    barn.script(COPIES);
    barn.run(&["load", "md", "-i", "test/ONE", "--start", "2099-01-01", "--end", "2099-01-01T01:00", "--allow-future"]).ok();
    let early = barn.run(&["why", "md", "-i", "test/ONE", "--start", "2099-01-01"]).ok();
    assert!(early.stdout.contains("before the interval was over; would be generated"), "{early:#?}");
}

#[test]
fn an_upstream_is_named_with_what_changed_there() {
    let barn = Barn::new(COPIES);
    with_copies(&barn);
    let of_copies = |more: &[&str]| barn.run(&[&["why", "copies", "-i", "test/ONE", "--start", "2024-01-01"], more].concat()).ok();
    barn.run(&["load", "md", "-i", "test/TWO", "--start", "2024-01-01", "--end", "2024-01-01T01:00"]).ok();
    // What it is derived from is not there: it has no address.
    let blocked = of_copies(&[]);
    assert!(
        blocked.stdout.contains("has no address yet, since its upstream is missing:\n    md test/ONE 2024-01-01 00:00 to 01:00\n"),
        "{blocked:#?}"
    );
    let json = of_copies(&["--json"]).json().remove(0);
    assert!(json["standing"] == "blocked" && json["address"].is_null() && json["missing"][0]["dataset"] == "md", "{json}");

    load_copies(&barn, &[]).ok();
    assert!(of_copies(&[]).stdout.contains("would not be generated"));
    fs::copy(Samples::get().other(), barn.at("sample.parquet")).unwrap();
    let blocked = of_copies(&[]);
    assert!(
        blocked.stdout.contains("its upstream is missing") && blocked.stdout.contains("in the key, as far as that is known:\n  nothing differs"),
        "{blocked:#?}"
    );
    barn.load(1, &[]).ok();
    let told = of_copies(&[]);
    assert!(told.stdout.contains("\n  upstream md trades changed\n    since of that upstream\n      input sample changed: digest "), "{told:#?}");
    let ran = load_copies(&barn, &[]).ok();
    assert!(
        ran.stderr.contains("copies: 1 partition is generated again because upstream md trades changed, since input sample changed: digest "),
        "{ran:#?}"
    );
    // What was derived from other bytes of one key says that, too.
    fs::copy(Samples::get().one(), barn.at("sample.parquet")).unwrap();
    barn.script("if [ -e \"$4/turned\" ]; then cp \"$4/other.parquet\" \"$2\"; else cp \"$1\" \"$2\"; fi");
    fs::copy(Samples::get().other(), barn.at("other.parquet")).unwrap();
    load_copies(&barn, &[]).ok();
    let first = of_copies(&["--json"]).json().remove(0);
    barn.write("turned", b"");
    barn.load(1, &["--refresh"]).ok();
    let told = of_copies(&["--json"]).json().remove(0);
    assert!(first["standing"] == "usable" && told["standing"] == "usable", "an entry of before is found again: {told}");
}

#[test]
fn two_addresses_are_compared_wherever_they_are() {
    let barn = Barn::new(COPIES);
    with_copies(&barn);
    let lines = load_copies(&barn, &["--json"]).ok().json();
    let address = |dataset: &str| lines.iter().find(|line| line["dataset"] == dataset).unwrap()["address"].as_str().unwrap().to_owned();
    let (md, copies) = (address("md"), address("copies"));
    let told = barn.run(&["why", &md[..12], &copies[..12]]).ok();
    assert!(told.stdout.starts_with("from  md  test/ONE  ") && told.stdout.contains("\nto    copies  test/ONE  "), "{told:#?}");
    for words in ["upstream md added", "output copy added (copy.parquet)", "config.levels removed, was 40"] {
        assert!(told.stdout.contains(&format!("\n  {words}")), "{words}: {told:#?}");
    }
    let same = barn.run(&["why", &md, &md]).ok();
    assert!(same.stdout.ends_with("Their keys are the same: they are one\n"), "{same:#?}");
    let json = barn.run(&["why", &md, &copies, "--json"]).ok().json().remove(0);
    assert_eq!((json["type"].as_str(), json["before"]["dataset"].as_str()), (Some("comparison"), Some("md")));
    // A failure has a key, too.
    barn.script("exit 7");
    barn.load(1, &["--on-failure", "skip"]).ok();
    let failed = barn.run(&["ls", "--failed", "--json"]).ok().json()[0]["address"].as_str().unwrap().to_owned();
    let told = barn.run(&["why", &md, &failed]).ok();
    assert!(
        told.stdout.contains("failed once: the generator ended with exit status 7") && told.stdout.contains("\n  input script changed: digest "),
        "{told:#?}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_way_out() {
    let barn = Barn::new("exit 7");
    barn.load(1, &["--on-failure", "skip"]).ok();
    let run = |arguments: &[&str]| barn.run(&[&["why"], arguments].concat());
    run(&[]).failed(2, &["DATASET|ADDRESS"]);
    run(&["md"]).failed(2, &["\"md\" is no address", "tickbarn why md --instrument MARKET/PAIR --start TIME"]);
    run(&["md", "-i", "test/ONE"]).failed(2, &["which partition of md", "give --start TIME"]);
    run(&["md", "--start", "2024-01-01"]).failed(2, &["give --instrument MARKET/PAIR"]);
    run(&["mdd", "-i", "test/ONE", "--start", "2024-01-01"]).failed(2, &["there is no dataset \"mdd\"", "md"]);
    run(&["md", "-i", "ONE", "--start", "2024-01-01"]).failed(2, &["MARKET/PAIR"]);
    run(&["md", "-i", "test/ONE", "--start", "soon"]).failed(2, &["soon"]);
    run(&["md", "-i", "test/ONE", "--start", "2024-01-02", "--end", "2024-01-01"]).failed(2, &["holds nothing"]);
    run(&["md", "-i", "test/ONE", "--start", "2024-01-01", "--set", "md.config.level=5"]).failed(2, &["did you mean"]);
    run(&["1234abcd", "1234abce", "-i", "test/ONE"]).failed(2, &["two addresses are compared as they are"]);
    run(&["0000", "1111"]).failed(2, &["no entry", "begins with 0000"]);
    // Two that begin alike.
    let address = barn.address(0);
    let shard = barn.at("barn/failures").join(&address[..2]);
    let other = format!("{}{}", &address[..63], if address.ends_with('0') { '1' } else { '0' });
    fs::copy(shard.join(format!("{address}.json")), shard.join(format!("{other}.json"))).unwrap();
    run(&[&address[..8]]).failed(2, &["begins 2 entries", "give more digits"]);
    assert!(run(&[&address]).ok().stdout.contains("failed once"));
    barn.run(&["why", "md", "-i", "test/ONE", "--start", "2024-01-01", "--store", "nowhere"]).failed(2, &["nowhere is not a tickbarn store"]);
    assert!(!barn.at("nowhere").exists());
}

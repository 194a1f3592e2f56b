//! Generators that end well and leave nothing, or something else: the class and a message, and nothing in the store.
//!
//! Invariant 9 of ARCHITECTURE.md.

use crate::support::Barn;

#[test]
fn what_is_no_whole_parquet_file_never_becomes_an_entry() {
    for (script, class, said) in [
        ("true", "no-output", vec!["trades.parquet", "left no"]),
        (": > \"$2\"", "bad-output", vec!["trades.parquet", "empty"]),
        ("mkdir \"$2\"", "bad-output", vec!["trades.parquet", "a directory"]),
        ("ln -s \"$1\" \"$2\"", "bad-output", vec!["trades.parquet", "symbolic link"]),
        ("head -c 1000 \"$1\" > \"$2\"", "bad-output", vec!["trades.parquet", "no whole Parquet file"]),
        ("mkfifo \"$2\"", "bad-output", vec!["trades.parquet", "not a regular Parquet file"]),
        ("exit 9", "exit", vec!["exit status 9", "said nothing"]),
        ("kill -TERM $$", "signal", vec!["signal 15"]),
        ("echo '# other' >> \"$4/gen.sh\"; cp \"$1\" \"$2\"", "changed-while-running", vec!["gen.sh", "changed"]),
    ] {
        let barn = Barn::new(script);
        let ran = barn.load(1, &["--json"]);
        let ran = ran.failed(1, &said);
        let line = &ran.json()[0];
        assert_eq!(line["failure"]["class"], class, "{script}: {ran:#?}");
        let message = line["failure"]["message"].as_str().unwrap();
        assert!(said.iter().all(|said| message.contains(said)), "{script}: {message}");
        assert!(line.get("outputs").is_none());
        assert_eq!(barn.run(&["ls", "--json"]).ok().stdout, "", "{script}: nothing is cached");
        assert!(!barn.tree().keys().any(|path| path.starts_with(barn.at("barn/artifacts")) && path.is_file()), "{script}");
        assert_eq!(barn.names_in("work").len(), 0, "{script}");
    }
}

#[test]
fn a_generator_that_takes_too_long_is_ended() {
    let barn = Barn::with("sleep 60", "timeout = \"200ms\"");
    let ran = barn.load(1, &["--json", "--on-failure", "skip"]).ok();
    assert_eq!(ran.json()[0]["failure"]["class"], "timeout");
    assert_eq!(ran.summary()["failed"], 1);
}

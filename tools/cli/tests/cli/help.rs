//! What `--help` says, and how a mistyped command is answered.

use std::path::Path;

use crate::support::{finished, tickbarn};

#[test]
fn every_command_explains_itself_with_an_example() {
    let run = |arguments: &[&str]| finished(tickbarn(Path::new("/")).args(arguments));
    let top = run(&["--help"]).ok();
    assert!(top.stdout.contains("A first session:"), "{}", top.stdout);
    assert!(!top.stdout.contains("\n  exporter"), "what the demo runs is no command for users: {}", top.stdout);
    for command in [
        "demo", "load", "gc", "why", "coverage", "report", "ls", "show", "logs", "path", "head", "diff", "stats", "du", "view", "pin", "verify",
        "doctor", "man",
    ] {
        assert!(top.stdout.contains(&format!("\n  {command} ")), "{command} stands in the list");
        for flag in ["-h", "--help"] {
            let help = run(&[command, flag]).ok();
            let (_, examples) = help.stdout.split_once("Example").unwrap_or_else(|| panic!("{}", help.stdout));
            assert!(examples.contains(&format!("tickbarn {command}")), "{examples}");
        }
    }
    for command in ["add", "ls", "rm"] {
        let help = run(&["pin", command, "--help"]).ok();
        assert!(help.stdout.contains(&format!("\n  tickbarn pin {command}")), "{}", help.stdout);
    }
}

#[test]
fn usage_errors_exit_with_two() {
    let run = |arguments: &[&str]| finished(tickbarn(Path::new("/")).args(arguments));
    run(&["laod"]).failed(2, &["laod", "load"]);
    run(&["load"]).failed(2, &["DATASET"]);
    assert_eq!(run(&[]).status, 2);
    assert!(run(&["--version"]).ok().stdout.starts_with("tickbarn "));
}

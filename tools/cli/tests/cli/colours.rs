//! Colours, on terminals that want them.

use std::process::{Command, Stdio};

use crate::support::{finished, tickbarn};

#[test]
fn colours_are_for_terminals_that_want_them() {
    let directory = tempfile::tempdir().unwrap();
    let is_coloured = |text: &str| {
        let mut after = text.split("\u{1b}[").skip(1);
        after.any(|rest| rest.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == ';').starts_with('m'))
    };
    // What fails, what is misspelt, and help.
    let commands = ["ls --store nowhere", "laod", "doctor --store nowhere", "view --help", "verify --store nowhere"];
    let without_wishes = |command: &mut Command| {
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(variable);
        }
    };
    let mut said = Vec::new();
    for line in commands {
        let mut plain = tickbarn(directory.path());
        plain.args(line.split(' ')).env("TERM", "xterm");
        without_wishes(&mut plain);
        let ran = finished(&mut plain);
        assert!(!is_coloured(&ran.stdout) && !is_coloured(&ran.stderr), "{line} without a terminal: {ran:#?}");
        let forced = finished(plain.env("CLICOLOR_FORCE", "1"));
        said.push((line, is_coloured(&forced.stdout) || is_coloured(&forced.stderr)));
        let refused = finished(plain.env("NO_COLOR", "1"));
        assert!(!is_coloured(&refused.stdout) && !is_coloured(&refused.stderr), "{line} with NO_COLOR: {refused:#?}");
    }
    assert!(said.iter().all(|(_, coloured)| *coloured), "forced: {said:?}");

    if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no script, which makes a terminal");
        return;
    }
    for line in commands {
        let on_a_terminal = |variables: &[(&str, &str)]| {
            let mut command = Command::new("script");
            let line = format!("{} {line}", env!("CARGO_BIN_EXE_tickbarn"));
            command.args(["-q", "-c", &line, "/dev/null"]).current_dir(directory.path()).env("TERM", "xterm").stdin(Stdio::null());
            without_wishes(&mut command);
            command.envs(variables.iter().copied());
            is_coloured(&finished(&mut command).stdout)
        };
        assert!(on_a_terminal(&[]), "{line}");
        for refused in [&[("NO_COLOR", "1")][..], &[("CLICOLOR", "0")], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], &[("TERM", "dumb")]] {
            assert!(!on_a_terminal(refused), "{line} with {refused:?}");
        }
    }
}

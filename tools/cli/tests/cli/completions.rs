//! What shells complete, asked as they ask, and man pages as `man` renders them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Barn, COPIES, finished, tickbarn};

/// A shell in a barn's directory, in which `tickbarn` is the command under test.
fn shell(barn: &Barn, program: &str, script: &str) -> Option<Vec<String>> {
    if Command::new(program).args(["-c", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: there is no {program}");
        return None;
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_tickbarn")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.args(["-c", script]).current_dir(barn.path()).env("PATH", path).env("HOME", barn.path()).env("TERM", "dumb").stdin(Stdio::null());
    command.env_remove("TICKBARN_CONFIG").env_remove("TICKBARN_STORE");
    let ran = finished(&mut command).ok();
    Some(ran.stdout.split(['\n', '\r', '\u{b}']).map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect())
}

/// With datasets `md` and `mids`, an entry and a pin.
fn barn() -> Barn {
    let barn = Barn::new(COPIES);
    let mids = "[dataset.mids]\ncommand = [\"/bin/sh\", \"{output.mid}\"]\noutputs = { mid = \"mid.parquet\" }\n";
    barn.write("tickbarn.toml", (fs::read_to_string(barn.at("tickbarn.toml")).unwrap() + mids).as_bytes());
    barn.load(1, &[]).ok();
    barn.run(&["pin", "add", "paper", "-d", "md"]).ok();
    barn
}

/// What bash offers for the last word of a line.
fn bash(barn: &Barn, words: &[&str]) -> Option<Vec<String>> {
    let script = format!(
        "source <(COMPLETE=bash tickbarn)
         COMP_WORDS=({}) COMP_CWORD={} COMP_TYPE=9
         _clap_complete_tickbarn tickbarn \"${{COMP_WORDS[COMP_CWORD]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1
    );
    shell(barn, "bash", &script)
}

#[test]
fn bash_completes_commands_flags_datasets_pins_addresses_and_words() {
    let barn = barn();
    let address = barn.address(0);
    let elsewhere = barn.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("tickbarn.toml"), fs::read_to_string(barn.at("tickbarn.toml")).unwrap().replace("mids", "middle")).unwrap();
    let cases: [(&[&str], &[&str]); 9] = [
        (&["tickbarn", "ver"], &["verify"]),
        (&["tickbarn", "load", "m"], &["md", "mids"]),
        (&["tickbarn", "load", "md", "mi"], &["mids"]),
        (&["tickbarn", "gc", "--dataset", "md"], &["md"]),
        (&["tickbarn", "--config", "elsewhere", "load", "mi"], &["middle"]),
        (&["tickbarn", "pin", "rm", "p"], &["paper"]),
        (&["tickbarn", "show", &address[..6]], &[&address]),
        (&["tickbarn", "load", "md", "--on-missing", "s"], &["skip"]),
        (&["tickbarn", "view", "shown", "--layout", "pl"], &["plain"]),
    ];
    for (words, expected) in cases {
        let Some(offered) = bash(&barn, words) else { return };
        assert_eq!(offered, expected, "{words:?}");
    }
    let flags = bash(&barn, &["tickbarn", "view", "--l"]).unwrap();
    assert_eq!(flags, ["--latest", "--layout", "--link"], "by the parser's own definitions");
    // What cannot be read is passed over in silence.
    barn.write("tickbarn.toml", b"nonsense");
    assert!(bash(&barn, &["tickbarn", "load", "m"]).unwrap().is_empty());
}

#[test]
fn fish_completes_datasets() {
    let barn = barn();
    let Some(offered) = shell(&barn, "fish", "COMPLETE=fish tickbarn | source; complete -C 'tickbarn load m'") else { return };
    assert_eq!(offered, ["md", "mids"]);
}

#[test]
fn zsh_completes_datasets() {
    let barn = barn();
    // A shell in a terminal of its own, in which somebody types a tabulator. What it was completed to is in its message about the flag.
    let script = r#"
zmodload zsh/zpty || exit 1
zpty typed zsh -f -i
zpty -w typed 'PS1=; unset zle_bracketed_paste; autoload -U compinit; compinit -u -D; source <(COMPLETE=zsh tickbarn); echo re""ady'
seen=
until [[ $seen == *ready* ]]; do zpty -r typed line || exit 1; seen+=$line; done
zpty -w -n typed $'tickbarn load mi\t--end\n'
until [[ $seen == *'--end'*'error'* ]]; do zpty -r typed line || exit 1; seen+=$line; done
print -r -- $seen
"#;
    let Some(offered) = shell(&barn, "zsh", script) else { return };
    assert!(offered.iter().any(|line| line.contains("tickbarn load mids")), "{offered:?}");
}

#[test]
fn every_command_has_a_man_page_that_renders_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let written = finished(tickbarn(directory.path()).args(["man", "man1"])).ok();
    let pages: Vec<&str> = written.stdout.lines().collect();
    for page in ["tickbarn.1", "tickbarn-load.1", "tickbarn-pin-add.1", "tickbarn-view.1", "tickbarn-gc.1", "tickbarn-man.1"] {
        assert!(pages.contains(&format!("man1/{page}").as_str()), "{page} in {pages:?}");
    }
    assert!(!written.stdout.contains("exporter") && !written.stdout.contains("probe-lock"), "{pages:?}");
    assert!(written.stderr.contains("man -l man1/tickbarn.1"), "{written:#?}");
    let load = fs::read_to_string(directory.path().join("man1/tickbarn-load.1")).unwrap();
    assert!(load.contains("\\-\\-on\\-missing") && load.contains("  tickbarn load md \\-\\-intervals intervals.json"), "{load}");
    let json = finished(tickbarn(directory.path()).args(["man", "man1", "--json"])).ok();
    assert_eq!(json.json().len(), pages.len());
    if Command::new("groff").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no groff");
        return;
    }
    for page in pages {
        let ran = finished(Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z", page]).current_dir(directory.path())).ok();
        assert_eq!(ran.stderr, "", "{page}");
    }
    finished(tickbarn(directory.path()).args(["man", "/proc/no/such"])).failed(1, &["/proc/no/such", "choose another directory"]);
}

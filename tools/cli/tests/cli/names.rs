//! Texts that users and the world choose: what they hold reaches a generator as it stands, and nothing else of the caller's does.
//!
//! Invariant 17 of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;

use crate::machine::skipped;
use crate::stored::all_below;
use crate::support::{Barn, COPIES, finished, has_proc};

/// Texts that a shell, a template or an option parser would make something else of.
const ODD: [&str; 24] = [
    "; touch x",
    "$(touch x)",
    "`touch x`",
    "&& touch x",
    "| touch x",
    "> x",
    "{other}",
    "{start}",
    "{config.levels}",
    "{{start}}",
    "}",
    "-rf",
    "--help",
    " two  spaces ",
    "it's",
    "say \"hi\"",
    "line\nbreak\n",
    "tab\tand\rreturn",
    "*",
    "~",
    "$HOME",
    "back\\slash",
    "",
    "円 €",
];

/// Notes all arguments behind the fifth, each ended by a NUL byte.
const NOTES_ITS_ARGUMENTS: &str = r#"here="$4"; shift 5; printf '%s\000' "$@" > "$here/arguments""#;

fn noted(barn: &Barn) -> Vec<String> {
    let text = String::from_utf8(fs::read(barn.at("arguments")).unwrap()).unwrap();
    text.strip_suffix('\0').unwrap().split('\0').map(str::to_owned).collect()
}

/// A barn whose generator is given these arguments more.
fn given(arguments: &[String]) -> Barn {
    let barn = Barn::new(&format!("{COPIES}; {NOTES_ITS_ARGUMENTS}"));
    let more: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    barn.edit("\"{config.levels}\"]", &format!("\"{{config.levels}}\", {}]", more.join(", ")));
    barn
}

/// As JSON and TOML both write a text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[track_caller]
fn nothing_was_executed(barn: &Barn) {
    let all = all_below(barn.path());
    assert!(!all.iter().any(|path| path.file_name().is_some_and(|name| name == "x")), "{all:?}");
}

#[test]
fn a_configured_text_is_one_argument_as_it_stands() {
    let names: Vec<String> = (0..ODD.len()).map(|nth| format!("odd{nth}")).collect();
    let arguments: Vec<String> = names.iter().flat_map(|name| [format!("{{config.{name}}}"), format!("--of={{config.{name}}}:{{start}}")]).collect();
    let expected = |values: &[&str]| -> Vec<String> {
        values.iter().flat_map(|value| [(*value).to_owned(), format!("--of={value}:2024-01-01T00:00:00Z")]).collect()
    };
    let barn = given(&arguments);
    let lines: String = names.iter().zip(ODD).map(|(name, value)| format!("{name} = {}\n", quoted(value))).collect();
    barn.edit("levels = 40\n", &format!("levels = 40\n{lines}"));
    barn.load(1, &[]).ok();
    assert_eq!(noted(&barn), expected(&ODD));
    nothing_was_executed(&barn);

    // The same laid over: in another order, so that each is seen to arrive.
    let mut turned = ODD;
    turned.rotate_left(1);
    let settings: Vec<String> = names.iter().zip(turned).map(|(name, value)| format!("md.config.{name}={value}")).collect();
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let laid_over = barn.load(1, &[&["--json"], &flags[..]].concat()).ok();
    assert_eq!(laid_over.outcomes(), ["generated"]);
    assert_eq!(noted(&barn), expected(&turned));
    nothing_was_executed(&barn);
    assert_eq!(barn.load(1, &[&["--json"], &flags[..]].concat()).ok().outcomes(), ["hit"], "the same texts are the same key");
}

#[test]
fn an_instrument_is_a_text_and_never_a_path_of_the_store() {
    const NAMES: [&str; 12] = [
        "x/$(touch x)",
        "x/--help",
        "-i/-x",
        "市場/円",
        "we ird/a b*?",
        "kraken/BTC/USD",
        "a..b/..c",
        "~/root",
        "x/; touch x",
        "x/it's \"so\"",
        "{start}/{end}",
        "entries/work",
    ];
    let barn = given(&["{instrument}", "{instrument.market}", "{instrument.pair}"].map(str::to_owned));
    barn.script(&format!("{COPIES}; pwd > \"$4/directory\"; ls -R \"$4/barn\" > \"$4/during\"; {NOTES_ITS_ARGUMENTS}"));
    for name in NAMES {
        let instrument = format!("--instrument={name}");
        let arguments = ["load", "md", &instrument, "--start", "2024-01-01", "--end", "2024-01-01T01:00:00Z", "--json"];
        let ran = barn.run(&arguments).ok();
        assert_eq!(ran.outcomes(), ["generated"], "{name}");
        let (market, pair) = name.split_once('/').unwrap();
        assert_eq!(noted(&barn), [name, market, pair]);
        let listed = barn.run(&["ls", "--json", &instrument]).ok().json();
        assert_eq!(listed.len(), 1, "{name}");
        assert_eq!(listed[0]["instrument"], name);

        let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        let store = barn.at("barn").canonicalize().unwrap();
        let directory = fs::read_to_string(barn.at("directory")).unwrap();
        let inside = directory.trim_end().strip_prefix(store.to_str().unwrap()).unwrap().to_owned();
        let during = fs::read_to_string(barn.at("during")).unwrap();
        let during = during.lines().filter(|line| !line.is_empty() && !line.ends_with(':')).map(str::to_owned);
        let after = all_below(&barn.at("barn")).into_iter().map(|path| path.strip_prefix(barn.at("barn")).unwrap().to_str().unwrap().to_owned());
        for path in during.chain(after).chain([inside]) {
            assert!(
                path.split('/').all(|part| part.chars().all(plain) && part != pair && part != market || part == "entries" || part == "work"),
                "{name}: {path}"
            );
        }
    }
    nothing_was_executed(&barn);
}

#[test]
fn what_the_caller_s_environment_would_do_to_a_program_does_not_reach_it() {
    if !has_proc() {
        return skipped("what_the_caller_s_environment_would_do_to_a_program_does_not_reach_it", "there is no /proc to see an environment in");
    }
    const KNOWN: [&str; 7] = ["HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];
    let barn = Barn::new(&format!("cat \"/proc/$$/environ\" > \"$4/environment\"; {COPIES}"));
    barn.write("evil.sh", format!(": > '{}'\n", barn.at("executed").display()).as_bytes());
    let evil = barn.at("evil.sh");
    let mut command = barn.command(&Barn::load_arguments(1, &[]));
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV"] {
        command.env(name, &evil);
    }
    command.env("IFS", "/").env("TZ", "Asia/Tokyo").env("LANG", "ja_JP.UTF-8").env("LC_ALL", "ja_JP.UTF-8").env("TMPDIR", barn.path());
    command.env("TICKBARN_STORE", barn.at("barn")).env("SOMETHING_OF_THE_CALLER", "1");
    finished(&mut command).ok();
    let environment = String::from_utf8(fs::read(barn.at("environment")).unwrap()).unwrap();
    let variables: BTreeMap<&str, &str> = environment.split_terminator('\0').map(|variable| variable.split_once('=').unwrap()).collect();
    assert!(variables.keys().all(|name| KNOWN.contains(name)), "{variables:?}");
    assert_eq!((variables["TZ"], variables["LANG"]), ("UTC", "C.UTF-8"));
    assert!(variables["TMPDIR"].contains("/barn/work/"), "{variables:?}");
    assert!(!barn.at("executed").exists());
    assert_eq!(barn.load(1, &["--json"]).ok().outcomes(), ["hit"], "and none of it is in the key");
}

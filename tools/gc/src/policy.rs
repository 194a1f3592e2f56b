//! What is asked for: the command line, and `[gc]` as far as that leaves it a say.

use std::path::PathBuf;

use tickbarn::{DatasetFile, Instrument, Retention};
use tickbarn_terminal::exit::{Failure, Result};

use crate::args::GcArgs;

/// What may go, and who says so.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) retention: Retention,
    /// The dataset file, where its `[gc]` counts whole.
    pub(crate) from: Option<PathBuf>,
}

/// Who names what may go means just that: a rule or scope on the command line leaves those of the file aside, so that no line of a file that was
/// forgotten deletes more. What protects, and how it is done, is taken from there all the same.
pub(crate) fn policy_of(args: &GcArgs, file: Option<&DatasetFile>) -> Result<Policy> {
    let settings = file.and_then(DatasetFile::gc).map(|gc| &gc.retention);
    let mut retention = asked_for(args)?;
    let mut from = None;
    match settings {
        Some(settings) if !retention.says_anything() => {
            retention = settings.clone();
            from = file.map(|file| file.path().to_path_buf());
        }
        Some(settings) => {
            retention.keep_last = retention.keep_last.or(settings.keep_last);
            retention.grace = settings.grace;
            retention.order = settings.order;
            retention.low_water = settings.low_water;
        }
        None => {}
    }
    if !retention.says_anything() {
        return Err(nothing_said(file));
    }
    if args.low_water.is_some() && retention.max_bytes.is_none() {
        return Err(Failure::Usage("--low-water is a part of --max-bytes, which nothing gives\n  give --max-bytes beside it".to_owned()));
    }
    retention.low_water = args.low_water.unwrap_or(retention.low_water);
    retention.grace = args.grace.unwrap_or(retention.grace);
    retention.order = args.order.unwrap_or(retention.order);
    Ok(Policy { retention, from })
}

/// The rules and the scope of the command line, and how many are kept.
fn asked_for(args: &GcArgs) -> Result<Retention> {
    let parse = |text: &String| text.parse::<Instrument>().map_err(|error| Failure::Usage(format!("--instrument: {error}")));
    let mut retention = Retention::default();
    retention.datasets.clone_from(&args.datasets);
    retention.instruments = args.instruments.iter().map(parse).collect::<Result<_>>()?;
    retention.max_bytes = args.max_bytes.map(|size| size.0);
    retention.min_free = args.min_free;
    retention.max_age = args.max_age;
    retention.superseded = args.superseded;
    retention.failures = args.failures;
    retention.leftovers = args.leftovers;
    retention.keep_last = args.keep_last.map(|count| count as usize);
    Ok(retention)
}

fn nothing_said(file: Option<&DatasetFile>) -> Failure {
    let place = file.map_or_else(|| "a tickbarn.toml".to_owned(), |file| file.path().display().to_string());
    Failure::Usage(format!(
        "nothing says what may go\n  \
         say it with flags, such as\n    \
           --max-bytes 500GiB --dry-run\n    \
           --dataset md --max-age 30d\n  \
         or for good in {place}:\n    \
           [gc]\n    \
           max_bytes = \"500GiB\"\n    \
           superseded = true"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use clap::Parser;
    use tickbarn::{Free, Order};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        gc: GcArgs,
    }

    const FILE: &str =
        "[gc]\nmax_bytes = \"1GiB\"\nlow_water = \"80%\"\nsuperseded = true\nkeep_last = 60\ndatasets = [\"md\"]\ngrace = \"2h\"\norder = \"lru\"\n";

    fn policy(flags: &[&str], file: Option<&str>) -> Result<Policy> {
        let args = Line::try_parse_from([&["gc"], flags].concat()).map(|line| line.gc).unwrap_or_else(|error| panic!("{error}"));
        let file =
            file.map(|text| DatasetFile::parse(text, Path::new("/x/tickbarn.toml"), Path::new("/x"), &[]).unwrap_or_else(|error| panic!("{error}")));
        policy_of(&args, file.as_ref())
    }

    fn retention(flags: &[&str], file: Option<&str>) -> Retention {
        policy(flags, file).map(|policy| policy.retention).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn every_flag_is_understood() {
        let flags = "--max-bytes 500GiB --low-water 80% --min-free 10% --max-age 30d --superseded --failures --leftovers --dataset md --dataset features \
                     --instrument a/b --keep-last 60 --grace 0s --order lru";
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let retention = retention(&flags, None);
        assert_eq!((retention.max_bytes, retention.low_water, retention.min_free), (Some(500 << 30), 0.8, Some(Free::Share(0.1))));
        assert_eq!((retention.max_age, retention.grace), (Some(Duration::from_secs(30 * 86_400)), Duration::ZERO));
        assert!(retention.superseded && retention.failures && retention.leftovers);
        assert_eq!((retention.datasets.len(), retention.instruments.len()), (2, 1));
        assert_eq!((retention.keep_last, retention.order), (Some(60), Order::Lru));
    }

    #[test]
    fn without_a_rule_or_scope_the_file_counts_whole() {
        for flags in [&[][..], &["--dry-run"], &["--json"]] {
            let Ok(Policy { retention, from }) = policy(flags, Some(FILE)) else { panic!("{flags:?}") };
            assert_eq!((retention.max_bytes, retention.low_water, retention.keep_last), (Some(1 << 30), 0.8, Some(60)));
            assert!(retention.superseded && retention.datasets == ["md"]);
            assert_eq!((retention.grace, retention.order), (Duration::from_secs(7200), Order::Lru));
            assert_eq!(from.as_deref(), Some(Path::new("/x/tickbarn.toml")));
        }
        let how = retention(&["--grace", "3h", "--order", "value", "--low-water", "50%"], Some(FILE));
        assert_eq!((how.grace, how.order, how.low_water), (Duration::from_secs(3 * 3600), Order::Value, 0.5));
        assert!(how.superseded && how.max_bytes.is_some(), "what protects is no rule");
    }

    #[test]
    fn what_is_named_on_the_command_line_is_all_that_goes() {
        for flags in [
            &["--max-bytes", "2GiB"][..],
            &["--min-free", "1%"],
            &["--max-age", "30d"],
            &["--failures"],
            &["--leftovers"],
            &["--instrument", "a/b"],
            &["--keep-last", "5"],
        ] {
            let Ok(Policy { retention, from }) = policy(flags, Some(FILE)) else { panic!("{flags:?}") };
            assert!(!retention.superseded && retention.datasets.is_empty() && from.is_none(), "{flags:?}");
            assert!(retention.max_bytes != Some(1 << 30), "{flags:?}");
            let keep_last = if flags[0] == "--keep-last" { 5 } else { 60 };
            assert_eq!((retention.keep_last, retention.low_water), (Some(keep_last), 0.8), "what protects goes on to count: {flags:?}");
            assert_eq!((retention.grace, retention.order), (Duration::from_secs(7200), Order::Lru), "{flags:?}");
        }
    }

    #[test]
    fn who_says_nothing_is_shown_how() {
        for (flags, file) in [(&[][..], None), (&["--grace", "1h"], None), (&["--dry-run"], Some("[gc]\ngrace = \"2h\"\n")), (&[], Some(""))] {
            let Err(Failure::Usage(told)) = policy(flags, file) else { panic!("{flags:?}") };
            assert!(told.contains("--max-bytes 500GiB --dry-run") && told.contains("[gc]"), "{told}");
            assert_eq!(told.contains("/x/tickbarn.toml"), file.is_some(), "{told}");
        }
        assert!(matches!(policy(&["--superseded", "--low-water", "50%"], None), Err(Failure::Usage(told)) if told.contains("--max-bytes")));
        assert!(matches!(policy(&["--instrument", "BTC"], None), Err(Failure::Usage(told)) if told.contains("--instrument")));
    }
}

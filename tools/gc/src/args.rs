//! The command line. Doc comments of fields are the help texts; what goes beyond one flag stands below them all.

use std::time::Duration;

use clap::Args;
use tickbarn::{ByteSize, Free, Order, parse_grace, parse_low_water};

/// The flags of collecting, to be flattened into a command line.
///
/// That command line needs a doc comment of its own: clap would otherwise take this one as its help.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Once the store takes more than this, entries go until it takes --low-water of it, such as 500GiB
    ///
    /// The least valuable go first. What other entries than those in the scope take counts, too.
    #[arg(long, value_name = "SIZE", help_heading = "What may go")]
    pub max_bytes: Option<ByteSize>,

    /// Down to which part of --max-bytes it goes, so that it does not begin again at once [default: 90%]
    #[arg(long, value_name = "SHARE", value_parser = parse_low_water, help_heading = "What may go")]
    pub low_water: Option<f64>,

    /// Entries go until so much of the store's disk is free, the least valuable first: 10% or 200GiB
    #[arg(long, value_name = "SHARE|SIZE", help_heading = "What may go")]
    pub min_free: Option<Free>,

    /// Entries go that were not used for longer, such as 30d
    #[arg(long, value_name = "LENGTH", value_parser = parse_age, help_heading = "What may go")]
    pub max_age: Option<Duration>,

    /// Entries go that a later one of the same dataset, instrument and interval has superseded
    ///
    /// One that was generated later by another program, configuration or upstream, since when the old one was not used.
    #[arg(long, help_heading = "What may go")]
    pub superseded: bool,

    /// Records of failures go, with their logs
    #[arg(long, help_heading = "What may go")]
    pub failures: bool,

    /// What lies about goes: work directories of ended processes, artifacts that no entry names
    #[arg(long, help_heading = "What may go")]
    pub leftovers: bool,

    /// Only entries and failures of this dataset; may be given several times
    #[arg(short, long = "dataset", value_name = "DATASET", help_heading = "What may go")]
    pub datasets: Vec<String>,

    /// Only entries and failures of this instrument; may be given several times
    #[arg(short, long = "instrument", value_name = "MARKET/PAIR", help_heading = "What may go")]
    pub instruments: Vec<String>,

    /// Of each dataset and instrument, keep the last so many partitions
    ///
    /// But for superseded ones, where --superseded is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What is kept")]
    pub keep_last: Option<u32>,

    /// Keep what was made or used within this length of time; 0s for none [default: 1h]
    #[arg(long, value_name = "LENGTH", value_parser = parse_grace, help_heading = "What is kept")]
    pub grace: Option<Duration>,

    /// Which entries go first where space is wanted: the least valuable, or the least recently used [default: value]
    #[arg(long, value_name = "value|lru", help_heading = "How")]
    pub order: Option<Order>,

    /// Say what would go and what that would cost, and remove nothing
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,

    /// Print a JSON line for all that goes, and a last one with the sums
    #[arg(long, help_heading = "How")]
    pub json: bool,
}

/// A length of time that is not none: what was not used for longer than no time is everything, and better said otherwise.
fn parse_age(text: &str) -> Result<Duration, String> {
    parse_grace(text).ok().filter(|age| !age.is_zero()).ok_or_else(|| format!("{text:?} is no length of time such as 30d or 12h"))
}

/// What the short help shows: examples under the name by which the command was called.
pub fn examples(command: &str) -> String {
    format!(
        "\
Examples:
  {command} --max-bytes 500GiB --dry-run
  {command} --dataset md --max-age 30d --keep-last 60
  {command} --superseded --failures --leftovers
  {command} --max-bytes 500GiB --json | jq -r 'select(.type == \"summary\") | .removed'

From cron, with what [gc] in tickbarn.toml says:
  17 3 * * *  {command} --config /srv/md/tickbarn.toml >> /var/log/tickbarn-gc.log 2>&1

--help says how rules combine, what an entry's value is, and what [gc] may say."
    )
}

/// What the long help shows below the flags.
pub fn details(command: &str) -> String {
    let (examples, _) =
        examples(command).rsplit_once("\n\n").map_or_else(Default::default, |(examples, rest)| (examples.to_owned(), rest.to_owned()));
    format!("{DETAILS}\n\n{examples}\n\n{EXIT_STATUS}")
}

const DETAILS: &str = "\
How they combine:
  An entry goes where a rule says so (--max-bytes, --min-free, --max-age, --superseded), within the
  scope (--dataset, --instrument; everything where neither is given), unless something protects it:
  --grace, --keep-last, a pin, or a running process that has loaded it. Without any rule,
  everything in the scope goes that nothing protects. --failures and --leftovers are rules about
  other things: alone they let no entry go. Failures have a scope like entries, leftovers have none.
  What was used, pinned or made anew between the plan and its turn stays. Loads go on meanwhile.

What goes first for --max-bytes and --min-free is what is worth least:

  value = seconds to generate again × 1/(1 + hours since last use) ÷ bytes freed

  An artifact that n entries share counts as an n-th for each. Of a derived entry whose upstream is
  gone, the upstream's seconds count, too. Use is known to ten minutes. --order lru looks at nothing
  else.

[gc] in tickbarn.toml says the same for good:
  [gc]
  max_bytes = \"500GiB\"
  superseded = true
  keep_last = 60

  Its keys are the flags with _ for -, datasets and instruments as lists. Where the command line has
  no rule, no scope and no --keep-last, [gc] counts whole. Where it has one, the rules and the scope
  of [gc] are left aside; its keep_last, grace, order and low_water go on to count, unless a flag
  says otherwise. Where --store names the store, no tickbarn.toml is needed, and [gc] of one that is
  found nearby counts only if it names the same store, or if --config names it.

  automatic = true beside max_bytes or min_free lets `tickbarn load` collect as [gc] says whenever
  what it publishes passes that mark: in the background, while the load goes on.

JSON lines, by their type:
  entry     address, dataset, instrument, start, end, bytes, bytes_freed (after all that goes
            before it), seconds, last_used, value (null where it is infinite, since nothing is
            freed), reason (scope, superseded, max-age, max-bytes, min-free)
  failure   address, dataset, instrument, start, end, last, bytes
  leftover  kind (orphan, work, claim, draft, program, replaced, trash, journal), path,
            bytes
  summary   dry_run, entries, bytes, seconds, failures, failure_bytes, leftovers, leftover_bytes,
            kept (leased, pinned, recent, last), store_bytes, shortfall_bytes; unless it was a dry
            run also removed (entries, bytes, seconds, failures, leftovers, leftover_bytes, kept,
            cancelled, longest_hold_seconds, elapsed_seconds)";

const EXIT_STATUS: &str = "\
Exit status: 0 done or nothing to do, 1 something failed or another collector is at work,
2 usage or configuration, 130 interrupted (143 by SIGTERM).";

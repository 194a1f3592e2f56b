//! `tickbarn load --dry-run`: what a load would do, and the line that a real one says of what it generates again.

use std::io::{self, Write};

use tickbarn::inspect::{self, Again, DatasetForecast, DryRun, Follower, HistoryOf, Stop};
use tickbarn::{Absent, Policy, Store};
use tickbarn_terminal::output::{Grid, Side, counted, duration, shell_word, size, stdout, terminal_columns, thousands};
use tickbarn_terminal::progress::say;
use tickbarn_terminal::records::write_line;

use super::lines::{AgainLine, FollowerLine, ForeseenLine, ForeseenSums};

/// Says of each dataset, in a line, why partitions that were there are generated again.
pub(super) fn say_again(store: &Store, absent: &[Absent<'_>], settings: &[String]) {
    match inspect::again(store, absent) {
        Ok(again) => again.iter().for_each(|again| say(&in_a_line(again, settings))),
        Err(error) => say(&format!("why partitions are generated cannot be told: {error}")),
    }
}

/// `md: 58 partitions are generated again because …; tickbarn why md … says more`.
fn in_a_line(again: &Again, settings: &[String]) -> String {
    let Again { dataset, instrument, interval, clipped, .. } = again;
    let mut command = format!("tickbarn why {} -i {} --start {}", shell_word(dataset), shell_word(&instrument.to_string()), interval.start());
    if *clipped {
        command.push_str(&format!(" --end {}", interval.end()));
    }
    settings.iter().for_each(|setting| command.push_str(&format!(" --set {}", shell_word(setting))));
    format!("{dataset}: {again}; `{command}` says more")
}

/// Prints what a load would do.
pub(super) fn write(foreseen: &DryRun, policy: &Policy, settings: &[String], json: bool) -> io::Result<()> {
    let mut out = stdout();
    if json {
        write_lines(&mut out, foreseen)?;
    } else {
        write_text(&mut out, foreseen, policy, settings)?;
    }
    out.flush()?;
    if !json {
        say("dry run: nothing was generated");
    }
    Ok(())
}

fn write_lines(out: &mut impl Write, foreseen: &DryRun) -> io::Result<()> {
    for partition in &foreseen.partitions {
        write_line(out, &ForeseenLine::of(partition, false))?;
    }
    for partition in &foreseen.upstream {
        write_line(out, &ForeseenLine::of(partition, true))?;
    }
    for again in &foreseen.again {
        write_line(out, &AgainLine::of(again))?;
    }
    for follower in &foreseen.followers {
        write_line(out, &FollowerLine::of(follower))?;
    }
    write_line(out, &ForeseenSums::of(foreseen))
}

fn write_text(out: &mut impl Write, foreseen: &DryRun, policy: &Policy, settings: &[String]) -> io::Result<()> {
    let sums = foreseen.by_dataset();
    sums_in_a_grid(&sums).write(out, terminal_columns())?;
    writeln!(out)?;
    for again in &foreseen.again {
        writeln!(out, "{}", in_a_line(again, settings))?;
    }
    let tried: usize = sums.iter().map(|sum| sum.failed_before).sum();
    if tried > 0 {
        let (failed, are) = (counted(tried, "partition", "partitions"), if tried == 1 { "is" } else { "are" });
        writeln!(out, "{failed} failed before and {are} tried again")?;
    }
    writeln!(out, "{}", price(foreseen))?;
    match foreseen.stop {
        Some(Stop::Missing) => {
            let missing: usize = sums.iter().map(|sum| sum.missing).sum();
            let missing = counted(missing, "partition is missing", "partitions are missing");
            writeln!(out, "The load would stop before it generates anything: {missing}, and {} makes it stop", flag_that_stops(policy))?;
        }
        Some(Stop::Failure) => writeln!(
            out,
            "The load would stop at a failure that is known and not tried again; --on-failure skip goes on with the rest, --retry-failed always tries it"
        )?,
        _ => {}
    }
    for follower in &foreseen.followers {
        writeln!(out, "{}", follows(follower))?;
    }
    Ok(())
}

fn flag_that_stops(policy: &Policy) -> &'static str {
    if policy.missing == tickbarn::OnMissing::Fail { "--on-missing fail" } else { "--on-missing-upstream fail" }
}

/// What each dataset comes to; kinds of which there are none are left out.
fn sums_in_a_grid(sums: &[DatasetForecast]) -> Grid {
    type Count = fn(&DatasetForecast) -> usize;
    let counts: [(&str, Count); 7] = [
        ("hits", |sum| sum.hit),
        ("empty", |sum| sum.empty),
        ("generate", |sum| sum.generate),
        ("of that there", |sum| sum.refresh),
        ("follow", |sum| sum.follow),
        ("failed", |sum| sum.failed),
        ("missing", |sum| sum.missing),
    ];
    let always = |name: &str| matches!(name, "hits" | "generate");
    let counts: Vec<(&str, Count)> = counts.into_iter().filter(|(name, count)| always(name) || sums.iter().any(|sum| count(sum) > 0)).collect();
    let mut columns = vec![("dataset", Side::Left)];
    columns.extend(counts.iter().map(|(name, _)| (*name, Side::Right)));
    let foresees = sums.iter().any(|sum| sum.seconds.is_some() || sum.without_history > 0);
    if foresees {
        columns.extend([("one worker", Side::Right), ("size", Side::Right), ("expected by", Side::Left)]);
    }
    let mut grid = Grid::headed(&columns);
    for sum in sums {
        let name = if sum.upstream { format!("{} (upstream)", sum.dataset) } else { sum.dataset.to_string() };
        let mut row = vec![name];
        row.extend(counts.iter().map(|(_, count)| thousands(count(sum) as u64)));
        if foresees {
            row.push(sum.seconds.map(duration).unwrap_or_default());
            row.push(sum.bytes.map(size).unwrap_or_default());
            row.push(basis(sum));
        }
        grid.row(row);
    }
    grid
}

/// What a dataset's figures are taken from.
fn basis(sum: &DatasetForecast) -> String {
    let of = match sum.history {
        Some(HistoryOf::SameInstrument) => "entries of the same instruments",
        Some(HistoryOf::SameGenerator) => "entries of other instruments",
        Some(HistoryOf::OtherKeysSameInstrument) => "entries under other keys",
        Some(_) => "entries of other instruments, under other keys",
        None if sum.without_history > 0 => "no history",
        None => "",
    };
    match sum.without_history {
        without if without > 0 && sum.history.is_some() => format!("{of}; {} without history", thousands(without as u64)),
        _ => of.to_owned(),
    }
}

/// `Would generate 14 partitions: about 1.9 s with 2 workers, 9.5 MiB; 22.1 GiB are free, 22.1 GiB afterwards`.
fn price(foreseen: &DryRun) -> String {
    let generated = foreseen.generated();
    if generated == 0 {
        return "Would generate nothing".to_owned();
    }
    let mut text = format!("Would generate {}", counted(generated, "partition", "partitions"));
    match (foreseen.seconds, foreseen.bytes) {
        (Some(seconds), Some(bytes)) => {
            let workers = counted(foreseen.workers, "worker", "workers");
            text.push_str(&format!(": about {} with {workers}, {}", duration(seconds), size(bytes)));
        }
        _ => text.push_str("; no history tells what that takes"),
    }
    match foreseen.without_history() {
        without if without > 0 && foreseen.seconds.is_some() => {
            text.push_str(&format!(", and what the {} without history take", thousands(without as u64)));
        }
        _ => {}
    }
    text.push_str(&format!("; {} are free", size(foreseen.free_bytes)));
    match foreseen.free_bytes_after() {
        Some(after) if after < 0 => text.push_str(&format!(", {} too little", size(u64::try_from(-after).unwrap_or(u64::MAX)))),
        Some(after) => text.push_str(&format!(", {} afterwards", size(u64::try_from(after).unwrap_or(u64::MAX)))),
        None => {}
    }
    text
}

fn follows(follower: &Follower) -> String {
    let Follower { dataset, upstream, partitions, made, .. } = follower;
    let there = match made {
        0 => "none of them was made so far".to_owned(),
        made => format!("{} there now", thousands(*made as u64)),
    };
    format!("Not asked for: {dataset}, derived from {}: {}, {there}", upstream.join(", "), counted(*partitions, "partition", "partitions"))
}

//! What is said of a plan and of what came of it, for people. Counts and words; decides nothing.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use tickbarn::gc::{DatasetPrice, GcPlan, Kept, LeftoverKind, Price, Swept};
use tickbarn::{Free, Retention, Store};
use tickbarn_terminal::output::{Grid, Side, counted, duration, size, terminal_columns, thousands};

/// Writes all that a plan says. `from` is the dataset file, where its `[gc]` counts whole.
pub(crate) fn write_plan(mut out: &mut dyn Write, plan: &GcPlan, store: &Store, from: Option<&Path>, dry_run: bool) -> io::Result<()> {
    if plan.is_empty() {
        return writeln!(out, "{}", nothing_to_do(plan, store));
    }
    if let Some(from) = from {
        writeln!(out, "By [gc] in {}:\n", from.display())?;
    }
    let columns = terminal_columns();
    let grids = [prices(plan), others(plan), kept(plan)];
    for (nth, grid) in grids.iter().flatten().enumerate() {
        if nth > 0 {
            writeln!(out)?;
        }
        grid.write(&mut out, columns)?;
    }
    writeln!(out)?;
    if let Some(short) = shortfall(plan) {
        writeln!(out, "{short}")?;
    }
    if dry_run {
        writeln!(out, "dry run: nothing was removed; run without --dry-run to remove it")?;
    }
    Ok(())
}

/// Writes what was really done.
pub(crate) fn write_swept(out: &mut dyn Write, swept: &Swept) -> io::Result<()> {
    let Swept { price, failures, leftovers, leftover_bytes, kept, cancelled, elapsed, .. } = swept;
    let mut parts = vec![counted(price.entries, "entry", "entries")];
    if *failures > 0 {
        parts.push(counted(*failures, "record of a failure", "records of failures"));
    }
    if *leftovers > 0 {
        parts.push(counted(*leftovers, "leftover", "leftovers"));
    }
    let freed = size(price.bytes + leftover_bytes);
    let stayed = match kept {
        0 => String::new(),
        kept => format!("; {} stayed, used, pinned or made anew meanwhile", counted(*kept, "entry", "entries")),
    };
    let before_its_end = if *cancelled { ", before its end" } else { "" };
    writeln!(out, "removed {}: {freed} freed in {}{before_its_end}{stayed}", listed(&parts), duration(elapsed.as_secs_f64()))
}

fn prices(plan: &GcPlan) -> Option<Grid> {
    if plan.by_dataset().is_empty() {
        return None;
    }
    let mut grid = Grid::headed(&[("dataset", Side::Left), ("entries", Side::Right), ("freed", Side::Right), ("time to make again", Side::Right)]);
    let cells = |Price { entries, bytes, seconds, .. }: Price| [thousands(entries as u64), size(bytes), duration(seconds)];
    for DatasetPrice { dataset, price, .. } in plan.by_dataset() {
        grid.row([dataset.to_string()].into_iter().chain(cells(*price)));
    }
    grid.row(["total".to_owned()].into_iter().chain(cells(plan.price())));
    Some(grid)
}

/// What goes that is no entry.
fn others(plan: &GcPlan) -> Option<Grid> {
    if plan.failures().is_empty() && plan.leftovers().is_empty() {
        return None;
    }
    let mut grid = Grid::headed(&[("also goes", Side::Left), ("count", Side::Right), ("size", Side::Right)]);
    if !plan.failures().is_empty() {
        let bytes = plan.failures().iter().map(|failure| failure.bytes).sum();
        grid.row(["records of failures".to_owned(), thousands(plan.failures().len() as u64), size(bytes)]);
    }
    let mut kinds: BTreeMap<LeftoverKind, (u64, u64)> = BTreeMap::new();
    for leftover in plan.leftovers() {
        let (count, bytes) = kinds.entry(leftover.kind).or_default();
        *count += 1;
        *bytes += leftover.bytes;
    }
    for (kind, (count, bytes)) in kinds {
        grid.row([leftover_in_words(kind).to_owned(), thousands(count), size(bytes)]);
    }
    Some(grid)
}

/// What lies about, in words.
pub fn leftover_in_words(kind: LeftoverKind) -> &'static str {
    match kind {
        LeftoverKind::Orphan => "artifacts that no entry names",
        LeftoverKind::Work => "work directories of ended processes",
        LeftoverKind::Claim => "claims of ended processes",
        LeftoverKind::Draft => "files that ended processes were writing",
        LeftoverKind::Program => "kept programs that nobody uses",
        LeftoverKind::Replaced => "artifacts of entries that are gone",
        LeftoverKind::Trash => "what an earlier collection had begun to remove",
        LeftoverKind::Journal => "what the journal says of entries that are gone",
        other => other.as_str(),
    }
}

fn kept(plan: &GcPlan) -> Option<Grid> {
    let reasons = reasons_to_keep(plan);
    if reasons.is_empty() {
        return None;
    }
    let mut grid = Grid::headed(&[("kept, although a rule would take it", Side::Left), ("entries", Side::Right)]);
    for (count, why) in reasons {
        grid.row([why, thousands(count as u64)]);
    }
    Some(grid)
}

/// What keeps entries that a rule would take, and how many.
pub fn reasons_to_keep(plan: &GcPlan) -> Vec<(usize, String)> {
    let Kept { leased, pinned, recent, last, .. } = plan.kept();
    let Retention { grace, keep_last, .. } = plan.retention();
    let all = [
        (leased, in_use(plan)),
        (pinned, "pinned".to_owned()),
        (recent, format!("made or used in the last {}", duration(grace.as_secs_f64()))),
        (last, format!("among the last {} of their instrument", thousands(keep_last.unwrap_or_default() as u64))),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).collect()
}

fn in_use(plan: &GcPlan) -> String {
    match plan.held_by() {
        0 => "in use by running processes".to_owned(),
        processes => format!("in use by {}", counted(processes, "running process", "running processes")),
    }
}

/// One line, and another where that is not what the rules ask for.
fn nothing_to_do(plan: &GcPlan, store: &Store) -> String {
    let place = format!("{} ({})", store.path().display(), size(plan.store_bytes()));
    let reasons = reasons_to_keep(plan);
    let why = if reasons.is_empty() {
        "the rules ask for nothing to go".to_owned()
    } else {
        let parts: Vec<String> = reasons.into_iter().map(|(count, why)| format!("{} {why}", thousands(count as u64))).collect();
        format!("entries kept: {}", listed(&parts))
    };
    let short = shortfall(plan).map(|short| format!("\n{short}")).unwrap_or_default();
    format!("nothing to collect in {place}; {why}{short}")
}

/// What is missing from the marks that were set, and what helps.
pub fn shortfall(plan: &GcPlan) -> Option<String> {
    let bytes = plan.shortfall_bytes();
    if bytes == 0 {
        return None;
    }
    let Retention { max_bytes, low_water, min_free, datasets, instruments, .. } = plan.retention();
    let mark = match (max_bytes, min_free) {
        (Some(max), None) => format!("bring the store to {} of {}", percent(*low_water), size(*max)),
        (None, Some(Free::Share(share))) => format!("have {} of its disk free", percent(*share)),
        (None, Some(Free::Bytes(bytes))) => format!("have {} of its disk free", size(*bytes)),
        _ => "come to the marks that were set".to_owned(),
    };
    let Kept { leased, pinned, recent, last, .. } = plan.kept();
    let mut ways = Vec::new();
    if pinned > 0 {
        ways.push("remove pins (`tickbarn pin ls`)".to_owned());
    }
    if leased > 0 {
        ways.push("wait until running processes end".to_owned());
    }
    if recent > 0 {
        ways.push("lower --grace, or wait".to_owned());
    }
    if last > 0 {
        ways.push("lower --keep-last".to_owned());
    }
    if !datasets.is_empty() || !instruments.is_empty() {
        ways.push("widen the scope".to_owned());
    }
    if ways.is_empty() {
        ways.push(if min_free.is_some() { "look for what else fills the disk" } else { "raise --max-bytes" }.to_owned());
    }
    Some(format!("{} more would have to go to {mark}, and nothing more may: {}", size(bytes), ways.join("; ")))
}

/// A share as it is written: `90%`, `2.5%`.
fn percent(share: f64) -> String {
    // A share was written in decimals, which a double holds only nearly.
    format!("{}%", (share * 1e6).round() / 1e4)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

//! `tickbarn verify`: is everything in the store whole, and mending what is not.

mod args;
mod lines;

use std::io::Write;

use tickbarn::{DatasetFile, Finding, FindingKind, OnFailure, OnMissing, Policy, Repair, Store, Verified, Verify};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{counted, duration, size, span, stdout};
use tickbarn_terminal::progress::{StageBar, bar_is_seen, say};
use tickbarn_terminal::records::write_line;

pub(crate) use args::VerifyArgs;
use lines::{FindingLine, VerifiedLine};

use crate::commands::load::{Job, Tell, cluster_of, limits};

pub(crate) fn run(place: &Place, args: &VerifyArgs) -> Result<()> {
    // Before anything is dropped: what cannot be made again is better known beforehand.
    let file = if args.regenerate { Some(place.datasets(&[])?) } else { None };
    let store = place.open_store()?;
    let verified = verify(&store, args)?;
    let mut out = stdout();
    // Told before anything is made again: that may take hours, and fail.
    for finding in &verified.findings {
        if args.json {
            write_line(&mut out, &FindingLine::of(finding))?;
        } else {
            write_finding(&mut out, finding)?;
        }
    }
    if !args.json {
        writeln!(out, "{}", told(&verified, args.repair))?;
    }
    out.flush()?;
    drop(out);
    let regenerated = match &file {
        Some(file) => Some(regenerate(place, &store, file, &verified, args)?),
        None => None,
    };
    if args.json {
        let mut out = stdout();
        write_line(&mut out, &sums(&verified, regenerated))?;
        out.flush()?;
    }
    conclude(&verified, regenerated, args)
}

fn verify(store: &Store, args: &VerifyArgs) -> Result<Verified> {
    let mut verification = store.verify();
    if args.digest {
        verification = verification.digests();
    }
    if args.repair {
        verification = verification.repair();
    }
    if let Some(jobs) = args.jobs {
        verification = verification.jobs(usize::from(jobs));
    }
    if bar_is_seen() {
        let mut bar = StageBar::default();
        verification = verification.progress(move |progress| bar.show(progress.stage, progress.done, progress.total));
    }
    Ok(verification.run()?)
}

/// Loads what was dropped, as far as it would come back under its address. Says how many are there again, and how many are not.
fn regenerate(place: &Place, store: &Store, file: &DatasetFile, verified: &Verified, args: &VerifyArgs) -> Result<(usize, usize)> {
    let dropped = verified.dropped();
    // What was made for a time to come was allowed to be.
    let policy = Policy { failure: OnFailure::Skip, allow_future: true, ..Policy::default() };
    let mut requests = Vec::new();
    for entry in &dropped {
        let Some((name, instrument, interval)) = &entry.place else { continue };
        let Ok(dataset) = file.dataset(name) else { continue };
        // Under another definition it would be another entry, and its hours for nothing. (Of a derived one the address may be open yet.)
        let looks = store.load().policy(policy).on_missing(OnMissing::Skip).request(dataset, instrument, *interval).blocking();
        let same =
            looks.is_ok_and(|loaded| loaded.partitions.iter().any(|partition| partition.address.is_none_or(|address| address == entry.address)));
        if same {
            requests.push((dataset, instrument, *interval));
        }
    }
    if !requests.is_empty() {
        let run = limits(file, args.jobs);
        let settings = Vec::new();
        let ray = cluster_of(file);
        let job = Job { requests, policy, run, ray, options: file.store_options(), tell: Tell::Trouble, automatic: None, settings };
        job.carry_out(&place.store_of(file)?).map_err(|failure| match failure {
            // The store was verified and mended; that is told. What is wrong now is not how this was called.
            Failure::Library { error, .. } => Failure::World(format!("what was dropped could not be made again: {error}")),
            failure => failure,
        })?;
    }
    let mut there = 0;
    for entry in &dropped {
        if store.manifest(&entry.address)?.is_some() {
            there += 1;
            continue;
        }
        let place = entry.place.as_ref().map(|(dataset, instrument, interval)| format!(" {dataset} {instrument} {}", span(*interval)));
        let why = if store.failure(&entry.address)?.is_some() { "its generator failed" } else { "tickbarn.toml does not define it as it was" };
        say(&format!("not made again: {}{}: {why}", entry.address.short(), place.unwrap_or_default()));
    }
    Ok((there, dropped.len() - there))
}

fn write_finding(out: &mut impl Write, finding: &Finding) -> Result<()> {
    let severity = if finding.kind.is_problem() { "problem" } else { "leftover" };
    match finding.kind {
        FindingKind::Leftover => writeln!(out, "{severity}: {}", finding.path.display())?,
        kind => writeln!(out, "{severity}: {kind} {}", finding.path.display())?,
    }
    writeln!(out, "  {}", finding.reason)?;
    if let Some((dataset, instrument, interval)) = finding.entry.as_ref().and_then(|entry| entry.place.as_ref()) {
        writeln!(out, "  {dataset} {instrument} {}", span(*interval))?;
    }
    match &finding.repair {
        Repair::Quarantined(to) => writeln!(out, "  moved to {}", to.display())?,
        Repair::Dropped(to) if *to == finding.path => writeln!(out, "  nothing is left of it to move")?,
        Repair::Dropped(to) => writeln!(out, "  dropped, its manifest moved to {}; the next load makes it again", to.display())?,
        Repair::Rebuilt => writeln!(out, "  written anew")?,
        Repair::Removed => writeln!(out, "  removed")?,
        Repair::NoLonger => writeln!(out, "  on a second look it is as it should be")?,
        Repair::InUse => writeln!(out, "  in use by a running process; it stays until that ends")?,
        Repair::Failed(why) => writeln!(out, "  not mended: {why}")?,
        _ => {}
    }
    Ok(())
}

fn told(verified: &Verified, repair: bool) -> String {
    let Verified { entries, artifacts, bytes, verify, elapsed, .. } = verified;
    let looked = match verify {
        Verify::Digest => "every byte read",
        Verify::Size => "sizes compared, no bytes read",
    };
    let (problems, leftovers) = counts(verified);
    let leftovers = if leftovers == 0 { String::new() } else { format!(", {}", counted(leftovers, "leftover", "leftovers")) };
    let mended = match () {
        () if !repair || verified.findings.is_empty() => "",
        () if verified.is_clean() => "; all mended",
        () => "; not all mended",
    };
    format!(
        "Verified {} and {}, {}, in {} ({looked}): {}{leftovers}{mended}",
        counted(*entries, "entry", "entries"),
        counted(*artifacts, "artifact", "artifacts"),
        size(*bytes),
        duration(elapsed.as_secs_f64()),
        if problems == 0 { "no problems".to_owned() } else { counted(problems, "problem", "problems") },
    )
}

fn counts(verified: &Verified) -> (usize, usize) {
    let problems = verified.problems().count();
    (problems, verified.findings.len() - problems)
}

fn sums(verified: &Verified, regenerated: Option<(usize, usize)>) -> VerifiedLine {
    let (problems, leftovers) = counts(verified);
    VerifiedLine {
        entries: verified.entries,
        artifacts: verified.artifacts,
        bytes: verified.bytes,
        digests: verified.verify == Verify::Digest,
        problems,
        leftovers,
        quarantined: verified.quarantined,
        clean: verified.is_clean(),
        seconds: verified.elapsed.as_secs_f64(),
        regenerated: regenerated.map(|(there, _)| there),
        not_regenerated: regenerated.map(|(_, lost)| lost),
    }
}

/// The last word, and whether it was a good one.
fn conclude(verified: &Verified, regenerated: Option<(usize, usize)>, args: &VerifyArgs) -> Result<()> {
    let (problems, _) = counts(verified);
    let problems_left = verified.problems().filter(|finding| matches!(finding.repair, Repair::Nothing | Repair::Failed(_))).count();
    let others_left = verified.findings.iter().filter(|finding| !finding.kind.is_problem() && matches!(finding.repair, Repair::Failed(_))).count();
    let left = problems_left + others_left;
    let dropped = verified.dropped().len();
    match regenerated {
        Some((there, 0)) if there > 0 => say(&format!("{} made again", counted(there, "entry", "entries"))),
        Some((there, lost)) if lost > 0 => {
            return Err(Failure::World(format!(
                "{} of {} made again; see above for the others\n  what is left of them is in quarantine/ of the store",
                there,
                counted(there + lost, "entry", "entries"),
            )));
        }
        None if dropped > 0 => say(&format!("{} dropped; the next load makes them again", counted(dropped, "entry", "entries"))),
        _ => {}
    }
    match () {
        () if left == 0 => {
            let clearable = verified
                .findings
                .iter()
                .any(|finding| matches!(finding.kind, FindingKind::JournalTail | FindingKind::Orphan | FindingKind::Leftover));
            if clearable && !args.repair {
                say("what lies about does no harm; `tickbarn verify --repair` clears it");
            }
            Ok(())
        }
        () if args.repair => Err(Failure::World(format!("{} could not be mended; see above", counted(left, "finding", "findings")))),
        // What a repair leaves alone says itself what to do.
        () if verified.problems().all(|finding| finding.kind == FindingKind::Pin) => {
            Err(Failure::World(format!("{}; see above", counted(problems, "problem", "problems"))))
        }
        () => Err(Failure::World(format!(
            "{}\n  `tickbarn verify --repair` moves what is damaged to quarantine and drops what has lost something; the next load makes it again",
            counted(problems, "problem", "problems")
        ))),
    }
}

//! `tickbarn doctor`: whether a store can be used as it should, who uses it, and what to do where not. Works on one that cannot be opened, too.

mod args;
mod judge;
mod lines;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tickbarn::inspect::{self, Activity, FileSystem, Probed, StoreFormat};
use tickbarn::{DatasetFile, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{counted, size, stdout, thousands};
use tickbarn_terminal::records::write_line;

pub(crate) use args::{DoctorArgs, ProbeLockArgs};
use judge::{Findings, numbers};

/// What the second process says of a lock that it could take.
const FREE: &str = "free";

pub(crate) fn run(place: &Place, args: &DoctorArgs) -> Result<()> {
    let mut findings = Findings::default();
    let file = place.datasets_if_any().unwrap_or_else(|failure| {
        findings.problem(failure.to_string(), "correct it, or name another dataset file with --config");
        None
    });
    let path = place.named_store().cloned().or_else(|| file.as_ref().and_then(DatasetFile::store).map(PathBuf::from));
    if path.is_none() && findings.0.is_empty() {
        findings.problem(
            "no store is named, and there is no tickbarn.toml here or in a directory above",
            "name a store with --store DIR, a dataset file with --config FILE, or let `tickbarn demo` make both to begin from",
        );
    } else if path.is_none() {
        findings.problem("no store is named", "name one with --store DIR or TICKBARN_STORE");
    }
    let seen = path.map(|path| Seen::look(path, place, file.as_ref(), &mut findings));
    let mut out = stdout();
    if args.json {
        write_lines(&mut out, seen.as_ref(), &findings)?;
    } else {
        write_text(&mut out, seen.as_ref(), &findings)?;
    }
    out.flush()?;
    match findings.counts() {
        (0, _) => Ok(()),
        (problems, _) => Err(Failure::World(format!("{}; see above for what to do", counted(problems, "problem", "problems")))),
    }
}

/// What a second process does that `doctor` starts: it tries a lock.
pub(crate) fn probe_lock(args: &ProbeLockArgs) -> Result<()> {
    let answer = if inspect::is_lock_free(&args.path)? { FREE } else { "held" };
    let mut out = stdout();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}

/// Asks a process of its own whether it can take a lock.
fn ask_another_process(lock: &Path) -> io::Result<bool> {
    let asked = Command::new(std::env::current_exe()?).arg("probe-lock").arg(lock).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    if !asked.status.success() {
        return Err(io::Error::other(format!("it ended with {}", asked.status)));
    }
    Ok(asked.stdout.trim_ascii() == FREE.as_bytes())
}

/// What was seen of a store, as far as it could be looked at.
struct Seen {
    path: PathBuf,
    format: Option<StoreFormat>,
    opens: bool,
    file_system: Option<FileSystem>,
    probes: Vec<Probed>,
    activity: Option<Activity>,
}

impl Seen {
    fn look(path: PathBuf, place: &Place, file: Option<&DatasetFile>, findings: &mut Findings) -> Self {
        let mut seen = Self { format: None, opens: false, file_system: None, probes: Vec::new(), activity: None, path };
        let path = &seen.path;
        match inspect::file_system(path) {
            Ok(file_system) => {
                findings.of_file_system(&file_system);
                seen.file_system = Some(file_system);
            }
            Err(error) => findings.problem(error.to_string(), "correct the path of the store, or the rights on the directories above it"),
        }
        match inspect::store_format(path) {
            Ok(Some(format)) => seen.format = Some(format),
            Ok(None) => {
                findings
                    .problem(format!("there is no store at {}", path.display()), "name another with --store, or let `tickbarn load` make one there");
                return seen;
            }
            Err(error) => {
                // Whatever it is, it is not looked into, nor written to: it may be no store, or one of a format that is not known here.
                let way_out = if matches!(error, tickbarn::Error::NewerFormat { .. } | tickbarn::Error::NotAStore { .. }) {
                    ""
                } else {
                    "give yourself the right to read it"
                };
                findings.problem(error.to_string(), way_out);
                return seen;
            }
        }
        // Before it is opened: that makes anew what is missing, and takes a look at locks that it may wait for.
        match inspect::activity(path) {
            Ok(activity) => {
                findings.of_activity(&activity);
                seen.activity = Some(activity);
            }
            Err(error) => findings.problem(
                error.to_string(),
                "`tickbarn verify` tells more; --repair there moves away what stands in the place of a lock or a directory",
            ),
        }
        match inspect::probe(path, ask_another_process) {
            Ok(probes) => {
                // On one that is mounted read-only, that has been said.
                if seen.file_system.as_ref().is_none_or(|file_system| !file_system.is_read_only) {
                    findings.of_probes(&probes);
                }
                seen.probes = probes;
            }
            Err(error) => findings.problem(error.to_string(), "locks between processes could not be tried; run this where processes can be started"),
        }
        match Store::open_existing(path) {
            Ok(store) => {
                seen.opens = true;
                if let Some(gc) = file.filter(|file| place.is_meant(file)).and_then(DatasetFile::gc) {
                    findings.of_marks(&store, &gc.retention);
                }
            }
            Err(error) => findings.problem(format!("the store cannot be opened: {error}"), "put right what it names"),
        }
        seen
    }
}

fn write_text(out: &mut impl Write, seen: Option<&Seen>, findings: &Findings) -> io::Result<()> {
    let formats: Vec<String> = inspect::formats().iter().map(|(name, format)| format!("{name} {format}")).collect();
    writeln!(out, "tickbarn   {}; formats: {}", env!("CARGO_PKG_VERSION"), formats.join(", "))?;
    if let Some(seen) = seen {
        write_seen(out, seen)?;
    }
    if !findings.0.is_empty() {
        writeln!(out)?;
    }
    for severity in [true, false] {
        for finding in findings.0.iter().filter(|finding| finding.is_problem == severity) {
            writeln!(out, "{}: {}", if severity { "problem" } else { "remark" }, finding.what)?;
            if !finding.way_out.is_empty() {
                writeln!(out, "  {}", finding.way_out)?;
            }
        }
    }
    if let (0, remarks) = findings.counts() {
        writeln!(out, "no problems{}", if remarks == 0 { String::new() } else { format!(", {}", counted(remarks, "remark", "remarks")) })?;
    }
    Ok(())
}

fn write_seen(out: &mut impl Write, seen: &Seen) -> io::Result<()> {
    let Seen { path, format, opens, file_system, probes, activity } = seen;
    let said = format.as_ref().map_or_else(|| "no store was read there".to_owned(), |format| format!("format {}, id {}", format.format, format.id));
    writeln!(out, "store      {}: {said}{}", path.display(), if *opens { "" } else { "; not opened" })?;
    if let Some(file_system) = file_system {
        let FileSystem { kind, source, mounted_at, is_network, bytes, free_bytes, inodes, free_inodes, .. } = file_system;
        let place = if *is_network { "shared with other machines" } else { "local" };
        writeln!(out, "disk       {kind}, {place}: {source} at {}", mounted_at.display())?;
        let files = if *inodes == 0 { String::new() } else { format!("; room for {} of {} files", thousands(*free_inodes), thousands(*inodes)) };
        writeln!(out, "space      {} of {} free{files}", size(*free_bytes), size(*bytes))?;
    }
    if !probes.is_empty() {
        let names = |works: bool| {
            let some: Vec<&str> = probes.iter().filter(|probed| probed.problem.is_none() == works).map(|probed| probed.ability.as_str()).collect();
            some.join(", ")
        };
        let (does, fails) = (names(true), names(false));
        let does = if does.is_empty() { "nothing".to_owned() } else { does };
        writeln!(out, "works      {does}{}", if fails.is_empty() { String::new() } else { format!("; does not: {fails}") })?;
    }
    if let Some(activity) = activity {
        write_activity(out, activity)?;
    }
    Ok(())
}

fn write_activity(out: &mut impl Write, activity: &Activity) -> io::Result<()> {
    let Activity { locks, slots, slots_max, leases, dead_leases, claims, abandoned, trash, quarantine, .. } = activity;
    let held: Vec<String> = locks.iter().map(|lock| format!("{}{}", lock.name, numbers(&lock.holders))).collect();
    writeln!(out, "locks      {}", if held.is_empty() { "none is held".to_owned() } else { format!("held: {}", held.join(", ")) })?;
    let in_use = slots.iter().filter(|slot| slot.in_use).count();
    let sealed = slots.iter().filter(|slot| !slot.in_use && slot.is_sealed).count();
    let bytes: u64 = slots.iter().map(|slot| slot.bytes).sum();
    writeln!(out, "indexes    {} of {slots_max} slots, {}: {in_use} in use, {sealed} closed in order", slots.len(), size(bytes))?;
    let processes: Vec<u32> = leases.iter().filter_map(|lease| lease.process).collect();
    let living = counted(leases.len(), "living process", "living processes");
    writeln!(out, "leases     {living}{}; {} of processes that are gone", numbers(&processes), thousands(*dead_leases as u64))?;
    let being = counted(claims.len(), "partition is", "partitions are");
    writeln!(out, "work       {being} being generated; left behind: {}", thousands(*abandoned as u64))?;
    let lies = |(files, bytes): (usize, u64)| format!("{}, {}", counted(files, "file", "files"), size(bytes));
    writeln!(out, "set aside  trash {}; quarantine {}", lies(*trash), lies(*quarantine))
}

fn write_lines(out: &mut impl Write, seen: Option<&Seen>, findings: &Findings) -> io::Result<()> {
    write_line(out, &lines::VersionsLine { tickbarn: env!("CARGO_PKG_VERSION"), formats: inspect::formats().into() })?;
    if let Some(seen) = seen {
        let format = seen.format.as_ref();
        let (format, id) = (format.map(|format| format.format), format.map(|format| format.id.as_str()));
        write_line(out, &lines::StoreLine { path: &seen.path, format, id, opens: seen.opens })?;
        if let Some(FileSystem { kind, source, mounted_at, is_network, is_read_only, bytes, free_bytes, inodes, free_inodes, .. }) = &seen.file_system
        {
            let (bytes, free_bytes, inodes, free_inodes) = (*bytes, *free_bytes, *inodes, *free_inodes);
            let (network, read_only) = (*is_network, *is_read_only);
            write_line(out, &lines::FileSystemLine { kind, source, mounted_at, network, read_only, bytes, free_bytes, inodes, free_inodes })?;
        }
        for Probed { ability, problem, .. } in &seen.probes {
            write_line(out, &lines::AbilityLine { name: ability.as_str(), works: problem.is_none(), reason: problem.as_deref() })?;
        }
        if let Some(activity) = &seen.activity {
            write_activity_lines(out, activity)?;
        }
    }
    for judge::Finding { is_problem, what, way_out } in &findings.0 {
        write_line(out, &lines::FindingLine { severity: if *is_problem { "problem" } else { "remark" }, what, way_out })?;
    }
    let (problems, remarks) = findings.counts();
    write_line(out, &lines::DoctorLine { problems, remarks })
}

fn write_activity_lines(out: &mut impl Write, activity: &Activity) -> io::Result<()> {
    for lock in &activity.locks {
        write_line(out, &lines::LockLine { name: lock.name, holders: &lock.holders })?;
    }
    for slot in &activity.slots {
        let (in_use, sealed) = (slot.in_use, slot.is_sealed);
        write_line(out, &lines::SlotLine { slot: slot.nth, in_use, holders: &slot.holders, sealed, bytes: slot.bytes })?;
    }
    for lease in &activity.leases {
        write_line(out, &lines::LeaseLine { process: lease.process, bytes: lease.bytes })?;
    }
    let unfinished = lines::UnfinishedLine {
        claims: &activity.claims,
        abandoned: activity.abandoned,
        dead_leases: activity.dead_leases,
        trash: activity.trash.0,
        trash_bytes: activity.trash.1,
        quarantine: activity.quarantine.0,
        quarantine_bytes: activity.quarantine.1,
        collecting: activity.is_held("collector"),
    };
    write_line(out, &unfinished)
}

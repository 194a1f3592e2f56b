//! What of what was seen is wrong, and what to do about it.

use std::fs;
use std::path::Path;

use tickbarn::gc::{self, GcPlan};
use tickbarn::inspect::{Ability, Activity, FileSystem, Probed};
use tickbarn::{Retention, Store};
use tickbarn_terminal::output::{counted, size};

/// Something to say about a store.
pub(crate) struct Finding {
    /// Whether something does not work, or will not for long, rather than being worth to know.
    pub(crate) is_problem: bool,
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) way_out: String,
}

/// What there is to say, in the order in which it was found.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn problem(&mut self, what: impl Into<String>, way_out: impl Into<String>) {
        self.0.push(Finding { is_problem: true, what: what.into(), way_out: way_out.into() });
    }

    pub(crate) fn remark(&mut self, what: impl Into<String>, way_out: impl Into<String>) {
        self.0.push(Finding { is_problem: false, what: what.into(), way_out: way_out.into() });
    }

    /// How many problems there are, and how many remarks.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let problems = self.0.iter().filter(|finding| finding.is_problem).count();
        (problems, self.0.len() - problems)
    }

    pub(crate) fn of_file_system(
        &mut self,
        FileSystem { kind, source, is_network, is_read_only, bytes, free_bytes, inodes, free_inodes, .. }: &FileSystem,
    ) {
        /// Below this nothing can be published.
        const FULL_BYTES: u64 = 1 << 20;
        const SCARCE: u64 = 50;
        if *is_network {
            self.remark(
                format!("the store lies on {kind} ({source}), which other machines share"),
                "locks must hold between all machines that use it (NFS 4, or NFS 3 with a lock server; no `nolock`), and names must be seen at once: run this on two of them",
            );
        }
        if *is_read_only {
            self.problem(
                format!("the file system ({source}) is mounted read-only"),
                "loads can read what is there and generate nothing; mount it writable for more",
            );
        }
        match *free_bytes {
            free if free < FULL_BYTES => self.problem("the disk is full", "free some space, for example by `tickbarn gc --min-free 10%`"),
            free if free < bytes / SCARCE => {
                self.remark(format!("of the disk only {} are free", size(free)), "see what may go by `tickbarn gc --min-free 10% --dry-run`");
            }
            _ => {}
        }
        match *free_inodes {
            _ if *inodes == 0 => {}
            0 => self
                .problem("the file system can hold no more files: it has no inode left", "remove files, for example by `tickbarn gc --max-age 90d`"),
            free if free < inodes / SCARCE => self.remark(
                format!("the file system has room for only {} more", counted(usize::try_from(free).unwrap_or(usize::MAX), "file", "files")),
                "an entry takes one, and one more for each output; see what may go by `tickbarn gc --max-age 90d --dry-run`",
            ),
            _ => {}
        }
    }

    pub(crate) fn of_probes(&mut self, probes: &[Probed]) {
        for Probed { ability, problem, .. } in probes {
            let Some(reason) = problem else { continue };
            let (what, way_out) = match ability {
                Ability::Write => (
                    "nothing can be written",
                    "loads can read what is there and generate nothing; give yourself the right to write to all of the store",
                ),
                Ability::Rename => ("a rename does not replace a file", "nothing can be relied on here; move the store to a local file system"),
                Ability::Sync => {
                    ("files cannot be synced", "nothing survives a crash here; look at the system's log for errors of the disk, or move the store")
                }
                Ability::Lock => (
                    "locks do not hold between processes",
                    "two processes would work at the same things; mount the file system with working flock, or move the store to a local one",
                ),
                Ability::HardLink => ("files cannot have two names", "all works without; views are made of symbolic links"),
                Ability::RenameNew => ("a rename always replaces", "all works without, by hard links"),
                Ability::WriteLease => {
                    ("the kernel does not vouch for files here", "all works without: outputs are copied into the store instead of renamed")
                }
                _ => (ability.as_str(), "see the reason"),
            };
            let what = format!("{what}: {reason}");
            if ability.is_needed() { self.problem(what, way_out) } else { self.remark(what, way_out) }
        }
    }

    pub(crate) fn of_activity(&mut self, activity: &Activity) {
        for lock in &activity.locks {
            for process in lock.holders.iter().filter(|process| is_stopped(**process)) {
                self.problem(
                    format!("process {process} holds the lock {:?} of the store, and is stopped", lock.name),
                    format!("others wait for it in vain: let it go on (`kill -CONT {process}`), or end it"),
                );
            }
        }
        if activity.is_held("unlisted") {
            let holders = activity.locks.iter().find(|lock| lock.name == "unlisted").map(|lock| lock.holders.clone()).unwrap_or_default();
            self.remark(
                format!("a process could not write down what it was handed{}: nothing is collected while it lives", numbers(&holders)),
                "make room on the disk or let it write to the store, and start it again; or wait until it ends",
            );
        }
        if activity.slots.iter().filter(|slot| slot.in_use).count() == activity.slots_max {
            self.remark(
                "all index slots are taken",
                "further processes read manifests instead, which is slower and as right; fewer at once have an index each",
            );
        }
        let unsealed = activity.slots.iter().filter(|slot| !slot.in_use && !slot.is_sealed).count();
        if unsealed > 0 {
            self.remark(
                format!("{} not closed in order", counted(unsealed, "index was", "indexes were")),
                "nothing to do: it is made anew from the journal when it is next opened",
            );
        }
        if activity.abandoned > 0 {
            self.remark(
                format!("{} left by processes that are gone", counted(activity.abandoned, "claim or work directory", "claims or work directories")),
                "each goes when its partition is next generated; all at once by `tickbarn gc --leftovers` or `tickbarn verify --repair`",
            );
        }
        if activity.trash.0 > 0 && !activity.is_held("collector") {
            self.remark(
                format!("a collection was stopped: {} in trash/, {}", counted(activity.trash.0, "file is", "files are"), size(activity.trash.1)),
                "the next collection finishes it: `tickbarn gc --leftovers`",
            );
        }
        if activity.quarantine.0 > 0 {
            self.remark(
                format!(
                    "{} in quarantine/, {}",
                    counted(activity.quarantine.0, "damaged file lies", "damaged files lie"),
                    size(activity.quarantine.1)
                ),
                "`tickbarn verify --digest` tells whether more is damaged; look at them for a cause, and remove them by hand",
            );
        }
    }

    /// What the marks of `[gc]` say of the space that is taken and free.
    pub(crate) fn of_marks(&mut self, store: &Store, retention: &Retention) {
        if retention.max_bytes.is_none() && retention.min_free.is_none() {
            return;
        }
        match gc::plan(store, retention) {
            Err(error) => self
                .problem(format!("what may be collected cannot be told: {error}"), "nothing is collected until then; `tickbarn verify` tells more"),
            Ok(plan) if plan.is_over_a_mark() => {
                let (what, way_out) = over_a_mark(&plan);
                self.remark(what, way_out);
            }
            Ok(_) => {}
        }
    }
}

fn over_a_mark(plan: &GcPlan) -> (String, String) {
    let taken = size(plan.store_bytes());
    let what = format!("the store takes {taken}, and a mark of [gc] is passed");
    let way_out = match plan.shortfall_bytes() {
        0 => format!("`tickbarn gc` frees {}", size(plan.price().bytes)),
        short => format!(
            "`tickbarn gc` frees {}, and {} too little, since the rest is held; see `tickbarn gc --dry-run`",
            size(plan.price().bytes),
            size(short)
        ),
    };
    (what, way_out)
}

pub(crate) fn numbers(processes: &[u32]) -> String {
    match processes {
        [] => String::new(),
        [one] => format!(" (process {one})"),
        several => format!(" (processes {})", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether a process was stopped, by a signal or a debugger.
fn is_stopped(process: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).unwrap_or_default();
    // The name stands in parentheses, and may hold some.
    status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['T', 't']))
}

//! What lies about and may go, besides entries: recorded failures, and what nobody needs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::plan::{GcFailure, GcLeftover, LeftoverKind};
use crate::error::Result;
use crate::interval::Time;
use crate::parallel::machine_parallelism;
use crate::retention::Retention;
use crate::store::{Finding, FindingKind, Inventory, JournalUse, Roots, Store, lying_about};

/// The records of failures in the scope that are older than the grace period.
pub(super) fn failures(store: &Store, retention: &Retention, at: Time) -> Result<Vec<GcFailure>> {
    let grace_ns = i64::try_from(retention.grace.as_nanos()).unwrap_or(i64::MAX);
    let mut failures = Vec::new();
    for record in store.failures()? {
        if retention.concerns(&record.dataset, &record.instrument) && at.ns().saturating_sub(record.last.ns()) >= grace_ns {
            failures.push(GcFailure {
                address: record.address,
                dataset: record.dataset,
                instrument: record.instrument,
                interval: record.interval,
                last: record.last,
                bytes: store.failure_bytes(&record.address),
            });
        }
    }
    failures.sort_by(|left, right| (&left.dataset, &left.instrument, left.interval).cmp(&(&right.dataset, &right.instrument, right.interval)));
    Ok(failures)
}

/// What lies about and goes. What entries named before they were replaced or removed always does; the rest where the retention says so.
pub(super) fn find(store: &Store, retention: &Retention, inventory: &Inventory, roots: &Roots, at: Time) -> Result<Vec<GcLeftover>> {
    let replaced = store.unnamed(inventory, roots).into_iter().map(|(path, bytes)| GcLeftover { kind: LeftoverKind::Replaced, path, bytes });
    let mut found: Vec<GcLeftover> = replaced.collect();
    found.extend(store.trash()?.into_iter().map(|(path, bytes)| GcLeftover { kind: LeftoverKind::Trash, path, bytes }));
    if retention.leftovers {
        let known: HashSet<PathBuf> = found.iter().map(|leftover| leftover.path.clone()).collect();
        let others = lying_about(store, machine_parallelism())?.into_iter().map(|finding| leftover(store, &finding));
        found.extend(others.filter(|leftover| is_due(leftover, retention, at) && !known.contains(&leftover.path)));
        for (path, digest, bytes) in store.programs()? {
            let leftover = GcLeftover { kind: LeftoverKind::Program, path, bytes };
            if !roots.is_program_leased(&digest) && is_due(&leftover, retention, at) {
                found.push(leftover);
            }
        }
    }
    if let Some(leftover) = journal(store, retention, inventory)? {
        found.push(leftover);
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

/// What a finding is called here, and how large it is.
pub(super) fn leftover(store: &Store, finding: &Finding) -> GcLeftover {
    let kind = match finding.kind {
        FindingKind::Orphan => LeftoverKind::Orphan,
        _ if store.is_work(&finding.path) => LeftoverKind::Work,
        _ if store.is_claim(&finding.path) => LeftoverKind::Claim,
        _ => LeftoverKind::Draft,
    };
    GcLeftover { kind, path: finding.path.clone(), bytes: store.bytes_of(&finding.path) }
}

/// Whether the grace period of something is over. What dead processes left has none: nobody comes back for it.
pub(super) fn is_due(leftover: &GcLeftover, retention: &Retention, at: Time) -> bool {
    match leftover.kind {
        LeftoverKind::Orphan | LeftoverKind::Program => age(&leftover.path, at).is_some_and(|age| age >= retention.grace),
        _ => true,
    }
}

/// For how long a file has been as it is; nothing where its clock is ahead of ours.
fn age(path: &Path, at: Time) -> Option<Duration> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.symlink_metadata().ok()?;
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(at.ns()).ok()?);
    at.duration_since(changed).ok()
}

/// What of the journal is in vain, once that is half of it, or what lies about was asked for.
fn journal(store: &Store, retention: &Retention, inventory: &Inventory) -> Result<Option<GcLeftover>> {
    let (path, bytes) = store.journal_file()?;
    let JournalUse { records, live } = inventory.journal;
    let in_vain = records.saturating_sub(live);
    let vain_bytes = if records == 0 { 0 } else { (bytes as f64 * in_vain as f64 / records as f64) as u64 };
    let is_worth_it = is_worth_compacting(inventory.journal, bytes, retention.leftovers);
    Ok(is_worth_it.then_some(GcLeftover { kind: LeftoverKind::Journal, path, bytes: vain_bytes }))
}

/// Writing it anew makes every index start again: not for a little.
pub(super) fn is_worth_compacting(JournalUse { records, live }: JournalUse, bytes: u64, asked_for: bool) -> bool {
    const BYTES_MIN: u64 = 1 << 20;
    let in_vain = records.saturating_sub(live);
    if asked_for { in_vain > 0 && in_vain >= live / 10 } else { bytes >= BYTES_MIN && in_vain > live }
}

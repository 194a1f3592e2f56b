//! One collection: what may go, the plan, what it says, and carrying it out.

use std::io;

use tickbarn::gc::{self, Automatic, GcPlan, Swept};
use tickbarn::{DatasetFile, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{Paint, counted, painted, size, stdout};
use tickbarn_terminal::progress::{ProgressLine, StageBar, bar_is_seen, say};

use crate::args::GcArgs;
use crate::policy::{Policy, policy_of};
use crate::records;
use crate::report;
use crate::scope::unknown_names;
use crate::until::{End, Stop, until_a_signal};

/// Collects from the store of a place, or says what would go.
///
/// # Errors
///
/// Where nothing says what may go, the store cannot be used, another collector is at work there, something could not be removed, or a signal came.
pub fn run(place: &Place, args: &GcArgs) -> Result<()> {
    let file = place.datasets_if_any()?;
    // What another store's file says may be forgotten long ago, and deletes.
    let policy = policy_of(args, file.as_ref().filter(|file| place.is_meant(file)))?;
    let store = place.open_store_of(file.as_ref())?;
    let collection = Collection { store, file, policy, dry_run: args.dry_run, json: args.json };
    match until_a_signal(move |stop| collection.carry_out(stop))? {
        End::Done(done) => done.map(drop),
        End::Before(signal) => Err(Failure::Interrupted { signal, left: "nothing was removed".to_owned() }),
        // It came when the last was gone already.
        End::Amid(_, Some(Ok(Some(swept)))) if !swept.cancelled => Ok(()),
        End::Amid(_, Some(Err(failure))) => Err(failure),
        End::Amid(signal, Some(Ok(swept))) => Err(Failure::Interrupted { signal, left: left(swept.as_ref()) }),
        End::Amid(signal, None) => {
            let left = "it did not come to an end in time; the next collection finishes what it was about".to_owned();
            Err(Failure::Interrupted { signal, left })
        }
    }
}

/// Waits for the collection that a load has begun in the background.
///
/// # Errors
///
/// Where a signal came: the collection stops then.
pub fn finish(collecting: Automatic) -> Result<()> {
    if !collecting.is_running() {
        return Ok(());
    }
    let _line = bar_is_seen().then(|| ProgressLine::waiting("collecting what need not be kept"));
    let end = until_a_signal(move |stop| {
        // A signal lets it come to the end of a step, also one that came just now.
        let _ = stop.may_remove();
        collecting.finish_unless(stop.token());
    })?;
    match end {
        End::Done(()) => Ok(()),
        End::Before(signal) | End::Amid(signal, _) => {
            let left = "all that was asked for is there; the collection behind it goes on another time".to_owned();
            Err(Failure::Interrupted { signal, left })
        }
    }
}

/// What is said of a collection that a signal ended.
fn left(swept: Option<&Swept>) -> String {
    match swept {
        Some(Swept { price, failures, leftovers, leftover_bytes, .. }) if price.entries + failures + leftovers > 0 => {
            let freed = size(price.bytes + leftover_bytes);
            format!("{} and {freed} were freed by then, run it again for the rest", counted(price.entries, "entry", "entries"))
        }
        _ => "nothing was removed".to_owned(),
    }
}

/// A collection that is fully said.
struct Collection {
    store: Store,
    file: Option<DatasetFile>,
    policy: Policy,
    dry_run: bool,
    json: bool,
}

impl Collection {
    /// Plans, tells, and removes unless that was not asked for; gives what was removed, where it came to that.
    fn carry_out(&self, stop: &Stop) -> Result<Option<Swept>> {
        let mut results = Results::default();
        let plan = self.plan()?;
        for unknown in unknown_names(&plan, &self.store, self.file.as_ref())? {
            say(&format!("{} {unknown}", painted("warning:", Paint::Warning)));
        }
        let totals = records::Totals::of(&plan, self.dry_run);
        if self.json {
            results.print(|out| records::write_plan(out, &plan));
        } else {
            results.print(|out| report::write_plan(out, &plan, &self.store, self.policy.from.as_deref(), self.dry_run));
        }
        let mut swept = None;
        if !self.dry_run && !plan.is_empty() {
            if !stop.may_remove() {
                return Ok(None);
            }
            // However the output fares: it may lie on the very disk that is too full.
            let done = sweep(plan, stop)?;
            if !self.json {
                results.print(|out| report::write_swept(out, &done));
            }
            swept = Some(done);
        }
        if self.json {
            results.print(|out| records::write_summary(out, &totals, swept.as_ref()));
        }
        results.failed.map_or(Ok(swept), |error| Err(error.into()))
    }

    fn plan(&self) -> Result<GcPlan> {
        let _line = bar_is_seen().then(|| ProgressLine::waiting("looking at what the store holds"));
        Ok(gc::plan(&self.store, &self.policy.retention)?)
    }
}

fn sweep(plan: GcPlan, stop: &Stop) -> Result<Swept> {
    let mut sweeping = plan.sweep().cancelled_by(stop.token());
    if bar_is_seen() {
        let mut bar = StageBar::default();
        sweeping = sweeping.progress(move |progress| bar.show(progress.stage, progress.done, progress.total));
    }
    Ok(sweeping.run()?)
}

/// Standard output, which may fail: then nothing more is written to it, and the work goes on.
#[derive(Default)]
struct Results {
    failed: Option<io::Error>,
}

impl Results {
    fn print(&mut self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) {
        if self.failed.is_some() {
            return;
        }
        let mut out = stdout();
        self.failed = write(&mut out).and_then(|()| io::Write::flush(&mut out)).err();
    }
}

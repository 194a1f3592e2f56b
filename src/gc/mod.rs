//! Collecting: decide, price, then act, beside running work.
//!
//! `decide` is a pure function of what there is, what roots hold it, the time and the [`Retention`]: it gives a [`GcPlan`], which can be printed and
//! priced. `sweep` carries one out, by the one way out of a store (`store/collect`), and looks at every root again under its lock.
//!
//! ```no_run
//! use tickbarn::{Retention, Store, gc};
//!
//! # fn main() -> tickbarn::Result<()> {
//! let store = Store::open_existing("barn")?;
//! let mut retention = Retention::default();
//! retention.max_bytes = Some(500 << 30);
//! let plan = gc::plan(&store, &retention)?;
//! println!("frees {} bytes, {:.1} hours to make again", plan.price().bytes, plan.price().seconds / 3600.0);
//! let swept = gc::sweep(plan)?;
//! println!("{} entries are gone", swept.price.entries);
//! # Ok(())
//! # }
//! ```

mod automatic;
mod decide;
mod leftovers;
mod plan;
mod sweep;

pub use automatic::{Automatic, automatically};
pub use plan::{DatasetPrice, GcEntry, GcFailure, GcLeftover, GcPlan, Kept, LeftoverKind, Price, Reason};
pub use sweep::{GcProgress, Sweeping, Swept, sweep};

use crate::error::{Error, Result};
use crate::interval::Time;
use crate::parallel::machine_parallelism;
use crate::retention::Retention;
use crate::store::{Inventory, Roots, Store};
use decide::{Decision, Disk, decide};

/// Decides what may go under a retention, without changing anything and without a lock that anybody waits for.
///
/// It is quick: the journal is read, and the names of the entries. Only with [`Retention::leftovers`] every manifest is.
///
/// # Errors
/// [`Error::NothingToCollect`] where the retention says of nothing that it may go. [`Error::Io`] and [`Error::Damaged`] where anything that may hold
/// something cannot be read: a lease, a pin, a manifest.
pub fn plan(store: &Store, retention: &Retention) -> Result<GcPlan> {
    if !retention.says_anything() {
        return Err(Error::NothingToCollect);
    }
    let at = Time::now();
    let mut inventory = Inventory::take(store, machine_parallelism())?;
    let roots = Roots::look(store.layout(), &mut inventory)?;
    let Decision { victims, datasets, kept, store_bytes, shortfall_bytes, over_a_mark } = decide(&inventory, &roots, at, disk_of(store)?, retention);
    let failures = if retention.failures { leftovers::failures(store, retention, at)? } else { Vec::new() };
    let leftovers = leftovers::find(store, retention, &inventory, &roots, at)?;
    Ok(GcPlan {
        store: store.clone(),
        retention: retention.clone(),
        at,
        inventory,
        victims,
        datasets,
        failures,
        leftovers,
        kept,
        held_by: roots.processes,
        store_bytes,
        shortfall_bytes,
        over_a_mark,
    })
}

/// The disk that a store lies on.
fn disk_of(store: &Store) -> Result<Disk> {
    let disk = rustix::fs::statvfs(store.path()).map_err(|errno| Error::io("ask for the free space of", store.path())(errno.into()))?;
    Ok(Disk { bytes: disk.f_blocks.saturating_mul(disk.f_frsize), free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize) })
}

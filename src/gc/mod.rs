//! Collecting: decide, price, then act, beside running work.
//!
//! `decide` is a pure function of what there is, what roots hold it, the time and the [`Retention`]: it gives a [`GcPlan`], which can be printed and
//! priced. `sweep` carries one out, by the one way out of a store (`store/collect`), and looks at every root again under its lock.

mod plan;

pub use plan::{DatasetPrice, GcEntry, GcFailure, GcLeftover, GcPlan, Kept, LeftoverKind, Price, Reason};

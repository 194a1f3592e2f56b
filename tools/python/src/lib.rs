//! The native part of the Python package `tickbarn`: the library, as far as Python has to see it.
//!
//! It decides nothing. What goes in is turned into the library's types, what comes out into tuples, dictionaries and a few classes, from which the Python
//! sources beside it make what users see. While the library works the interpreter is given away, and Ctrl-C is looked for several times a second.

use pyo3::prelude::*;

mod collect;
mod dataset;
mod errors;
mod frames;
mod inspect;
mod interrupt;
mod job;
mod load;
mod moment;
mod options;
mod partition;
mod pins;
mod ray;
mod store;
mod value;
mod verify;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::collect::{GcPlan, plan_gc};
    #[pymodule_export]
    use super::dataset::{Dataset, command_dataset, function_dataset};
    #[pymodule_export]
    use super::inspect::{coverage, foresee, why};
    #[pymodule_export]
    use super::job::{Job, Upstream};
    #[pymodule_export]
    use super::load::{Loaded, Running, partitions};
    #[pymodule_export]
    use super::moment::{parse_length, parse_time, time_text};
    #[pymodule_export]
    use super::options::read_intervals;
    #[pymodule_export]
    use super::partition::Partition;
    #[pymodule_export]
    use super::pins::{pin_addresses, pin_range, pins, unpin};
    #[pymodule_export]
    use super::ray::Ray;
    #[pymodule_export]
    use super::store::Store;
    #[pymodule_export]
    use super::verify::verify;
}

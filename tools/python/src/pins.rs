//! Pins: what is to be kept, by a name.

use pyo3::prelude::*;
use tickbarn::{Address, AddressPrefix, Pin, PinCover};

use crate::errors::raised;
use crate::moment::{Moment, Named};
use crate::options::instruments;
use crate::store::Store;

/// Pins what overlaps an interval of these datasets and instruments.
#[pyfunction]
#[pyo3(signature = (store, name, datasets, named, start=None, end=None))]
pub(crate) fn pin_range(
    py: Python<'_>,
    store: &Store,
    name: String,
    datasets: Vec<String>,
    named: Vec<Named>,
    start: Option<Moment>,
    end: Option<Moment>,
) -> PyResult<()> {
    let pin = || {
        let ends = (start.map(|start| start.time()).transpose()?, end.map(|end| end.time()).transpose()?);
        store.store.pin(&Pin::range(name, datasets, instruments(&named)?, ends.0, ends.1)?)
    };
    py.detach(pin).map_err(raised)
}

/// Pins single entries, by their addresses or prefixes of them.
#[pyfunction]
pub(crate) fn pin_addresses(py: Python<'_>, store: &Store, name: String, addresses: Vec<String>) -> PyResult<()> {
    let pin = || {
        let found = addresses.iter().map(|digits| store.store.resolve(&digits.parse::<AddressPrefix>()?));
        store.store.pin(&Pin::addresses(name, found.collect::<tickbarn::Result<Vec<Address>>>()?)?)
    };
    py.detach(pin).map_err(raised)
}

/// Takes a pin away.
#[pyfunction]
pub(crate) fn unpin(py: Python<'_>, store: &Store, name: &str) -> PyResult<()> {
    py.detach(|| store.store.unpin(name)).map_err(raised)
}

/// A pin: its name, when it was made, datasets, instruments, both ends, addresses.
type Row = (String, i64, Vec<String>, Vec<String>, Option<i64>, Option<i64>, Vec<String>);

/// Every pin.
#[pyfunction]
pub(crate) fn pins(py: Python<'_>, store: &Store) -> PyResult<Vec<Row>> {
    let pins = py.detach(|| store.store.pins()).map_err(raised)?;
    let row = |pin: Pin| {
        let (name, created) = (pin.name, pin.created.ns());
        match pin.cover {
            PinCover::Range { datasets, instruments, start, end } => {
                let instruments = instruments.iter().map(ToString::to_string).collect();
                let (start, end) = (start.map(|time| time.ns()), end.map(|time| time.ns()));
                (name, created, datasets.into_iter().collect(), instruments, start, end, Vec::new())
            }
            PinCover::Addresses(addresses) => {
                (name, created, Vec::new(), Vec::new(), None, None, addresses.iter().map(ToString::to_string).collect())
            }
            // A kind that this module does not know is a pin all the same.
            _ => (name, created, Vec::new(), Vec::new(), None, None, Vec::new()),
        }
    };
    Ok(pins.into_iter().map(row).collect())
}

//! Verifying: is everything in a store whole.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tickbarn::Repair;

use crate::interrupt::interruptible;
use crate::store::Store;

/// Verifies a store, and mends it where that is asked for.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, store: &Store, digest: bool, repair: bool, jobs: Option<usize>) -> PyResult<Py<PyDict>> {
    let mut verification = store.store.verify();
    if digest {
        verification = verification.digests();
    }
    if repair {
        verification = verification.repair();
    }
    if let Some(jobs) = jobs {
        verification = verification.jobs(jobs);
    }
    let verified = interruptible(py, "verifying a store", None, move || verification.run())?;
    let fields = PyDict::new(py);
    fields.set_item("entries", verified.entries)?;
    fields.set_item("artifacts", verified.artifacts)?;
    fields.set_item("bytes", verified.bytes)?;
    fields.set_item("is_clean", verified.is_clean())?;
    fields.set_item("quarantined", verified.quarantined)?;
    fields.set_item("seconds", verified.elapsed.as_secs_f64())?;
    let findings = PyList::empty(py);
    for finding in &verified.findings {
        let repair = match &finding.repair {
            Repair::Nothing => "nothing".to_owned(),
            Repair::Quarantined(_) => "quarantined".to_owned(),
            Repair::Dropped(_) => "dropped".to_owned(),
            Repair::Rebuilt => "rebuilt".to_owned(),
            Repair::Removed => "removed".to_owned(),
            Repair::NoLonger => "no longer".to_owned(),
            Repair::InUse => "in use".to_owned(),
            Repair::Failed(why) => format!("failed: {why}"),
            other => format!("{other:?}"),
        };
        let address = finding.entry.as_ref().map(|entry| entry.address.to_string());
        findings.append((finding.kind.as_str(), finding.kind.is_problem(), finding.path.clone(), &finding.reason, address, repair))?;
    }
    fields.set_item("findings", findings)?;
    Ok(fields.unbind())
}

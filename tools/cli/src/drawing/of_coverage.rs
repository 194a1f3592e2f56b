//! From what is known of a dataset's coverage to the rows of a map.

use tickbarn::inspect::Coverage;

use super::map::Track;

/// A row for every instrument.
pub(crate) fn tracks_of(coverage: &Coverage) -> Vec<Track> {
    let rows = coverage.instruments.iter().map(|one| Track {
        name: one.instrument.to_string(),
        there: one.have.intervals().to_vec(),
        empty: one.empty.intervals().to_vec(),
        failed: one.failed.intervals().to_vec(),
        closed: coverage.closed.intervals().to_vec(),
    });
    rows.collect()
}

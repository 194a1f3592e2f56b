//! What the page shows of coverage: a map for each dataset that is defined or held.

use std::collections::BTreeSet;

use tickbarn::inspect::{self, Coverage, CoverageOptions, Subject, Survey};
use tickbarn::{DatasetFile, Error, FailureRecord, Store};
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{counted, shell_word};

use super::page::DatasetMap;
use crate::drawing::{Map, shown, tracks_of};

/// Datasets beyond so many have no map.
const MAPS_MAX: usize = 50;
/// Instruments of a dataset beyond so many have no row.
const ROWS_MAX: usize = 200;
/// The more rows a page has, the coarser they are, down to the least.
const CELLS_MAX: usize = 120_000;
const COLUMNS_MIN: usize = 60;
const COLUMNS_MAX: usize = 400;

/// The maps, and how many datasets have none.
pub(super) fn maps(store: &Store, file: Option<&DatasetFile>, survey: &Survey, failures: &[FailureRecord]) -> Result<(Vec<DatasetMap>, usize)> {
    let names = names(file, survey, failures);
    let left_out = names.len().saturating_sub(MAPS_MAX);
    let found: Vec<Found<'_>> = names.iter().take(MAPS_MAX).map(|name| Found::of(store, file, name)).collect::<Result<_>>()?;
    let rows: usize = found.iter().flat_map(|found| &found.coverage).map(|coverage| coverage.instruments.len().min(ROWS_MAX)).sum();
    let columns_max = (CELLS_MAX / rows.max(1)).clamp(COLUMNS_MIN, COLUMNS_MAX) as u32;
    let maps = found.into_iter().map(|Found { name, coverage, notes }| DatasetMap {
        map: coverage.map(|coverage| Map::new(name, coverage.interval, &tracks_of(&coverage), columns_max, ROWS_MAX)),
        name: shown(name),
        notes: notes.iter().map(|note| shown(note)).collect(),
        next: shown(&format!("tickbarn coverage {}", shell_word(name))),
    });
    Ok((maps.collect(), left_out))
}

/// Every dataset once: what takes most bytes first, then what is only defined or only failed.
fn names<'a>(file: Option<&'a DatasetFile>, survey: &'a Survey, failures: &'a [FailureRecord]) -> Vec<&'a str> {
    let held = survey.datasets.iter().map(|held| &*held.dataset);
    let defined = file.iter().flat_map(|file| file.datasets()).map(|dataset| dataset.name());
    let failed = failures.iter().map(|record| record.dataset.as_str());
    let mut known = BTreeSet::new();
    held.chain(defined).chain(failed).filter(|name| known.insert(*name)).collect()
}

/// What was found out of a dataset.
struct Found<'a> {
    name: &'a str,
    coverage: Option<Coverage>,
    notes: Vec<String>,
}

impl<'a> Found<'a> {
    /// What counts is what its definition would find; where it has none, or the store has nothing of that, what the store has under its name.
    fn of(store: &Store, file: Option<&DatasetFile>, name: &'a str) -> Result<Self> {
        let options = CoverageOptions::default();
        let mut notes = Vec::new();
        if let Some(dataset) = file.and_then(|file| file.datasets().iter().find(|dataset| dataset.name() == name)) {
            match inspect::coverage(store, Subject::Defined(dataset), &options) {
                Ok(coverage) => {
                    if coverage.elsewhere > 0 {
                        let others = counted(
                            coverage.elsewhere,
                            "entry of another program or configuration does",
                            "entries of other programs or configurations do",
                        );
                        notes.push(format!("{others} not count here."));
                    }
                    return Ok(Self { name, coverage: Some(coverage), notes });
                }
                Err(Error::NothingCovered { .. }) => notes.push("The store has nothing of it as it is defined now.".to_owned()),
                // Its program may not be on this machine; what the store itself has is told all the same.
                Err(error) => notes.push(format!("It cannot be told what of it would be found: {error}")),
            }
        }
        match inspect::coverage(store, Subject::Named(name), &options) {
            Ok(coverage) => {
                notes.push("This is what the store holds under this name, whatever program and configuration made it.".to_owned());
                Ok(Self { name, coverage: Some(coverage), notes })
            }
            Err(Error::NothingCovered { .. } | Error::NothingHeld { .. }) => Ok(Self { name, coverage: None, notes }),
            Err(error) => Err(error.into()),
        }
    }
}

//! Names in a scope that mean nothing: whoever mistypes one would otherwise think that nothing was there to go.

use std::collections::BTreeSet;

use tickbarn::gc::GcPlan;
use tickbarn::{DatasetFile, Instrument, Store};
use tickbarn_terminal::exit::Result;

/// A name further away than this from all that are known is not taken for a slip of the finger.
const DISTANCE_MAX: usize = 3;

/// What to say of each name in the plan's scope that neither an entry nor a failure in the store bears, nor a dataset in the file.
pub(crate) fn unknown_names(plan: &GcPlan, store: &Store, file: Option<&DatasetFile>) -> Result<Vec<String>> {
    let scope = plan.retention();
    let mut datasets: BTreeSet<String> = file.iter().flat_map(|file| file.datasets()).map(|dataset| dataset.name().to_owned()).collect();
    let mut instruments: BTreeSet<Instrument> = BTreeSet::new();
    datasets.extend(plan.by_dataset().iter().map(|price| price.dataset.to_string()));
    if !scope.instruments.is_empty() {
        instruments.extend(plan.entries().map(|entry| entry.instrument));
    }
    let all_known = |datasets: &BTreeSet<String>, instruments: &BTreeSet<Instrument>| {
        scope.datasets.iter().all(|name| datasets.contains(name)) && scope.instruments.iter().all(|name| instruments.contains(name))
    };
    // Listing a whole store takes a while, and only who mistypes has to wait for it.
    if !all_known(&datasets, &instruments) {
        for listed in store.entries()? {
            datasets.insert(listed.dataset.to_string());
            instruments.insert(listed.instrument);
        }
        for record in store.failures()? {
            datasets.insert(record.dataset);
            instruments.insert(record.instrument);
        }
    }
    let mut told = Vec::new();
    for name in scope.datasets.iter().filter(|name| !datasets.contains(*name)) {
        let nor = file.map(|file| format!(", nor does {} define it", file.path().display())).unwrap_or_default();
        told.push(format!("the store holds nothing of a dataset {name:?}{nor}{}", did_you_mean(name, datasets.iter().cloned())));
    }
    for instrument in scope.instruments.iter().filter(|instrument| !instruments.contains(*instrument)) {
        let name = instrument.to_string();
        told.push(format!("the store holds nothing of an instrument {name:?}{}", did_you_mean(&name, instruments.iter().map(ToString::to_string))));
    }
    Ok(told)
}

/// The nearest of the known names, where one is near enough. Which letters are capitals matters least to who mistypes.
fn did_you_mean(name: &str, known: impl IntoIterator<Item = String>) -> String {
    let tolerated = (name.chars().count() / 3).clamp(1, DISTANCE_MAX);
    let name = name.to_lowercase();
    let near = known.into_iter().map(|known| (strsim::osa_distance(&name, &known.to_lowercase()), known));
    let nearest = near.filter(|(distance, _)| *distance <= tolerated).min();
    nearest.map(|(_, known)| format!("; did you mean {known}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_named() {
        let known = || ["md", "features", "binance/BTC-USDT", "glbx/ESH4"].map(str::to_owned);
        for (typed, meant) in [("mb", "md"), ("fetaures", "features"), ("binance/btc-usdt", "binance/BTC-USDT"), ("glbx/ESM4", "glbx/ESH4")] {
            assert_eq!(did_you_mean(typed, known()), format!("; did you mean {meant}?"));
        }
        assert_eq!(did_you_mean("orderbook", known()), "");
    }
}

//! What the page shows of collecting: what `tickbarn gc` would free by the dataset file's rules, or, where there are none, what has been superseded.

use std::collections::BTreeMap;

use tickbarn::gc::{self, DatasetPrice, GcPlan, Price};
use tickbarn::{DatasetFile, Retention, Store};
use tickbarn_gc::{leftover_in_words, reasons_to_keep, shortfall};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::output::{duration, size, thousands};

use super::page::{Collection, Table};
use crate::drawing::shown;

/// What would go, and how many bytes that frees; nothing where it cannot be told.
pub(super) fn collection(place: &Place, store: &Store, file: Option<&DatasetFile>) -> (Collection, Option<u64>) {
    let (retention, by, next) = rules(place, file);
    match gc::plan(store, &retention) {
        Ok(plan) => {
            let freed = plan.price().bytes + plan.leftovers().iter().map(|leftover| leftover.bytes).sum::<u64>();
            (Collection { by: shown(&by), lines: lines(&plan), tables: tables(&plan), next }, Some(freed))
        }
        Err(error) => (Collection { by: shown(&by), lines: vec![shown(&format!("It cannot be told: {error}"))], tables: Vec::new(), next }, None),
    }
}

/// By what it is decided, in words, and the command that shows the same.
fn rules(place: &Place, file: Option<&DatasetFile>) -> (Retention, String, &'static str) {
    let meant = file.filter(|file| place.is_meant(file));
    let settings = meant.and_then(|file| Some((file, &file.gc()?.retention))).filter(|(_, retention)| retention.says_anything());
    if let Some((file, retention)) = settings {
        return (retention.clone(), format!("By [gc] in {}.", file.path().display()), "tickbarn gc --dry-run");
    }
    let mut retention = Retention::default();
    retention.superseded = true;
    let why = match (meant, file) {
        (Some(file), _) => format!("{} has no [gc] that says what may go", file.path().display()),
        (None, Some(file)) => format!("{} is a file for another store, so its [gc] does not count", file.path().display()),
        (None, None) => "There is no tickbarn.toml whose [gc] says what may go".to_owned(),
    };
    (retention, format!("{why}; this is what later entries have superseded."), "tickbarn gc --superseded --dry-run")
}

fn lines(plan: &GcPlan) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.is_empty() {
        lines.push("Nothing would go.".to_owned());
    }
    lines.extend(shortfall(plan).map(|short| format!("{}.", shown(&short))));
    lines
}

fn tables(plan: &GcPlan) -> Vec<Table> {
    let mut tables = Vec::new();
    if !plan.by_dataset().is_empty() {
        let cells = |name: &str, price: Price| {
            let Price { entries, bytes, seconds, .. } = price;
            vec![shown(name), thousands(entries as u64), size(bytes), duration(seconds)]
        };
        let mut rows: Vec<Vec<String>> = plan.by_dataset().iter().map(|DatasetPrice { dataset, price, .. }| cells(dataset, *price)).collect();
        rows.push(cells("all", plan.price()));
        tables.push(Table { heads: vec!["dataset", "entries", "freed", "time to make again"], rows });
    }
    let mut others: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let failures = plan.failures().iter().map(|failure| ("records of failures", failure.bytes));
    for (what, bytes) in failures.chain(plan.leftovers().iter().map(|leftover| (leftover_in_words(leftover.kind), leftover.bytes))) {
        let (count, sum) = others.entry(what).or_default();
        *count += 1;
        *sum += bytes;
    }
    if !others.is_empty() {
        let rows = others.into_iter().map(|(what, (count, bytes))| vec![what.to_owned(), thousands(count), size(bytes)]).collect();
        tables.push(Table { heads: vec!["also goes", "count", "size"], rows });
    }
    let kept = reasons_to_keep(plan);
    if !kept.is_empty() {
        let rows = kept.into_iter().map(|(count, why)| vec![shown(&why), thousands(count as u64)]).collect();
        tables.push(Table { heads: vec!["kept, although a rule would take it", "entries"], rows });
    }
    tables
}

//! `tickbarn report`: everything about a store as one page for a browser, which needs nothing else.

mod args;
mod collection;
mod coverage;
mod failures;
mod lines;
mod page;
mod sizes;

pub(crate) use args::ReportArgs;
pub(crate) use page::ROWS_SHOWN;

use std::io::Write;

use askama::Template;
use tickbarn::{Store, Time, inspect};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{clock, duration, size, stdout, thousands};
use tickbarn_terminal::progress::{ProgressLine, bar_is_seen};
use tickbarn_terminal::records::write_line;

use crate::document::Document;
use crate::drawing::{Map, legend, shown};
use lines::ReportLine;
use page::{Page, Tile};

pub(crate) fn run(place: &Place, args: &ReportArgs) -> Result<()> {
    let file = place.datasets_if_any()?;
    let store = place.open_store_of(file.as_ref())?;
    let document = Document::at(&args.html, &store)?;
    let html = {
        let _line = bar_is_seen().then(|| ProgressLine::waiting("looking at what the store holds"));
        page(place, &store, file.as_ref())?.render().expect("writing to a string does not fail")
    };
    let Some(path) = document.write(html.as_bytes())? else { return Ok(()) };
    let mut out = stdout();
    if args.json {
        write_line(&mut out, &ReportLine { path: &path, bytes: html.len() })?;
    } else {
        writeln!(out, "{}  {}", path.display(), size(html.len() as u64))?;
    }
    Ok(out.flush()?)
}

fn page(place: &Place, store: &Store, file: Option<&tickbarn::DatasetFile>) -> Result<Page> {
    let at = Time::now();
    let survey = inspect::survey(store)?;
    let records = store.failures()?;
    let (maps, maps_left_out) = coverage::maps(store, file, &survey, &records)?;
    let (collection, freed) = collection::collection(place, store, file);
    let failed = records.len();
    let (sizes, all, sharing) = sizes::sizes(&survey);
    let tile = |name, value: String| Tile { name, value, is_bad: false };
    let tiles = vec![
        tile("size", size(survey.total.bytes)),
        tile("entries", thousands(survey.total.entries)),
        tile("instruments", all.instruments.clone()),
        tile("time to make again", duration(survey.total.seconds)),
        tile("gc would free", freed.map_or("cannot be told".to_owned(), size)),
        Tile { name: "failures", value: thousands(failed as u64), is_bad: failed > 0 },
    ];
    Ok(Page {
        version: env!("CARGO_PKG_VERSION"),
        store: shown(&store.path().display().to_string()),
        at: clock(at),
        at_iso: at.to_string(),
        tiles,
        legend: legend(maps.iter().filter_map(|dataset| dataset.map.as_ref()).any(Map::has_closed)),
        maps,
        maps_left_out,
        sizes,
        all,
        sharing,
        failures: failures::failures(records),
        collection,
    })
}

#[cfg(test)]
mod tests;

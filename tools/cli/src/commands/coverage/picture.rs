//! The map as a picture in a file, with the same cells as the map of a report.

use std::io::Write;

use tickbarn::inspect::Coverage;
use tickbarn::{Store, Time};
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{clock, size, stdout};
use tickbarn_terminal::progress::say;

use super::CoverageArgs;
use crate::document::Document;
use crate::drawing::{Map, png, svg, tracks_of};

/// How many cells a row has at most, and how many rows a picture.
const COLUMNS_MAX: u32 = 400;
const ROWS_MAX: usize = 200;

/// How a map is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Svg,
    Png,
}

/// The pictures that are asked for, and where they go.
pub(super) fn asked_for(args: &CoverageArgs, store: &Store) -> Result<Vec<(Kind, Document)>> {
    let named = [(Kind::Svg, &args.svg), (Kind::Png, &args.png)];
    let named = named.into_iter().filter_map(|(kind, path)| Some((kind, path.as_ref()?)));
    let pictures: Vec<(Kind, Document)> = named.map(|(kind, path)| Ok((kind, Document::at(path, store)?))).collect::<Result<_>>()?;
    if pictures.iter().filter(|(_, document)| matches!(document, Document::Stdout)).count() > 1 {
        return Err(Failure::Usage("--svg and --png cannot both go to standard output\n  name a file for one of them".to_owned()));
    }
    Ok(pictures)
}

pub(super) fn write(coverage: &Coverage, pictures: &[(Kind, Document)]) -> Result<()> {
    let title = format!("Coverage of {}", coverage.dataset);
    let map = Map::new(&title, coverage.interval, &tracks_of(coverage), COLUMNS_MAX, ROWS_MAX);
    let note = format!("tickbarn {}, {}", env!("CARGO_PKG_VERSION"), clock(Time::now()));
    let is_on_stdout = pictures.iter().any(|(_, document)| matches!(document, Document::Stdout));
    let mut out = stdout();
    for (kind, document) in pictures {
        let bytes = match kind {
            Kind::Svg => svg(&map, &note).into_bytes(),
            Kind::Png => png(&map, &note)?,
        };
        if let Some(path) = document.write(&bytes)? {
            let line = format!("{}  {}", path.display(), size(bytes.len() as u64));
            // Nothing stands beside a picture.
            if is_on_stdout { say(&line) } else { writeln!(out, "{line}")? }
        }
    }
    Ok(out.flush()?)
}

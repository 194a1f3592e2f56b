//! `tickbarn demo`: an example that is written, loaded, loaded again, and explained.

mod args;
mod files;
mod next;

use std::io::Write;
use std::path::Path;

use tickbarn::{Dataset, DatasetFile, Instrument, Interval, Loaded, Outcome, Policy};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::{Grid, Side, counted, duration, size, stdout, thousands};
use tickbarn_terminal::progress::say;

pub(crate) use args::DemoArgs;
use files::Became;

use crate::commands::load::{Job, Tell};

const DATASETS: [&str; 2] = ["md", "features"];
const INSTRUMENTS: [&str; 3] = ["binance/BTC-USDT", "binance/ETH-USDT", "glbx/ESH4"];
/// Past and fixed: everybody's demo makes the same bytes.
const WEEK: (&str, &str) = ("2024-01-01", "2024-01-08");

pub(crate) fn run(place: &Place, args: &DemoArgs) -> Result<()> {
    let directory = &args.directory;
    let written = files::write(directory)?;
    let mut out = stdout();
    let shown = directory.display();
    for (became, lead) in [
        (Became::Written, "Wrote to"),
        (Became::Found, "Found in"),
        (Became::Updated, "Brought the exporter's path up to date in"),
        (Became::Kept, "Kept as you changed it in"),
    ] {
        let names: Vec<&str> = written.iter().filter(|(_, what)| *what == became).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            writeln!(out, "{lead} {shown}: {}", names.join(", "))?;
        }
    }
    let demo = Place::of_directory(directory.clone());
    let file = demo.datasets(&[])?;
    let store = demo.store_of(&file)?;

    let (start, end) = WEEK;
    writeln!(out, "\nLoading {} of {},\nfrom {start} to {end}, in partitions of 12 hours:", DATASETS.join(" and "), INSTRUMENTS.join(", "))?;
    out.flush()?;
    let first = load(&file, &store)?;
    write_first(&mut out, &first)?;

    writeln!(out, "\nLoading the same again:")?;
    out.flush()?;
    let again = load(&file, &store)?;
    let summary = again.summary();
    let each = summary.seconds / summary.requested.max(1) as f64;
    writeln!(
        out,
        "  {summary}: {} in {}, {} a partition, and no exporter ran",
        counted(summary.hit, "hit", "hits"),
        duration(summary.seconds),
        duration(each)
    )?;

    next::write(&mut out, directory, &again)?;
    out.flush()?;
    if let Some(named) = place.named_store() {
        say(&format!("\nTICKBARN_STORE or --store names {}, which the demo did not use: unset it before you try these commands", named.display()));
    }
    Ok(())
}

fn load(file: &DatasetFile, store: &Path) -> Result<Loaded> {
    let datasets = DATASETS.iter().map(|name| file.dataset(name)).collect::<Result<Vec<&Dataset>, _>>()?;
    let instruments = INSTRUMENTS.iter().map(|text| text.parse()).collect::<Result<Vec<Instrument>, _>>()?;
    let interval = Interval::parse(WEEK.0, WEEK.1)?;
    let requests = instruments.iter().flat_map(|instrument| datasets.iter().map(move |dataset| (*dataset, instrument, interval)));
    Job {
        requests: requests.collect(),
        policy: Policy::default(),
        run: file.run(),
        ray: None,
        options: file.store_options(),
        tell: Tell::Trouble,
        automatic: None,
        settings: Vec::new(),
    }
    .carry_out(store)
}

/// What the first load did, by dataset.
fn write_first(out: &mut impl Write, loaded: &Loaded) -> Result<()> {
    let columns = [
        ("dataset", Side::Left),
        ("generated", Side::Right),
        ("hits", Side::Right),
        ("rows", Side::Right),
        ("size", Side::Right),
        ("exporter ran", Side::Right),
    ];
    let mut grid = Grid::headed(&columns).indented(2);
    for name in DATASETS {
        let (mut generated, mut hits, mut rows, mut bytes, mut seconds) = (0, 0, 0, 0, 0.0);
        for partition in loaded.partitions.iter().filter(|partition| &*partition.dataset == name) {
            match &partition.outcome {
                Outcome::Hit(_) => hits += 1,
                Outcome::Generated { entry, .. } => {
                    generated += 1;
                    seconds += f64::from(entry.seconds);
                }
                _ => {}
            }
            for output in partition.outcome.entry().into_iter().flat_map(|entry| &entry.outputs) {
                rows += output.rows;
                bytes += output.bytes;
            }
        }
        grid.row([
            name.to_owned(),
            thousands(generated),
            thousands(hits),
            thousands(rows),
            size(bytes),
            if generated == 0 { "not at all".to_owned() } else { duration(seconds) },
        ]);
    }
    grid.write(out, None)?;
    let summary = loaded.summary();
    Ok(writeln!(out, "  {summary} in {}", duration(summary.seconds))?)
}

//! `tickbarn view`: the store as a tree of files that other tools read in place.

mod args;
mod lines;

use std::io::Write;

use tickbarn::view::{self, LeftOut, View, ViewChange, ViewFile, ViewLayout, ViewLink, ViewOptions};
use tickbarn::{DatasetFile, Instrument, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::{Grid, Paint, Side, counted, moment, painted, shell_word, size, stdout, thousands};
use tickbarn_terminal::progress::{ProgressLine, bar_is_seen, say};
use tickbarn_terminal::records::write_line;

pub(crate) use args::ViewArgs;
use lines::{FileLine, InTheWayLine, RemovedLine, SumsLine};

use crate::commands::{ends_of, instruments_of};

pub(crate) fn run(place: &Place, args: &ViewArgs) -> Result<()> {
    let mut options = options_of(args)?;
    let file = place.datasets_if_any()?;
    let store = place.open_store_of(file.as_ref())?;
    // A file that was merely found says nothing of another store.
    let file = file.filter(|file| place.is_meant(file));
    check_names(&store, file.as_ref(), &args.datasets)?;
    let definitions = file.as_ref().filter(|_| !args.latest);
    options.definitions = definitions.map(|file| file.datasets().to_vec()).unwrap_or_default();
    let view = {
        let _line = bar_is_seen().then(|| ProgressLine::waiting("linking"));
        view::update(&store, &args.directory, &options).map_err(|error| explained(error, definitions, args.link))?
    };
    let sums = Sums::of(&view);
    let mut out = stdout();
    if args.json {
        write_lines(&mut out, &view, &sums)?;
    } else {
        write_grid(&mut out, &view)?;
    }
    out.flush()?;
    if !args.json {
        tell(&view, &sums, definitions, args.layout);
    }
    match view.in_the_way.first() {
        None => Ok(()),
        Some(first) => Err(Failure::World(format!(
            "{} not shown, since something that the view did not make stands in its place, such as {}\n  move it away, and run this again",
            counted(view.in_the_way.len(), "file is", "files are"),
            first.display()
        ))),
    }
}

fn options_of(args: &ViewArgs) -> Result<ViewOptions> {
    let mut options = ViewOptions::default();
    options.datasets = args.datasets.clone();
    options.instruments = instruments_of(&args.instruments)?;
    (options.start, options.end) = ends_of(args.start.as_deref(), args.end.as_deref())?;
    (options.layout, options.link) = (args.layout, args.link);
    Ok(options)
}

/// A name that means nothing would empty a view.
fn check_names(store: &Store, file: Option<&DatasetFile>, names: &[String]) -> Result<()> {
    let is_defined = |name: &&String| file.is_some_and(|file| file.dataset(name).is_ok());
    if names.iter().all(|name| is_defined(&name)) {
        return Ok(());
    }
    let mut known: Vec<String> = store.entries()?.iter().map(|listed| listed.dataset.to_string()).collect();
    known.dedup();
    match names.iter().find(|name| !is_defined(name) && !known.contains(name)) {
        None => Ok(()),
        Some(name) if known.is_empty() => Err(Failure::Usage(format!("there is no dataset {name:?}, and nothing in the store yet"))),
        Some(name) => {
            Err(Failure::Usage(format!("there is no dataset {name:?} in the store or in tickbarn.toml; the store holds {}", known.join(", "))))
        }
    }
}

fn explained(error: tickbarn::Error, definitions: Option<&DatasetFile>, link: ViewLink) -> Failure {
    let way_out = match error {
        tickbarn::Error::InvalidDataset { .. } if definitions.is_some() => {
            Some("with --latest, tickbarn.toml does not count: the entry that was made last is shown of each time")
        }
        tickbarn::Error::Io { .. } if link == ViewLink::Hard => {
            Some("where no hard link can be made, --link symbolic needs none, and --link auto takes either")
        }
        _ => None,
    };
    Failure::Library { error: Box::new(error), way_out }
}

/// What is summed up over files.
struct Sums {
    bytes: u64,
    symbolic: usize,
    made: usize,
    replaced: usize,
}

impl Sums {
    fn of(view: &View) -> Self {
        let count = |wanted: ViewChange| view.files.iter().filter(|file| file.change == wanted).count();
        Self {
            bytes: view.files.iter().map(|file| file.bytes).sum(),
            symbolic: view.files.iter().filter(|file| file.symbolic).count(),
            made: count(ViewChange::Made),
            replaced: count(ViewChange::Replaced),
        }
    }
}

fn write_lines(out: &mut impl Write, view: &View, sums: &Sums) -> Result<()> {
    for file in &view.files {
        write_line(out, &FileLine::of(file))?;
    }
    for path in &view.removed {
        write_line(out, &RemovedLine { path })?;
    }
    for path in &view.in_the_way {
        write_line(out, &InTheWayLine { path })?;
    }
    Ok(write_line(out, &SumsLine::of(view, sums))?)
}

/// A line for each dataset and output: how much of it there is to read.
fn write_grid(out: &mut impl Write, view: &View) -> Result<()> {
    if view.files.is_empty() {
        return Ok(());
    }
    let mut files: Vec<_> = view.files.iter().collect();
    files.sort_by_key(|file| (&file.dataset, &file.output));
    let columns = [
        ("dataset", Side::Left),
        ("output", Side::Left),
        ("instruments", Side::Right),
        ("from (UTC)", Side::Left),
        ("to", Side::Left),
        ("files", Side::Right),
        ("rows", Side::Right),
        ("size", Side::Right),
    ];
    let mut grid = Grid::headed(&columns);
    for group in files.chunk_by(|left, right| (&left.dataset, &left.output) == (&right.dataset, &right.output)) {
        let mut instruments: Vec<&Instrument> = group.iter().map(|file| &file.instrument).collect();
        instruments.dedup();
        let ends = group.iter().map(|file| file.interval.start()).min().zip(group.iter().map(|file| file.interval.end()).max());
        let (from, to) = ends.map(|(from, to)| (moment(from), moment(to))).unwrap_or_default();
        grid.row([
            group[0].dataset.to_string(),
            group[0].output.to_string(),
            thousands(instruments.len() as u64),
            from,
            to,
            thousands(group.len() as u64),
            thousands(group.iter().map(|file| file.rows).sum()),
            size(group.iter().map(|file| file.bytes).sum()),
        ]);
    }
    Ok(grid.write(out, None)?)
}

fn tell(view: &View, sums: &Sums, definitions: Option<&DatasetFile>, layout: ViewLayout) {
    let changes = [(sums.made, "made"), (sums.replaced, "replaced"), (view.removed.len(), "removed")];
    let changes: Vec<String> =
        changes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", thousands(*count as u64))).collect();
    let kind = match sums.symbolic {
        0 => "hard links",
        symbolic if symbolic == view.files.len() => "symbolic links",
        _ => "hard and symbolic links",
    };
    say(&format!(
        "{}: {} of {}, {kind}; {}",
        view.directory.display(),
        counted(view.files.len(), "file", "files"),
        counted(view.entries, "entry", "entries"),
        if changes.is_empty() { "nothing to do".to_owned() } else { changes.join(", ") }
    ));
    if view.empty > 0 {
        say(&format!("{} without a file: there is no data", counted(view.empty, "entry", "entries")));
    }
    let LeftOut { other_definition, same_time, damaged, .. } = view.left_out;
    if other_definition > 0 {
        let path = definitions.map_or_else(|| "tickbarn.toml".to_owned(), |file| file.path().display().to_string());
        say(&format!(
            "{} left out that {path} does not define any more: `tickbarn load` makes what is missing, --latest shows what was made last",
            counted(other_definition, "entry", "entries")
        ));
    }
    if same_time > 0 {
        say(&format!("{} left out, since others that are shown tell of the same time", counted(same_time, "entry", "entries")));
    }
    if damaged > 0 {
        let warning = painted("warning:", Paint::Warning);
        say(&format!(
            "{warning} {} left out whose files are not as they should be; `tickbarn verify` tells more",
            counted(damaged, "entry", "entries")
        ));
    }
    if let Some(file) = view.files.first() {
        say(&format!("read it in place, for example: {}", example(view, file, layout)));
    }
}

/// How DuckDB reads all of the output that a file is of.
fn example(view: &View, file: &ViewFile, layout: ViewLayout) -> String {
    let below = file.path.strip_prefix(&view.directory).unwrap_or(&file.path);
    let mut steps = below.components().map(|step| step.as_os_str().to_string_lossy());
    let (dataset, output) = (steps.next().unwrap_or_default(), steps.next_back().unwrap_or_default());
    let glob = format!("{}/{dataset}/*/*/*/{output}", view.directory.display()).replace('\'', "''");
    let hive = if layout == ViewLayout::Hive { ", hive_partitioning = true" } else { "" };
    format!("duckdb -c {}", shell_word(&format!("from read_parquet('{glob}'{hive}) limit 5")))
}

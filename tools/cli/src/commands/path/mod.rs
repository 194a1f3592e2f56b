//! `tickbarn path`: where an entry's files are.

mod args;
mod lines;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tickbarn::{OutputManifest, Store};
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::{Failure, Result};
use tickbarn_terminal::output::stdout;
use tickbarn_terminal::records::write_line;

pub(crate) use args::PathArgs;
use lines::PathLine;

use crate::commands::{Found, find};

pub(crate) fn run(place: &Place, args: &PathArgs) -> Result<()> {
    let store = place.open_store()?;
    let Found { address, entry, failure } = find(&store, &args.address)?;
    let short = address.short();
    let Some(manifest) = entry else {
        let message = failure.map(|record| format!(": {}", record.failure)).unwrap_or_default();
        return Err(Failure::World(format!("{short} failed and has no files{message}\n  tickbarn logs {short}")));
    };
    let place = format!("{} {} {}", manifest.dataset, manifest.instrument(), manifest.interval());
    if manifest.outputs.is_empty() {
        return Err(Failure::World(format!("{short} has no files: its generator said that there is no data in {place}")));
    }
    let outputs: Vec<(&String, &OutputManifest)> = match &args.output {
        None => manifest.outputs.iter().collect(),
        Some(name) => match manifest.outputs.get_key_value(name) {
            Some(output) => vec![output],
            None => {
                let known: Vec<&str> = manifest.outputs.keys().map(String::as_str).collect();
                return Err(Failure::Usage(format!("{short} ({place}) has no output {name:?}; it has {}", known.join(", "))));
            }
        },
    };

    let mut out = stdout();
    for (name, output) in &outputs {
        let path = checked(&store, output)?;
        if args.json {
            let OutputManifest { digest, bytes, table } = output;
            write_line(&mut out, &PathLine { address, output: name, path: &path, digest: *digest, bytes: *bytes, rows: table.rows })?;
        } else {
            if outputs.len() > 1 {
                write!(out, "{name}\t")?;
            }
            // A path need not be text, and what is printed must name the file.
            out.write_all(path.as_os_str().as_bytes())?;
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}

/// The path of a file that is there whole: what is printed is read by other tools, which must not be sent to nothing.
fn checked(store: &Store, output: &OutputManifest) -> Result<PathBuf> {
    let path = store.artifact_path(&output.digest);
    match store.artifact_problem(output)? {
        None => Ok(path),
        Some(problem) => Err(Failure::World(format!("{}: {problem}\n  `tickbarn load` makes it again", path.display()))),
    }
}

//! The outputs of an entry that a command is about, and their files.

use std::path::PathBuf;

use tickbarn::{Manifest, OutputManifest, Store};
use tickbarn_terminal::exit::{Failure, Result};

use super::Found;

/// The entry, for a command that needs its files.
pub(crate) fn entry_with_files(found: Found) -> Result<Manifest> {
    let Found { address, entry, failure } = found;
    let short = address.short();
    let Some(manifest) = entry else {
        let message = failure.map(|record| format!(": {}", record.failure)).unwrap_or_default();
        return Err(Failure::World(format!("{short} failed and has no files{message}\n  tickbarn logs {short}")));
    };
    if manifest.outputs.is_empty() {
        return Err(Failure::World(format!("{short} has no files: its generator said that there is no data in {}", place_of(&manifest))));
    }
    Ok(manifest)
}

/// All outputs of an entry, or the one of a name.
pub(crate) fn chosen<'a>(manifest: &'a Manifest, name: Option<&str>) -> Result<Vec<(&'a str, &'a OutputManifest)>> {
    let all = manifest.outputs.iter().map(|(name, output)| (name.as_str(), output));
    let Some(wanted) = name else { return Ok(all.collect()) };
    let chosen: Vec<_> = all.filter(|(name, _)| *name == wanted).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = manifest.outputs.keys().map(String::as_str).collect();
        let (short, place) = (manifest.address.short(), place_of(manifest));
        return Err(Failure::Usage(format!("{short} ({place}) has no output {wanted:?}; it has {}", known.join(", "))));
    }
    Ok(chosen)
}

/// The path of a file that is there whole: what is printed is read by other tools, which must not be sent to nothing.
pub(crate) fn checked(store: &Store, output: &OutputManifest) -> Result<PathBuf> {
    let path = store.artifact_path(&output.digest);
    match store.artifact_problem(output)? {
        None => Ok(path),
        Some(problem) => Err(Failure::World(format!("{}: {problem}\n  `tickbarn load` makes it again", path.display()))),
    }
}

fn place_of(manifest: &Manifest) -> String {
    format!("{} {} {}", manifest.dataset, manifest.instrument(), manifest.interval())
}

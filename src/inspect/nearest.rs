//! The entries nearest to a partition: what the store has at its place, in what the keys differ, and of an upstream that changed, why it did.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use crate::address::Address;
use crate::canonical::Value;
use crate::dataset::{Dataset, Identified, Key, Upstreams};
use crate::error::{Error, Result};
use crate::inspect::difference::{Difference, KnownFile, Side, differences};
use crate::inspect::why::{Generated, Neighbour};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::store::{Manifest, Site, Store};

/// The longest partition that is still found where it only reaches into the place: 31 days.
const REACH_NS: i64 = 31 * 86_400_000_000_000;
/// So many manifests are read to find the nearest.
const READ_MAX: usize = 64;
/// So many of the nearest are told.
const NEAREST_MAX: usize = 5;
/// So many datasets up, reasons are looked for.
const REASONS_DEPTH_MAX: usize = 8;

/// A partition, with all that its neighbours are compared with.
pub(super) struct About<'a> {
    pub(super) dataset: &'a str,
    pub(super) instrument: &'a Instrument,
    pub(super) interval: Interval,
    pub(super) address: Option<Address>,
    /// When it was generated, where it was.
    pub(super) made: Option<Time>,
    pub(super) key: Value,
    /// Whether its upstream is not known.
    pub(super) partial: bool,
    pub(super) program: Option<KnownFile>,
    /// Where that is.
    pub(super) program_path: Option<&'a Path>,
    pub(super) inputs: BTreeMap<String, KnownFile>,
    pub(super) upstream: BTreeMap<String, Vec<Address>>,
}

/// The entries nearest to a partition, and how many others there are.
pub(super) fn nearest(store: &Store, about: &About<'_>) -> Result<(Vec<Neighbour>, usize)> {
    let starts = Interval::new(Time::from_ns(about.interval.start().ns().saturating_sub(REACH_NS)), about.interval.end())?;
    let site = Site { dataset: about.dataset.into(), instrument: about.instrument.clone(), starts };
    let mut found = store.neighbours(&[site])?.pop().unwrap_or_default();
    found.retain(|neighbour| Some(neighbour.address) != about.address && neighbour.interval.overlaps(about.interval));
    let elsewhere = |interval: Interval| interval != about.interval;
    let later = |started: Time| about.made.is_some_and(|made| started > made);
    found.sort_by_key(|neighbour| (elsewhere(neighbour.interval), later(neighbour.started), Reverse(neighbour.started)));
    let total = found.len();

    let compare = |manifest: &Manifest, program: Option<&KnownFile>, old_program: Option<&KnownFile>| {
        let old = if about.partial { without_upstream(manifest.key()) } else { manifest.key().clone() };
        let new = Side { key: &about.key, program, inputs: Some(&about.inputs) };
        differences(Side { program: old_program, ..Side::bare(&old) }, new)
    };
    let mut read = Vec::new();
    for neighbour in found.iter().take(READ_MAX) {
        if let Some(manifest) = readable(store, &neighbour.address)? {
            let generated = Generated::of_manifest(&manifest);
            let rank = (elsewhere(manifest.interval()), later(generated.started), compare(&manifest, None, None).len(), Reverse(generated.started));
            read.push((rank, manifest));
        }
    }
    read.sort_by_key(|(rank, _)| *rank);
    let gone = found.len().min(READ_MAX) - read.len();
    read.truncate(NEAREST_MAX);
    let mut nearest = Vec::with_capacity(read.len());
    for (_, manifest) in &read {
        let old_program = known_program(store, manifest, about.program.as_ref().zip(about.program_path));
        let mut differences = compare(manifest, about.program.as_ref(), old_program.as_ref());
        let old = Sources { key: manifest.key(), addresses: &manifest.provenance.upstream };
        add_reasons(store, &mut differences, old, Sources { key: &about.key, addresses: &about.upstream }, 0)?;
        let generated = Generated::of_manifest(manifest);
        nearest.push(Neighbour { address: manifest.address, interval: manifest.interval(), generated, differences });
    }
    let others = total - gone - nearest.len();
    Ok((nearest, others))
}

/// What a key says that a partition was derived from, and where that is.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) key: &'a Value,
    pub(super) addresses: &'a BTreeMap<String, Vec<Address>>,
}

/// Says of every upstream that changed in what the keys of the first of its partitions differ.
pub(super) fn add_reasons(store: &Store, differences: &mut [Difference], old: Sources<'_>, new: Sources<'_>, depth: usize) -> Result<()> {
    if depth >= REASONS_DEPTH_MAX {
        return Ok(());
    }
    for name in new.addresses.keys() {
        let of_upstream = format!("upstream.{name}.");
        let mut changed = differences.iter_mut().filter(|difference| difference.field.starts_with(&of_upstream)).peekable();
        if changed.peek().is_none() {
            continue;
        }
        let Some((before, after)) = first_changed(name, old, new) else { continue };
        let because = reasons(store, before, after, depth)?;
        changed.filter(|difference| !difference.field.ends_with(".time_column")).for_each(|difference| difference.because.clone_from(&because));
    }
    Ok(())
}

/// The addresses of the first partition of an upstream whose outputs differ.
fn first_changed(name: &str, old: Sources<'_>, new: Sources<'_>) -> Option<(Address, Address)> {
    let partitions = |sources: Sources<'_>| -> Option<Vec<(Value, Address)>> {
        let Some(Value::Object(upstream)) = sources.key.get("upstream").cloned() else { return None };
        let Some(Value::Array(partitions)) = upstream.get(name)?.get("partitions").cloned() else { return None };
        Some(partitions.into_iter().zip(sources.addresses.get(name)?.iter().copied()).collect())
    };
    let (old, new) = (partitions(old)?, partitions(new)?);
    let mut both = old.into_iter().zip(new);
    both.find_map(|((was, before), (is, after))| (was.get("interval") == is.get("interval") && was != is).then_some((before, after)))
}

fn reasons(store: &Store, before: Address, after: Address, depth: usize) -> Result<Vec<Difference>> {
    let said = |words: &str| Difference { field: "entry".to_owned(), before: None, after: None, words: words.to_owned(), because: Vec::new() };
    if before == after {
        return Ok(vec![said("its generator gave other bytes under the same key")]);
    }
    let (Some(old), Some(new)) = (readable(store, &before)?, readable(store, &after)?) else {
        return Ok(vec![said("it was generated anew (what it was before is no longer in the store)")]);
    };
    let (old_program, new_program) = (known_program(store, &old, None), known_program(store, &new, None));
    let mut found =
        differences(Side { program: old_program.as_ref(), ..Side::bare(old.key()) }, Side { program: new_program.as_ref(), ..Side::bare(new.key()) });
    let sources = |manifest: &'_ Manifest| manifest.provenance.upstream.clone();
    let (was, is) = (sources(&old), sources(&new));
    add_reasons(store, &mut found, Sources { key: old.key(), addresses: &was }, Sources { key: new.key(), addresses: &is }, depth + 1)?;
    Ok(found)
}

/// The manifest of an address; nothing where it is gone meanwhile or damaged, which is told where loads come past it.
pub(super) fn readable(store: &Store, address: &Address) -> Result<Option<Manifest>> {
    match store.manifest(address) {
        Err(error @ Error::Damaged { .. }) => {
            tracing::debug!(%error, "not compared");
            Ok(None)
        }
        manifest => manifest,
    }
}

/// A key as manifests hold it.
pub(super) fn canonical_value(key: &Key) -> Result<Value> {
    read_canonical(&key.canonical())
}

/// The value of a canonical text: two that are equal are the same value then, also where one was a double and the other an integer.
pub(super) fn read_canonical(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::Internal { what: format!("reading a key ({error})") })
}

/// Where what a partition is derived from is.
pub(super) fn addresses_of(upstream: &Upstreams) -> BTreeMap<String, Vec<Address>> {
    upstream.iter().map(|(name, read)| (name.clone(), read.partitions().iter().map(|partition| partition.address).collect())).collect()
}

fn without_upstream(key: &Value) -> Value {
    let Value::Object(mut fields) = key.clone() else { return key.clone() };
    fields.insert("upstream".to_owned(), Value::Object(BTreeMap::new()));
    Value::Object(fields)
}

/// The program and inputs that a dataset runs with at present, as its definition calls them.
pub(super) fn known_files(dataset: &Dataset, identified: &Identified) -> (Option<KnownFile>, BTreeMap<String, KnownFile>) {
    let program = dataset.program().zip(identified.program()).map(|(name, path)| KnownFile { name: name.to_owned(), written: written(path) });
    let input = |(name, path): (&str, &Path)| {
        let shown = path.strip_prefix(dataset.base_dir()).unwrap_or(path).display().to_string();
        (name.to_owned(), KnownFile { name: shown, written: written(path) })
    };
    (program, identified.inputs().map(input).collect())
}

/// The program of an entry, and when it was written, where the file is still the same. `now` is how the present one is called, and where it is.
pub(super) fn known_program(store: &Store, manifest: &Manifest, now: Option<(&KnownFile, &Path)>) -> Option<KnownFile> {
    let path = Path::new(&manifest.provenance.program);
    if !path.is_absolute() {
        return None;
    }
    if let Some((present, _)) = now.filter(|(_, present)| *present == path) {
        // By its key it is another one by now.
        return Some(KnownFile { name: present.name.clone(), written: None });
    }
    let is_the_same = manifest.provenance.program_digest.is_some_and(|digest| store.fingerprints().digest(path).is_ok_and(|(now, _)| now == digest));
    Some(KnownFile { name: manifest.provenance.program.clone(), written: if is_the_same { written(path) } else { None } })
}

fn written(path: &Path) -> Option<Time> {
    let since_epoch = path.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_nanos()).ok().map(Time::from_ns)
}

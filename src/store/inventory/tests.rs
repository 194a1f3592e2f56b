//! What is not in an inventory, or is in it without an artifact that it names, may be collected by mistake.
//!
//! Invariants 2 and 5 of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::artifact::Bounds;
use crate::dataset::{BoxError, Dataset, Job};
use crate::interval::Split;
use crate::store::layout::Layout;
use crate::store::manifest::Empty;
use crate::store::record::{EntryRecord, JournalRecord, OutputRecord};
use crate::store::sweeps::table_of;

/// What is known of an entry, in a form that compares.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    place: Place,
    times: (Time, Time, Time),
    seconds: f32,
    empty: bool,
    artifacts: BTreeSet<(Digest, u64, bool)>,
    upstream: Option<Upstream>,
}

impl Told {
    fn of(published: &Published) -> Self {
        let Published { generator, instrument, entry } = published;
        let outputs = entry.outputs.iter().map(|output| (output.digest, output.bytes, false));
        let log = entry.log.map(|log| (log.digest, log.bytes, true));
        let upstream =
            (!entry.upstream.is_empty()).then(|| Upstream { addresses: entry.upstream.clone().into_boxed_slice(), seconds: entry.upstream_seconds });
        Self {
            place: Place { generator: *generator, dataset: Arc::clone(&entry.dataset), instrument: instrument.clone() },
            times: (entry.start, entry.end, entry.started),
            seconds: entry.seconds,
            empty: entry.empty.is_some(),
            artifacts: outputs.chain(log).collect(),
            upstream,
        }
    }
}

/// The entries of an inventory that are in a state, and how often each artifact is named.
fn told(inventory: &Inventory, state: State) -> (BTreeMap<Address, Told>, BTreeMap<(Digest, bool), u32>) {
    let is_log = |artifact: &Artifact| artifact.kind == ArtifactKind::Log;
    let mut entries = BTreeMap::new();
    for (nth, item) in (0..).zip(&inventory.entries).filter(|(_, item)| item.state == state) {
        let named = inventory.named_by(item).iter().map(|artifact| inventory.artifact(*artifact));
        let of_entry = Told {
            place: inventory.place(item).clone(),
            times: (item.start, item.end, item.started),
            seconds: item.seconds,
            empty: item.empty,
            artifacts: named.map(|artifact| (artifact.digest, artifact.bytes, is_log(artifact))).collect(),
            upstream: inventory.upstream(nth).cloned(),
        };
        assert_eq!(of_entry.artifacts.len(), usize::from(item.named_count), "each artifact is named once");
        assert!(entries.insert(item.address, of_entry).is_none(), "an address is there once");
    }
    let names = inventory.artifacts().iter().filter(|artifact| artifact.names > 0);
    (entries, names.map(|artifact| ((artifact.digest, is_log(artifact)), artifact.names)).collect())
}

/// The same by the plainest way there is.
fn plainly<'a>(published: impl IntoIterator<Item = &'a Published>) -> (BTreeMap<Address, Told>, BTreeMap<(Digest, bool), u32>) {
    let entries: BTreeMap<Address, Told> = published.into_iter().map(|published| (published.entry.address, Told::of(published))).collect();
    let mut names = BTreeMap::new();
    for (digest, _, is_log) in entries.values().flat_map(|told| &told.artifacts) {
        *names.entry((*digest, *is_log)).or_insert(0) += 1;
    }
    (entries, names)
}

fn digest(of: u8) -> Digest {
    Digest::of(&[of])
}

fn generator(of: u8) -> GeneratorId {
    serde_json::from_str(&format!("\"{}\"", digest(of))).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "\\PC{1,20}"]
}

fn instruments() -> impl Strategy<Value = Instrument> {
    prop_oneof![
        Just("binance/BTC-USDT".parse().unwrap()),
        Just("binance/ETH-USDT".parse().unwrap()),
        (text(), text()).prop_filter_map("a name", |(market, pair)| Instrument::new(&market, &pair).ok()),
    ]
}

fn outputs() -> impl Strategy<Value = Vec<OutputRecord>> {
    let bounds = (text(), any::<bool>(), any::<(i64, i64, Option<u64>)>()).prop_map(|(column, time, (min, max, nulls))| Bounds {
        column: column.into(),
        time,
        min,
        max,
        nulls,
    });
    // Few digests, so that entries share artifacts, and of each one size.
    let output = (text(), 0u8..6, any::<u64>(), prop::collection::vec(bounds, 0..4)).prop_map(|(name, of, rows, bounds)| OutputRecord {
        name: name.into(),
        digest: digest(of),
        schema: digest(100 + of),
        bytes: u64::from(of) * 1_000_003,
        rows,
        bounds: bounds.into(),
    });
    prop::collection::vec(output, 0..4)
}

fn published() -> impl Strategy<Value = Published> {
    let empty =
        prop_oneof![Just(None), any::<u8>().prop_map(|code| Some(Empty::ExitCode(code))), Just(Some(Empty::ZeroRows)), Just(Some(Empty::NoData))];
    let entry = (0u8..8, any::<(i64, i64, i64)>(), text(), outputs(), empty, (0f32..1e9, 0f32..1e9), prop::collection::vec(0u8..12, 0..4));
    (0u8..3, instruments(), entry, prop::option::of(0u8..6)).prop_map(|(of, instrument, entry, log)| {
        let (address, (start, end, started), dataset, outputs, empty, (seconds, upstream_seconds), upstream) = entry;
        let entry = EntryRecord {
            start: Time::from_ns(start),
            end: Time::from_ns(end),
            address: address_of(address),
            dataset: dataset.into(),
            outputs,
            empty,
            started: Time::from_ns(started),
            seconds,
            upstream_seconds,
            upstream: upstream.into_iter().map(address_of).collect(),
            log: log.map(|of| LogRecord { digest: digest(of), bytes: u64::from(of) * 1_000_003 }),
        };
        Published { generator: generator(of), instrument, entry }
    })
}

fn address_of(of: u8) -> Address {
    Address::of_canonical(&of.to_string())
}

fn records() -> impl Strategy<Value = Vec<JournalRecord>> {
    let record = prop_oneof![
        3 => published().prop_map(JournalRecord::Published),
        1 => published().prop_map(|published| published.removed()),
    ];
    prop::collection::vec(record, 0..40)
}

fn decoded(records: &[JournalRecord]) -> Piece {
    let payloads: Vec<Vec<u8>> = records.iter().map(|record| postcard::to_stdvec(record).unwrap()).collect();
    Piece::decode(&payloads.iter().map(|payload| payload.as_slice().into()).collect::<Vec<_>>()).unwrap()
}

proptest! {
    /// What is read without copying is what was written, whatever fields a record gets.
    #[test]
    fn a_piece_says_what_its_records_say(records in records()) {
        let piece = decoded(&records);
        prop_assert_eq!(piece.changes.len(), records.len());
        let (mut artifacts, mut upstream) = (piece.artifacts.iter(), piece.upstream.iter());
        for (change, record) in piece.changes.iter().zip(&records) {
            match (change, record) {
                (Change::Removed(address), JournalRecord::Removed { address: removed, .. }) => prop_assert_eq!(address, removed),
                (Change::Published { item, artifacts: count, upstream: derived }, JournalRecord::Published(published)) => {
                    let of_piece = Told {
                        place: piece.places[item.place as usize].clone(),
                        times: (item.start, item.end, item.started),
                        seconds: item.seconds,
                        empty: item.empty,
                        artifacts: artifacts.by_ref().take(*count).map(|(digest, bytes, kind)| (*digest, *bytes, *kind == ArtifactKind::Log)).collect(),
                        upstream: if *derived { upstream.next().cloned() } else { None },
                    };
                    prop_assert_eq!(item.address, published.entry.address);
                    prop_assert_eq!(item.used, item.made());
                    prop_assert_eq!(of_piece, Told::of(published));
                }
                (change, record) => prop_assert!(false, "{:?} is not {:?}", change, record),
            }
        }
        prop_assert!(artifacts.next().is_none() && upstream.next().is_none());
        let places: std::collections::HashSet<&Place> = piece.places.iter().collect();
        prop_assert_eq!(places.len(), piece.places.len(), "each place stands there once");
    }

    /// Whatever was published, replaced and removed, in whatever pieces it is read.
    #[test]
    fn what_is_folded_is_what_a_map_would_hold(records in records(), piece in 1usize..8) {
        let mut inventory = Inventory::default();
        for some in records.chunks(piece) {
            inventory.fold(Some(decoded(some))).unwrap();
        }
        let mut map = BTreeMap::new();
        for record in &records {
            match record {
                JournalRecord::Published(published) => drop(map.insert(published.entry.address, published)),
                JournalRecord::Removed { address, .. } => drop(map.remove(address)),
            }
        }
        prop_assert_eq!(told(&inventory, State::Told), plainly(map.into_values()));
        prop_assert_eq!(inventory.journal.records, records.len());
        // What was named once and is no more is remembered.
        let ever: BTreeSet<_> = records.iter().filter_map(|record| if let JournalRecord::Published(one) = record { Some(Told::of(one)) } else { None }).flat_map(|told| told.artifacts).collect();
        prop_assert_eq!(inventory.artifacts().len(), ever.iter().map(|(digest, _, is_log)| (digest, is_log)).collect::<BTreeSet<_>>().len());
        inventory.fold(None).unwrap();
        prop_assert_eq!((inventory.entries.len(), inventory.artifacts().len(), inventory.journal.records), (0, 0, 0), "another journal begins");
    }

    /// Each entry that goes frees what nothing else names.
    #[test]
    fn names_are_counted_down_to_none(published in prop::collection::vec(published(), 0..12), order in any::<u64>()) {
        let mut inventory = Inventory::of(published);
        let mut there: Vec<u32> = inventory.there().collect();
        there.sort_unstable_by_key(|nth| (u64::from(*nth) + 1).wrapping_mul(order | 1));
        let mut named: BTreeMap<u32, u32> = (0..).zip(inventory.artifacts()).filter(|(_, artifact)| artifact.names > 0).map(|(nth, artifact)| (nth, artifact.names)).collect();
        for nth in there {
            let address = inventory.item(nth).address;
            prop_assert_eq!(inventory.find(&address), Some(nth));
            let freed: BTreeSet<u32> = inventory.withdraw(nth).into_iter().collect();
            let mut expected = BTreeSet::new();
            for artifact in inventory.named_by(inventory.item(nth)) {
                let names = named.get_mut(artifact).unwrap();
                *names -= 1;
                if *names == 0 {
                    expected.insert(*artifact);
                }
            }
            prop_assert_eq!(freed, expected);
            prop_assert_eq!(inventory.find(&address), None);
        }
        prop_assert_eq!(inventory.unnamed().count(), inventory.artifacts().len());
    }
}

#[test]
fn what_is_no_record_is_none() {
    assert!(Piece::decode(&[[7, 1, 2].as_slice().into()]).is_none());
    assert!(Piece::decode(&[[].as_slice().into()]).is_none());
    let record =
        JournalRecord::Removed { generator: generator(1), instrument: "a/X".parse().unwrap(), start: Time::from_ns(1), address: address_of(1) };
    let payload = postcard::to_stdvec(&record).unwrap();
    assert!(Piece::decode(&[payload.as_slice().into(), payload[..payload.len() - 1].into()]).is_none());
}

/// A store of some hours, and what is derived from each of them.
struct Barn {
    _directory: TempDir,
    store: Store,
}

impl Barn {
    const ENTRIES: usize = 8;

    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("barn")).unwrap();
        let barn = Self { _directory: directory, store };
        barn.load(0, false);
        barn
    }

    /// Loads four hours, whose rows begin with a number.
    fn load(&self, from: i64, refresh: bool) {
        let numbers = move |job: &Job| -> Result<(), BoxError> {
            fs::write(job.output("table")?, table_of(&[from, job.start().ns()]))?;
            Ok(())
        };
        let numbers = Dataset::function("numbers", "1", numbers).split(Split::every("1h").unwrap()).build().unwrap();
        let sums = |job: &Job| -> Result<(), BoxError> {
            fs::write(job.output("table")?, table_of(&[job.upstream("numbers")?.partitions().len() as i64]))?;
            Ok(())
        };
        let sums = Dataset::function("sums", "1", sums).upstream(&numbers).split(Split::every("1h").unwrap()).build().unwrap();
        let hours = Interval::parse("2024-01-01", "2024-01-01T04:00").unwrap();
        let load = self.store.load().request(if refresh { &numbers } else { &sums }, &"a/X".parse().unwrap(), hours);
        let load = if refresh { load.refresh() } else { load };
        load.blocking().unwrap();
    }

    fn layout(&self) -> &Layout {
        self.store.layout()
    }

    fn take(&self) -> Result<Inventory> {
        Inventory::take(&self.store, 2)
    }

    /// The manifests as they are read one by one.
    fn manifests(&self) -> Vec<Published> {
        walk::published(self.layout(), walk::addresses(self.layout(), None).unwrap()).collect::<Result<_>>().unwrap()
    }

    fn is_whole(&self, case: &str, entries: usize) {
        let inventory = self.take().unwrap_or_else(|error| panic!("{case}: {error}"));
        let manifests = self.manifests();
        assert_eq!(manifests.len(), entries, "{case}");
        assert_eq!(told(&inventory, State::There), plainly(&manifests), "{case}");
        assert_eq!(inventory.journal.live, entries, "{case}");
        assert!(told(&inventory, State::Told).0.is_empty(), "{case}");
    }

    fn change_journal(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.layout().journal()).unwrap();
        change(&mut bytes);
        fs::write(self.layout().journal(), bytes).unwrap();
    }

    /// A manifest that is there.
    fn some_manifest(&self) -> PathBuf {
        self.layout().entry(&walk::addresses(self.layout(), None).unwrap()[0])
    }
}

#[test]
fn whatever_the_journal_has_become_every_entry_is_there() {
    type Damage = (&'static str, fn(&Barn));
    const DAMAGES: [Damage; 9] = [
        ("as it is", |_| {}),
        ("a record in the making", |barn| barn.change_journal(|bytes| bytes.extend_from_within(32..80))),
        ("a cut end", |barn| barn.change_journal(|bytes| bytes.truncate(bytes.len() - 7))),
        ("a cut end, and nothing that says so", |barn| {
            barn.change_journal(|bytes| bytes.truncate(bytes.len() - 7));
            fs::remove_file(barn.layout().journal_end()).unwrap();
        }),
        ("a flipped bit in its middle", |barn| {
            barn.change_journal(|bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            });
        }),
        ("another header", |barn| barn.change_journal(|bytes| bytes[3] ^= 1)),
        ("nothing but its header", |barn| {
            barn.change_journal(|bytes| bytes.truncate(HEADER));
            fs::remove_file(barn.layout().journal_end()).unwrap();
        }),
        ("none at all", |barn| fs::remove_file(barn.layout().journal()).unwrap()),
        ("a link in its place", |barn| {
            fs::remove_file(barn.layout().journal()).unwrap();
            symlink("/etc/passwd", barn.layout().journal()).unwrap();
        }),
    ];
    const HEADER: usize = 32;
    for (damage, spoil) in DAMAGES {
        let barn = Barn::new();
        spoil(&barn);
        barn.is_whole(damage, Barn::ENTRIES);
    }
}

/// Cut between two records, with nothing beside it that would tell: what it says then is all true, and not all.
#[test]
fn what_the_journal_does_not_tell_is_read_from_its_manifest() {
    let barn = Barn::new();
    let before = fs::read(barn.layout().journal()).unwrap();
    let hours = Interval::parse("2024-01-01", "2024-01-01T04:00").unwrap();
    let more = |job: &Job| -> Result<(), BoxError> {
        fs::write(job.output("table")?, table_of(&[7, job.start().ns()]))?;
        Ok(())
    };
    let more = Dataset::function("more", "1", more).split(Split::every("1h").unwrap()).build().unwrap();
    barn.store.load().request(&more, &"a/X".parse().unwrap(), hours).blocking().unwrap();
    fs::write(barn.layout().journal(), before).unwrap();
    fs::remove_file(barn.layout().journal_end()).unwrap();
    barn.is_whole("four entries more than it tells", Barn::ENTRIES + 4);
    assert_eq!(barn.take().unwrap().journal, JournalUse { records: Barn::ENTRIES, live: Barn::ENTRIES + 4 });
}

#[test]
fn what_has_no_manifest_any_more_is_not_there_and_its_artifact_is_remembered() {
    let barn = Barn::new();
    let gone = barn.manifests().into_iter().find(|published| &*published.entry.dataset == "numbers").unwrap();
    fs::remove_file(barn.layout().entry(&gone.entry.address)).unwrap();
    barn.is_whole("one is gone", Barn::ENTRIES - 1);
    let inventory = barn.take().unwrap();
    assert_eq!(inventory.find(&gone.entry.address), None);
    let unnamed: Vec<Digest> = inventory.unnamed().map(|nth| inventory.artifact(nth).digest).collect();
    assert_eq!(unnamed, [gone.entry.outputs[0].digest]);
}

#[test]
fn what_was_replaced_is_told_as_it_is_now() {
    let barn = Barn::new();
    let before: BTreeSet<Digest> =
        barn.manifests().iter().filter(|one| &*one.entry.dataset == "numbers").map(|one| one.entry.outputs[0].digest).collect();
    barn.load(1, true);
    barn.is_whole("four were replaced", Barn::ENTRIES);
    let inventory = barn.take().unwrap();
    let unnamed: BTreeSet<Digest> = inventory.unnamed().map(|nth| inventory.artifact(nth).digest).collect();
    assert_eq!(unnamed, before, "what they named before is remembered");
    // Written anew, the journal forgets it.
    fs::remove_file(barn.layout().journal()).unwrap();
    barn.is_whole("from manifests alone", Barn::ENTRIES);
    assert_eq!(barn.take().unwrap().unnamed().count(), 0);
}

/// Were it left out, all that it names would be nobody's.
#[test]
fn a_manifest_that_nobody_can_read_is_an_error_where_the_journal_does_not_tell_it() {
    let barn = Barn::new();
    let path = barn.some_manifest();
    fs::write(&path, "{").unwrap();
    // The journal knows what it names.
    assert_eq!(barn.take().unwrap().there().count(), Barn::ENTRIES);
    fs::remove_file(barn.layout().journal()).unwrap();
    let error = barn.take().unwrap_err();
    assert!(matches!(&error, Error::Damaged { path: named, .. } if *named == path), "{error:?}");
    assert!(error.to_string().contains("nothing is collected") && error.to_string().contains("verify --repair"), "{error}");
}

/// Were a directory that cannot be listed an empty one, all entries in it would seem to be gone, and their artifacts nobody's.
#[test]
fn entries_that_cannot_be_listed_are_an_error() {
    let barn = Barn::new();
    let shard = barn.some_manifest().parent().unwrap().to_path_buf();
    let entries = barn.layout().entries();
    for directory in [shard, entries] {
        let aside = barn.layout().root().join("aside");
        fs::rename(&directory, &aside).unwrap();
        for (case, put) in [("a link", true), ("a file", false)] {
            if put {
                symlink(&aside, &directory).unwrap();
            } else {
                fs::write(&directory, "").unwrap();
            }
            let error = barn.take().map(|inventory| inventory.there().count()).unwrap_err();
            assert!(error.to_string().contains(directory.to_str().unwrap()), "{case}: {error}");
            fs::remove_file(&directory).unwrap();
        }
        fs::rename(&aside, &directory).unwrap();
    }
    let aside = barn.layout().root().join("aside");
    fs::rename(barn.layout().entries(), &aside).unwrap();
    assert!(barn.take().is_err(), "none at all");
    fs::rename(&aside, barn.layout().entries()).unwrap();
    barn.is_whole("put back", Barn::ENTRIES);
}

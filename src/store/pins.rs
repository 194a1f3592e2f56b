//! Pins: what a user has named to be kept. As long as a pin is there, nothing that it covers is collected.
//!
//! A pin is one file in `pins/` that checks itself (see [`envelope`]), called by a digest of the pin's name: names never become paths.
//!
//! # Invariants
//! * A pin is there, whole and durable, or it is not there. Of several that are made at once under one name, one is.
//! * Pins come and go under a share of the sweep lock: who holds it alone has read all of them, and no other comes meanwhile.
//! * A pin that cannot be read is an error, and never left out: what it keeps is not known.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::dataset::{FileStat, closest, problem_of_name};
use crate::error::{Error, Result, shortened};
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};
use crate::store::layout::Layout;
use crate::store::sweep::Sweep;
use crate::store::{Store, disk, envelope};

/// The format this library writes, and the newest it reads.
const FORMAT: u32 = 1;
/// A larger file is no pin: room for some two hundred thousand addresses.
const PIN_BYTES_MAX: u64 = 16 << 20;
const NAME_BYTES_MAX: usize = 200;
/// What to do about a pin that cannot be read.
const WAY_OUT: &str = "nothing is collected while it is there: put it back from a backup or, where it is to keep nothing any more, remove it \
                       (`tickbarn pin rm` with its name, or the file)";

/// What a user has named to be kept.
///
/// ```no_run
/// use tickbarn::{Pin, Store};
///
/// # fn main() -> tickbarn::Result<()> {
/// let store = Store::open_existing("barn")?;
/// let start = "2024-01-01".parse()?;
/// store.pin(&Pin::range("paper", ["md".to_owned()], ["binance/BTC-USDT".parse()?], Some(start), None)?)?;
/// for pin in store.pins()? {
///     println!("{} since {}", pin.name, pin.created);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// What it is called: 1 to 200 bytes of UTF-8 without control characters or white space at its ends. Never a path.
    pub name: String,
    /// What it keeps.
    pub cover: PinCover,
    /// When it was made, by the clock of the machine that made it.
    pub created: Time,
}

/// What a pin keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PinCover {
    /// Every entry of these datasets and instruments whose partition overlaps the half-open interval from `start` to `end`: those that are there, and
    /// those that are generated later. At least one of the four says something: no pin covers a whole store.
    Range {
        /// The datasets by the names under which entries were generated; all where it is empty.
        datasets: BTreeSet<String>,
        /// The instruments; all where it is empty.
        instruments: BTreeSet<Instrument>,
        /// The first moment; without one, however early.
        start: Option<Time>,
        /// The first moment after; without one, however late.
        end: Option<Time>,
    },
    /// The entries of these addresses, also where they are generated anew. At least one.
    Addresses(BTreeSet<Address>),
}

impl Pin {
    /// A pin of all partitions of these datasets and instruments (all, where none is given) that overlap the half-open interval from `start` to `end`.
    ///
    /// # Errors
    /// [`Error::InvalidPin`] where nothing is given at all, for a name that cannot be a pin's, and for one that cannot be a dataset's;
    /// [`Error::EmptyInterval`] where `start` is not before `end`.
    pub fn range(
        name: impl Into<String>,
        datasets: impl IntoIterator<Item = String>,
        instruments: impl IntoIterator<Item = Instrument>,
        start: Option<Time>,
        end: Option<Time>,
    ) -> Result<Self> {
        let (datasets, instruments) = (datasets.into_iter().collect(), instruments.into_iter().collect());
        Self::new(name.into(), PinCover::Range { datasets, instruments, start, end })
    }

    /// A pin of single entries.
    ///
    /// # Errors
    /// [`Error::InvalidPin`] where none is given, and for a name that cannot be a pin's.
    pub fn addresses(name: impl Into<String>, addresses: impl IntoIterator<Item = Address>) -> Result<Self> {
        Self::new(name.into(), PinCover::Addresses(addresses.into_iter().collect()))
    }

    fn new(name: String, cover: PinCover) -> Result<Self> {
        let pin = Self { name, cover, created: Time::now() };
        pin.check()?;
        Ok(pin)
    }

    /// Whether it keeps the entry of this dataset, instrument, partition and address.
    pub fn covers(&self, dataset: &str, instrument: &Instrument, interval: Interval, address: &Address) -> bool {
        match &self.cover {
            PinCover::Range { datasets, instruments, start, end } => {
                (datasets.is_empty() || datasets.contains(dataset))
                    && (instruments.is_empty() || instruments.contains(instrument))
                    && start.is_none_or(|start| start < interval.end())
                    && end.is_none_or(|end| interval.start() < end)
            }
            PinCover::Addresses(addresses) => addresses.contains(address),
        }
    }

    fn check(&self) -> Result<()> {
        let reason = match &self.cover {
            _ if problem_of(&self.name).is_some() => problem_of(&self.name).map(str::to_owned),
            PinCover::Range { datasets, instruments, start: None, end: None } if datasets.is_empty() && instruments.is_empty() => {
                Some("it would cover everything in the store; say at least one dataset, instrument or end of an interval".to_owned())
            }
            PinCover::Range { datasets, start, end, .. } => {
                if let (Some(start), Some(end)) = (start, end) {
                    Interval::new(*start, *end)?;
                }
                let wrong = datasets.iter().find_map(|dataset| Some((dataset, problem_of_name(dataset)?)));
                wrong.map(|(dataset, problem)| format!("no dataset is called {:?}: {problem}", shortened(dataset)))
            }
            PinCover::Addresses(addresses) => addresses.is_empty().then(|| "it would cover nothing; give at least one address".to_owned()),
        };
        reason.map_or(Ok(()), |reason| Err(self.invalid(reason)))
    }

    fn invalid(&self, reason: String) -> Error {
        Error::InvalidPin { name: shortened(&self.name), reason }
    }

    /// The bytes of its file.
    fn to_bytes(&self) -> Vec<u8> {
        envelope::sealed(&Body { format: FORMAT, name: self.name.clone(), created: self.created, cover: self.cover.clone() })
    }
}

fn problem_of(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name has at least one character")
    } else if name.len() > NAME_BYTES_MAX {
        Some("a name has at most 200 bytes")
    } else if name.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')) {
        Some("a name holds no control characters")
    } else if name.trim() != name {
        Some("a name does not begin or end with white space")
    } else {
        None
    }
}

/// What a pin's file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    format: u32,
    name: String,
    created: Time,
    cover: PinCover,
}

impl Store {
    /// Keeps what a pin covers from being collected, until [`Store::unpin`]. Durable on return. Who collects from then on knows of it; one who is collecting
    /// at this moment is waited for.
    ///
    /// # Errors
    /// [`Error::PinExists`] where one of this name is there, whatever it covers: of several that are added at once, one is. As the constructors', where
    /// what they check was changed since. [`Error::Busy`] where somebody has the store alone for longer than anything takes, [`Error::Io`] where it cannot
    /// be written. There is no pin then.
    pub fn pin(&self, pin: &Pin) -> Result<()> {
        add(self.layout(), pin)
    }

    /// Removes the pin of a name, also one that is damaged. What it covered may be collected from then on. Durable on return.
    ///
    /// # Errors
    /// [`Error::UnknownPin`] where there is none, [`Error::NewerFormat`] where it was made by a newer tickbarn, [`Error::Busy`] and [`Error::Io`] as for
    /// [`Store::pin`]. The last may also mean that it is gone, but would be there again after a power cut: do it again.
    pub fn unpin(&self, name: &str) -> Result<()> {
        remove(self.layout(), name)
    }

    /// Every pin, in order of name.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::NewerFormat`] where one of them cannot be read, which then is said to be no pin, and [`Error::Io`].
    pub fn pins(&self) -> Result<Vec<Pin>> {
        read_all(self.layout())
    }
}

fn add(layout: &Layout, pin: &Pin) -> Result<()> {
    pin.check()?;
    let bytes = pin.to_bytes();
    if bytes.len() as u64 > PIN_BYTES_MAX {
        return Err(pin.invalid("it is too long to be read back; make several of it".to_owned()));
    }
    let path = layout.pin(&pin.name);
    // Not through a link that was planted there.
    drop(disk::open_directory(&layout.pins())?);
    let draft = disk::draft_directory(&layout.pins())?;
    let staged = draft.path().join("pin");
    disk::sync(&disk::write_new(&staged, &bytes)?, &staged)?;
    let _sweep = Sweep::shared(layout)?;
    if disk::commit_new(&staged, &path)? { Ok(()) } else { Err(Error::PinExists { name: pin.name.clone() }) }
}

fn remove(layout: &Layout, name: &str) -> Result<()> {
    let path = layout.pin(name);
    let _sweep = Sweep::shared(layout)?;
    match read(layout, &path) {
        // Nobody but its name's owner asks for this: a damaged one is not to be kept for ever.
        Ok(_) | Err(Error::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    // Also where there is none: who removed it may not have got to its sync.
    if disk::remove_durably(&path)? {
        return Ok(());
    }
    let mut known: Vec<String> = files(layout)?.filter_map(|path| Some(read(layout, &path).ok()??.name)).collect();
    known.sort_unstable();
    let closest = closest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Err(Error::UnknownPin { name: shortened(name), closest, known })
}

/// Every pin, in order of name. Under the sweep lock, held alone, these are all until it is given back.
///
/// # Errors
/// [`Error::Damaged`], [`Error::NewerFormat`] and [`Error::Io`] where any of them cannot be read: what it keeps is not known then, and nothing may be
/// collected.
pub(crate) fn read_all(layout: &Layout) -> Result<Vec<Pin>> {
    // One that is gone since it was listed was removed by its user.
    let mut pins: Vec<Pin> = files(layout)?.filter_map(|path| read(layout, &path).transpose()).collect::<Result<_>>()?;
    pins.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(pins)
}

/// What the pins are as far as `stat` tells, in no order: where it is the same, they are. For who must not take long.
pub(crate) fn stamps(layout: &Layout) -> Result<HashMap<PathBuf, FileStat>> {
    let stamp = |path: PathBuf| match path.symlink_metadata() {
        Ok(metadata) => Some(Ok((path, FileStat::of(&metadata)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(Error::io("look at", path)(error))),
    };
    files(layout)?.filter_map(stamp).collect()
}

/// What keeps the file of a pin from being read.
pub(crate) fn problem(layout: &Layout, path: &Path) -> Option<String> {
    match read(layout, path) {
        Ok(_) => None,
        Err(Error::Damaged { reason, .. }) => Some(reason),
        Err(error) => Some(error.to_string()),
    }
}

/// What claims to be a pin.
fn files(layout: &Layout) -> Result<impl Iterator<Item = PathBuf>> {
    let directory = layout.pins();
    let names = disk::names_in(&directory)?;
    Ok(names.into_iter().filter(|name| Layout::is_pin(name)).map(move |name| directory.join(name)))
}

/// Reads and checks one file; `None` where there is none.
fn read(layout: &Layout, path: &Path) -> Result<Option<Pin>> {
    read_checked(layout, path).map_err(|error| match error {
        Error::Damaged { path, reason } => Error::Damaged { path, reason: format!("{reason}; {WAY_OUT}") },
        error => error,
    })
}

fn read_checked(layout: &Layout, path: &Path) -> Result<Option<Pin>> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |reason: String| Error::Damaged { path: path.to_path_buf(), reason };
    let unreadable = |error: serde_json::Error| damaged(format!("its body does not parse: {error}"));
    let Some(bytes) = disk::read_at_most(path, PIN_BYTES_MAX)? else { return Ok(None) };
    let body = envelope::opened(&bytes).map_err(damaged)?;
    let Format { format } = serde_json::from_str(body).map_err(unreadable)?;
    envelope::check_format(path, format, FORMAT)?;
    let Body { name, created, cover, .. } = serde_json::from_str(body).map_err(unreadable)?;
    let pin = Pin { name, cover, created };
    pin.check().map_err(|error| damaged(error.to_string()))?;
    if layout.pin(&pin.name) != path {
        return Err(damaged(format!("it is the pin {:?} under the name of another", pin.name)));
    }
    Ok(Some(pin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instrument(text: &str) -> Instrument {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn address(of: &str) -> Address {
        Address::of_canonical(of)
    }

    /// Whether it covers the hour of a day.
    fn covers_hour(pin: &Pin, hour: u32) -> bool {
        let interval = Interval::parse(&format!("2024-01-01T{hour:02}:00"), &format!("2024-01-01T{:02}:00", hour + 1)).unwrap();
        pin.covers("md", &instrument("binance/BTC-USDT"), interval, &address("{}"))
    }

    /// One partition too few is hours of work lost; one too many only disk.
    #[test]
    fn a_range_is_half_open_like_every_interval() {
        let pin = |start: Option<&str>, end: Option<&str>| Pin::range("x", ["md".to_owned()], [], start.map(time), end.map(time)).unwrap();
        let covered = |pin: Pin| (0..6).filter(|hour| covers_hour(&pin, *hour)).collect::<Vec<_>>();
        assert_eq!(covered(pin(Some("2024-01-01T02:00"), Some("2024-01-01T04:00"))), [2, 3]);
        assert_eq!(covered(pin(Some("2024-01-01T01:59:59.999999999"), Some("2024-01-01T04:00:00.000000001"))), [1, 2, 3, 4]);
        assert_eq!(covered(pin(Some("2024-01-01T02:30"), Some("2024-01-01T02:30:01"))), [2]);
        assert_eq!(covered(pin(Some("2024-01-01T04:00"), None)), [4, 5]);
        assert_eq!(covered(pin(None, Some("2024-01-01T01:00"))), [0]);
        assert_eq!(covered(pin(None, None)), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn no_dataset_or_instrument_means_all_of_them() {
        let hour = Interval::parse("2024-01-01", "2024-01-01T01:00").unwrap();
        let covers = |pin: &Pin, dataset, market| pin.covers(dataset, &instrument(market), hour, &address("{}"));
        let of_dataset = Pin::range("x", ["md".to_owned(), "features".to_owned()], [], None, None).unwrap();
        assert!(covers(&of_dataset, "md", "a/X") && covers(&of_dataset, "features", "b/Y") && !covers(&of_dataset, "m", "a/X"));
        let of_instrument = Pin::range("x", [], [instrument("a/X")], None, None).unwrap();
        assert!(covers(&of_instrument, "md", "a/X") && covers(&of_instrument, "other", "a/X") && !covers(&of_instrument, "md", "a/Y"));
        let of_both = Pin::range("x", ["md".to_owned()], [instrument("a/X")], None, None).unwrap();
        assert!(covers(&of_both, "md", "a/X") && !covers(&of_both, "md", "b/Y") && !covers(&of_both, "other", "a/X"));
    }

    #[test]
    fn single_entries_are_covered_wherever_they_are() {
        let pin = Pin::addresses("x", [address("1"), address("2"), address("1")]).unwrap();
        let hour = Interval::parse("2024-01-01", "2024-01-01T01:00").unwrap();
        let covered = ["1", "2", "3"].map(|of| pin.covers("md", &instrument("a/X"), hour, &address(of)));
        assert_eq!(covered, [true, true, false]);
    }

    /// What would keep everything, or nothing, is a slip: an empty variable in a script.
    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |pin: Result<Pin>, said: &str| {
            let error = pin.unwrap_err().to_string();
            assert!(error.contains(said) && error.len() < 400 && !error.contains('\u{1b}'), "{error}");
        };
        refused(Pin::range("x", [], [], None, None), "everything in the store");
        refused(Pin::range("x", [String::new()], [], None, None), "no dataset is called \"\"");
        refused(Pin::range("x", ["md".to_owned(), "../md".to_owned()], [], None, None), "\"../md\"");
        refused(Pin::range("x", [], [], Some(time("2024-01-02")), Some(time("2024-01-02"))), "start must be before its end");
        refused(Pin::range("x", ["md".to_owned()], [], Some(time("2024-01-02")), Some(time("2024-01-01"))), "start must be before its end");
        refused(Pin::addresses("x", []), "cover nothing");
        for (name, said) in [("", "at least one"), (" x", "white space"), ("x\n", "control"), ("\u{1b}[31m", "control"), ("a\u{2028}b", "control")] {
            refused(Pin::addresses(name, [address("{}")]), said);
        }
        Pin::addresses("é".repeat(100), [address("{}")]).unwrap();
        refused(Pin::addresses("x".repeat(201), [address("{}")]), "200 bytes");
    }

    /// A store, as far as pins need one.
    fn store() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        std::fs::create_dir(layout.pins()).unwrap();
        std::fs::create_dir(layout.leases()).unwrap();
        (directory, layout)
    }

    #[test]
    fn a_pin_that_could_not_be_read_back_is_not_written() {
        let (_directory, layout) = store();
        let addresses = (0..260_000).map(|nth| address(&nth.to_string()));
        let error = add(&layout, &Pin::addresses("x", addresses).unwrap()).unwrap_err().to_string();
        assert!(error.contains("make several"), "{error}");
        assert!(disk::names_in(&layout.pins()).unwrap().is_empty());
    }

    /// The form is what pins of today are read by tomorrow.
    #[test]
    fn the_form_of_a_pin_is_fixed() {
        let (_directory, layout) = store();
        let range = r#"{"format":1,"name":"paper","created":"2026-11-25T10:00:00Z","cover":{"range":{"datasets":["md"],"instruments":[{"market":"a","pair":"X"}],"start":"2024-01-01T00:00:00Z","end":null}}}"#;
        let addresses = format!(r#"{{"format":1,"name":"two","created":"2026-11-25T10:00:00Z","cover":{{"addresses":["{}"]}}}}"#, address("{}"));
        for (name, body) in [("paper", range), ("two", &addresses)] {
            let body: Box<serde_json::value::RawValue> = serde_json::from_str(body).unwrap();
            std::fs::write(layout.pin(name), envelope::sealed(&body)).unwrap();
        }
        let pins = read_all(&layout).unwrap();
        assert_eq!(pins.iter().map(|pin| &*pin.name).collect::<Vec<_>>(), ["paper", "two"]);
        assert!(pins.iter().all(|pin| pin.to_bytes() == std::fs::read(layout.pin(&pin.name)).unwrap()));
        assert_eq!(layout.pin("paper").file_name().unwrap(), "a02e55edfd04ef53c3bd5961ed354ec3.json");
    }

    proptest! {
        /// By the definition of an overlap: some nanosecond is in both.
        #[test]
        fn an_overlap_is_a_moment_in_common(start in 0i64..12, end in 0i64..12, from in 0i64..11, length in 1i64..4, open in 0..4) {
            let (start, end) = ((open & 1 == 0).then_some(start), (open & 2 == 0).then_some(end));
            let Ok(pin) = Pin::range("x", ["md".to_owned()], [], start.map(Time::from_ns), end.map(Time::from_ns)) else { return Ok(()) };
            let interval = Interval::new(Time::from_ns(from), Time::from_ns(from + length)).unwrap();
            let common = (from..from + length).any(|at| start.is_none_or(|start| start <= at) && end.is_none_or(|end| at < end));
            prop_assert_eq!(pin.covers("md", &instrument("a/X"), interval, &address("{}")), common);
        }

        /// A name never leads anywhere, and a pin is what it was, whatever it is called.
        #[test]
        fn any_name_is_read_back_from_its_place_in_the_store(name in "\\PC{1,50}") {
            let Ok(pin) = Pin::range(&name, [], [instrument("a/X")], None, Some(Time::from_ns(1))) else { return Ok(()) };
            let (_directory, layout) = store();
            std::fs::write(layout.pin(&name), pin.to_bytes()).unwrap();
            let path = layout.pin(&name);
            prop_assert_eq!(path.parent().unwrap(), layout.pins());
            prop_assert_eq!(read_all(&layout).unwrap(), vec![pin]);
        }
    }
}

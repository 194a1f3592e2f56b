//! What is in a key: the one place that decides it.
//!
//! A key is (generator identity, instrument, interval, upstream digests). Whatever changes the bytes that a generator writes belongs into the
//! identity; whatever does not must stay out of it, or work is done twice:
//!
//! * In: the program's digest or declared version, argument templates, rendered-file templates, contents of inputs, declared environment, `config`,
//!   and the outputs with their file names. Templates stand unexpanded: what they expand to follows from the rest of the key, or is a path.
//! * Out: paths of the program, the inputs and the work directory; the dataset's name; `unkeyed` values; timeouts, retries, resources, the exit
//!   statuses that mean "empty".
//!
//! Output *file names* are in although they look like paths: a generator that writes several files under the names it was told would otherwise, with
//! two names exchanged, answer for another output.
//!
//! The canonical form of a key, sorted and without white space as [`Value::canonical`] has it:
//! `{"generator":…,"instrument":{"market":…,"pair":…},"interval":{"end":ns,"start":ns},"upstream":{}}`

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{Address, Digest, KEY_CONTEXT};
use crate::canonical::{Value, write_string};
use crate::dataset::definition::Definition;
use crate::error::Result;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// The context under which generator identities are hashed. Only the order of indexes depends on it, no address does.
const GENERATOR_CONTEXT: &str = "tickbarn 2026-11 generator identity v1";

/// The digest of a generator's identity: the same for all partitions of a dataset as long as nothing in its key changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GeneratorId(Digest);

impl GeneratorId {
    fn of_canonical(identity: &str) -> Self {
        Self(Digest::of_hasher(blake3::Hasher::new_derive_key(GENERATOR_CONTEXT).update(identity.as_bytes())))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }
}

impl fmt::Display for GeneratorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for GeneratorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What stands for the program in the key.
pub(super) enum ProgramIdentity<'a> {
    Digest(Digest),
    Version(&'a str),
}

/// What stands for an input in the key.
pub(super) enum InputIdentity {
    Content(Digest),
    Stat { size: u64, mtime_ns: i64 },
    None,
}

/// A generator's identity: the part of the key that all partitions of a dataset share.
pub(crate) struct Identity {
    value: Value,
    id: GeneratorId,
    /// A key's canonical form up to where the partition begins: `{"generator":…,`.
    head: String,
    /// A hasher that was fed `head`, so that an address costs only what differs between partitions.
    hasher: blake3::Hasher,
}

impl Identity {
    /// The identity of a command.
    pub(super) fn of_command(
        definition: &Definition,
        program: &ProgramIdentity<'_>,
        inputs: impl Iterator<Item = (String, InputIdentity)>,
    ) -> Result<Self> {
        let command = &definition.command;
        let program = match program {
            ProgramIdentity::Digest(digest) => ("digest", digest.to_string()),
            ProgramIdentity::Version(version) => ("version", (*version).to_owned()),
        };
        let input = |identity| match identity {
            InputIdentity::Content(digest) => ("content", digest.to_string().into()),
            InputIdentity::Stat { size, mtime_ns } => ("stat", Value::object([("size", size.into()), ("mtime_ns", mtime_ns.into())])),
            InputIdentity::None => ("none", true.into()),
        };
        Self::of(Value::object([
            ("kind", "command".into()),
            ("program", Value::object([(program.0, program.1.into())])),
            ("arguments", Value::Array(command.arguments.iter().map(|argument| argument.text().into()).collect())),
            ("files", Value::object(command.files.iter().map(|(name, file)| (name.as_str(), file.value().clone())))),
            ("inputs", Value::object(inputs.map(|(name, identity)| (name, Value::object([input(identity)]))))),
            ("environment", Value::object(command.environment.iter().map(|(name, value)| (name.as_str(), value.text().into())))),
            ("config", definition.config.clone()),
            ("outputs", Value::object(definition.outputs.iter().map(|(name, file)| (name.as_str(), file.as_str().into())))),
        ]))
    }

    fn of(value: Value) -> Result<Self> {
        let canonical = value.canonical()?;
        let head = format!("{{\"generator\":{canonical},");
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hasher.update(head.as_bytes());
        Ok(Self { value, id: GeneratorId::of_canonical(&canonical), head, hasher })
    }

    /// The identity as a value.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The length of its canonical form, but for a few bytes.
    pub(super) fn bytes(&self) -> usize {
        self.head.len()
    }

    /// Its digest.
    pub(crate) fn id(&self) -> GeneratorId {
        self.id
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.value).finish()
    }
}

/// What an entry is the answer to.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    identity: Arc<Identity>,
    instrument: Instrument,
    interval: Interval,
}

impl Key {
    pub(crate) fn new(identity: Arc<Identity>, instrument: Instrument, interval: Interval) -> Self {
        Self { identity, instrument, interval }
    }

    pub(crate) fn generator(&self) -> GeneratorId {
        self.identity.id()
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    pub(crate) fn interval(&self) -> Interval {
        self.interval
    }

    /// The text whose hash is the address. A JSON object.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::with_capacity(self.identity.head.len() + TAIL_BYTES);
        text.push_str(&self.identity.head);
        self.write_tail(&mut text);
        text
    }

    /// Where the entry is found: the hash of [`Key::canonical`], without building it.
    pub(crate) fn address(&self) -> Address {
        let mut tail = String::with_capacity(TAIL_BYTES);
        self.write_tail(&mut tail);
        let mut hasher = self.identity.hasher.clone();
        hasher.update(tail.as_bytes());
        Address::of(&hasher)
    }

    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("generator", self.identity.value.clone()),
            ("instrument", Value::object([("market", self.instrument.market().into()), ("pair", self.instrument.pair().into())])),
            ("interval", Value::object([("end", self.interval.end().ns().into()), ("start", self.interval.start().ns().into())])),
            ("upstream", Value::Object(BTreeMap::new())),
        ])
    }

    fn write_tail(&self, text: &mut String) {
        use fmt::Write as _;
        text.push_str("\"instrument\":{\"market\":");
        write_string(text, self.instrument.market());
        text.push_str(",\"pair\":");
        write_string(text, self.instrument.pair());
        let (start, end) = (self.interval.start().ns(), self.interval.end().ns());
        write!(text, "}},\"interval\":{{\"end\":{end},\"start\":{start}}},\"upstream\":{{}}}}").expect("writing to a string does not fail");
    }
}

/// Room for what follows the identity, so that nothing is moved while it is written: usual names are short.
const TAIL_BYTES: usize = 256;

/// A key as a manifest holds it. Whoever made it, its address follows from it alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) struct StoredKey {
    value: Value,
    address: Address,
    generator: GeneratorId,
    instrument: Instrument,
    interval: Interval,
}

impl StoredKey {
    /// Reads a key's value. Says what is wrong with anything else.
    ///
    /// What stands inside `generator` and `upstream` is not judged beyond their being objects: entries of a kind of generator that this version does
    /// not know can still be listed, explained and collected, and their address still proves them whole.
    pub(crate) fn from_value(value: Value) -> Result<Self, String> {
        let canonical = value.canonical().map_err(|error| error.to_string())?;
        let [generator, instrument, interval, upstream] = fields_of(&value, "the key", ["generator", "instrument", "interval", "upstream"])?;
        let [market, pair] = fields_of(instrument, "its instrument", ["market", "pair"])?;
        let [end, start] = fields_of(interval, "its interval", ["end", "start"])?;
        let (Value::String(market), Value::String(pair)) = (market, pair) else {
            return Err("its instrument's market and pair are not both texts".to_owned());
        };
        let Value::Object(fields) = generator else {
            return Err("its generator is not an object".to_owned());
        };
        if !matches!(fields.get("kind"), Some(Value::String(_))) {
            return Err("its generator says no kind".to_owned());
        }
        if !matches!(upstream, Value::Object(_)) {
            return Err("its upstream is not an object".to_owned());
        }
        let interval = Interval::new(time_of(start)?, time_of(end)?).map_err(|error| error.to_string())?;
        let instrument = Instrument::new(market, pair).map_err(|error| error.to_string())?;
        let generator = GeneratorId::of_canonical(&generator.canonical().map_err(|error| error.to_string())?);
        Ok(Self { address: Address::of_canonical(&canonical), generator, instrument, interval, value })
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The address that the key has, to be compared with the one it was found under.
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    pub(crate) fn generator(&self) -> GeneratorId {
        self.generator
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    pub(crate) fn interval(&self) -> Interval {
        self.interval
    }
}

impl From<&Key> for StoredKey {
    fn from(key: &Key) -> Self {
        Self { value: key.to_value(), address: key.address(), generator: key.generator(), instrument: key.instrument.clone(), interval: key.interval }
    }
}

impl From<StoredKey> for Value {
    fn from(key: StoredKey) -> Self {
        key.value
    }
}

impl TryFrom<Value> for StoredKey {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Self::from_value(value)
    }
}

/// The values of exactly these fields.
fn fields_of<'a, const N: usize>(value: &'a Value, what: &str, names: [&str; N]) -> Result<[&'a Value; N], String> {
    let wrong = || format!("{what} is not an object of exactly {}", names.join(", "));
    let Value::Object(fields) = value else {
        return Err(wrong());
    };
    if fields.len() != N {
        return Err(wrong());
    }
    let mut found = [value; N];
    for (slot, name) in found.iter_mut().zip(names) {
        *slot = fields.get(name).ok_or_else(wrong)?;
    }
    Ok(found)
}

fn time_of(value: &Value) -> Result<Time, String> {
    match value {
        Value::Integer(ns) => i64::try_from(*ns).map(Time::from_ns).map_err(|_| format!("its interval's {ns} does not fit 64 bits")),
        _ => Err("its interval's ends are not both integers".to_owned()),
    }
}

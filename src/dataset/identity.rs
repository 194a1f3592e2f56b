//! What is in a key: the one place that decides it.
//!
//! A key is (generator identity, instrument, interval, upstream digests). Whatever changes the bytes that a generator writes belongs into the
//! identity; whatever does not must stay out of it, or work is done twice:
//!
//! * In: the program's digest or declared version, or a function's name and version; argument templates, rendered-file templates, contents of inputs,
//!   declared environment, `config`, and the outputs with their file names. Templates stand unexpanded: what they expand to follows from the rest of
//!   the key, or is a path. Of what a derived partition reads: the digests of the outputs, of which partitions they are, and by which column they are
//!   trimmed.
//! * Out: paths of the program, the inputs and the work directory; the dataset's name; `unkeyed` values; timeouts, retries, resources, the exit
//!   statuses that mean "empty".
//!
//! Output *file names* are in although they look like paths: a generator that writes several files under the names it was told would otherwise, with
//! two names exchanged, answer for another output.
//!
//! The canonical form of a key, sorted and without white space as [`Value::canonical`] has it:
//! `{"generator":…,"instrument":{"market":…,"pair":…},"interval":{"end":ns,"start":ns},"upstream":{NAME:{"partitions":[{"interval":…,"outputs":{OUTPUT:digest}}],"time_column":…}}}`

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::address::{Address, Digest, KEY_CONTEXT};
use crate::canonical::{Value, write_string};
use crate::dataset::definition::{Command, Definition, NamedFunction};
use crate::dataset::job::{Upstream, UpstreamPartition, Upstreams};
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

    /// The same for two generators exactly when they are the same, and derived from the same under the same names, all the way up.
    pub(crate) fn with_upstream<'a>(self, upstream: impl IntoIterator<Item = (&'a str, GeneratorId)>) -> Self {
        let mut upstream = upstream.into_iter().peekable();
        if upstream.peek().is_none() {
            return self;
        }
        let mut hasher = blake3::Hasher::new_derive_key(GENERATOR_CONTEXT);
        hasher.update(self.as_bytes());
        for (name, id) in upstream {
            // No name holds a zero byte.
            hasher.update(name.as_bytes()).update(&[0]).update(id.as_bytes());
        }
        Self(Digest::of_hasher(&hasher))
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
    /// With the program's file name, so that two programs of one version do not answer for each other.
    Version {
        version: &'a str,
        name: Cow<'a, str>,
    },
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
        command: &Command,
        program: &ProgramIdentity<'_>,
        inputs: impl Iterator<Item = (String, InputIdentity)>,
    ) -> Result<Self> {
        let program = match program {
            ProgramIdentity::Digest(digest) => Value::object([("digest", digest.to_string().into())]),
            ProgramIdentity::Version { version, name } => Value::object([("name", (**name).into()), ("version", (*version).into())]),
        };
        Self::of(Value::object([
            ("kind", "command".into()),
            ("program", program),
            ("arguments", Value::Array(command.arguments.iter().map(|argument| argument.text().into()).collect())),
            ("files", Value::object(command.files.iter().map(|(name, file)| (name.as_str(), file.value().clone())))),
            ("inputs", inputs_value(inputs)),
            ("environment", Value::object(command.environment.iter().map(|(name, value)| (name.as_str(), value.text().into())))),
            ("config", definition.config.clone()),
            ("outputs", outputs_value(definition)),
        ]))
    }

    /// The identity of a function.
    pub(super) fn of_function(
        definition: &Definition,
        function: &NamedFunction,
        inputs: impl Iterator<Item = (String, InputIdentity)>,
    ) -> Result<Self> {
        let version = definition.version.as_deref().unwrap_or_default();
        Self::of(Value::object([
            ("kind", "function".into()),
            ("name", function.name.as_str().into()),
            ("version", version.into()),
            ("inputs", inputs_value(inputs)),
            ("config", definition.config.clone()),
            ("outputs", outputs_value(definition)),
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
    #[cfg(test)]
    pub(super) fn value(&self) -> &Value {
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

fn inputs_value(inputs: impl Iterator<Item = (String, InputIdentity)>) -> Value {
    let input = |identity| match identity {
        InputIdentity::Content(digest) => ("content", digest.to_string().into()),
        InputIdentity::Stat { size, mtime_ns } => ("stat", Value::object([("size", size.into()), ("mtime_ns", mtime_ns.into())])),
        InputIdentity::None => ("none", true.into()),
    };
    Value::object(inputs.map(|(name, identity)| (name, Value::object([input(identity)]))))
}

fn outputs_value(definition: &Definition) -> Value {
    Value::object(definition.outputs.iter().map(|(name, file)| (name.as_str(), file.as_str().into())))
}

/// What a derived partition reads, as it stands in its key.
#[derive(Debug)]
struct UpstreamContent {
    value: Value,
    canonical: String,
}

impl UpstreamContent {
    fn of(upstream: &Upstreams) -> Result<Self> {
        let partition = |partition: &UpstreamPartition| {
            let outputs = partition.outputs.iter().map(|output| (&*output.name, output.digest.to_string().into()));
            Value::object([("interval", interval_value(partition.interval)), ("outputs", Value::object(outputs))])
        };
        // A frame of an upstream is trimmed by its time column, and a function may ask for that: the same bytes are then other rows.
        let read = |upstream: &Upstream| {
            let partitions = Value::Array(upstream.partitions().iter().map(partition).collect());
            Value::object([("partitions", partitions), ("time_column", upstream.time_column().into())])
        };
        let value = Value::object(upstream.iter().map(|(name, upstream)| (name.as_str(), read(upstream))));
        Ok(Self { canonical: value.canonical()?, value })
    }
}

fn interval_value(interval: Interval) -> Value {
    Value::object([("end", interval.end().ns().into()), ("start", interval.start().ns().into())])
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
    /// `None` where nothing is read from other datasets.
    upstream: Option<Arc<UpstreamContent>>,
}

impl Key {
    /// The key of a partition that is derived from these, or from nothing.
    pub(crate) fn new(identity: Arc<Identity>, instrument: Instrument, interval: Interval, upstream: &Upstreams) -> Result<Self> {
        let upstream = (!upstream.is_empty()).then(|| UpstreamContent::of(upstream).map(Arc::new)).transpose()?;
        Ok(Self { identity, instrument, interval, upstream })
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
            ("interval", interval_value(self.interval)),
            ("upstream", self.upstream.as_ref().map_or_else(|| Value::Object(BTreeMap::new()), |upstream| upstream.value.clone())),
        ])
    }

    fn write_tail(&self, text: &mut String) {
        use fmt::Write as _;
        text.push_str("\"instrument\":{\"market\":");
        write_string(text, self.instrument.market());
        text.push_str(",\"pair\":");
        write_string(text, self.instrument.pair());
        let (start, end) = (self.interval.start().ns(), self.interval.end().ns());
        write!(text, "}},\"interval\":{{\"end\":{end},\"start\":{start}}},\"upstream\":").expect("writing to a string does not fail");
        text.push_str(self.upstream.as_ref().map_or("{}", |upstream| &upstream.canonical));
        text.push('}');
    }
}

/// Room for what follows the identity, so that nothing is moved while it is written: usual names are short.
const TAIL_BYTES: usize = 256;

/// A key as a manifest holds it. Whoever made it, its address follows from it alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
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

impl StoredKey {
    /// The generator, instrument and interval in a key's canonical text, without taking the identity apart.
    pub(crate) fn place_in(canonical: &str) -> Result<(GeneratorId, Instrument, Interval), String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Place<'a> {
            #[serde(borrow)]
            generator: &'a RawValue,
            instrument: Instrument,
            interval: Ends,
            #[serde(rename = "upstream")]
            _upstream: &'a RawValue,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ends {
            start: i64,
            end: i64,
        }
        let place: Place<'_> = serde_json::from_str(canonical).map_err(|error| error.to_string())?;
        let interval = Interval::new(Time::from_ns(place.interval.start), Time::from_ns(place.interval.end)).map_err(|error| error.to_string())?;
        Ok((GeneratorId::of_canonical(place.generator.get()), place.instrument, interval))
    }
}

/// In canonical form, so that a reader can hash the text as it stands.
impl Serialize for StoredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let canonical = self.value.canonical().map_err(S::Error::custom)?;
        RawValue::from_string(canonical).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl From<&Key> for StoredKey {
    fn from(key: &Key) -> Self {
        debug_assert_eq!(key.address(), Address::of_canonical(&key.canonical()), "a key must be found where its text says");
        Self { value: key.to_value(), address: key.address(), generator: key.generator(), instrument: key.instrument.clone(), interval: key.interval }
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

#[cfg(test)]
mod tests {
    //! Invariants 1 and 10 of ARCHITECTURE.md.

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Artifact;
    use crate::dataset::builder::DatasetBuilder;
    use crate::dataset::definition::{Dataset, Fingerprint, Input, Resources};
    use crate::dataset::fingerprint::Fingerprints;
    use crate::dataset::{BoxError, Job};
    use crate::interval::Split;

    /// A directory with a program and two inputs of fixed bytes.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            use std::os::unix::fs::PermissionsExt as _;
            let place = Self(tempfile::tempdir().unwrap());
            for (name, content) in [("gen", "#!/bin/sh\n"), ("other-gen", "#!/bin/sh\nexit\n"), ("run.json", "{}"), ("other.json", "{\"a\":1}")] {
                std::fs::write(place.0.path().join(name), content).unwrap();
                std::fs::set_permissions(place.0.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            place
        }

        fn dataset(&self, command: &[&str]) -> DatasetBuilder {
            Dataset::command("md", command.iter().copied()).base_dir(self.0.path()).output("trades", "trades.parquet")
        }

        /// Something of everything.
        fn full(&self) -> DatasetBuilder {
            self.dataset(&["gen", "--start", "{start}", "{file.model}", "{input.run}", "{unkeyed.verbose}"])
                .config("levels", 40)
                .config("names", vec!["é", "\""])
                .file("model", Value::object([("levels", "{config.levels}")].map(|(name, text)| (name, Value::from(text)))))
                .input("run", "run.json")
                .input("feed", Input::new("other.json").fingerprint(Fingerprint::None))
                .env("TZ", "UTC")
                .unkeyed("verbose", 1)
        }

        fn without_program(&self) -> DatasetBuilder {
            self.dataset(&["gen"]).version("7")
        }
    }

    fn identity(builder: DatasetBuilder) -> Arc<Identity> {
        builder.build().unwrap().identify(&Fingerprints::default()).unwrap().identity().clone()
    }

    fn key(builder: DatasetBuilder, instrument: &str, start: &str, end: &str) -> Key {
        underived(identity(builder), instrument.parse().unwrap(), Interval::parse(start, end).unwrap())
    }

    fn underived(identity: Arc<Identity>, instrument: Instrument, interval: Interval) -> Key {
        Key::new(identity, instrument, interval, &Upstreams::new()).unwrap()
    }

    fn address(builder: DatasetBuilder) -> Address {
        key(builder, "binance/BTC-USDT", "2023-12-25", "2023-12-26").address()
    }

    /// Written out, and computed by another implementation of BLAKE3 too: a change here is a change of every user's addresses, and needs another
    /// [`KEY_CONTEXT`].
    #[test]
    fn golden_keys() {
        let place = Place::new();
        let cases = [
            (
                key(place.without_program(), "binance/BTC-USDT", "2023-12-25T00:00", "2023-12-25T12:00"),
                r#"{"generator":{"arguments":[],"config":{},"environment":{},"files":{},"inputs":{},"kind":"command","outputs":{"trades":"trades.parquet"},"program":{"name":"gen","version":"7"}},"instrument":{"market":"binance","pair":"BTC-USDT"},"interval":{"end":1703505600000000000,"start":1703462400000000000},"upstream":{}}"#,
                "d89e3de2bc1f54b8baa946ddde5cd8cfd402ac49602397c780aef312589090c7",
            ),
            (
                key(place.full(), "binance/BTC-USDT", "2023-12-25T00:00", "2023-12-25T12:00"),
                r#"{"generator":{"arguments":["--start","{start}","{file.model}","{input.run}","{unkeyed.verbose}"],"config":{"levels":40,"names":["é","\""]},"environment":{"TZ":"UTC"},"files":{"model":{"levels":"{config.levels}"}},"inputs":{"feed":{"none":true},"run":{"content":"6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279"}},"kind":"command","outputs":{"trades":"trades.parquet"},"program":{"digest":"bc1f407a11c9377c8b9b13f956b279c8462775105eb958fc9ae3c40de87cc96e"}},"instrument":{"market":"binance","pair":"BTC-USDT"},"interval":{"end":1703505600000000000,"start":1703462400000000000},"upstream":{}}"#,
                "21e66cb68de0de93736d918a12f53167dd0e16a49c0492ded5360a019d1407c0",
            ),
            (
                key(
                    place.without_program().config("levels", 5.0).config("seed", (1i64 << 53) + 1).config("ratio", 0.1),
                    "市場/円\"",
                    "1969-12-31T23:59:59.999999999",
                    "2262-04-11T23:47:16.854775807",
                ),
                r#"{"generator":{"arguments":[],"config":{"levels":5,"ratio":0.1,"seed":9007199254740993},"environment":{},"files":{},"inputs":{},"kind":"command","outputs":{"trades":"trades.parquet"},"program":{"name":"gen","version":"7"}},"instrument":{"market":"市場","pair":"円\""},"interval":{"end":9223372036854775807,"start":-1},"upstream":{}}"#,
                "1cacb30d53c15e6d462017bcad5b854399707b39f20bb27d603976f7f5892fc4",
            ),
        ];
        for (key, canonical, address) in cases {
            assert_eq!(key.canonical(), canonical);
            assert_eq!(key.address().to_string(), address);
        }
    }

    /// The same for functions and for what is derived.
    #[test]
    fn golden_keys_of_functions_and_derived_partitions() {
        let nothing = |_: &Job| Ok::<_, BoxError>(());
        let clean = Dataset::function("clean", "3", nothing).config("window", 5.0);
        let merged = Dataset::function("merged", "1", nothing).function_name("merge").output("bars", "bars.parquet");
        let day = Interval::parse("2023-12-25", "2023-12-26").unwrap();
        let hour = |from: &str, to: &str| Interval::parse(from, to).unwrap();
        let instrument: Instrument = "binance/BTC-USDT".parse().unwrap();
        let md = Dataset::command("md", ["gen"]).output("trades", "trades.parquet").output("book", "book.parquet").build().unwrap();
        let table = |name: &str| {
            let digest = Digest::of(name.as_bytes());
            Artifact { name: name.into(), path: "/elsewhere".into(), digest, schema: digest, bytes: 1, rows: 1, bounds: [].into() }
        };
        let partition = |interval: Interval, outputs: Vec<Artifact>| {
            let address = Address::of_canonical("not in the key");
            UpstreamPartition { interval, requested: interval, address, outputs, seconds: 0.0 }
        };
        let partitions = vec![
            partition(hour("2023-12-25", "2023-12-25T12:00"), vec![table("book"), table("trades")]),
            partition(hour("2023-12-25T12:00", "2023-12-26"), Vec::new()),
        ];
        let upstream: Upstreams =
            [("feed".to_owned(), Upstream::new(md, instrument.clone(), ["book", "trades"].map(str::to_owned).into(), partitions))].into();
        let cases = [
            (
                Key::new(identity(clean), instrument.clone(), day, &Upstreams::new()).unwrap(),
                r#"{"generator":{"config":{"window":5},"inputs":{},"kind":"function","name":"clean","outputs":{"table":"table.parquet"},"version":"3"},"instrument":{"market":"binance","pair":"BTC-USDT"},"interval":{"end":1703548800000000000,"start":1703462400000000000},"upstream":{}}"#,
                "62ceeecd41f6e4a8eee020e23fb075b2a4527696a91727227279c133ad00ea94",
            ),
            (
                Key::new(identity(merged), instrument, day, &upstream).unwrap(),
                r#"{"generator":{"config":{},"inputs":{},"kind":"function","name":"merge","outputs":{"bars":"bars.parquet"},"version":"1"},"instrument":{"market":"binance","pair":"BTC-USDT"},"interval":{"end":1703548800000000000,"start":1703462400000000000},"upstream":{"feed":{"partitions":[{"interval":{"end":1703505600000000000,"start":1703462400000000000},"outputs":{"book":"d1dbd53d90d29c6d416b69179a6916a1fc90e80b35d32de690e469acc9e949bf","trades":"a301fe72d5aec299c4f10ba0768e65f4821f465f00ac906c0829a0ea5a5fe0a3"}},{"interval":{"end":1703548800000000000,"start":1703505600000000000},"outputs":{}}],"time_column":"ts"}}}"#,
                "c180ca380589c65383a2e9ab914afc368de6d01ae8d952340606c86039d92308",
            ),
        ];
        for (key, canonical, address) in cases {
            assert_eq!(key.canonical(), canonical);
            assert_eq!(key.address().to_string(), address);
            assert_eq!(StoredKey::from_value(serde_json::from_str(canonical).unwrap()).unwrap().address(), key.address());
            assert_eq!(StoredKey::place_in(canonical).unwrap(), (key.generator(), key.instrument().clone(), key.interval()));
        }
    }

    #[test]
    fn two_programs_of_one_version_do_not_answer_for_each_other() {
        let place = Place::new();
        std::fs::copy(place.0.path().join("gen"), place.0.path().join("other")).unwrap();
        let of = |program: &str| address(place.dataset(&[program]).version("7"));
        assert_ne!(of("gen"), of("other"));
    }

    #[test]
    fn a_generator_has_one_id_for_all_its_partitions() {
        let place = Place::new();
        let one = key(place.full(), "binance/BTC-USDT", "2023-12-25", "2023-12-26");
        let other = key(place.full(), "okx/ETH-USDT", "2024-12-25", "2024-12-26");
        assert_eq!(one.generator(), other.generator());
        assert_eq!(one.generator().to_string(), "a2b5b932532b5d1f70239a67450680fbf06853fc87dae97cd7e3242d8f1b08c6");
        assert_ne!(one.generator(), identity(place.full().config("levels", 41)).id());
        // Another context than addresses have: an id is never somebody's address.
        assert_ne!(one.generator().as_bytes(), Address::of_canonical(&identity(place.full()).value().canonical().unwrap()).as_bytes());
    }

    #[test]
    fn what_cannot_change_the_outputs_does_not_change_the_address() {
        let place = Place::new();
        let expected = address(place.full());
        let elsewhere = Place::new();
        std::fs::rename(elsewhere.0.path().join("gen"), elsewhere.0.path().join("moved")).unwrap();
        std::fs::rename(elsewhere.0.path().join("run.json"), elsewhere.0.path().join("moved.json")).unwrap();
        let mut renamed = elsewhere.full();
        renamed.name = "renamed".to_owned();
        let mut moved = elsewhere.full().input("run", "moved.json");
        moved.command[0] = elsewhere.0.path().join("moved").display().to_string();
        for (what, same) in [
            ("path of the program and the inputs", moved),
            ("unkeyed", place.full().unkeyed("verbose", 2).unkeyed("more", "x")),
            ("timeout", place.full().timeout(Duration::from_secs(1))),
            ("retries", place.full().retries(9).retry_delay(Duration::ZERO)),
            ("resources", place.full().resources(Resources { cpus: 4.0, memory_bytes: 1 << 30 })),
            ("what a node of a cluster must have", place.full().cluster_resource("gpu_node", 1.0)),
            ("empty exit codes", place.full().empty_exit_codes([3])),
            ("snapshot", place.full().snapshot_program(true)),
            ("split", place.full().split(Split::every("5m").unwrap())),
            ("an input that is not to be looked at", place.full().input("feed", Input::new("run.json").fingerprint(Fingerprint::None))),
            ("1 and 1.0", place.full().config("levels", 40.0)),
        ] {
            assert_eq!(address(same), expected, "{what}");
        }
        std::fs::rename(elsewhere.0.path().join("moved"), elsewhere.0.path().join("gen")).unwrap();
        std::fs::rename(elsewhere.0.path().join("moved.json"), elsewhere.0.path().join("run.json")).unwrap();
        assert_eq!(address(renamed), expected, "name");
    }

    #[test]
    fn what_can_change_the_outputs_changes_the_address() {
        let place = Place::new();
        let mut addresses = vec![address(place.full())];
        let with_command = |command: &[&str]| {
            let mut builder = place.full();
            builder.command = command.iter().map(|&argument| argument.to_owned()).collect();
            builder
        };
        let exchanged = place.dataset(&["gen"]).version("7").output("trades", "book.parquet").output("book", "trades.parquet");
        let straight = place.dataset(&["gen"]).version("7").output("book", "book.parquet");
        addresses.extend(
            [
                with_command(&["other-gen", "--start", "{start}", "{file.model}", "{input.run}", "{unkeyed.verbose}"]),
                with_command(&["gen", "--start", "{end}", "{file.model}", "{input.run}", "{unkeyed.verbose}"]),
                with_command(&["gen", "--start", "{start}", "{file.model}", "{input.run}"]),
                with_command(&["gen", "--start{start}", "{file.model}", "{input.run}", "{unkeyed.verbose}"]),
                place.full().version("7"),
                place.full().version("8"),
                place.full().config("levels", 41),
                place.full().config("levels", "40"),
                place.full().config("more", Value::Null),
                place.full().file("model", Value::object([("levels", Value::from("{config.names}"))])),
                place.full().file("more", Value::Null),
                place.full().input("run", "other.json"),
                place.full().input("run", Input::new("run.json").fingerprint(Fingerprint::Stat)),
                place.full().input("run", Input::new("run.json").fingerprint(Fingerprint::None)),
                place.full().input("more", "run.json"),
                place.full().env("TZ", "CET"),
                place.full().env("MORE", ""),
                place.full().output("more", "more.parquet"),
                place.full().output("trades", "ticks.parquet"),
                straight,
                exchanged,
            ]
            .map(address),
        );
        let count = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), count, "two of them share an address");
    }

    #[test]
    fn a_stored_key_gives_its_address_and_what_it_is_about() {
        let place = Place::new();
        let key = key(place.full(), "kraken/BTC/USD", "2023-12-25", "2023-12-26");
        assert_eq!(key.to_value().canonical().unwrap(), key.canonical());
        let stored: StoredKey = serde_json::from_str(&key.canonical()).unwrap();
        assert_eq!(stored, StoredKey::from_value(key.to_value()).unwrap());
        assert_eq!((stored.address(), stored.generator()), (key.address(), key.generator()));
        assert_eq!((stored.instrument(), stored.interval()), (key.instrument(), key.interval()));
        assert_eq!(stored.value(), &key.to_value());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = r#"{"generator":{"kind":"x"},"instrument":{"market":"a","pair":"b"},"interval":{"end":2,"start":1},"upstream":{}}"#;
        serde_json::from_str::<StoredKey>(good).unwrap();
        for (from, to) in [
            (good, "[]"),
            (good, "null"),
            (good, "{}"),
            (r#","upstream":{}"#, ""),
            (r#""upstream":{}"#, r#""upstream":{},"more":1"#),
            (r#""upstream":{}"#, r#""upstream":[]"#),
            (r#""upstream":{}"#, r#""other":{}"#),
            (r#"{"kind":"x"}"#, "{}"),
            (r#"{"kind":"x"}"#, r#""x""#),
            (r#"{"kind":"x"}"#, r#"{"kind":1}"#),
            (r#""market":"a","#, ""),
            (r#""market":"a","#, r#""market":"a","more":1,"#),
            (r#""market":"a""#, r#""market":1"#),
            (r#""market":"a""#, r#""market":"..""#),
            (r#""end":2"#, r#""end":1"#),
            (r#""end":2"#, r#""end":2.5"#),
            (r#""end":2"#, r#""end":2.0"#),
            (r#""end":2"#, r#""end":"2""#),
            (r#""end":2"#, r#""end":9223372036854775808"#),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(serde_json::from_str::<StoredKey>(&bad).is_err(), "{bad}");
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        "[ab\",:é\\\\]{0,3}"
    }

    /// An identity without any file.
    fn constant(arguments: &[String]) -> Arc<Identity> {
        let arguments = arguments.iter().map(|argument| Value::from(argument.as_str())).collect();
        Arc::new(Identity::of(Value::object([("kind", "command".into()), ("arguments", Value::Array(arguments))])).unwrap())
    }

    proptest! {
        /// The short way to an address is the way that a reader of the manifest goes.
        #[test]
        fn an_address_is_the_hash_of_the_canonical_form(market in "[a-z\"é]{1,9}", pair in "[A-Z\u{80}-\u{ffff}]{1,60}", start: i64, end: i64) {
            prop_assume!(start < end);
            let Ok(instrument) = Instrument::new(&market, &pair) else { return Ok(()) };
            let interval = Interval::new(Time::from_ns(start), Time::from_ns(end)).unwrap();
            let key = underived(constant(&["x".repeat(2000)]), instrument, interval);
            prop_assert_eq!(key.address(), Address::of_canonical(&key.canonical()));
            prop_assert_eq!(StoredKey::from_value(serde_json::from_str(&key.canonical()).unwrap()).unwrap().address(), key.address());
            let place = StoredKey::place_in(&key.canonical()).unwrap();
            prop_assert_eq!(place, (key.generator(), key.instrument().clone(), key.interval()));
            let written = serde_json::to_string(&StoredKey::from(&key)).unwrap();
            prop_assert_eq!(written, key.canonical());
        }

        /// ("a", "bc") is never ("ab", "c"), whatever quotes and separators the texts hold.
        #[test]
        fn boundaries_between_fields_are_kept(one in prop::collection::vec(texts(), 0..4), other in prop::collection::vec(texts(), 0..4)) {
            prop_assert_eq!(constant(&one).id() == constant(&other).id(), one == other);
        }

        #[test]
        fn market_and_pair_are_kept_apart(one in ("[ab\"]{1,3}", "[ab\"]{1,3}"), other in ("[ab\"]{1,3}", "[ab\"]{1,3}")) {
            let identity = constant(&[]);
            let interval = Interval::parse("2023-12-25", "2023-12-26").unwrap();
            let address = |(market, pair): &(String, String)| underived(identity.clone(), Instrument::new(market, pair).unwrap(), interval).address();
            prop_assert_eq!(address(&one) == address(&other), one == other);
        }

        /// 64-bit integers that are one double are two configurations.
        #[test]
        fn integers_beyond_doubles_are_kept_apart(one in (1i64 << 53).., step in 1i64..3) {
            prop_assume!(one <= i64::MAX - step);
            let id = |integer: i64| Identity::of(Value::object([("x", Value::from(integer))])).unwrap().id();
            prop_assert_ne!(id(one), id(one + step));
        }
    }

    #[test]
    fn the_order_of_a_configuration_means_nothing() {
        let place = Place::new();
        let one = place.without_program().config("a", 1).config("b", Value::object([("x", Value::from(1)), ("y", Value::from(2))]));
        let other = place.without_program().config("b", Value::object([("y", Value::from(2)), ("x", Value::from(1))])).config("a", 1.0);
        assert_eq!(address(one), address(other));
    }
}

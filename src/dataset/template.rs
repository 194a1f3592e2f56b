//! Texts with placeholders: `"--levels={config.orderbook_levels}"`.
//!
//! A template is taken apart once, when a dataset is defined, and every placeholder in it is known from then on. Expanding puts values between the
//! literal pieces and looks at neither again: a value that holds `{start}`, `$(rm)` or a space stays what it is, inside the one argument it was
//! written in. No shell is involved anywhere.
//!
//! In a file that is rendered to JSON, a text that is one placeholder and nothing else becomes the value itself, with its type: `{start.ns}` a number,
//! `{config.window}` a whole object, `{start.unix}` a number where the seconds are whole and else text, since a double would round them.
//!
//! `{{` and `}}` are literal braces. What comes from a path must be UTF-8, since it also goes into JSON files; a path that is not is an error.
//!
//! `{upstream.md.trades}` stands for the files of an upstream's output, in time order: an argument that is this placeholder and nothing else becomes as many
//! arguments, and in a rendered file it becomes a list, also of one. Inside a longer text, and in the environment, it is the path of the one file; where
//! a partition is derived from several of the upstream's it is refused there. An upstream partition without data has no file: an argument of its own
//! then goes, a list is empty, and where a text needs a file the partition fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::canonical::Value;
use crate::dataset::job::Upstreams;
use crate::dataset::suggest::closest;
use crate::error::shortened;
use crate::instrument::Instrument;
use crate::interval::{Interval, Time};

/// A text taken apart into what stands for itself and what stands for something else.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq)]
enum Placeholder {
    Time(Edge, TimeForm),
    Instrument,
    Market,
    Pair,
    /// A path into `config`.
    Config(String),
    /// A path into `unkeyed`.
    Unkeyed(String),
    Output(String),
    Input(String),
    File(String),
    /// An output of an upstream, and whether a list of files stands for it.
    Upstream {
        name: String,
        output: String,
        several: bool,
    },
    Work,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Edge {
    Start,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum TimeForm {
    Rfc3339,
    Nanoseconds,
    Seconds,
    Date,
}

/// The placeholders that every dataset has.
const ALWAYS: [&str; 12] = [
    "start",
    "start.ns",
    "start.unix",
    "start.date",
    "end",
    "end.ns",
    "end.unix",
    "end.date",
    "instrument",
    "instrument.market",
    "instrument.pair",
    "work",
];

/// What a dataset declares that its templates may name.
pub(super) struct Declared<'a> {
    pub(super) config: &'a Value,
    pub(super) unkeyed: &'a Value,
    pub(super) outputs: BTreeSet<&'a str>,
    pub(super) inputs: BTreeSet<&'a str>,
    pub(super) files: BTreeSet<&'a str>,
    pub(super) upstream: BTreeMap<&'a str, DeclaredUpstream<'a>>,
}

/// What a derived dataset reads of another.
pub(super) struct DeclaredUpstream<'a> {
    pub(super) outputs: BTreeSet<&'a str>,
    /// Whether a partition is derived from several of its partitions.
    pub(super) several: bool,
}

/// What the placeholders of one partition stand for. Every path is absolute.
pub(super) struct Scope<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) interval: Interval,
    pub(super) config: &'a Value,
    pub(super) unkeyed: &'a Value,
    pub(super) outputs: &'a BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<&'a str, &'a Path>,
    pub(super) upstream: &'a Upstreams,
    pub(super) work: &'a Path,
}

impl Template {
    /// Takes a text apart. Says what is wrong with it, and what is known, otherwise.
    pub(super) fn parse(text: &str, declared: &Declared<'_>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if after.starts_with(brace) {
                literal.push_str(brace);
                rest = &after[1..];
            } else if brace == "}" {
                return Err("a } stands without its {; write }} for a literal brace".to_owned());
            } else {
                let close = after.find('}').ok_or("a { stands without its }; write {{ for a literal brace")?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(Placeholder::parse(&after[..close], declared)?));
                rest = &after[close + 1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let template = Self { text: text.to_owned(), pieces };
        if template.pieces.len() > 1 && template.pieces.iter().any(Piece::is_list) {
            return Err("several files stand for the placeholder of an upstream that is cut more finely; let it be an argument of its own".to_owned());
        }
        Ok(template)
    }

    /// The placeholder for which there is no file although a text needs one, since its upstream has no data here. A placeholder that stands alone needs
    /// none where it may stand for a list.
    pub(super) fn without_data(&self, upstream: &Upstreams, lists: bool) -> Option<String> {
        if lists && self.pieces.len() == 1 {
            return None;
        }
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Placeholder(Placeholder::Upstream { name, output, .. }) => {
                let files = upstream.get(name).and_then(|upstream| upstream.paths(output).ok());
                files.is_none_or(|files| files.is_empty()).then(|| format!("{{upstream.{name}.{output}}}"))
            }
            _ => None,
        })
    }

    /// Whether it stands for a list of files.
    pub(super) fn is_list(&self) -> bool {
        self.pieces.iter().any(Piece::is_list)
    }

    /// The text as it was written: what stands in the key.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The expansion, where it is the same for every partition.
    pub(super) fn literal(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The template as arguments: one, or as many as there are files of an upstream's output where it is that placeholder alone.
    pub(super) fn expand_argument(&self, scope: &Scope<'_>, arguments: &mut Vec<String>) -> Result<(), String> {
        match &self.pieces[..] {
            [Piece::Placeholder(Placeholder::Upstream { name, output, .. })] => {
                for file in upstream_files(scope, name, output)? {
                    arguments.push(path_text(file)?.to_owned());
                }
            }
            _ => arguments.push(self.expand(scope)?),
        }
        Ok(())
    }

    /// The template as text: values that are no text in their canonical JSON.
    pub(super) fn expand(&self, scope: &Scope<'_>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Placeholder(Placeholder::Upstream { name, output, .. }) => {
                    let files = upstream_files(scope, name, output)?;
                    let file = files.first().ok_or_else(|| format!("there is no file for {{upstream.{name}.{output}}}"))?;
                    text.push_str(path_text(file)?);
                }
                Piece::Placeholder(placeholder) => match placeholder.value(scope)? {
                    Value::String(value) => text.push_str(&value),
                    value => text.push_str(&value.canonical().map_err(|error| error.to_string())?),
                },
            }
        }
        Ok(text)
    }

    /// The template as a value: a placeholder that stands alone keeps the type of what it stands for, anything else is text.
    fn expand_value(&self, scope: &Scope<'_>) -> Result<Value, String> {
        match &self.pieces[..] {
            [Piece::Placeholder(placeholder)] => placeholder.value(scope),
            _ => self.expand(scope).map(Value::String),
        }
    }
}

impl Piece {
    fn is_list(&self) -> bool {
        matches!(self, Piece::Placeholder(Placeholder::Upstream { several: true, .. }))
    }
}

impl Placeholder {
    fn parse(name: &str, declared: &Declared<'_>) -> Result<Self, String> {
        let time = |edge, form| Some(Placeholder::Time(edge, form));
        let found = match name {
            "start" => time(Edge::Start, TimeForm::Rfc3339),
            "start.ns" => time(Edge::Start, TimeForm::Nanoseconds),
            "start.unix" => time(Edge::Start, TimeForm::Seconds),
            "start.date" => time(Edge::Start, TimeForm::Date),
            "end" => time(Edge::End, TimeForm::Rfc3339),
            "end.ns" => time(Edge::End, TimeForm::Nanoseconds),
            "end.unix" => time(Edge::End, TimeForm::Seconds),
            "end.date" => time(Edge::End, TimeForm::Date),
            "instrument" => Some(Placeholder::Instrument),
            "instrument.market" => Some(Placeholder::Market),
            "instrument.pair" => Some(Placeholder::Pair),
            "work" => Some(Placeholder::Work),
            _ => match name.split_once('.') {
                Some(("config", path)) => declared.config.at(path).map(|_| Placeholder::Config(path.to_owned())),
                Some(("unkeyed", path)) => declared.unkeyed.at(path).map(|_| Placeholder::Unkeyed(path.to_owned())),
                Some(("output", output)) => declared.outputs.contains(output).then(|| Placeholder::Output(output.to_owned())),
                Some(("input", input)) => declared.inputs.contains(input).then(|| Placeholder::Input(input.to_owned())),
                Some(("file", file)) => declared.files.contains(file).then(|| Placeholder::File(file.to_owned())),
                Some(("upstream", path)) => path.split_once('.').and_then(|(upstream, output)| {
                    let DeclaredUpstream { outputs, several } = declared.upstream.get(upstream)?;
                    outputs.contains(output).then(|| Placeholder::Upstream {
                        name: upstream.to_owned(),
                        output: output.to_owned(),
                        several: *several,
                    })
                }),
                _ => None,
            },
        };
        found.ok_or_else(|| unknown(name, declared))
    }

    fn value(&self, scope: &Scope<'_>) -> Result<Value, String> {
        // What a dataset declares was looked up when it was defined, so it is there.
        let declared = |value: Option<&Value>, name: &str| value.cloned().ok_or_else(|| format!("{name} is not declared"));
        Ok(match self {
            Placeholder::Time(edge, form) => {
                let time = match edge {
                    Edge::Start => scope.interval.start(),
                    Edge::End => scope.interval.end(),
                };
                form.value(time)
            }
            Placeholder::Instrument => scope.instrument.to_string().into(),
            Placeholder::Market => scope.instrument.market().into(),
            Placeholder::Pair => scope.instrument.pair().into(),
            Placeholder::Config(path) => declared(scope.config.at(path), path)?,
            Placeholder::Unkeyed(path) => declared(scope.unkeyed.at(path), path)?,
            Placeholder::Output(name) => {
                let file_name = scope.outputs.get(name).ok_or_else(|| format!("output {name} is not declared"))?;
                path_value(&scope.work.join(file_name))?
            }
            Placeholder::Input(name) => path_value(scope.inputs.get(name.as_str()).ok_or_else(|| format!("input {name} is not declared"))?)?,
            Placeholder::File(name) => path_value(&scope.work.join(rendered_file_name(name)))?,
            // A list however many there are: how the two datasets are cut is in no key, so nothing may look different by it.
            Placeholder::Upstream { name, output, .. } => {
                Value::Array(upstream_files(scope, name, output)?.into_iter().map(path_value).collect::<Result<_, _>>()?)
            }
            Placeholder::Work => path_value(scope.work)?,
        })
    }
}

/// The name in the work directory of a rendered file.
pub(super) fn rendered_file_name(name: &str) -> String {
    format!("{name}.json")
}

fn upstream_files<'a>(scope: &Scope<'a>, name: &str, output: &str) -> Result<Vec<&'a Path>, String> {
    scope.upstream.get(name).ok_or_else(|| format!("upstream {name} is not declared"))?.paths(output).map_err(|error| error.to_string())
}

fn path_value(path: &Path) -> Result<Value, String> {
    path_text(path).map(Value::from)
}

fn path_text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| {
        format!("the path {} is not UTF-8, so it can stand neither in an argument nor in a JSON file; move it to a path that is", path.display())
    })
}

impl TimeForm {
    fn value(self, time: Time) -> Value {
        match self {
            TimeForm::Rfc3339 => time.to_string().into(),
            TimeForm::Nanoseconds => time.ns().into(),
            TimeForm::Seconds => seconds(time.ns()),
            TimeForm::Date => jiff::tz::Offset::UTC.to_datetime(time.timestamp()).date().to_string().into(),
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// Seconds since the epoch: an integer where they are whole, else their exact decimals as text, since a double would round them.
fn seconds(ns: i64) -> Value {
    let (whole, fraction) = (ns.unsigned_abs() / SECOND_NS, ns.unsigned_abs() % SECOND_NS);
    let sign = if ns < 0 { "-" } else { "" };
    if fraction == 0 {
        return (ns / SECOND_NS as i64).into();
    }
    format!("{sign}{whole}.{fraction:09}").trim_end_matches('0').into()
}

fn unknown(name: &str, declared: &Declared<'_>) -> String {
    const SHOWN_MAX: usize = 30;
    let all = known_names(declared);
    let root = name.split('.').next().unwrap_or_default();
    let related: Vec<&String> = all.iter().filter(|known| known.split('.').next() == Some(root) && known.contains('.')).collect();
    let shown = if related.is_empty() { all.iter().collect() } else { related };
    let mut list = shown.iter().take(SHOWN_MAX).map(|known| format!("{{{known}}}")).collect::<Vec<_>>().join(" ");
    if shown.len() > SHOWN_MAX {
        list.push_str(" …");
    }
    let braces =
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte)) { "" } else { "; for literal braces write {{ and }}" };
    // Debug form without its quotes: what was typed may hold control characters.
    let name_shown = shortened(name).escape_debug().to_string();
    let meant = closest(name.trim(), all.iter().map(String::as_str)).map(|known| format!(" (did you mean {{{known}}}?)")).unwrap_or_default();
    format!("unknown placeholder {{{name_shown}}}{meant}; known here: {list}{braces}")
}

fn known_names(declared: &Declared<'_>) -> Vec<String> {
    let mut names: Vec<String> = ALWAYS.iter().map(|&name| name.to_owned()).collect();
    add_paths("config", declared.config, &mut names);
    add_paths("unkeyed", declared.unkeyed, &mut names);
    for (kind, declared) in [("output", &declared.outputs), ("input", &declared.inputs), ("file", &declared.files)] {
        names.extend(declared.iter().map(|name| format!("{kind}.{name}")));
    }
    for (upstream, DeclaredUpstream { outputs, .. }) in &declared.upstream {
        names.extend(outputs.iter().map(|output| format!("upstream.{upstream}.{output}")));
    }
    names
}

fn add_paths(lead: &str, value: &Value, names: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (name, field) in fields {
            let path = format!("{lead}.{name}");
            names.push(path.clone());
            add_paths(&path, field, names);
        }
    }
}

/// A file that is rendered to JSON for each partition: a value whose texts are templates.
#[derive(Debug, Clone)]
pub(crate) struct FileTemplate {
    /// As it was written: what stands in the key.
    value: Value,
    tree: Tree,
}

#[derive(Debug, Clone)]
enum Tree {
    Template(Template),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    Constant(Value),
}

/// What is wrong with a file template, and the path of names and positions at which it stands.
pub(super) type FileFault = (Vec<String>, String);

impl FileTemplate {
    pub(super) fn parse(value: Value, declared: &Declared<'_>) -> Result<Self, FileFault> {
        let tree = parse_tree(&value, declared, &mut Vec::new())?;
        Ok(Self { value, tree })
    }

    /// As it was written.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// As [`Template::without_data`], of any text in it.
    pub(super) fn without_data(&self, upstream: &Upstreams) -> Option<String> {
        self.tree.without_data(upstream)
    }

    /// The JSON text of one partition's file, in canonical form.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<String, String> {
        self.tree.render(scope)?.canonical().map_err(|error| error.to_string())
    }
}

fn parse_tree(value: &Value, declared: &Declared<'_>, path: &mut Vec<String>) -> Result<Tree, FileFault> {
    let step = |name: String, value: &Value, path: &mut Vec<String>| {
        path.push(name);
        let tree = parse_tree(value, declared, path)?;
        path.pop();
        Ok::<_, FileFault>(tree)
    };
    Ok(match value {
        Value::String(text) => Tree::Template(Template::parse(text, declared).map_err(|message| (path.clone(), message))?),
        Value::Array(items) => Tree::Array(items.iter().enumerate().map(|(nth, item)| step(nth.to_string(), item, path)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let mut trees = Vec::with_capacity(fields.len());
            for (name, field) in fields {
                if name.contains(['{', '}']) {
                    path.push(name.clone());
                    return Err((path.clone(), "a name may hold no braces: placeholders are expanded in values only".to_owned()));
                }
                trees.push((name.clone(), step(name.clone(), field, path)?));
            }
            Tree::Object(trees)
        }
        other => Tree::Constant(other.clone()),
    })
}

impl Tree {
    fn without_data(&self, upstream: &Upstreams) -> Option<String> {
        match self {
            Tree::Template(template) => template.without_data(upstream, true),
            Tree::Array(items) => items.iter().find_map(|item| item.without_data(upstream)),
            Tree::Object(fields) => fields.iter().find_map(|(_, field)| field.without_data(upstream)),
            Tree::Constant(_) => None,
        }
    }

    fn render(&self, scope: &Scope<'_>) -> Result<Value, String> {
        Ok(match self {
            Tree::Template(template) => template.expand_value(scope)?,
            Tree::Array(items) => Value::Array(items.iter().map(|item| item.render(scope)).collect::<Result<_, _>>()?),
            Tree::Object(fields) => {
                Value::Object(fields.iter().map(|(name, field)| Ok((name.clone(), field.render(scope)?))).collect::<Result<_, String>>()?)
            }
            Tree::Constant(value) => value.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Artifact;
    use crate::dataset::{Dataset, Upstream, UpstreamPartition};

    struct World {
        config: Value,
        unkeyed: Value,
        outputs: BTreeMap<String, String>,
        instrument: Instrument,
        interval: Interval,
        upstream: Upstreams,
    }

    /// An upstream that holds these files, each of an hour, of its output `trades`.
    fn upstream(files: &[&str]) -> Upstream {
        let dataset = Dataset::command("md", ["gen"]).output("trades", "trades.parquet").build().unwrap();
        let digest = crate::address::Digest::of(b"");
        let partitions = files.iter().enumerate().map(|(nth, path)| {
            let interval = Interval::parse("2023-12-25", &format!("2023-12-25T{:02}:00", nth + 1)).unwrap();
            let table =
                |path: &str| Artifact { name: "trades".into(), path: path.into(), digest, schema: digest, bytes: 1, rows: 1, bounds: [].into() };
            let outputs = if path.is_empty() { Vec::new() } else { vec![table(path)] };
            UpstreamPartition { interval, requested: interval, address: crate::address::Address::of_canonical("{}"), outputs, seconds: 0.0 }
        });
        Upstream::new(dataset, "kraken/BTC/USD".parse().unwrap(), ["trades".to_owned()].into(), partitions.collect())
    }

    fn world() -> World {
        World {
            upstream: [("md".to_owned(), upstream(&["/a/1"])), ("fine".to_owned(), upstream(&["/a/1", "", "/a/3"]))].into(),
            config: Value::object([
                ("levels", Value::from(40)),
                ("skip", true.into()),
                ("ratio", 0.5.into()),
                ("name", "a {start} $(b)".into()),
                ("window", Value::object([("short", Value::from(1)), ("a.b", Value::from(2))])),
            ]),
            unkeyed: Value::object([("verbose", Value::from(1))]),
            outputs: [("trades".to_owned(), "trades.parquet".to_owned())].into(),
            instrument: "kraken/BTC/USD".parse().unwrap(),
            interval: Interval::parse("2023-12-25T23:00", "2023-12-26T00:00:00.25").unwrap(),
        }
    }

    impl World {
        fn declared(&self) -> Declared<'_> {
            let outputs = self.outputs.keys().map(String::as_str).collect();
            let one = |several| DeclaredUpstream { outputs: ["trades"].into(), several };
            let upstream = [("md", one(false)), ("fine", one(true))].into();
            Declared { config: &self.config, unkeyed: &self.unkeyed, outputs, inputs: ["run"].into(), files: ["model"].into(), upstream }
        }

        fn scope(&self) -> Scope<'_> {
            Scope {
                instrument: &self.instrument,
                interval: self.interval,
                config: &self.config,
                unkeyed: &self.unkeyed,
                outputs: &self.outputs,
                inputs: [("run", Path::new("/base/configs/run.json"))].into(),
                upstream: &self.upstream,
                work: Path::new("/work dir/1"),
            }
        }

        fn expand(&self, text: &str) -> String {
            Template::parse(text, &self.declared()).unwrap().expand(&self.scope()).unwrap()
        }

        fn refusal(&self, text: &str) -> String {
            Template::parse(text, &self.declared()).unwrap_err()
        }

        fn render(&self, file: &str) -> String {
            let value: Value = serde_json::from_str(file).unwrap();
            FileTemplate::parse(value, &self.declared()).unwrap().render(&self.scope()).unwrap()
        }
    }

    #[test]
    fn every_placeholder_has_its_form() {
        let world = world();
        let cases = [
            ("{start}", "2023-12-25T23:00:00Z"),
            ("{start.ns}", "1703545200000000000"),
            ("{start.unix}", "1703545200"),
            ("{start.date}", "2023-12-25"),
            ("{end}", "2023-12-26T00:00:00.25Z"),
            ("{end.ns}", "1703548800250000000"),
            ("{end.unix}", "1703548800.25"),
            ("{end.date}", "2023-12-26"),
            ("{instrument}", "kraken/BTC/USD"),
            ("{instrument.market}", "kraken"),
            ("{instrument.pair}", "BTC/USD"),
            ("{config.levels}", "40"),
            ("{config.skip}", "true"),
            ("{config.ratio}", "0.5"),
            ("{config.window.short}", "1"),
            ("{config.window.a.b}", "2"),
            ("{config.window}", r#"{"a.b":2,"short":1}"#),
            ("{unkeyed.verbose}", "1"),
            ("{output.trades}", "/work dir/1/trades.parquet"),
            ("{input.run}", "/base/configs/run.json"),
            ("{file.model}", "/work dir/1/model.json"),
            ("{work}", "/work dir/1"),
            ("--x={config.levels},{instrument.pair}", "--x=40,BTC/USD"),
            ("", ""),
            ("{{start}}", "{start}"),
            ("a}}b{{{config.levels}}}c", "a}b{40}c"),
        ];
        for (template, expected) in cases {
            assert_eq!(world.expand(template), expected, "{template}");
        }
    }

    #[test]
    fn an_upstream_is_its_file_or_as_many_as_there_are() {
        let world = world();
        let arguments = |text: &str| {
            let mut arguments = vec!["first".to_owned()];
            Template::parse(text, &world.declared()).unwrap().expand_argument(&world.scope(), &mut arguments).unwrap();
            arguments.split_off(1)
        };
        assert_eq!(arguments("{upstream.md.trades}"), ["/a/1"]);
        assert_eq!(arguments("--md={upstream.md.trades}"), ["--md=/a/1"]);
        // One of the three hours has no data.
        assert_eq!(arguments("{upstream.fine.trades}"), ["/a/1", "/a/3"]);
        assert_eq!(world.render(r#"{"md":"{upstream.md.trades}","fine":"{upstream.fine.trades}"}"#), r#"{"fine":["/a/1","/a/3"],"md":["/a/1"]}"#);
        let refusal = world.refusal("--md={upstream.fine.trades}");
        assert!(refusal.contains("an argument of its own"), "{refusal}");

        let nothing = [("md".to_owned(), upstream(&[""]))].into();
        let template = Template::parse("--md={upstream.md.trades}", &world.declared()).unwrap();
        assert_eq!(template.without_data(&nothing, true).as_deref(), Some("{upstream.md.trades}"));
        assert_eq!(template.without_data(&world.upstream, true), None);
        let alone = Template::parse("{upstream.md.trades}", &world.declared()).unwrap();
        assert_eq!((alone.without_data(&nothing, true), alone.without_data(&nothing, false).is_some()), (None, true));
        let file = |text: &str| FileTemplate::parse(serde_json::from_str(text).unwrap(), &world.declared()).unwrap();
        assert!(file(r#"{"a":["path={upstream.md.trades}"]}"#).without_data(&nothing).is_some());
        assert!(file(r#"{"a":["{upstream.md.trades}"]}"#).without_data(&nothing).is_none());
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let world = world();
        assert_eq!(world.expand("{config.name}"), "a {start} $(b)");
        assert_eq!(world.expand("--n={config.name}!"), "--n=a {start} $(b)!");
        assert_eq!(world.render(r#"{"n":"{config.name}"}"#), r#"{"n":"a {start} $(b)"}"#);
    }

    #[test]
    fn seconds_keep_every_nanosecond() {
        for (ns, expected) in [(0, "0"), (1, "\"0.000000001\""), (-500_000_000, "\"-0.5\""), (-1_000_000_000, "-1"), (1_500_000_000, "\"1.5\"")] {
            assert_eq!(seconds(ns).canonical().unwrap(), expected, "{ns}");
        }
    }

    #[test]
    fn a_lone_placeholder_in_a_file_keeps_its_type() {
        let rendered = world().render(
            r#"{"levels":"{config.levels}","skip":"{config.skip}","text":"{config.levels} levels","window":"{config.window}",
                "list":["{start.ns}",{"deep":"{output.trades}"},1.0,null],"start":"{start.unix}"}"#,
        );
        assert_eq!(
            rendered,
            r#"{"levels":40,"list":[1703545200000000000,{"deep":"/work dir/1/trades.parquet"},1,null],"skip":true,"start":1703545200,"text":"40 levels","window":{"a.b":2,"short":1}}"#
        );
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_what_was_meant_and_what_there_is() {
        let world = world();
        for (text, parts) in [
            ("{config.levles}", &["{config.levles}", "did you mean {config.levels}?", "{config.skip}"][..]),
            ("{strat}", &["{strat}", "did you mean {start}?", "{instrument.pair}", "{input.run}"]),
            ("{ start }", &["{ start }", "did you mean {start}?"]),
            ("{output.orderbook}", &["{output.orderbook}", "known here: {output.trades}"]),
            ("{input.trades}", &["{input.trades}", "known here: {input.run}"]),
            ("{file.modle}", &["did you mean {file.model}?"]),
            ("{start.hour}", &["known here: {start.ns} {start.unix} {start.date}"]),
            ("{config}", &["unknown placeholder {config}", "{config.levels}"]),
            ("{config.}", &["unknown placeholder {config.}"]),
            ("{config.levels.deeper}", &["unknown placeholder"]),
            ("{unkeyed.x}", &["{unkeyed.verbose}"]),
            ("{upstream.md}", &["unknown placeholder {upstream.md}", "{upstream.md.trades}"]),
            ("{upstream.md.tradse}", &["did you mean {upstream.md.trades}?"]),
            ("{upstream.dm.trades}", &["did you mean {upstream.md.trades}?"]),
            ("{}", &["unknown placeholder {}"]),
            (r#"{"a":1}"#, &["for literal braces write {{ and }}"]),
            ("{a\u{1b}[31m}", &["\\u{1b}"]),
        ] {
            let message = world.refusal(text);
            for part in parts {
                assert!(message.contains(part), "{text}: {message}");
            }
            assert!(!message.contains(['\n', '\u{1b}']), "{text}: {message}");
        }
    }

    #[test]
    fn a_brace_without_its_partner_is_refused() {
        let world = world();
        for (text, way_out) in [("{start", "write {{"), ("a{", "write {{"), ("}", "write }}"), ("{start}}", "write }}"), ("a}b", "write }}")] {
            assert!(world.refusal(text).contains(way_out), "{text}: {}", world.refusal(text));
        }
    }

    #[test]
    fn a_fault_in_a_file_is_found_where_it_stands() {
        let world = world();
        let fault = |file: &str| FileTemplate::parse(serde_json::from_str(file).unwrap(), &world.declared()).unwrap_err();
        let (path, message) = fault(r#"{"a":{"b":["x","{config.levles}"]}}"#);
        assert_eq!(path, ["a", "b", "1"]);
        assert!(message.contains("{config.levels}"), "{message}");
        let (path, message) = fault(r#"{"a":{"{instrument}":1}}"#);
        assert_eq!(path, ["a", "{instrument}"]);
        assert!(message.contains("values only"), "{message}");
    }

    #[test]
    fn a_path_that_is_no_text_is_an_error_and_not_another_path() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let world = world();
        let odd = Path::new(OsStr::from_bytes(b"/a\xff"));
        let template = Template::parse("{work}", &world.declared()).unwrap();
        let message = template.expand(&Scope { work: odd, ..world.scope() }).unwrap_err();
        assert!(message.contains("not UTF-8"), "{message}");
    }

    proptest! {
        /// Whatever a user writes, taking it apart neither panics nor loses a character.
        #[test]
        fn literal_text_survives(text in "[a{}é\\$ .]{0,12}") {
            let world = world();
            let escaped = text.replace('{', "{{").replace('}', "}}");
            let _ = Template::parse(&text, &world.declared());
            prop_assert_eq!(world.expand(&escaped), text);
        }
    }
}

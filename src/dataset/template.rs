//! Texts with placeholders: `"--levels={config.orderbook_levels}"`.
//!
//! A template is taken apart once, when a dataset is defined, and every placeholder in it is known from then on. Expanding puts values between the
//! literal pieces and looks at neither again: a value that holds `{start}`, `$(rm)` or a space stays what it is, inside the one argument it was
//! written in. No shell is involved anywhere.
//!
//! `{{` and `}}` are literal braces. What comes from a path must be UTF-8, since it also goes into JSON files; a path that is not is an error.
//! `{upstream.…}` is kept free for datasets that are derived from others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::canonical::Value;
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
}

/// What the placeholders of one partition stand for. Every path is absolute.
pub(super) struct Scope<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) interval: Interval,
    pub(super) config: &'a Value,
    pub(super) unkeyed: &'a Value,
    pub(super) outputs: &'a BTreeMap<String, String>,
    pub(super) inputs: BTreeMap<&'a str, &'a Path>,
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
        Ok(Self { text: text.to_owned(), pieces })
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

    /// The template as text: values that are no text in their canonical JSON.
    pub(super) fn expand(&self, scope: &Scope<'_>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
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
            Placeholder::Work => path_value(scope.work)?,
        })
    }
}

/// The name in the work directory of a rendered file.
pub(super) fn rendered_file_name(name: &str) -> String {
    format!("{name}.json")
}

fn path_value(path: &Path) -> Result<Value, String> {
    path.to_str().map(Value::from).ok_or_else(|| {
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

//! In what two keys differ, in words: a pure function of the two, and of what is known of the files that they name.
//!
//! Fields go by the names that tickbarn.toml gives them: `config.levels`, `input.run`, `env.HOST`, `upstream.md.trades`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::canonical::Value;
use crate::interval::{Interval, Time};

/// So much of a value is shown.
const VALUE_CHARS_MAX: usize = 60;
/// So much of a digest is shown.
const DIGEST_DIGITS: usize = 8;
/// Longer lists are compared item by item where they are as long as each other.
const LIST_CHARS_MAX: usize = 40;

/// One thing in which two keys differ.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// What differs, as a dotted path: `program`, `config.levels`, `argument.3`, `file.model.levels`, `input.run`, `env.HOST`, `output.trades`,
    /// `upstream.md.trades`, `interval`, `instrument`.
    pub field: String,
    /// What stands in the first key; nothing where it has no such field. The digest of a program or an input stands as a text.
    pub before: Option<Value>,
    /// The same of the second key.
    pub after: Option<Value>,
    /// All that in words, without its reasons: `config.levels 40 → 20`. In one line, and without anything that a terminal would act on.
    pub words: String,
    /// Of an upstream that changed: in what the keys of those partitions differ, all the way up, as far as the store still has both.
    pub because: Vec<Difference>,
}

/// The words, and the reasons behind them: `upstream md trades changed, since config.levels 40 → 20`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        if !self.because.is_empty() {
            write!(f, ", since {}", in_words(&self.because))?;
        }
        Ok(())
    }
}

/// Differences as a part of a sentence: the first few of them.
pub(crate) fn in_words(differences: &[Difference]) -> String {
    const SHOWN: usize = 3;
    let mut parts: Vec<String> = differences.iter().take(SHOWN).map(ToString::to_string).collect();
    if differences.len() > SHOWN {
        parts.push(format!("{} more", differences.len() - SHOWN));
    }
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

/// What is known of a file that takes part in a key by its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KnownFile {
    /// How it is to be called.
    pub(crate) name: String,
    /// When it was written, where it still is what the key says.
    pub(crate) written: Option<Time>,
}

/// A key, with what is known of the files behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) key: &'a Value,
    pub(crate) program: Option<&'a KnownFile>,
    pub(crate) inputs: Option<&'a BTreeMap<String, KnownFile>>,
}

impl<'a> Side<'a> {
    /// A key of which nothing else is known.
    pub(crate) fn bare(key: &'a Value) -> Self {
        Self { key, program: None, inputs: None }
    }
}

/// In what two keys differ, what tells most first. Empty exactly where they are the same key.
pub(crate) fn differences(before: Side<'_>, after: Side<'_>) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    let (old, new) = (before.key, after.key);
    if let (Some(old), Some(new)) = (old.get("generator"), new.get("generator")) {
        found.generator(old, new, before, after);
    }
    match (old.get("upstream"), new.get("upstream")) {
        (Some(old), Some(new)) => found.upstreams(old, new),
        (old, new) => found.values("upstream", old, new),
    }
    if let Some((old, new)) = differing(old.get("instrument"), new.get("instrument")) {
        let (told, told_new) = (instrument(old), instrument(new));
        found.add("instrument", old, new, format!("instrument {told} → {told_new}"));
    }
    if let Some((old, new)) = differing(old.get("interval"), new.get("interval")) {
        found.add("interval", old, new, format!("interval {} → {}", interval_in_words(old), interval_in_words(new)));
    }
    if found.0.is_empty() && old != new {
        // Of a kind that this version does not know.
        found.values("key", Some(old), Some(new));
    }
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, field: impl Into<String>, before: Option<&Value>, after: Option<&Value>, words: String) {
        let words = plain(&words);
        self.0.push(Difference { field: field.into(), before: before.cloned(), after: after.cloned(), words, because: Vec::new() });
    }

    fn generator(&mut self, old: &Value, new: &Value, before: Side<'_>, after: Side<'_>) {
        let mut left: BTreeSet<&str> = names(Some(old), Some(new)).collect();
        if let Some((old, new)) = differing(old.get("kind"), new.get("kind")) {
            self.add("kind", old, new, format!("it was made by a {} → by a {}", word(old), word(new)));
            // What only one kind of generator has tells nothing more.
            left.retain(|name| !["program", "name", "version", "arguments", "files", "environment"].contains(name));
        }
        left.remove("kind");
        const ORDER: [&str; 9] = ["program", "name", "version", "config", "arguments", "files", "inputs", "environment", "outputs"];
        for name in ORDER.into_iter().chain(left.iter().copied().filter(|name| !ORDER.contains(name))) {
            let (old, new) = (old.get(name), new.get(name));
            if !left.contains(name) || old == new {
                continue;
            }
            match name {
                "program" => self.program(old, new, before.program, after.program),
                "name" => self.add("function", old, new, format!("function {} → {}", word(old), word(new))),
                "version" => self.add("version", old, new, format!("version {} → {}", shown(old), shown(new))),
                "arguments" => self.arguments(old, new),
                "files" => self.values("file", old, new),
                "inputs" => self.inputs(old, new, before.inputs, after.inputs),
                "environment" => self.values("env", old, new),
                "outputs" => self.outputs(old, new),
                name => self.values(name, old, new),
            }
        }
    }

    fn program(&mut self, old: Option<&Value>, new: Option<&Value>, before: Option<&KnownFile>, after: Option<&KnownFile>) {
        let part = |value: Option<&'_ Value>, name| value.and_then(|value| value.get(name)).cloned();
        let (old_digest, new_digest) = (part(old, "digest"), part(new, "digest"));
        if let (Some(old_digest), Some(new_digest)) = (&old_digest, &new_digest) {
            let words = format!("program{}", changed(before, after, old_digest, new_digest, "built"));
            return self.add("program", Some(old_digest), Some(new_digest), words);
        }
        let how = |digest: &Option<Value>, value: Option<&Value>| match digest {
            Some(digest) => format!("known by its digest {}", short(digest)),
            None => format!("version {} of {}", shown(part(value, "version").as_ref()), word(part(value, "name").as_ref())),
        };
        let (old_name, new_name) = (part(old, "name"), part(new, "name"));
        let words = match (&old_name, &new_name) {
            (Some(name), Some(same)) if name == same => {
                let (old, new) = (part(old, "version"), part(new, "version"));
                format!("program {} version {} → {}", word(Some(name)), shown(old.as_ref()), shown(new.as_ref()))
            }
            _ => format!("program {} → {}", how(&old_digest, old), how(&new_digest, new)),
        };
        self.add("program", old, new, words);
    }

    /// Arguments are told by their places; where some came in or fell out, what stands between those that are the same at both ends.
    fn arguments(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let (Some(Value::Array(old)), Some(Value::Array(new))) = (old, new) else { return self.values("arguments", old, new) };
        if old.len() == new.len() {
            for (nth, (old, new)) in (1..).zip(old.iter().zip(new)).filter(|(_, (old, new))| old != new) {
                self.add(format!("argument.{nth}"), Some(old), Some(new), format!("argument {nth} {} → {}", shown(Some(old)), shown(Some(new))));
            }
            return;
        }
        let same_before = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let rest = old.len().min(new.len()) - same_before;
        let same_behind = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
        let (old, new) = (&old[same_before..old.len() - same_behind], &new[same_before..new.len() - same_behind]);
        let line = |items: &[Value]| items.iter().map(|item| shown(Some(item))).collect::<Vec<_>>().join(" ");
        let first = same_before + 1;
        let words = match (old, new) {
            ([], new) => format!("argument {first} {} added", line(new)),
            (old, []) => format!("argument {first} {} removed", line(old)),
            (old, new) => format!("arguments from {first} on {} → {}", line(old), line(new)),
        };
        let list = |items: &[Value]| (!items.is_empty()).then(|| Value::Array(items.to_vec()));
        self.add(format!("argument.{first}"), list(old).as_ref(), list(new).as_ref(), words);
    }

    fn inputs(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        before: Option<&BTreeMap<String, KnownFile>>,
        after: Option<&BTreeMap<String, KnownFile>>,
    ) {
        for name in names(old, new) {
            let (Some((old, new)), field) = (differing(field(old, name), field(new, name)), format!("input.{name}")) else { continue };
            let (before, after) = (before.and_then(|known| known.get(name)), after.and_then(|known| known.get(name)));
            let part = |value: Option<&'_ Value>, name| value.and_then(|value| value.get(name)).cloned();
            if let (Some(old), Some(new)) = (part(old, "content"), part(new, "content")) {
                let words = format!("input {name}{}", changed(before, after, &old, &new, "written"));
                self.add(field, Some(&old), Some(&new), words);
                continue;
            }
            let how = |value: Option<&Value>| match value {
                Some(value) => match (value.get("content"), value.get("stat")) {
                    (Some(digest), _) => format!("known by its digest {}", short(digest)),
                    (_, Some(stat)) => stat_in_words(stat),
                    _ => "not looked at".to_owned(),
                },
                None => "none".to_owned(),
            };
            let words = match (old, new) {
                (None, _) => format!("input {name} added"),
                (_, None) => format!("input {name} removed"),
                _ => format!("input {name}{} {} → {}", after.map(|known| format!(" ({})", known.name)).unwrap_or_default(), how(old), how(new)),
            };
            self.add(field, old, new, words);
        }
    }

    fn outputs(&mut self, old: Option<&Value>, new: Option<&Value>) {
        for name in names(old, new) {
            let Some((old, new)) = differing(field(old, name), field(new, name)) else { continue };
            let words = match (old, new) {
                (None, new) => format!("output {name} added ({})", word(new)),
                (old, None) => format!("output {name} removed ({})", word(old)),
                (old, new) => format!("output {name} is the file {} → {}", word(old), word(new)),
            };
            self.add(format!("output.{name}"), old, new, words);
        }
    }

    fn upstreams(&mut self, old: &Value, new: &Value) {
        for name in names(Some(old), Some(new)) {
            let Some((old, new)) = differing(field(Some(old), name), field(Some(new), name)) else { continue };
            let (Some(old), Some(new)) = (old, new) else {
                let what = if old.is_none() { "added" } else { "removed" };
                self.add(format!("upstream.{name}"), None, None, format!("upstream {name} {what}"));
                continue;
            };
            self.upstream(name, old, new);
        }
    }

    fn upstream(&mut self, name: &str, old: &Value, new: &Value) {
        let before = self.0.len();
        let (was, is) = (read_partitions(old), read_partitions(new));
        if was.keys().ne(is.keys()) {
            let words = match (was.len(), is.len()) {
                (was, is) if was == is => format!("upstream {name} is cut in other places"),
                (was, is) => format!("upstream {name} is cut otherwise, {was} → {is} partitions"),
            };
            self.add(format!("upstream.{name}"), None, None, words);
        } else {
            let outputs: BTreeSet<&str> = was.values().chain(is.values()).flat_map(|outputs| names(Some(outputs), None)).collect();
            for output in outputs {
                let pairs = || was.values().zip(is.values()).map(|(old, new)| (field(Some(old), output), field(Some(new), output)));
                let differ = pairs().filter(|(old, new)| old != new).count();
                if differ == 0 {
                    continue;
                }
                let words = if pairs().all(|(old, _)| old.is_none()) {
                    format!("upstream {name} {output} is read, too")
                } else if pairs().all(|(_, new)| new.is_none()) {
                    format!("upstream {name} {output} is no longer read")
                } else if was.len() == 1 {
                    format!("upstream {name} {output} changed")
                } else {
                    format!("upstream {name} {output} changed in {differ} of {} partitions", was.len())
                };
                let only = if was.len() == 1 { pairs().next() } else { None };
                let (old, new) = only.unwrap_or_default();
                self.add(format!("upstream.{name}.{output}"), old, new, words);
            }
        }
        if let Some((old, new)) = differing(old.get("time_column"), new.get("time_column")) {
            let words = format!("upstream {name} is trimmed by its column {} → {}", shown(old), shown(new));
            self.add(format!("upstream.{name}.time_column"), old, new, words);
        }
        if self.0.len() == before {
            // A key of a form that this version does not know.
            self.add(format!("upstream.{name}"), Some(old), Some(new), format!("upstream {name} changed"));
        }
    }

    /// Whatever differs below a field, by dotted paths.
    fn values(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (old, new) if old == new => {}
            (Some(Value::Object(_)), Some(Value::Object(_))) => {
                for name in names(old, new) {
                    self.values(&format!("{path}.{name}"), field(old, name), field(new, name));
                }
            }
            (Some(Value::Array(was)), Some(Value::Array(is))) if was.len() == is.len() && (is_long(old) || is_long(new)) => {
                for (nth, (was, is)) in was.iter().zip(is).enumerate() {
                    self.values(&format!("{path}.{nth}"), Some(was), Some(is));
                }
            }
            (None, new) => self.add(path, None, new, format!("{path} added: {}", shown(new))),
            (old, None) => self.add(path, old, None, format!("{path} removed, was {}", shown(old))),
            (old, new) => {
                let (was, is) = (shown(old), shown(new));
                // Cut, they may look the same.
                let words = if was == is { format!("{path} changed: {}", first_difference(old, new)) } else { format!("{path} {was} → {is}") };
                self.add(path, old, new, words);
            }
        }
    }
}

/// Both, where they differ.
fn differing<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Option<(Option<&'a Value>, Option<&'a Value>)> {
    (old != new).then_some((old, new))
}

/// The field of an object by its name, which may hold dots.
fn field<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    if let Some(Value::Object(fields)) = value { fields.get(name) } else { None }
}

/// The names of the fields of either, in order, each once.
fn names<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> impl Iterator<Item = &'a str> {
    let mut names = BTreeSet::new();
    for value in [old, new].into_iter().flatten() {
        if let Value::Object(fields) = value {
            names.extend(fields.keys().map(String::as_str));
        }
    }
    names.into_iter()
}

/// Of an upstream in a key: what is read of each partition.
fn read_partitions(upstream: &Value) -> BTreeMap<(Option<i64>, Option<i64>), &Value> {
    let Some(Value::Array(partitions)) = upstream.get("partitions") else { return BTreeMap::new() };
    let end = |partition: &Value, name| partition.get("interval").and_then(|interval| interval.get(name)).and_then(Value::as_i64);
    let read = |partition: &'_ Value| (end(partition, "start"), end(partition, "end"));
    partitions.iter().filter_map(|partition| Some((read(partition), partition.get("outputs")?))).collect()
}

/// ` build/exporter changed: built 2026-11-20 13:40, digest 1f3c09ab… → 90ab12cd…`, as far as it is known.
fn changed(before: Option<&KnownFile>, after: Option<&KnownFile>, old: &Value, new: &Value, how_written: &str) -> String {
    let name = match (before, after) {
        (Some(before), Some(after)) if before.name != after.name => format!(" {} → {}", before.name, after.name),
        (_, Some(known)) | (Some(known), None) => format!(" {}", known.name),
        (None, None) => String::new(),
    };
    let minute = |known: Option<&KnownFile>| known.and_then(|known| known.written).map(minute);
    let written = match (minute(before), minute(after)) {
        (Some(before), Some(after)) => format!("{how_written} {before} → {after}, "),
        (None, Some(after)) => format!("{how_written} {after}, "),
        // Of what is compared with, that would be taken for a time of the other.
        (_, None) => String::new(),
    };
    format!("{name} changed: {written}digest {} → {}", short(old), short(new))
}

/// A time to the minute, UTC.
fn minute(time: Time) -> String {
    let text = time.to_string();
    let minutes = text.match_indices(':').nth(1).map_or(text.as_str(), |(end, _)| &text[..end]);
    minutes.replacen('T', " ", 1)
}

fn short(digest: &Value) -> String {
    let digest = word(Some(digest));
    digest.get(..DIGEST_DIGITS).map_or_else(|| digest.clone(), |digits| format!("{digits}…"))
}

fn stat_in_words(stat: &Value) -> String {
    let number = |name| stat.get(name).and_then(Value::as_i64);
    let size = number("size").map_or_else(|| "of unknown size".to_owned(), |size| format!("of {size} bytes"));
    let written = number("mtime_ns").map(|ns| format!(", written {}", Time::from_ns(ns))).unwrap_or_default();
    format!("{size}{written}")
}

fn instrument(value: Option<&Value>) -> String {
    let part = |name| word(value.and_then(|value| value.get(name)));
    format!("{}/{}", part("market"), part("pair"))
}

fn interval_in_words(value: Option<&Value>) -> String {
    let end = |name| value.and_then(|value| value.get(name)).and_then(Value::as_i64).map(Time::from_ns);
    match (end("start"), end("end")) {
        (Some(start), Some(end)) => Interval::new(start, end).map_or_else(|error| error.to_string(), |interval| interval.to_string()),
        _ => shown(value),
    }
}

/// A text as it is, anything else in its canonical form.
fn word(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        value => shown(value),
    }
}

/// A value so that it is told apart from others, cut where it is long.
fn shown(value: Option<&Value>) -> String {
    let text = canonical(value);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn canonical(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.canonical().unwrap_or_else(|error| error.to_string()))
}

fn is_long(value: Option<&Value>) -> bool {
    canonical(value).chars().count() > LIST_CHARS_MAX
}

/// Where two long values first differ, with a little of what follows.
fn first_difference(old: Option<&Value>, new: Option<&Value>) -> String {
    const BEFORE: usize = 10;
    const BEHIND: usize = 30;
    let (old, new): (Vec<char>, Vec<char>) = (canonical(old).chars().collect(), canonical(new).chars().collect());
    let at = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let part = |text: &[char]| text.iter().skip(at.saturating_sub(BEFORE)).take(BEFORE + BEHIND).collect::<String>();
    format!("at character {} …{}… → …{}…", at + 1, part(&old), part(&new))
}

/// A text without anything that a terminal would act on, in one line.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => plain.push(character),
            other => plain.extend(other.escape_debug()),
        }
    }
    plain
}

#[cfg(test)]
mod tests;

//! Settings: single values laid over a dataset file for one run, `md.config.orderbook_levels=5`.
//!
//! The value is read as TOML, and taken as text where it is none. What a user named (config, env, unkeyed, inputs, files, outputs) must exist in the
//! file: a typing error must not become a new key that nothing reads, and with it a cache that looks empty. The fields that tickbarn itself knows
//! (`md.timeout=1h`, `md.resources.cpus=2`) may be absent from the file.

use std::sync::Arc;

use crate::dataset::node::{Fault, Field, Kind, Node, Origin, Table, parse_setting};
use crate::dataset::suggest::did_you_mean;
use crate::error::{known_names, shortened};

/// The tables of a dataset whose keys the user invents.
const USER_TABLES: [&str; 6] = ["config", "env", "unkeyed", "input", "file", "outputs"];

/// Lays one setting over a file.
pub(super) fn lay_over(file: &mut Table, setting: &str) -> Result<(), Fault> {
    let origin = Origin::Setting(setting.into());
    let fault = |message: String| Fault { origin: origin.clone(), message };

    let form = "write DATASET.PATH=VALUE, for example md.config.levels=5";
    let (path, value) = setting.split_once('=').ok_or_else(|| fault(format!("it holds no '='; {form}")))?;
    let path = path.trim();
    let (name, path) = path.split_once('.').ok_or_else(|| fault(format!("{:?} names no value of a dataset; {form}", shortened(path))))?;
    if path.split('.').any(str::is_empty) {
        return Err(fault(format!("its path holds an empty part; {form}")));
    }

    let datasets = match file.get_mut("dataset").map(|field| &mut field.node.kind) {
        Some(Kind::Table(datasets)) => datasets,
        _ => return Err(fault("the file defines no dataset".to_owned())),
    };
    let known: Vec<String> = datasets.names().map(str::to_owned).collect();
    let meant = did_you_mean(name, known.iter().map(String::as_str));
    let Some(Field { node: Node { kind: Kind::Table(dataset), .. }, .. }) = datasets.get_mut(name) else {
        return Err(fault(format!("there is no dataset {:?}{meant}; {}", shortened(name), known_names("the file defines", &known))));
    };

    let node = parse_setting(setting, value)?;
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match rest {
        _ if USER_TABLES.contains(&first) => {
            let Some(rest) = rest else {
                return Err(fault(format!("a whole table cannot be set; set one value in it: {name}.{first}.NAME=VALUE")));
            };
            let table = match dataset.get_mut(first).map(|field| &mut field.node.kind) {
                Some(Kind::Table(table)) => table,
                _ => return Err(fault(format!("[dataset.{name}] has no {first} in the file; write it there first"))),
            };
            let field = find(table, rest).map_err(|missing| fault(missing.message(&format!("{name}.{first}"))))?;
            field.origin = origin;
            field.node = node;
        }
        None => put(dataset, first, node, &origin),
        Some(rest) => {
            if dataset.get_mut(first).is_none() {
                put(dataset, first, Node { kind: Kind::Table(Table::default()), origin: origin.clone(), raw: None }, &origin);
            }
            match dataset.get_mut(first).map(|field| &mut field.node.kind) {
                Some(Kind::Table(table)) => put(table, rest, node, &origin),
                _ => return Err(fault(format!("{first} is no table in the file; set it whole: {name}.{first}=VALUE"))),
            }
        }
    }
    Ok(())
}

fn put(table: &mut Table, name: &str, node: Node, origin: &Origin) {
    match table.get_mut(name) {
        Some(field) => *field = Field { name: name.to_owned(), origin: origin.clone(), node },
        None => table.0.push(Field { name: name.to_owned(), origin: origin.clone(), node }),
    }
}

/// A part of a path that is not there.
struct Missing {
    /// The part of the path before it.
    within: Vec<String>,
    name: String,
    /// What is there instead; nothing where a value stands that has no fields.
    known: Option<Vec<String>>,
}

impl Missing {
    fn message(&self, lead: &str) -> String {
        let within = std::iter::once(lead).chain(self.within.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
        match &self.known {
            Some(known) => {
                let meant = did_you_mean(&self.name, known.iter().map(String::as_str));
                format!("the file has no {within}.{}{meant}; {}", shortened(&self.name).escape_debug(), known_names(&format!("{within} has"), known))
            }
            None => format!("{within} is a single value in the file; set it whole: {within}=VALUE"),
        }
    }
}

/// The field at a dotted path. A name may hold dots itself, so the whole path is tried before its first part, as placeholders do.
fn find<'a>(table: &'a mut Table, path: &str) -> Result<&'a mut Field, Missing> {
    let known: Vec<String> = table.names().map(str::to_owned).collect();
    if known.iter().any(|name| name == path) {
        return table.get_mut(path).ok_or_else(|| Missing { within: Vec::new(), name: path.to_owned(), known: None });
    }
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let missing = |known| Missing { within: Vec::new(), name: first.to_owned(), known };
    match (table.get_mut(first), rest) {
        (Some(Field { node: Node { kind: Kind::Table(inner), .. }, .. }), Some(rest)) => find(inner, rest).map_err(|mut missing| {
            missing.within.insert(0, first.to_owned());
            missing
        }),
        (Some(_), _) => Err(Missing { within: vec![first.to_owned()], ..missing(None) }),
        (None, _) => Err(missing(Some(known))),
    }
}

/// The setting as it stands in messages and errors.
pub(super) fn text_of(origin: &Origin) -> Option<&Arc<str>> {
    match origin {
        Origin::Setting(setting) => Some(setting),
        Origin::Line(_) => None,
    }
}

//! TOML as a tree in which everything knows where it stands: at a line of the file, or in a setting laid over it.
//!
//! The messages about a dataset file are made from this tree rather than from serde's errors, so that each is one line that names the key, says what
//! was expected and what was found, and points at the line or the setting at fault.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, de};

use crate::canonical::Value;
use crate::dataset::suggest::did_you_mean;
use crate::error::shortened;

/// Where something stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// A line of the file, counted from one.
    Line(usize),
    /// A setting, as it was given.
    Setting(Arc<str>),
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) origin: Origin,
    pub(super) message: String,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) origin: Origin,
    /// What a setting said, before it was read as TOML: where text is wanted, `version=7` means `"7"`.
    pub(super) raw: Option<String>,
}

#[derive(Debug)]
pub(super) enum Kind {
    String(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Fields in the order in which they stand.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) Vec<Field>);

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Where the name stands.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Table, Fault> {
    let origins = Origins::Lines(text.match_indices('\n').map(|(byte, _)| byte).collect());
    let table = DeTable::parse(text).map_err(|error| not_toml(text, &error, &origins))?;
    Table::new(table.into_inner(), &origins)
}

/// Reads the value of a setting: TOML where it is that, else the text itself.
pub(super) fn parse_setting(setting: &str, value: &str) -> Result<Node, Fault> {
    let origins = Origins::Setting(setting.into());
    let text = || Node { kind: Kind::String(value.to_owned()), origin: origins.at(0), raw: None };
    let Ok(parsed) = DeValue::parse(value.trim()) else {
        return Ok(text());
    };
    match Node::new(parsed, &origins)? {
        // Dates have no place in keys; here nobody could have meant anything but the text.
        Node { kind: Kind::Datetime(_), .. } => Ok(text()),
        node => Ok(Node { raw: Some(value.to_owned()), ..node }),
    }
}

/// Turns places in a text into origins.
enum Origins {
    /// Where each line of a file ends.
    Lines(Vec<usize>),
    Setting(Arc<str>),
}

impl Origins {
    fn at(&self, byte: usize) -> Origin {
        match self {
            Origins::Lines(ends) => Origin::Line(1 + ends.partition_point(|&end| end < byte)),
            Origins::Setting(setting) => Origin::Setting(setting.clone()),
        }
    }
}

fn not_toml(text: &str, error: &de::Error, origins: &Origins) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let message = if error.message() == "duplicate key" {
        let name = text.get(span.clone()).unwrap_or_default();
        format!("{:?} stands twice; keep one of them", shortened(name))
    } else {
        format!("this is not TOML: {}", error.message().replace('\n', ", "))
    };
    Fault { origin: origins.at(span.start), message }
}

impl Table {
    fn new(table: DeTable<'_>, origins: &Origins) -> Result<Self, Fault> {
        // The parser's map is sorted by name, or not, as other crates in the build choose.
        let mut fields: Vec<(Spanned<Cow<'_, str>>, Spanned<DeValue<'_>>)> = table.into_iter().collect();
        fields.sort_by_key(|(name, _)| name.span().start);
        let fields = fields.into_iter().map(|(name, value)| {
            let origin = origins.at(name.span().start);
            let mut node = Node::new(value, origins)?;
            if let Kind::Table(_) = node.kind {
                node.origin = origin.clone();
            }
            Ok(Field { name: name.into_inner().into_owned(), origin, node })
        });
        fields.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Field> {
        self.0.iter_mut().find(|field| field.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| field.name.as_str())
    }
}

impl Field {
    /// That this field is none of those that may stand where it does. `place` is `at the top` or `in [run]`.
    pub(super) fn unknown(&self, place: &str, known: &[&str]) -> Fault {
        let name = shortened(&self.name);
        let meant = did_you_mean(&self.name, known.iter().copied());
        self.fault(format!("unknown key {name:?} {place}{meant}; known are {}", known.join(", ")))
    }

    /// A message about this field's name.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { origin: self.origin.clone(), message: message.into() }
    }
}

impl Node {
    fn new(value: Spanned<DeValue<'_>>, origins: &Origins) -> Result<Self, Fault> {
        let origin = origins.at(value.span().start);
        let out_of_range = |number: &dyn std::fmt::Display, why: &str| Fault {
            origin: origin.clone(),
            message: format!("{} {why}; write it as a string", shortened(&number.to_string())),
        };
        let kind = match value.into_inner() {
            DeValue::String(text) => Kind::String(text.into_owned()),
            DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) if number >= i128::from(i64::MIN) && number <= i128::from(u64::MAX) => Kind::Integer(number),
                _ => return Err(out_of_range(&integer, "does not fit 64 bits")),
            },
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Kind::Float(number),
                _ => return Err(out_of_range(&float, "is no finite number")),
            },
            DeValue::Boolean(truth) => Kind::Bool(truth),
            DeValue::Datetime(datetime) => Kind::Datetime(datetime.to_string()),
            DeValue::Array(items) => Kind::Array(items.into_iter().map(|item| Node::new(item, origins)).collect::<Result<_, _>>()?),
            DeValue::Table(table) => Kind::Table(Table::new(table, origins)?),
        };
        Ok(Self { kind, origin, raw: None })
    }

    /// A message about this value.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { origin: self.origin.clone(), message: message.into() }
    }

    /// That something else belongs here. `what` is the key, `wanted` what it takes.
    pub(super) fn unexpected(&self, what: &str, wanted: &str) -> Fault {
        let found = match &self.kind {
            Kind::String(text) => format!("the text {:?}", shortened(text)),
            Kind::Integer(integer) => format!("the number {integer}"),
            Kind::Float(float) => format!("the number {float}"),
            Kind::Bool(truth) => truth.to_string(),
            Kind::Datetime(datetime) => format!("the date {datetime}"),
            Kind::Array(_) => "a list".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        };
        self.fault(format!("{what}: expected {wanted}, found {found}"))
    }

    pub(super) fn table(&self, what: &str) -> Result<&Table, Fault> {
        match &self.kind {
            Kind::Table(table) => Ok(table),
            _ => Err(self.unexpected(what, "a table")),
        }
    }

    /// The text, where text is wanted.
    pub(super) fn text(&self, what: &str, wanted: &str) -> Result<&str, Fault> {
        match (&self.kind, &self.raw) {
            (Kind::String(text), _) => Ok(text),
            (Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_), Some(raw)) => Ok(raw),
            (Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_) | Kind::Datetime(_), None) => {
                Err(self.unexpected(what, &format!("{wanted} in quotes")))
            }
            _ => Err(self.unexpected(what, wanted)),
        }
    }

    /// The value, where any value of a configuration is wanted.
    pub(super) fn value(&self) -> Result<Value, Fault> {
        Ok(match &self.kind {
            Kind::String(text) => text.as_str().into(),
            Kind::Integer(integer) => Value::Integer(*integer),
            Kind::Float(float) => Value::Float(*float),
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Datetime(datetime) => return Err(self.fault(format!("dates are not supported here; quote it: \"{datetime}\""))),
            Kind::Array(items) => Value::Array(items.iter().map(Node::value).collect::<Result<_, _>>()?),
            Kind::Table(table) => {
                let fields = table.0.iter().map(|field| Ok((field.name.clone(), field.node.value()?)));
                Value::Object(fields.collect::<Result<BTreeMap<_, _>, Fault>>()?)
            }
        })
    }

    /// Where the thing at a path of names and positions stands; as near to it as there is something.
    pub(super) fn origin_at(&self, path: &[String]) -> &Origin {
        let Some((step, rest)) = path.split_first() else {
            return &self.origin;
        };
        let next = match &self.kind {
            Kind::Table(table) => table.get(step).map(|field| &field.node),
            Kind::Array(items) => step.parse::<usize>().ok().and_then(|nth| items.get(nth)),
            _ => None,
        };
        next.map_or(&self.origin, |node| node.origin_at(rest))
    }
}

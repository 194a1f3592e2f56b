//! `[gc]`: what may be collected, so that a job of the night needs no flags.

use super::{integer, length, size, texts, word};
use crate::dataset::node::{Fault, Field, Kind, Node, Table};
use crate::instrument::Instrument;
use crate::retention::{Retention, parse_grace, parse_low_water};
use crate::word::UnknownWord;

/// What `[gc]` says.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct GcSettings {
    /// What may go.
    pub retention: Retention,
    /// Whether a process that publishes collects in the background once `max_bytes` or `min_free` is passed.
    pub automatic: bool,
}

const KNOWN: [&str; 13] = [
    "max_bytes",
    "low_water",
    "min_free",
    "max_age",
    "superseded",
    "failures",
    "leftovers",
    "keep_last",
    "datasets",
    "instruments",
    "grace",
    "order",
    "automatic",
];

pub(super) fn read_gc(table: &Table) -> Result<GcSettings, Fault> {
    let mut settings = GcSettings::default();
    let retention = &mut settings.retention;
    let mut automatic = None;
    for field @ Field { name, node, .. } in &table.0 {
        match name.as_str() {
            "max_bytes" => retention.max_bytes = Some(size(node, "max_bytes")?),
            "low_water" => retention.low_water = parsed(node, "low_water", parse_low_water)?,
            "min_free" => retention.min_free = Some(word(node, "min_free")?),
            "max_age" => retention.max_age = Some(length(node, "max_age")?),
            "superseded" => retention.superseded = flag(node, "superseded")?,
            "failures" => retention.failures = flag(node, "failures")?,
            "leftovers" => retention.leftovers = flag(node, "leftovers")?,
            "keep_last" => retention.keep_last = Some(integer(node, "keep_last", 1, i128::from(u32::MAX))? as usize),
            "datasets" => retention.datasets = texts(node, "datasets")?.into_iter().map(str::to_owned).collect(),
            "instruments" => {
                let parse = |text: &str| text.parse::<Instrument>().map_err(|error| node.fault(format!("instruments: {error}")));
                retention.instruments = texts(node, "instruments")?.into_iter().map(parse).collect::<Result<_, _>>()?;
            }
            "grace" => retention.grace = parsed(node, "grace", parse_grace)?,
            "order" => retention.order = word(node, "order")?,
            "automatic" => {
                settings.automatic = flag(node, "automatic")?;
                automatic = settings.automatic.then_some(node);
            }
            _ => return Err(field.unknown("in [gc]", &KNOWN)),
        }
    }
    if let Some(node) = automatic
        && settings.retention.max_bytes.is_none()
        && settings.retention.min_free.is_none()
    {
        return Err(node.fault("automatic: there is no mark at which to begin; write max_bytes or min_free beside it"));
    }
    Ok(settings)
}

fn parsed<T>(node: &Node, what: &str, parse: impl Fn(&str) -> Result<T, UnknownWord>) -> Result<T, Fault> {
    parse(node.text(what, "a text")?).map_err(|unknown| node.fault(format!("{what}: {unknown}")))
}

fn flag(node: &Node, what: &str) -> Result<bool, Fault> {
    match node.kind {
        Kind::Bool(flag) => Ok(flag),
        _ => Err(node.unexpected(what, "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::dataset::DatasetFile;
    use crate::retention::{Free, Order};

    fn parse(text: &str) -> crate::Result<DatasetFile> {
        DatasetFile::parse(text, Path::new("tickbarn.toml"), Path::new("/"), &[])
    }

    #[test]
    fn everything_that_may_be_said_is_understood() {
        let text = "[gc]\nmax_bytes = \"500GiB\"\nlow_water = \"80%\"\nmin_free = \"10%\"\nmax_age = \"30d\"\nsuperseded = true\nfailures = true\n\
                    leftovers = true\nkeep_last = 60\ndatasets = [\"md\"]\ninstruments = [\"binance/BTC-USDT\"]\ngrace = \"2h\"\norder = \"lru\"\n\
                    automatic = true\n";
        let file = parse(text).unwrap();
        let gc = file.gc().unwrap();
        let retention = &gc.retention;
        assert_eq!((retention.max_bytes, retention.low_water, retention.min_free), (Some(500 << 30), 0.8, Some(Free::Share(0.1))));
        assert_eq!((retention.max_age, retention.grace), (Some(Duration::from_secs(30 * 86_400)), Duration::from_secs(7200)));
        assert!(retention.superseded && retention.failures && retention.leftovers && gc.automatic);
        assert_eq!((retention.keep_last, retention.order), (Some(60), Order::Lru));
        assert_eq!((retention.datasets.len(), retention.instruments.len()), (1, 1));
        assert!(parse("").unwrap().gc().is_none());
    }

    #[test]
    fn every_fault_names_its_line() {
        for (line, wanted) in [
            ("max_byte = 1", "did you mean max_bytes?"),
            ("max_bytes = \"much\"", "a size such as"),
            ("low_water = \"0%\"", "a share above 0%"),
            ("min_free = \"all\"", "a share below 100%"),
            ("max_age = \"1 month\"", "no fixed length"),
            ("superseded = 1", "true or false"),
            ("keep_last = 0", "keep_last"),
            ("instruments = [\"BTC\"]", "is not an instrument"),
            ("order = \"fifo\"", "value, lru"),
            ("automatic = true", "max_bytes or min_free"),
        ] {
            let told = parse(&format!("[gc]\n{line}\n")).unwrap_err().to_string();
            assert!(told.contains("tickbarn.toml:2") && told.contains(wanted), "{line}: {told}");
        }
    }
}

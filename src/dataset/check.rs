//! What makes a definition acceptable. Looks at no file.
//!
//! A fault carries its [`Site`]: the path of names at which the same thing stands in a dataset file, so that the reader of that file can name the
//! line without a second set of rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use crate::canonical::Value;
use crate::dataset::builder::DatasetBuilder;
use crate::dataset::definition::{Command, Dataset, Definition, NamedFunction, Recipe, Source};
use crate::dataset::suggest::closest;
use crate::dataset::template::{Declared, DeclaredUpstream, FileTemplate, Template, rendered_file_name};
use crate::error::shortened;
use crate::interval::{Align, Split};

const NAME_BYTES_MAX: usize = 64;
const FILE_NAME_BYTES_MAX: usize = 128;
const ENVIRONMENT_NAME_BYTES_MAX: usize = 256;
const VERSION_BYTES_MAX: usize = 256;
const OUTPUTS_MAX: usize = 256;
const CPUS_MAX: f64 = 1e6;
/// Beyond what a node of a cluster has of anything.
const RESOURCE_MAX: f64 = 1e9;
/// Datasets derived one from another. Nobody means more, and walking them stays shallow.
const DEPTH_MAX: usize = 32;
/// The output of a function that declares none.
const ONLY_OUTPUT: &str = "table";

/// Where in a definition something stands, as names and positions from the dataset downwards: `command` `2`, `file` `model` `levels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site(pub(super) Vec<String>);

/// What is wrong with a definition, and where.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) site: Site,
    pub(super) message: String,
}

impl Site {
    fn of<const N: usize>(steps: [&str; N]) -> Self {
        Self(steps.map(str::to_owned).to_vec())
    }

    /// The message with a reader's words for the place before it.
    pub(super) fn before(&self, message: String) -> String {
        let steps: Vec<&str> = self.0.iter().map(String::as_str).collect();
        match steps[..] {
            [] => message,
            ["command", "0"] => format!("the program: {message}"),
            ["command", nth] => format!("argument {nth}: {message}"),
            [kind, name] => format!("{kind} {}: {message}", shortened(name).escape_debug()),
            [kind, name, ref path @ ..] => format!("{kind} {name} at {}: {message}", shortened(&path.join(".")).escape_debug()),
            [kind] => format!("{kind}: {message}"),
        }
    }
}

fn invalid<T>(site: Site, message: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { site, message: message.into() })
}

impl DatasetBuilder {
    /// The dataset, or the first fault. `base_dir` is absolute and stands for the builder's own.
    pub(super) fn check(mut self, base_dir: PathBuf) -> Result<Dataset, Invalid> {
        if let Some(problem) = problem_of_name(&self.name) {
            return invalid(Site::of([]), format!("{:?} cannot name a dataset: {problem}", shortened(&self.name)));
        }
        if self.function.is_some() && self.outputs.is_empty() {
            self.outputs.insert(ONLY_OUTPUT.to_owned(), format!("{ONLY_OUTPUT}.parquet"));
        }
        self.check_names()?;
        self.check_outputs()?;
        self.check_inputs()?;
        self.check_upstream()?;
        self.check_limits()?;

        let config = Value::Object(self.config);
        let unkeyed = Value::Object(self.unkeyed);
        let declared = Declared {
            config: &config,
            unkeyed: &unkeyed,
            outputs: names(&self.outputs),
            inputs: names(&self.inputs),
            files: names(&self.files),
            upstream: self.upstream.iter().map(|(name, source)| (name.as_str(), declared_upstream(source, self.split))).collect(),
        };
        let recipe = match self.function {
            None => Recipe::Command(check_command(&self.command, &self.environment, &self.files, &declared)?),
            Some(function) => {
                check_function(&function, &self.environment, &self.files)?;
                if !self.empty_exit_codes.is_empty() {
                    return invalid(Site::of(["empty_exit_codes"]), "a function has no exit status; it says by `None` that there is no data");
                }
                if self.snapshot_program {
                    return invalid(Site::of(["snapshot_program"]), "a function has no program to copy");
                }
                Recipe::Function(function)
            }
        };

        // Checked one by one above.
        let empty_exit_codes = self.empty_exit_codes.iter().filter_map(|&code| u8::try_from(code).ok()).collect();
        Ok(Dataset(Arc::new(Definition {
            name: self.name,
            base_dir,
            recipe,
            outputs: self.outputs,
            inputs: self.inputs,
            depth: self.upstream.values().map(|source| 1 + source.dataset.depth()).max().unwrap_or(0),
            upstream: self.upstream,
            config,
            unkeyed,
            version: self.version,
            split: self.split,
            time_column: self.time_column,
            closed: self.closed,
            timeout: self.timeout,
            retries: self.retries,
            retry_delay: self.retry_delay,
            empty_exit_codes,
            snapshot_program: self.snapshot_program,
            resources: self.resources,
            cluster_resources: self.cluster_resources,
            warned: Once::new(),
            identified: OnceLock::new(),
        })))
    }

    fn check_names(&self) -> Result<(), Invalid> {
        let named = [
            ("outputs", names(&self.outputs)),
            ("config", names(&self.config)),
            ("unkeyed", names(&self.unkeyed)),
            ("file", names(&self.files)),
            ("input", names(&self.inputs)),
            ("inputs", names(&self.upstream)),
        ];
        for (kind, names) in named {
            for name in names {
                if let Some(problem) = problem_of_name(name) {
                    return invalid(Site::of([kind, name]), format!("this is no name to use here: {problem}"));
                }
            }
        }
        for (kind, values) in [("config", &self.config), ("unkeyed", &self.unkeyed), ("file", &self.files)] {
            for (name, value) in values {
                if let Err(error) = value.canonical() {
                    return invalid(Site::of([kind, name]), error.to_string());
                }
            }
        }
        Ok(())
    }

    fn check_outputs(&self) -> Result<(), Invalid> {
        if self.outputs.is_empty() {
            return invalid(
                Site::of([]),
                "it has no output, so there would be nothing to keep; name at least one: outputs = { trades = \"trades.parquet\" }",
            );
        }
        if self.outputs.len() > OUTPUTS_MAX {
            return invalid(
                Site::of(["outputs"]),
                format!("{} outputs are more than the {OUTPUTS_MAX} that one dataset may have", self.outputs.len()),
            );
        }
        // Names that differ in case alone are one file on some systems.
        let mut taken: BTreeMap<String, String> =
            self.files.keys().map(|name| (rendered_file_name(name).to_lowercase(), format!("the rendered file {name}"))).collect();
        for (name, file) in &self.outputs {
            let site = Site::of(["outputs", name]);
            if let Some(problem) = problem_of_file_name(file) {
                let shown = shortened(file);
                return invalid(
                    site,
                    format!("{shown:?} is no name for a file in the work directory: {problem}; write a plain file name such as \"trades.parquet\""),
                );
            }
            if let Some(other) = taken.insert(file.to_lowercase(), format!("output {name}")) {
                return invalid(site, format!("{file:?} is already the file of {other}; give each its own"));
            }
        }
        Ok(())
    }

    fn check_inputs(&self) -> Result<(), Invalid> {
        for (name, input) in &self.inputs {
            let bytes = input.path().as_os_str().as_encoded_bytes();
            let problem = if bytes.is_empty() {
                "its path is empty; name a file"
            } else if bytes.contains(&0) {
                "its path holds a NUL byte"
            } else if bytes.contains(&b'{') || bytes.contains(&b'}') {
                "its path may hold no placeholder: an input is the same file for every partition"
            } else {
                continue;
            };
            return invalid(Site::of(["input", name]), problem);
        }
        Ok(())
    }

    fn check_upstream(&self) -> Result<(), Invalid> {
        for (name, Source { dataset, outputs }) in &self.upstream {
            let site = Site::of(["inputs", name]);
            let known: BTreeSet<&str> = dataset.outputs().map(|(output, _)| output).collect();
            if let Some(output) = outputs.iter().find(|output| !known.contains(output.as_str())) {
                let meant = closest(output, known.iter().copied()).map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                let shown = shortened(output);
                return invalid(site, format!("dataset {} has no output {shown:?}{meant}; it has {known}", dataset.name()));
            }
            if outputs.is_empty() {
                return invalid(site, format!("no output of dataset {} is read; leave it out, or name at least one", dataset.name()));
            }
            if let Some(problem) = problem_of_splits(self.split, dataset.split()) {
                let (mine, other) = (self.split, dataset.split());
                let name = dataset.name();
                return invalid(site, format!("its partitions ({mine}) do not fit those of dataset {name} ({other}): {problem}"));
            }
            if dataset.depth() >= DEPTH_MAX {
                return invalid(site, format!("more than {DEPTH_MAX} datasets are derived one from another"));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Invalid> {
        if self.time_column.is_empty() || self.time_column.contains('\0') {
            return invalid(Site::of(["time_column"]), "it must name a column; leave it out for \"ts\"");
        }
        if self.timeout == Some(Duration::ZERO) {
            return invalid(Site::of(["timeout"]), "it must be longer than zero; leave it out for no timeout");
        }
        for &code in &self.empty_exit_codes {
            let problem = match code {
                1..=255 => continue,
                0 => "status 0 is success: a generator says \"no data\" by another one, or by outputs without rows",
                _ => "an exit status lies between 1 and 255",
            };
            return invalid(Site::of(["empty_exit_codes"]), format!("{code} cannot stand for \"no data\": {problem}"));
        }
        if let Some(version) = &self.version
            && (version.is_empty() || version.len() > VERSION_BYTES_MAX)
        {
            return invalid(
                Site::of(["version"]),
                if self.function.is_some() {
                    format!("it must have 1 to {VERSION_BYTES_MAX} bytes: a function's code is known by it")
                } else {
                    format!("it must have 1 to {VERSION_BYTES_MAX} bytes; leave it out to have the program's content in the key")
                },
            );
        }
        if !(0.0..=CPUS_MAX).contains(&self.resources.cpus) {
            return invalid(
                Site::of(["resources", "cpus"]),
                format!("{} is no number of processors; write one such as 1 or 0.5", self.resources.cpus),
            );
        }
        for (name, amount) in &self.cluster_resources {
            let problem = match name.as_str() {
                "" => "a resource of a cluster has a name",
                "CPU" => "write cpus",
                "GPU" | "object_store_memory" => "give the nodes that have it a resource of your own name, and ask for that",
                "memory" => "write memory",
                _ if !(f64::MIN_POSITIVE..=RESOURCE_MAX).contains(amount) => "ask for more than 0 and at most a billion of it",
                _ if *amount > 1.0 && amount.fract() != 0.0 => "more than 1 of a cluster's resource must be a whole number",
                _ => continue,
            };
            let message = format!("{:?} = {amount} cannot be asked of a cluster's node: {problem}", shortened(name));
            return invalid(Site::of(["resources", name]), message);
        }
        Ok(())
    }
}

/// A function is called, not started: what only a command has means nothing to it.
fn check_function(function: &NamedFunction, environment: &BTreeMap<String, String>, files: &BTreeMap<String, Value>) -> Result<(), Invalid> {
    if let Some(problem) = problem_of_name(&function.name) {
        return invalid(Site::of([]), format!("{:?} cannot name a function: {problem}", shortened(&function.name)));
    }
    if let Some(name) = environment.keys().next() {
        return invalid(Site::of(["env", name]), "a function has this process's environment; put the value into its config");
    }
    if let Some(name) = files.keys().next() {
        return invalid(Site::of(["file", name]), "no file is rendered for a function; put the value into its config");
    }
    Ok(())
}

/// Why a partition of one split cannot be made from partitions of the other.
fn problem_of_splits(derived: Split, upstream: Split) -> Option<String> {
    let (one, other) = (derived.every_ns(), upstream.every_ns());
    if one % other != 0 && other % one != 0 {
        return Some("neither length divides the other; choose a split of which one holds the other a whole number of times".to_owned());
    }
    match (derived.align() == Align::Start, upstream.align() == Align::Start) {
        (true, true) if other > one => Some(
            "both are cut from the start of a request, and the coarser ones are upstream, so that none of them is whole; cut both on the grid"
                .to_owned(),
        ),
        (true, false) | (false, true) => {
            Some("one is cut on the UTC grid and the other from the start of a request, so their cuts do not meet; align both alike".to_owned())
        }
        _ => None,
    }
}

fn declared_upstream(source: &Source, derived: Split) -> DeclaredUpstream<'_> {
    DeclaredUpstream { outputs: source.outputs.iter().map(String::as_str).collect(), several: source.dataset.split().every_ns() < derived.every_ns() }
}

fn check_command(
    command: &[String],
    environment: &BTreeMap<String, String>,
    files: &BTreeMap<String, Value>,
    declared: &Declared<'_>,
) -> Result<Command, Invalid> {
    let Some((program, arguments)) = command.split_first() else {
        return invalid(Site::of(["command"]), "it is empty; write the program and its arguments: [\"build/exporter\", \"--start\", \"{start}\"]");
    };
    for (nth, argument) in command.iter().enumerate() {
        if argument.contains('\0') {
            return invalid(Site::of(["command", &nth.to_string()]), format!("{:?} holds a NUL byte, which no argument can", shortened(argument)));
        }
    }
    if program.is_empty() {
        return invalid(Site::of(["command", "0"]), "it is empty; name a program");
    }
    if program.contains(['{', '}']) {
        return invalid(
            Site::of(["command", "0"]),
            format!("{:?} may hold no placeholder: the program is the same for every partition", shortened(program)),
        );
    }
    let arguments = arguments
        .iter()
        .enumerate()
        .map(|(nth, argument)| {
            Template::parse(argument, declared).map_err(|message| Invalid {
                site: Site::of(["command", &(nth + 1).to_string()]),
                message: format!("{:?}: {message}", shortened(argument)),
            })
        })
        .collect::<Result<_, _>>()?;
    let files = files
        .iter()
        .map(|(name, value)| match FileTemplate::parse(value.clone(), declared) {
            Ok(file) => Ok((name.clone(), file)),
            Err((path, message)) => Err(Invalid { site: Site(["file".to_owned(), name.clone()].into_iter().chain(path).collect()), message }),
        })
        .collect::<Result<_, _>>()?;
    let environment = environment
        .iter()
        .map(|(name, value)| {
            let site = Site::of(["env", name]);
            if name.is_empty() || name.len() > ENVIRONMENT_NAME_BYTES_MAX || name.contains('=') || name.chars().any(char::is_control) {
                return invalid(site, "an environment variable's name has 1 to 256 bytes and holds neither '=' nor control characters");
            }
            if value.contains('\0') {
                return invalid(site, "its value holds a NUL byte, which no environment variable can");
            }
            let template = Template::parse(value, declared).map_err(|message| Invalid { site: site.clone(), message })?;
            if template.is_list() {
                return invalid(site, "several files stand for its placeholder, and a variable holds one text; let it be an argument of its own");
            }
            Ok((name.clone(), template))
        })
        .collect::<Result<_, _>>()?;
    Ok(Command { program: program.clone(), arguments, files, environment })
}

fn names<T>(named: &BTreeMap<String, T>) -> BTreeSet<&str> {
    named.keys().map(String::as_str).collect()
}

/// What keeps a name from being a dataset's, or that of something in one. Names are shown in terminals, become parts of file names and stand in
/// placeholders and settings, where a dot separates.
pub(crate) fn problem_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it is longer than 64 bytes")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        Some("use ASCII letters, digits, '_' and '-'")
    } else if name.starts_with('-') {
        Some("it begins with '-', like an option")
    } else {
        None
    }
}

fn problem_of_file_name(file: &str) -> Option<&'static str> {
    if file.is_empty() {
        Some("it is empty")
    } else if file.len() > FILE_NAME_BYTES_MAX {
        Some("it is longer than 128 bytes")
    } else if file.contains(['/', '\\']) {
        Some("it holds a '/' or a backslash")
    } else if matches!(file, "." | "..") {
        Some("it is a directory")
    } else if file.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')) {
        Some("it holds a control character")
    } else if file.contains(['{', '}']) {
        Some("it may hold no placeholder")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::definition::{Input, Resources};
    use crate::error::Error;

    fn dataset(command: &[&str]) -> DatasetBuilder {
        Dataset::command("md", command.iter().copied()).base_dir("/base").output("trades", "trades.parquet").config("levels", 40)
    }

    fn refusal(builder: DatasetBuilder) -> String {
        match builder.build().unwrap_err() {
            error @ Error::InvalidDataset { .. } => error.to_string(),
            other => panic!("{other}"),
        }
    }

    #[track_caller]
    fn refused(builder: DatasetBuilder, parts: &[&str]) {
        let message = refusal(builder);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        assert!(message.len() < 900 && !message.contains(['\n', '\u{1b}', '\0']), "{message:?}");
    }

    #[test]
    fn names_that_could_become_paths_or_garble_a_terminal_are_refused() {
        for name in ["", "../x", "a/b", "a.b", "a b", "-x", "a\u{1b}[31m", "a\0", "é", "{start}", &"x".repeat(65), &"x".repeat(100_000)] {
            refused(Dataset::command(name, ["gen"]).output("trades", "t.parquet"), &["cannot name a dataset"]);
            refused(dataset(&["gen"]).output(name, "other.parquet"), &["outputs "]);
            refused(dataset(&["gen"]).config(name, 1), &["config "]);
            refused(dataset(&["gen"]).unkeyed(name, 1), &["unkeyed "]);
            refused(dataset(&["gen"]).file(name, 1), &["file "]);
            refused(dataset(&["gen"]).input(name, "x"), &["input "]);
        }
        for name in ["md", "MD_2", "0-x", "_x", &"x".repeat(64)] {
            assert_eq!(Dataset::command(name, ["gen"]).output("trades", "t.parquet").build().unwrap().name(), name);
        }
    }

    #[test]
    fn an_output_never_leaves_the_work_directory() {
        for file in ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\nb", "a\0b", "a\u{1b}[2Jb", "{start}.parquet", &"x".repeat(129)] {
            refused(dataset(&["gen"]).output("other", file), &["outputs other", "plain file name such as"]);
        }
        dataset(&["gen"]).output("other", "ticks €.parquet").build().unwrap();
    }

    #[test]
    fn two_outputs_never_share_a_file() {
        refused(dataset(&["gen"]).output("other", "trades.parquet"), &["outputs trades", "already the file of output other"]);
        refused(dataset(&["gen"]).output("other", "TRADES.parquet"), &["already the file of"]);
        refused(dataset(&["gen"]).output("other", "model.json").file("model", 1), &["already the file of the rendered file model"]);
        refused(Dataset::command("md", ["gen"]), &["dataset md: it has no output", "outputs = {"]);
    }

    #[test]
    fn an_unknown_placeholder_is_found_wherever_it_stands() {
        refused(
            dataset(&["gen", "--x", "--levels={config.levles}"]),
            &["argument 2", "\"--levels={config.levles}\"", "did you mean {config.levels}?"],
        );
        let model = Value::object([("book", Value::object([("levels", Value::from(vec!["{config.levels}", "{config.levles}"]))]))]);
        refused(dataset(&["gen"]).file("model", model), &["file model at book.levels.1", "{config.levels}"]);
        refused(dataset(&["gen"]).env("LEVELS", "{unkeyed.x}"), &["env LEVELS", "unknown placeholder {unkeyed.x}"]);
        refused(dataset(&["gen", "{output.orderbook}"]), &["{output.trades}"]);
        refused(dataset(&["gen", "{x"]), &["argument 1", "write {{"]);
    }

    #[test]
    fn what_is_the_same_for_every_partition_holds_no_placeholder() {
        refused(dataset(&["{config.levels}/gen"]), &["the program", "no placeholder"]);
        refused(dataset(&["gen"]).input("feed", "{instrument.pair}.dbn"), &["input feed", "same file for every partition"]);
    }

    #[test]
    fn a_command_that_could_not_be_started_is_refused() {
        refused(Dataset::command("md", Vec::<String>::new()).output("trades", "t"), &["command: it is empty"]);
        refused(dataset(&[""]), &["the program: it is empty"]);
        refused(dataset(&["ge\0n"]), &["the program", "NUL"]);
        refused(dataset(&["gen", "a\0"]), &["argument 1", "NUL"]);
        refused(dataset(&["gen"]).env("A", "a\0"), &["env A", "NUL"]);
        for name in ["", "A=B", "A\0", "A\nB", &"A".repeat(257)] {
            refused(dataset(&["gen"]).env(name, "x"), &["env ", "environment variable's name"]);
        }
        dataset(&["gen"]).env("LD_PRELOAD", "/lib/x.so").build().unwrap();
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        refused(dataset(&["gen"]).timeout(Duration::ZERO), &["timeout", "longer than zero"]);
        refused(dataset(&["gen"]).empty_exit_codes([3, 0]), &["empty_exit_codes: 0", "success"]);
        refused(dataset(&["gen"]).empty_exit_codes([256]), &["256", "between 1 and 255"]);
        refused(dataset(&["gen"]).empty_exit_codes([-1]), &["-1"]);
        refused(dataset(&["gen"]).version(""), &["version"]);
        refused(dataset(&["gen"]).config("x", f64::NAN), &["config x", "NaN cannot stand in a key"]);
        refused(dataset(&["gen"]).file("x", vec![f64::INFINITY]), &["file x", "inf cannot stand in a key"]);
        for cpus in [-1.0, f64::NAN, f64::INFINITY] {
            refused(dataset(&["gen"]).resources(Resources { cpus, memory_bytes: 0 }), &["resources cpus"]);
        }
        let input = Input::new("");
        refused(dataset(&["gen"]).input("feed", input), &["input feed", "empty"]);
    }

    #[test]
    fn what_is_not_said_has_a_plain_default() {
        let dataset = dataset(&["gen"]).build().unwrap();
        assert_eq!(dataset.split().to_string(), "12h");
        assert_eq!((dataset.timeout(), dataset.retries(), dataset.retry_delay()), (None, 0, Duration::from_secs(1)));
        assert!(dataset.empty_exit_codes().is_empty() && !dataset.snapshot_program() && dataset.version().is_none());
        assert_eq!(dataset.resources(), Resources::default());
        assert_eq!(dataset.outputs().collect::<Vec<_>>(), [("trades", "trades.parquet")]);
    }

    #[test]
    fn a_dataset_may_be_used_from_any_thread() {
        fn shared<T: Send + Sync + Clone>(_: &T) {}
        shared(&dataset(&["gen"]).build().unwrap());
    }

    #[test]
    fn a_base_directory_is_absolute_from_the_start() {
        let dataset = Dataset::command("md", ["gen"]).output("t", "t").base_dir("configs").build().unwrap();
        assert_eq!(dataset.base_dir(), std::env::current_dir().unwrap().join("configs"));
        let dataset = Dataset::command("md", ["gen"]).output("t", "t").build().unwrap();
        assert_eq!(dataset.base_dir(), std::env::current_dir().unwrap());
    }
}

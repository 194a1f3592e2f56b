//! A directory with a dataset file, a generator that is a shell script, and the command that is tested.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What every partition of the scripted generators is: a small Parquet file, and another one of the same columns.
pub(crate) struct Samples {
    directory: TempDir,
}

impl Samples {
    pub(crate) fn get() -> &'static Self {
        static SAMPLES: OnceLock<Samples> = OnceLock::new();
        SAMPLES.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let at = |name: &str| directory.path().join(name);
            fs::write(at("run.json"), r#"{"feed": {"kind": "simulated"}}"#).unwrap();
            fs::write(at("simulation.json"), "{}").unwrap();
            for (name, pair) in [("one", "ONE"), ("other", "OTHER")] {
                let model = format!(
                    r#"{{"instrument": {{"market": "test", "pair": "{pair}"}}, "features_file": "{}", "features": {{"traded_ob_window_size": 1, "sided_ob_window_size": 1}}}}"#,
                    at(&format!("{name}.parquet")).display()
                );
                fs::write(at("model.json"), model).unwrap();
                let mut command = tickbarn(directory.path());
                command.args(["exporter", "features", "--model", "model.json", "--run", "run.json", "--simulation", "simulation.json"]);
                let ran = finished(command.args(["--start", "2024-01-01T00:00:00Z", "--end", "2024-01-01T01:00:00Z"]));
                assert_eq!(ran.status, 0, "{}", ran.stderr);
            }
            Samples { directory }
        })
    }

    pub(crate) fn one(&self) -> PathBuf {
        self.directory.path().join("one.parquet")
    }

    pub(crate) fn other(&self) -> PathBuf {
        self.directory.path().join("other.parquet")
    }
}

/// The command under test in a directory, without what the caller's own environment would do to it.
pub(crate) fn tickbarn(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickbarn"));
    command.current_dir(directory).stdin(Stdio::null());
    for variable in ["TICKBARN_CONFIG", "TICKBARN_STORE", "CARGO_PKG_NAME", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit status; 128 and the number where a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The outcomes of a load's partitions, in order of their start.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let mut partitions: Vec<Value> = self.json().into_iter().filter(|line| line["type"] == "partition").collect();
        partitions.sort_by_key(|line| line["start"].to_string());
        partitions.iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// The last line of a load with `--json`.
    pub(crate) fn summary(&self) -> Value {
        let last = self.json().pop().unwrap_or_else(|| panic!("no line at all: {}", self.stderr));
        assert_eq!(last["type"], "summary", "{}", self.stderr);
        last
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:#?}");
        self
    }

    /// Checks the exit status, and that the message holds all of these.
    #[track_caller]
    pub(crate) fn failed(self, status: i32, said: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        for said in said {
            assert!(self.stderr.contains(said), "{said:?} is not in {self:#?}");
        }
        self
    }
}

/// A command that is running, killed where its test does not see its end.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    /// Starts a command whose output goes into files, so that it never waits for a reader.
    pub(crate) fn start(command: &mut Command) -> Self {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let child = command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap()).spawn().unwrap();
        Self { child, stdout, stderr }
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Waits for its end, but not for ever.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < LONG, "it hangs; so far it said: {}{}", text(&mut self.stdout), text(&mut self.stderr));
            thread::sleep(Duration::from_millis(5));
        };
        Ran { status: number(status), stdout: text(&mut self.stdout), stderr: text(&mut self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Runs a command to its end, and fails where it hangs.
#[track_caller]
pub(crate) fn finished(command: &mut Command) -> Ran {
    Running::start(command).end()
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn send(signal: &str, child: &Child) {
    let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.trim().is_empty())
}

/// Whether this machine can tell what `is_alive` asks.
pub(crate) fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Dataset `md` with one output and hourly partitions, generated by a shell script that is an input: `$1` is the sample to copy, `$2` where to,
/// `$3` the partition's start, `$4` the test's directory.
pub(crate) struct Barn {
    directory: TempDir,
}

/// What a partition costs a well-behaved script.
pub(crate) const COPIES: &str = r#"cp "$1" "$2""#;

impl Barn {
    /// A directory whose generator runs this script after it has noted its call.
    pub(crate) fn new(script: &str) -> Self {
        Self::with(script, "")
    }

    /// The same with further lines of the dataset.
    pub(crate) fn with(script: &str, lines: &str) -> Self {
        let barn = Self { directory: tempfile::tempdir().unwrap() };
        let here = barn.path().display();
        barn.write("sample.parquet", &fs::read(Samples::get().one()).unwrap());
        barn.script(script);
        let toml = format!(
            r#"store = "barn"
[dataset.md]
command = ["/bin/sh", "{{input.script}}", "{{input.sample}}", "{{output.trades}}", "{{start}}", "{{unkeyed.here}}", "{{config.levels}}"]
outputs = {{ trades = "trades.parquet" }}
split = "1h"
empty_exit_codes = [3]
{lines}
[dataset.md.config]
levels = 40
[dataset.md.input]
script = "gen.sh"
sample = "sample.parquet"
[dataset.md.unkeyed]
here = "{here}"
"#
        );
        barn.write("tickbarn.toml", toml.as_bytes());
        barn
    }

    /// Replaces the generator's script.
    pub(crate) fn script(&self, script: &str) {
        self.write("gen.sh", format!("echo \"$3\" >> \"$4/calls\"\n{script}\n").as_bytes());
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let mut file = File::create(self.at(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Changes the dataset file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.at("tickbarn.toml")).unwrap();
        assert!(text.contains(from), "{text}");
        self.write("tickbarn.toml", text.replace(from, to).as_bytes());
    }

    /// How often the generator was started.
    pub(crate) fn calls(&self) -> usize {
        fs::read_to_string(self.at("calls")).map_or(0, |calls| calls.lines().count())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tickbarn(self.path());
        command.args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        finished(&mut self.command(arguments))
    }

    /// Arguments that load so many hours of `test/ONE`.
    pub(crate) fn load_arguments<'a>(hours: usize, more: &[&'a str]) -> Vec<&'a str> {
        const ENDS: [&str; 13] = ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"];
        let end: &'static str = Box::leak(format!("2024-01-01T{}:00:00Z", ENDS[hours]).into_boxed_str());
        let mut arguments = vec!["load", "md", "--instrument", "test/ONE", "--start", "2024-01-01", "--end", end];
        arguments.extend(more);
        arguments
    }

    /// Loads so many hours.
    pub(crate) fn load(&self, hours: usize, more: &[&str]) -> Ran {
        self.run(&Self::load_arguments(hours, more))
    }

    /// The address of an hour, which must be known.
    pub(crate) fn address(&self, hour: usize) -> String {
        let found = self.load(hour + 1, &["--json", "--on-missing", "skip"]);
        found.json()[hour]["address"].as_str().unwrap().to_owned()
    }

    /// Names of what lies in a directory of the store.
    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let listing = fs::read_dir(self.at("barn").join(directory)).unwrap();
        listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Every file and directory with its bytes, but for the disposable index.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut tree = BTreeMap::new();
        collect(self.path(), &mut tree);
        tree.retain(|path, _| !path.starts_with(self.at("barn/index")));
        tree
    }
}

fn collect(directory: &Path, tree: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, tree);
            tree.insert(path, Vec::new());
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            tree.insert(path, bytes);
        }
    }
}

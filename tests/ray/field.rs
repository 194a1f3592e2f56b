//! The cluster that all tests share, and ways to look at what runs on it.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tickbarn::{Dataset, DatasetBuilder, Entry, Load, Loaded, Manifest, OnFailure, Outcome, Ray, RayOptions};

use crate::barn::Barn;
use crate::cluster::Cluster;

/// Long enough for a loaded machine, short enough for a test that hangs to be noticed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Field {
    python: String,
    cluster: RefCell<Cluster>,
    address: String,
    pub(crate) ray: Ray,
}

impl Field {
    pub(crate) fn new(python: &str) -> Self {
        let cluster = Cluster::start(python, &["alpha=4", "beta=2"]);
        let address = cluster.address.clone();
        let ray = Ray::connect(RayOptions::new(&address).python(python)).unwrap();
        Self { python: python.to_owned(), cluster: RefCell::new(cluster), address, ray }
    }

    pub(crate) fn python(&self) -> &str {
        &self.python
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn options(&self) -> RayOptions {
        RayOptions::new(&self.address).python(&self.python)
    }

    /// Lets the cluster obey an order: see `cluster.py`. Gives the process number of a node that it started.
    pub(crate) fn cluster(&self, order: &str) -> Option<i32> {
        self.cluster.borrow_mut().order(order)
    }
}

/// A dataset whose script runs on a node of this name.
pub(crate) fn on(barn: &Barn, node: &str, script: &str) -> DatasetBuilder {
    barn.dataset(script).cluster_resource(node, 1.0)
}

/// A load of the first hours, on the cluster.
pub(crate) fn load(field: &Field, barn: &Barn, dataset: &Dataset, hours: u32) -> Load {
    barn.load(dataset, hours).runner(field.ray.clone())
}

/// The class and the message of the only partition's failure.
pub(crate) fn failure(load: Load) -> (String, String) {
    let loaded = load.on_failure(OnFailure::Skip).blocking().unwrap();
    match &loaded.partitions[0].outcome {
        Outcome::Failed { failure, .. } => (failure.class.to_string(), failure.message.clone()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn entry(loaded: &Loaded, nth: usize) -> &Entry {
    loaded.partitions[nth].outcome.entry().unwrap_or_else(|| panic!("{:?}", loaded.partitions[nth].outcome))
}

pub(crate) fn manifest(barn: &Barn, loaded: &Loaded, nth: usize) -> Manifest {
    barn.store.manifest(&entry(loaded, nth).address).unwrap().unwrap()
}

pub(crate) fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The number that a script wrote with `echo $$ > name.part; mv name.part name`.
pub(crate) fn pid_in(path: &Path) -> i32 {
    assert!(within(PATIENCE, || path.exists()), "{} never appeared", path.display());
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The processes whose command line holds a text.
pub(crate) fn processes(text: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let holds = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    };
    all.filter(holds).filter(|pid| runs(*pid)).collect()
}

pub(crate) fn signal(pid: i32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Says where it runs, starts a child that must not outlive it, and goes on for long.
pub(crate) const LONG: &str = r#"sleep 1000 &
echo $! > "$FIXTURES/../child.part"; mv "$FIXTURES/../child.part" "$FIXTURES/../child"
echo $$ > "$FIXTURES/../leader.part"; mv "$FIXTURES/../leader.part" "$FIXTURES/../leader"
wait"#;

/// Both processes of [`LONG`], once they run.
pub(crate) fn long_ones(barn: &Barn) -> [i32; 2] {
    [pid_in(&barn.path("leader")), pid_in(&barn.path("child"))]
}

/// Neither is left, and nothing in the store's work directory.
pub(crate) fn assert_gone(barn: &Barn, pids: [i32; 2]) {
    assert!(within(Duration::from_secs(5), || !pids.into_iter().any(runs)), "a generator outlived its load");
    assert!(within(Duration::from_secs(5), || barn.is_tidy()), "{:?}", barn.files(&["work", "claims"]));
}

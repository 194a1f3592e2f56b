//! What can go wrong on a cluster, each with its own class and a way out. Invariants 7 and 13 of ARCHITECTURE.md.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tickbarn::{ClusterFault, Error, FailureClass, OnFailure, Outcome, Ray, RayOptions};

use crate::Test;
use crate::barn::{Barn, COPY, make_executable, outcomes};
use crate::field::{Field, LONG, PATIENCE, assert_gone, entry, failure, load, long_ones, manifest, on, pid_in, processes, runs, signal, within};

pub(crate) const TESTS: &[Test] = &[
    ("an_interpreter_without_ray_is_named", an_interpreter_without_ray_is_named),
    ("another_version_is_named", another_version_is_named),
    ("a_cluster_that_nobody_answers_for_is_unreachable", a_cluster_that_nobody_answers_for_is_unreachable),
    ("resources_nobody_has_are_not_waited_for_without_end", resources_nobody_has_are_not_waited_for_without_end),
    ("a_killed_worker_is_a_lost_attempt", a_killed_worker_is_a_lost_attempt),
    ("a_killed_keeper_is_replaced", a_killed_keeper_is_replaced),
    ("a_killed_node_takes_its_generators_along", a_killed_node_takes_its_generators_along),
    ("memory_that_runs_out_has_a_class_of_its_own", memory_that_runs_out_has_a_class_of_its_own),
    ("a_node_with_other_files_refuses", a_node_with_other_files_refuses),
    ("a_late_writer_changes_nothing", a_late_writer_changes_nothing),
    // The last one: it leaves no cluster.
    ("a_cluster_without_its_head_is_lost", a_cluster_without_its_head_is_lost),
];

fn refused(options: RayOptions) -> (ClusterFault, String) {
    match Ray::connect(options) {
        Err(Error::Cluster { fault, message, .. }) => (fault, message),
        other => panic!("{other:?}"),
    }
}

/// The interpreter behind a shell script.
fn disguised(field: &Field, barn: &Barn, script: &str) -> PathBuf {
    let path = barn.path("python");
    fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("@PYTHON@", field.python()))).unwrap();
    make_executable(&path);
    path
}

fn an_interpreter_without_ray_is_named(field: &Field) {
    let barn = Barn::new();
    let python = disguised(field, &barn, "exec @PYTHON@ -S \"$@\"");
    let (fault, message) = refused(field.options().python(python));
    assert!(fault == ClusterFault::NoRay && message.contains("pip install ray==VERSION"), "{message}");
}

fn another_version_is_named(field: &Field) {
    let barn = Barn::new();
    // The same package under another number.
    let script = r#"site=$("$0" -c 'import os, ray; print(os.path.dirname(os.path.dirname(ray.__file__)))')
cp -rs "$site/ray" "$1/ray"
rm "$1/ray/_version.py"
sed 's/^version = .*/version = "1.2.3"/' "$site/ray/_version.py" > "$1/ray/_version.py""#;
    let copied = Command::new("sh").args(["-ec", script, field.python()]).arg(barn.path("")).status().unwrap();
    assert!(copied.success());
    let python = disguised(field, &barn, &format!("PYTHONPATH={} exec @PYTHON@ \"$@\"", barn.path("").display()));
    let (fault, message) = refused(field.options().python(python));
    assert!(fault == ClusterFault::Version && message.contains("1.2.3") && message.contains("name an interpreter"), "{message}");
}

fn a_cluster_that_nobody_answers_for_is_unreachable(field: &Field) {
    let (fault, message) = refused(RayOptions::new("127.0.0.1:1").python(field.python()));
    assert!(fault == ClusterFault::Unreachable && message.contains("is the cluster up"), "{message}");
    // Somebody answers, but nobody who speaks Ray's language.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = RayOptions::new(silent.local_addr().unwrap().to_string()).python(field.python()).start_max(Duration::from_secs(4));
    let (fault, message) = refused(options);
    assert!(fault == ClusterFault::Unreachable && message.contains("within 4 s"), "{message}");
}

fn resources_nobody_has_are_not_waited_for_without_end(field: &Field) {
    let barn = Barn::new();
    let ray = Ray::connect(field.options().queue_max(Duration::from_secs(2))).unwrap();
    let dataset = barn.dataset(COPY).cluster_resource("unobtainium", 2.0).retries(3).build().unwrap();
    let (class, message) = failure(barn.load(&dataset, 1).runner(ray.clone()));
    assert!(class == "queue" && message.contains("no node of the cluster has CPU 1, unobtainium 2") && message.contains("alpha 100"), "{message}");
    // So is a place that others hold.
    let dataset = on(&barn, "beta", "sleep 1000").resources(tickbarn::Resources { cpus: 2.0, memory_bytes: 0 }).build().unwrap();
    let token = tickbarn::CancellationToken::new();
    let holder = load(field, &barn, &dataset, 1).cancelled_by(&token);
    let holding = std::thread::spawn(move || holder.blocking());
    assert!(within(PATIENCE, || barn.runs() == 1));
    let dataset = on(&barn, "beta", COPY).build().unwrap();
    let (class, message) = failure(barn.load(&dataset, 1).runner(ray));
    assert!(class == "queue" && message.contains("no place was free"), "{message}");
    token.cancel();
    assert!(holding.join().unwrap().is_err());
    assert!(barn.is_tidy());
}

/// The workers whose tasks run for a dataset of this name.
fn workers(dataset: &str) -> Vec<i32> {
    processes(&format!("ray::tickbarn {dataset} "))
}

fn a_killed_worker_is_a_lost_attempt(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", LONG).build().unwrap();
    let load = load(field, &barn, &dataset, 1);
    let loading = std::thread::spawn(move || failure(load));
    let generators = long_ones(&barn);
    let workers = workers("numbers");
    assert_eq!(workers.len(), 1, "{workers:?}");
    signal(workers[0], "KILL");
    let (class, message) = loading.join().unwrap();
    assert!(class == "lost" && message.contains("worker") && message.contains("127.0.0.1"), "{message}");
    assert_gone(&barn, generators);
}

fn a_killed_keeper_is_replaced(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", LONG).build().unwrap();
    let first = load(field, &barn, &dataset, 1);
    let loading = std::thread::spawn(move || failure(first));
    let [leader, _] = long_ones(&barn);
    let stat = fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
    let keeper = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    signal(keeper, "KILL");
    let (class, message) = loading.join().unwrap();
    assert!(class == "lost" && message.contains("minds the generator"), "{message}");
    assert!(within(Duration::from_secs(5), || !runs(leader)));
    let dataset = on(&barn, "alpha", COPY).build().unwrap();
    assert_eq!(outcomes(&load(field, &barn, &dataset, 8).blocking().unwrap()), ["generated"; 8]);
}

fn a_killed_node_takes_its_generators_along(field: &Field) {
    field.cluster("add doomed 1");
    let barn = Barn::new();
    let dataset = on(&barn, "doomed", LONG).build().unwrap();
    let load = load(field, &barn, &dataset, 1);
    let loading = std::thread::spawn(move || failure(load));
    let generators = long_ones(&barn);
    field.cluster("kill doomed");
    let (class, message) = loading.join().unwrap();
    assert!(class == "lost" && message.contains("127.0.0.1"), "{message}");
    assert_gone(&barn, generators);
}

fn memory_that_runs_out_has_a_class_of_its_own(field: &Field) {
    field.cluster("add tight 1");
    let barn = Barn::new();
    let dataset = on(&barn, "tight", LONG).build().unwrap();
    let (class, message) = failure(load(field, &barn, &dataset, 1));
    assert!(class == "memory" && message.contains("[dataset.*.resources] memory"), "{class}: {message}");
    if barn.path("leader").exists() {
        assert_gone(&barn, long_ones(&barn));
    }
    field.cluster("kill tight");
}

fn a_node_with_other_files_refuses(field: &Field) {
    let (blind, other) = (Barn::new(), Barn::new());
    let dataset = on(&blind, "strange", COPY).build().unwrap();
    let at_first = on(&blind, "alpha", COPY).build().unwrap();
    assert_eq!(outcomes(&load(field, &blind, &at_first, 1).blocking().unwrap()), ["generated"]);
    let strange = on(&other, "strange", COPY).build().unwrap();
    fs::write(other.path("elsewhere.sh"), "#!/bin/sh\nexit 0\n").unwrap();
    field.cluster(&format!(
        "other strange mount -t tmpfs none {}; mount --bind {} {}",
        blind.path("").display(),
        other.path("elsewhere.sh").display(),
        other.path("generator.sh").display()
    ));
    // That every node sees the store is not asked again on the same connection: what is to run there finds out.
    let loaded = load(field, &blind, &dataset, 2).on_failure(OnFailure::Skip).blocking().unwrap();
    assert_eq!(outcomes(&loaded), ["hit", "failed"]);
    let Outcome::Failed { failure: blinded, .. } = &loaded.partitions[1].outcome else { panic!("not failed") };
    assert!(blinded.class == FailureClass::Spawn && blinded.message.contains("does not see"), "{blinded}");
    let (class, message) = failure(load(field, &other, &strange, 1));
    assert!(class == "spawn" && message.contains("generator.sh is another file than here") && message.contains("snapshot_program"), "{message}");
    let copied = on(&other, "strange", COPY).snapshot_program(true).build().unwrap();
    assert_eq!(outcomes(&load(field, &other, &copied, 1).blocking().unwrap()), ["generated"]);
    // A new connection asks every node first.
    let fresh = blind.load(&dataset, 4).runner(Ray::connect(field.options()).unwrap());
    let error = fresh.blocking().unwrap_err();
    let Error::Cluster { fault, message, .. } = error else { panic!("{error}") };
    assert!(fault == ClusterFault::StoreNotShared && message.contains("do not see"), "{message}");
}

fn a_late_writer_changes_nothing(field: &Field) {
    let raylet = field.cluster("add frozen 1").unwrap();
    let barn = Barn::new();
    // The first attempt goes on writing under the name it was told; the second one finds another node.
    let script = format!(
        r#"if mkdir "$FIXTURES/../first" 2>/dev/null; then
echo $$ > "$FIXTURES/../leader.part"; mv "$FIXTURES/../leader.part" "$FIXTURES/../leader"
while :; do echo spoilt >> "$1" || echo "cannot" >> "$FIXTURES/../refused"; sleep 0.05; done
fi
{COPY}"#
    );
    let dataset = barn.dataset(&script).cluster_resource("frozen", 1.0).build().unwrap();
    let load = load(field, &barn, &dataset, 1);
    let loading = std::thread::spawn(move || failure(load));
    let leader = pid_in(&barn.path("leader"));
    // Nothing of Ray's answers there any more, but generator and keeper go on.
    let stopped: Vec<i32> = [raylet].into_iter().chain(workers("numbers")).collect();
    stopped.iter().for_each(|pid| signal(*pid, "STOP"));
    let (class, message) = loading.join().unwrap();
    assert!(class == "lost", "{message}");
    let elsewhere = barn.dataset(&script).cluster_resource("alpha", 1.0).build().unwrap();
    let loaded = crate::field::load(field, &barn, &elsewhere, 1).blocking().unwrap();
    assert!(matches!(loaded.partitions[0].outcome, Outcome::Generated { .. }));
    let whole = fs::read(barn.path("fixtures/three.parquet")).unwrap();
    assert_eq!(fs::read(&entry(&loaded, 0).outputs[0].path).unwrap(), whole);
    // It is ended by its keeper, which sees that its directory is gone.
    assert!(within(Duration::from_secs(10), || !runs(leader)), "it went on writing");
    assert_eq!(fs::read(&entry(&loaded, 0).outputs[0].path).unwrap(), whole);
    assert_eq!(manifest(&barn, &loaded, 0).provenance.attempt, 1);
    stopped.iter().for_each(|pid| signal(*pid, "KILL"));
}

fn a_cluster_without_its_head_is_lost(field: &Field) {
    let barn = Barn::new();
    let dataset = on(&barn, "alpha", LONG).retries(2).build().unwrap();
    let load = load(field, &barn, &dataset, 2).workers(1).on_failure(OnFailure::Skip);
    let loading = std::thread::spawn(move || load.blocking());
    let generators = long_ones(&barn);
    field.cluster("behead alpha");
    let error = loading.join().unwrap().unwrap_err();
    let Error::Cluster { fault, message, .. } = &error else { panic!("{error}") };
    assert!(*fault == ClusterFault::Lost, "{message}");
    assert_gone(&barn, generators);
    let (fault, message) = refused(field.options().start_max(Duration::from_secs(5)));
    assert!(fault == ClusterFault::Unreachable, "{message}");
}

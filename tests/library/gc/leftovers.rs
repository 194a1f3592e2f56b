//! What lies about, kind by kind: it goes where that was asked for, and what is still in use does not.

use std::time::SystemTime;

use tickbarn::gc::LeftoverKind;

use super::*;

fn leftovers() -> Retention {
    retention(|retention| retention.leftovers = true)
}

fn shard(store: &Path, directory: &str, name: &str) -> PathBuf {
    let shard = store.join(directory).join(&name[..2]);
    fs::create_dir_all(&shard).unwrap();
    shard.join(name)
}

/// As a process that was killed minutes ago leaves it.
fn long_ago(path: &Path) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
}

/// Plants one of each kind, and says where.
fn plant(barn: &Barn) -> Vec<(LeftoverKind, PathBuf)> {
    let store = barn.store.path();
    let orphan = shard(store, "artifacts", &format!("{}.parquet", Digest::of(b"nobody's")));
    fs::write(&orphan, "nobody's").unwrap();
    let log = shard(store, "artifacts", &format!("{}.log", Digest::of(b"nobody's log")));
    fs::write(&log, "nobody's log").unwrap();
    let work = store.join("work").join("1".repeat(64));
    fs::create_dir(&work).unwrap();
    fs::write(work.join("table.parquet"), "half").unwrap();
    let claim = store.join("claims").join("2".repeat(64));
    fs::write(&claim, "").unwrap();
    let draft = store.join("journal").join(".new-abcdef");
    fs::write(&draft, "half").unwrap();
    long_ago(&draft);
    let journal = store.join("journal").join("log.compact");
    fs::write(&journal, "half").unwrap();
    long_ago(&journal);
    let program = store.join("programs").join(Digest::of(b"an exporter").to_string());
    fs::write(&program, "an exporter").unwrap();
    let trash = store.join("trash").join("large");
    fs::write(&trash, "unlinked soon").unwrap();
    vec![
        (LeftoverKind::Orphan, orphan),
        (LeftoverKind::Orphan, log),
        (LeftoverKind::Work, work),
        (LeftoverKind::Claim, claim),
        (LeftoverKind::Draft, draft),
        (LeftoverKind::Draft, journal),
        (LeftoverKind::Program, program),
        (LeftoverKind::Trash, trash),
    ]
}

fn told(leftovers: &[GcLeftover]) -> Vec<(LeftoverKind, PathBuf)> {
    let mut told: Vec<_> = leftovers.iter().map(|leftover| (leftover.kind, leftover.path.clone())).collect();
    told.sort();
    told
}

#[test]
fn every_kind_goes_and_entries_stay() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3\nturning@1 0 1");
    let replaced = barn.store.entries().unwrap().into_iter().find(|one| &*one.dataset == "turning").unwrap().entry.outputs[0].path.clone();
    fs::write(barn.path("again"), "").unwrap();
    elsewhere(&barn, "turning@1 0 1 refresh");
    let mut planted = plant(&barn);
    planted.push((LeftoverKind::Replaced, replaced));
    planted.push((LeftoverKind::Journal, barn.store.path().join("journal").join("log")));
    planted.sort();
    let before = barn.files(&["entries"]);
    let journal_before = fs::metadata(barn.store.path().join("journal").join("log")).unwrap().len();
    let (planned, swept) = collect(&barn.store, &leftovers());
    assert_eq!(told(&planned.leftovers), planted);
    assert_eq!((planned.price.entries, swept.leftovers), (0, planted.len()), "{swept:?}");
    let planned_bytes: u64 = planned.leftovers.iter().filter(|one| one.kind != LeftoverKind::Journal).map(|one| one.bytes).sum();
    let journal_after = fs::metadata(barn.store.path().join("journal").join("log")).unwrap().len();
    assert_eq!(swept.leftover_bytes, planned_bytes + journal_before - journal_after);
    for (kind, path) in &planted {
        assert_eq!(path.exists(), *kind == LeftoverKind::Journal, "{kind:?} {}", path.display());
    }
    assert_eq!(barn.files(&["entries"]), before);
    assert!(whole(&barn.store).is_empty());
    assert!(gc::plan(&barn.store, &leftovers()).unwrap().is_empty());
    let runs = runs_of(&barn, "");
    elsewhere(&barn, "numbers@1 0 3\nturning@1 0 1");
    assert_eq!(runs_of(&barn, ""), runs);
}

#[test]
fn they_stay_unless_they_are_asked_for() {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 3");
    let planted = plant(&barn);
    let (planned, _) = collect(&barn.store, &of_dataset("nothing"));
    assert_eq!(told(&planned.leftovers).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [LeftoverKind::Trash], "which is nobody's any more");
    for (kind, path) in planted {
        assert_eq!(path.exists(), kind != LeftoverKind::Trash, "{}", path.display());
    }
}

/// Somebody may be about to name them.
#[test]
fn new_artifacts_and_programs_stay_for_the_grace_period() {
    let barn = Barn::new();
    let planted = plant(&barn);
    let mut with_grace = leftovers();
    with_grace.grace = Duration::from_secs(3600);
    let (planned, _) = collect(&barn.store, &with_grace);
    for (kind, path) in planted {
        let waits = matches!(kind, LeftoverKind::Orphan | LeftoverKind::Program);
        assert_eq!((path.exists(), planned.leftovers.iter().any(|leftover| leftover.path == path)), (waits, !waits), "{}", path.display());
    }
}

#[test]
fn what_living_processes_work_with_stays() {
    let barn = Barn::new();
    let _ = barn.dataset("cp \"$FIXTURES/three.parquet\" \"$1\"").build().unwrap();
    let living = Living::that_loads(barn.store.path(), &barn.path(""), "command@1 0 2");
    let [program] = &barn.files(&["programs"])[..] else { panic!("{:?}", barn.files(&["programs"])) };
    // One that holds its claim, and works.
    let address = "3".repeat(64);
    let claim = File::create(barn.store.path().join("claims").join(&address)).unwrap();
    claim.lock().unwrap();
    let work = barn.store.path().join("work").join(&address);
    fs::create_dir(&work).unwrap();
    let draft = barn.store.path().join("journal").join(".new-abcdef");
    fs::write(&draft, "just begun").unwrap();
    let (planned, _) = collect(&barn.store, &leftovers());
    assert_eq!(told(&planned.leftovers), []);
    assert!(program.exists() && work.exists() && draft.exists() && barn.store.path().join("claims").join(&address).exists());
    drop(claim);
    living.end();
    let (planned, _) = collect(&barn.store, &leftovers());
    let kinds: Vec<LeftoverKind> = told(&planned.leftovers).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [LeftoverKind::Work, LeftoverKind::Claim, LeftoverKind::Program]);
    assert!(!program.exists() && !work.exists() && draft.exists());
}

/// An orphan by the plan, an entry's by now.
#[test]
fn an_artifact_that_was_named_since_stays() {
    let barn = Barn::new();
    elsewhere(&barn, "same@1 0 1");
    let artifact = barn.files(&["artifacts"]).remove(0);
    let bytes = fs::read(&artifact).unwrap();
    collect(&barn.store, &everything());
    fs::create_dir_all(artifact.parent().unwrap()).unwrap();
    fs::write(&artifact, bytes).unwrap();
    // Whether or not the journal remembers it.
    for (hour, kind) in [(5, LeftoverKind::Replaced), (6, LeftoverKind::Orphan)] {
        let plan = gc::plan(&barn.store, &leftovers()).unwrap();
        assert_eq!(told(plan.leftovers()).iter().filter(|(told, path)| (*told, path) == (kind, &artifact)).count(), 1);
        elsewhere(&barn, &format!("same@1 {hour} {}", hour + 1));
        gc::sweep(plan).unwrap();
        assert!(artifact.exists());
        whole(&barn.store);
        // Everything but the artifact goes.
        for name in ["entries", "journal"] {
            barn.files(&[name]).into_iter().filter(|path| !path.ends_with("lock")).for_each(|path| fs::remove_file(path).unwrap());
        }
    }
}

/// What nobody knows is not ours to remove.
#[test]
fn what_a_user_put_there_stays() {
    let barn = Barn::new();
    let store = barn.store.path();
    let files =
        ["notes.txt", "pins/notes.txt", "artifacts/notes.txt", "work/notes.txt", "claims/notes.txt", "programs/notes.txt", "entries/notes.txt"];
    for file in files {
        fs::write(store.join(file), "a user's").unwrap();
    }
    collect(&barn.store, &leftovers());
    assert!(files.iter().all(|file| store.join(file).exists()));
}

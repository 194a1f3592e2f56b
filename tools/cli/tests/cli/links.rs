//! Links that somebody has planted in a store: what they lead to is neither read as the store's nor changed.
//!
//! Invariant 16 of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::stored::{all_below, files_in, holds_what_its_names_say};
use crate::support::{Barn, COPIES, Ran, finished};

/// What nobody but its owner may read or change.
const PRECIOUS: &str = "precious";

/// Says so much in its first hour that its log is an artifact.
const TALKS_IN_ITS_FIRST_HOUR: &str = r#"case "$3" in *T00*) yes talkative | head -c 9000;; esac"#;

/// A store with two hours of three, and places in it.
struct Scene {
    barn: Barn,
    /// The addresses of all three hours.
    addresses: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let barn = Barn::new(&format!("{TALKS_IN_ITS_FIRST_HOUR}; {COPIES}"));
        barn.load(2, &[]).ok();
        let lines = barn.load(3, &["--json", "--on-missing", "skip"]).ok().json();
        let addresses = lines.iter().filter_map(|line| line["address"].as_str().map(str::to_owned)).collect();
        fs::create_dir(barn.at("outside")).unwrap();
        Self { barn, addresses }
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.barn.at("barn").join(path)
    }

    fn manifest(&self) -> PathBuf {
        self.at(format!("entries/{}/{}.json", &self.addresses[0][..2], self.addresses[0]))
    }

    fn artifact(&self, extension: &str) -> PathBuf {
        let mut files = files_in(&self.barn, "artifacts");
        files.retain(|path| path.extension().is_some_and(|found| found == extension));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    /// What lies outside of the store: names, modes and bytes.
    fn outside(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let all = all_below(&self.barn.at("outside")).into_iter();
        all.map(|path| (path.clone(), (path.symlink_metadata().unwrap().permissions().mode(), fs::read(&path).unwrap_or_default()))).collect()
    }

    fn load(&self, more: &[&str]) -> Ran {
        finished(&mut self.barn.command(&Barn::load_arguments(3, &[&["--json", "--jobs", "1", "--on-failure", "skip"], more].concat())))
    }

    /// Whether any message of a load names a path of the store.
    fn names(&self, ran: &Ran, path: &Path) -> bool {
        let path = path.strip_prefix(self.barn.path()).unwrap().to_str().unwrap().to_owned();
        ran.stderr.contains(&path) || ran.json().iter().any(|line| line["failure"]["message"].as_str().is_some_and(|message| message.contains(&path)))
    }
}

/// A load in short, for a complaint.
fn told(ran: &Ran) -> String {
    format!("exit status {}, {:?}, {}", ran.status, ran.outcomes(), ran.stderr)
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leads {
    /// To what stood in its place before, moved out of the store.
    ToTheOriginal,
    /// To something of somebody else's.
    ToAStranger,
    /// To nothing yet.
    Nowhere,
}

/// What a place is for, and so what may not be believed where a link stands in it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Holds {
    /// The first hour's manifest.
    AManifest,
    /// The tables of all hours.
    Tables,
    /// The first hour's log.
    ALog,
    /// Nothing that is handed out.
    NoData,
}

/// Plants a link, tries all commands, and gives what is wrong with what they did.
fn complaints(place: impl Fn(&Scene) -> PathBuf, holds: Holds, leads: Leads) -> Vec<String> {
    let scene = Scene::new();
    let link = place(&scene);
    let target = scene.barn.at("outside/target");
    let is_directory = link.is_dir() || link.parent().unwrap().ends_with("work");
    match leads {
        Leads::ToTheOriginal => fs::rename(&link, &target).unwrap(),
        _ if link.is_dir() => fs::remove_dir_all(&link).unwrap(),
        _ => drop(fs::remove_file(&link)),
    }
    match leads {
        Leads::ToAStranger if is_directory => {
            // Also under the names that work directories and shards of the store would have.
            for inner in ["", &scene.addresses[2], &scene.addresses[2][..2]] {
                fs::create_dir_all(target.join(inner)).unwrap();
                fs::write(target.join(inner).join("file"), PRECIOUS).unwrap();
            }
        }
        Leads::ToAStranger => fs::write(&target, PRECIOUS).unwrap(),
        _ => {}
    }
    symlink(&target, &link).unwrap();
    let before = scene.outside();

    let mut complaints = Vec::new();
    let first = &scene.addresses[0];
    for command in ["ls", "show", "logs", "path"] {
        let arguments: &[&str] = if command == "ls" { &["ls", "--json"] } else { &[command, first] };
        let ran = finished(&mut scene.barn.command(arguments));
        if ran.stdout.contains(PRECIOUS) {
            complaints.push(format!("{command} prints what the link leads to"));
        }
        let follows = match (holds, command) {
            (Holds::AManifest, "ls") => ran.stdout.contains(first),
            (Holds::AManifest, _) | (Holds::Tables, "path") | (Holds::ALog, "logs") => ran.status == 0,
            _ => false,
        };
        if follows {
            complaints.push(format!("{command} follows it: {}", &ran.stdout[..ran.stdout.len().min(200)]));
        }
    }
    for more in [&[][..], &["--refresh"]] {
        let ran = scene.load(more);
        let still_a_link = link.is_symlink();
        if still_a_link && holds != Holds::ALog && !scene.names(&ran, &link) {
            complaints.push(format!("load {more:?} leaves the link and says nothing of it: {}", told(&ran)));
        }
        let outcomes = ran.outcomes();
        let remade = outcomes == ["generated"; 3] || more.is_empty() && outcomes.last().is_some_and(|last| last == "generated");
        if !remade && !scene.names(&ran, &link) {
            complaints.push(format!("load {more:?} neither makes what is missing nor says why: {}", told(&ran)));
        }
        let believed = matches!(holds, Holds::AManifest | Holds::Tables) && outcomes.first().is_some_and(|first| first == "hit");
        if more.is_empty() && believed {
            complaints.push("load takes what the link leads to for a hit".to_owned());
        }
        let after = scene.outside();
        if after != before {
            let differing = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect::<Vec<_>>();
            complaints.push(format!("load {more:?} changed what the link leads to: {differing:?}"));
            break;
        }
    }
    holds_what_its_names_say(&scene.barn);
    complaints.into_iter().map(|complaint| format!("{leads:?}: {complaint}")).collect()
}

#[track_caller]
fn planted(place: impl Fn(&Scene) -> PathBuf, holds: Holds, kinds: &[Leads]) {
    let complaints: Vec<String> = kinds.iter().flat_map(|&leads| complaints(&place, holds, leads)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

const ALL: [Leads; 3] = [Leads::ToTheOriginal, Leads::ToAStranger, Leads::Nowhere];

#[test]
fn in_place_of_a_manifest() {
    planted(Scene::manifest, Holds::AManifest, &ALL);
}

#[test]
fn in_place_of_a_shard_of_entries() {
    planted(|scene| scene.manifest().parent().unwrap().to_path_buf(), Holds::AManifest, &ALL);
}

#[test]
fn in_place_of_an_artifact() {
    planted(|scene| scene.artifact("parquet"), Holds::Tables, &ALL);
}

#[test]
fn in_place_of_a_shard_of_artifacts() {
    planted(|scene| scene.artifact("parquet").parent().unwrap().to_path_buf(), Holds::Tables, &ALL);
}

#[test]
fn in_place_of_a_log() {
    planted(|scene| scene.artifact("log"), Holds::ALog, &ALL);
}

#[test]
fn in_place_of_a_claim() {
    planted(|scene| scene.at("claims").join(&scene.addresses[2]), Holds::NoData, &[Leads::ToAStranger, Leads::Nowhere]);
}

#[test]
fn in_place_of_the_journal() {
    planted(|scene| scene.at("journal/log"), Holds::NoData, &ALL);
}

#[test]
fn in_place_of_the_journal_s_lock() {
    planted(|scene| scene.at("journal/lock"), Holds::NoData, &ALL);
}

#[test]
fn in_place_of_the_sweep_lock() {
    planted(|scene| scene.at("leases/sweep.lock"), Holds::NoData, &ALL);
}

#[test]
fn in_place_of_a_work_directory() {
    planted(|scene| scene.at("work").join(&scene.addresses[2]), Holds::NoData, &[Leads::ToAStranger, Leads::Nowhere]);
}

#[test]
fn in_place_of_the_directory_of_work() {
    planted(|scene| scene.at("work"), Holds::NoData, &ALL);
}

#[test]
fn in_place_of_a_part_of_the_store() {
    let parts = [
        ("entries", Holds::AManifest),
        ("artifacts", Holds::Tables),
        ("claims", Holds::NoData),
        ("journal", Holds::NoData),
        ("leases", Holds::NoData),
    ];
    let complaints: Vec<String> = parts
        .into_iter()
        .flat_map(|(part, holds)| {
            let kinds = [Leads::ToTheOriginal, Leads::ToAStranger].into_iter();
            kinds.flat_map(move |leads| complaints(|scene| scene.at(part), holds, leads)).map(move |complaint| format!("{part}: {complaint}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Plants links at a place, runs commands, and checks that what they lead to is neither printed nor changed.
fn neither_told_nor_changed(scene: &Scene, link: &Path, commands: &[Vec<&str>]) {
    for is_directory in [false, true] {
        for leads in [Leads::ToAStranger, Leads::Nowhere] {
            let target = scene.barn.at("outside").join(format!("{}-{is_directory}-{leads:?}", link.file_name().unwrap().display()));
            if leads == Leads::ToAStranger && is_directory {
                fs::create_dir(&target).unwrap();
                fs::write(target.join("file"), PRECIOUS).unwrap();
            } else if leads == Leads::ToAStranger {
                fs::write(&target, PRECIOUS).unwrap();
            }
            let before = scene.outside();
            for command in commands {
                match fs::symlink_metadata(link).map(|found| found.is_dir()) {
                    Ok(true) => fs::remove_dir_all(link).unwrap(),
                    Ok(false) => fs::remove_file(link).unwrap(),
                    Err(_) => {}
                }
                symlink(&target, link).unwrap();
                let ran = finished(&mut scene.barn.command(command));
                let place = format!("{command:?} over {} to {}", link.display(), target.display());
                assert!(!ran.stdout.contains(PRECIOUS) && !ran.stderr.contains(PRECIOUS), "{place}: {ran:#?}");
                assert!(ran.status < 128 && !ran.stderr.contains("panic"), "{place}: {ran:#?}");
                assert_eq!(scene.outside(), before, "{place}");
            }
        }
    }
}

#[test]
fn in_place_of_what_an_index_is_made_of() {
    let scene = Scene::new();
    // So many that the index is opened.
    let many = Barn::load_arguments(3, &["--on-missing", "skip", "--set", "md.split=10s"]);
    finished(&mut scene.barn.command(&many)).ok();
    assert!(scene.at("index/0").exists());
    for name in ["0", "0.lock", "0.open", "fingerprints.json"] {
        neither_told_nor_changed(&scene, &scene.at("index").join(name), std::slice::from_ref(&many));
        fs::remove_dir_all(scene.at("index")).unwrap();
        fs::create_dir(scene.at("index")).unwrap();
    }
}

#[test]
fn in_place_of_a_failure() {
    let scene = Scene::new();
    scene.barn.script("exit 7");
    let fails = Barn::load_arguments(1, &["--json", "--on-failure", "skip"]);
    let address = finished(&mut scene.barn.command(&fails)).ok().json()[0]["address"].as_str().unwrap().to_owned();
    let shard = scene.at("failures").join(&address[..2]);
    let commands = [vec!["ls", "--failed", "--json"], vec!["show", &address], vec!["logs", &address], fails];
    neither_told_nor_changed(&scene, &shard.join(format!("{address}.json")), &commands);
    neither_told_nor_changed(&scene, &shard, &commands);
}

/// Gives a file of the store another name, or puts another file under the store's name, and checks that loads change nothing that is read by the other
/// name.
fn hard_linked(place: impl Fn(&Scene) -> PathBuf) {
    let mut complaints = Vec::new();
    for leads in [Leads::ToTheOriginal, Leads::ToAStranger] {
        let scene = Scene::new();
        let (file, other) = (place(&scene), scene.barn.at("outside/other"));
        if leads == Leads::ToAStranger || !file.exists() {
            fs::remove_file(&file).ok();
            fs::write(&other, PRECIOUS).unwrap();
            fs::hard_link(&other, &file).unwrap();
        } else {
            fs::hard_link(&file, &other).unwrap();
        }
        let before = scene.outside();
        for more in [&[][..], &["--refresh"]] {
            let ran = scene.load(more);
            if ran.status != 0 && !scene.names(&ran, &file) {
                complaints.push(format!("{leads:?}: load {more:?} fails without naming it: {}", told(&ran)));
            }
            if scene.outside() != before {
                complaints.push(format!("{leads:?}: load {more:?} changed the file that has another name"));
                break;
            }
        }
        holds_what_its_names_say(&scene.barn);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_manifest_s_other_name_keeps_its_bytes() {
    hard_linked(Scene::manifest);
}

#[test]
fn an_artifact_s_other_name_keeps_its_bytes() {
    hard_linked(|scene| scene.artifact("parquet"));
}

#[test]
fn a_claim_s_other_name_keeps_its_bytes() {
    hard_linked(|scene| scene.at("claims").join(&scene.addresses[2]));
}

#[test]
fn the_journal_s_other_name_keeps_its_bytes() {
    hard_linked(|scene| scene.at("journal/log"));
}

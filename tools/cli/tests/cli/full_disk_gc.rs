//! Collecting on a disk that is full, or has no inodes left: it asks for no space to free some, and afterwards everything works.
//!
//! Invariant 13 of ARCHITECTURE.md.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tickbarn::{FindingKind, Retention, Store, gc};

use crate::mounts::{Mount, make_ext4, make_ext4_of};
use crate::recovery::{EACH, load};
use crate::support::{Barn, COPIES, Running, Samples, finished, wait_for};

/// What the journal is told of so many does not fit in the rest of its last block.
const HOURS: usize = 60;

/// A barn whose store lies on a small file system of its own, some of which is taken by others.
struct SmallDisk {
    // Unmounted before its directory is removed.
    _mount: Mount,
    barn: Barn,
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scarce {
    Space,
    Inodes,
}

impl SmallDisk {
    /// Enough for the shards of a store, and some hundred files.
    const INODES: u64 = 1_000;
    const MEMORY_BYTES: u64 = 32 << 20;
    const EXT4_BYTES: u64 = 48 << 20;

    fn in_memory(script: &str) -> Result<Self, String> {
        let barn = Barn::new(script);
        let options = format!("size={},nr_inodes={},mode=755", Self::MEMORY_BYTES, Self::INODES);
        let mount = Mount::memory_with(&barn.at("disk"), &options)?;
        Ok(Self { _mount: mount, barn }.with_its_store())
    }

    fn ext4(script: &str, scarce: Scarce) -> Result<Self, String> {
        let barn = Barn::new(script);
        match scarce {
            Scarce::Space => make_ext4(&barn.at("image"), Self::EXT4_BYTES)?,
            Scarce::Inodes => make_ext4_of(&barn.at("image"), Self::EXT4_BYTES, Self::INODES)?,
        }
        let mount = Mount::image(&barn.at("disk"), &barn.at("image"))?;
        Ok(Self { _mount: mount, barn }.with_its_store())
    }

    /// The store beside what else lies on the disk.
    fn with_its_store(self) -> Self {
        self.barn.edit(r#"store = "barn""#, r#"store = "disk/barn""#);
        self
    }

    fn store(&self) -> Store {
        Store::open_existing(self.barn.at("disk/barn")).unwrap()
    }

    /// Takes all that is left.
    fn fill(&self, scarce: Scarce) {
        let others = self.barn.at("disk/others");
        fs::create_dir(&others).unwrap();
        let is_full = |error: &std::io::Error| error.kind() == ErrorKind::StorageFull;
        if scarce == Scarce::Inodes {
            for nth in 0.. {
                match File::create(others.join(nth.to_string())) {
                    Ok(_) => {}
                    Err(error) if is_full(&error) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let mut filler = File::create(others.join("filler")).unwrap();
        for size in [1 << 20, 64 << 10, 4 << 10, 512, 1] {
            let bytes = vec![b'x'; size];
            loop {
                match filler.write(&bytes) {
                    Ok(_) => {}
                    Err(error) if is_full(&error) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        filler.sync_all().unwrap();
        assert!(self.takes_nothing());
    }

    fn takes_nothing(&self) -> bool {
        let probe = self.barn.at("disk/probe");
        let written = fs::write(&probe, [1; 4096]);
        let _ = fs::remove_file(probe);
        written.is_err()
    }

    fn or_skip(disk: Result<Self, String>, name: &str) -> Option<Self> {
        disk.inspect_err(|reason| eprintln!("skipped {name}: {reason}")).ok()
    }
}

fn everything() -> Retention {
    let mut retention = Retention::default();
    retention.grace = Duration::ZERO;
    retention.datasets.push("md".to_owned());
    retention
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Collects all that may go, and checks that everything works afterwards.
fn check_collecting(disk: &SmallDisk, there: usize) {
    let store = disk.store();
    let plan = gc::plan(&store, &everything()).unwrap();
    assert_eq!(plan.price().entries, there);
    let bytes = plan.price().bytes;
    let swept = gc::sweep(plan).unwrap();
    assert_eq!((swept.price.entries, swept.price.bytes), (there, bytes), "{swept:?}");
    let mut leftovers = everything();
    (leftovers.datasets, leftovers.leftovers) = (Vec::new(), true);
    gc::sweep(gc::plan(&store, &leftovers).unwrap()).unwrap();
    for directory in ["entries", "artifacts", "trash", "work", "claims"] {
        assert_eq!(files(&store.path().join(directory)), [] as [PathBuf; 0]);
    }
    assert!(!disk.takes_nothing(), "there is space again");
    let verified = store.verify().digests().run().unwrap();
    assert!(verified.is_clean(), "{:#?}", verified.findings);
    let lies_about: Vec<_> = verified.findings.iter().filter(|finding| finding.kind != FindingKind::Foreign).collect();
    assert!(lies_about.is_empty(), "{lies_about:#?}");

    let loaded = finished(&mut load(&disk.barn, 0, 2, &["--json"])).ok();
    assert_eq!(loaded.outcomes(), ["generated"; 2]);
    assert_eq!(finished(&mut load(&disk.barn, 0, 2, &["--json"])).ok().outcomes(), ["hit"; 2]);
    assert!(store.verify().digests().run().unwrap().is_clean());
    // And once more with space, which leaves nothing either.
    assert_eq!(gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap().price.entries, 2);
}

fn a_disk_that_is_full(disk: &SmallDisk, scarce: Scarce) {
    finished(&mut load(&disk.barn, 0, HOURS, &[])).ok();
    disk.fill(scarce);
    check_collecting(disk, HOURS);
}

#[test]
fn a_full_disk_in_memory_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(EACH), "a_full_disk_in_memory_is_collected") {
        a_disk_that_is_full(&disk, Scarce::Space);
    }
}

#[test]
fn a_disk_in_memory_without_inodes_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(EACH), "a_disk_in_memory_without_inodes_is_collected") {
        a_disk_that_is_full(&disk, Scarce::Inodes);
    }
}

#[test]
fn a_full_ext4_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(EACH, Scarce::Space), "a_full_ext4_is_collected") {
        a_disk_that_is_full(&disk, Scarce::Space);
    }
}

#[test]
fn an_ext4_without_inodes_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(EACH, Scarce::Inodes), "an_ext4_without_inodes_is_collected") {
        a_disk_that_is_full(&disk, Scarce::Inodes);
    }
}

/// A generator that waits before its end while there is something to wait for.
const WAITS: &str = r#"LC_ALL=C sed "s/tickbarn-exporter ve/$3/" "$1" > "$2"; while [ -e "$4/wait" ]; do sleep 0.02; done"#;

/// What killed processes leave on a full disk: their leases, claims, and half of what they wrote.
fn a_disk_that_is_full_of_the_dead(disk: &SmallDisk, scarce: Scarce) {
    const DEAD: usize = 5;
    finished(&mut load(&disk.barn, 0, HOURS, &[])).ok();
    // Each process has a lease, a claim and work of its own.
    fs::write(disk.barn.at("wait"), "").unwrap();
    let calls = disk.barn.calls();
    let mut dead = Vec::new();
    for nth in 0..DEAD {
        let mut command = load(&disk.barn, nth, HOURS + nth + 1, &["--jobs", "1"]);
        let process = Running::start(command.stdin(Stdio::null()));
        wait_for("its generator", || disk.barn.calls() > calls + nth);
        dead.push(process);
    }
    // Its drop kills.
    drop(dead);
    fs::remove_file(disk.barn.at("wait")).unwrap();
    let store = disk.barn.at("disk/barn");
    assert!(files(&store.join("claims")).len() >= DEAD);
    assert!(files(&store.join("leases")).iter().filter(|path| path.extension().is_some_and(|is| is == "lease")).count() > 1);
    fs::write(store.join("trash/large"), vec![1; 100_000]).unwrap();
    disk.fill(scarce);
    check_collecting(disk, HOURS);
}

#[test]
fn what_the_dead_left_on_a_full_disk_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(WAITS, Scarce::Space), "what_the_dead_left_on_a_full_disk_is_collected") {
        a_disk_that_is_full_of_the_dead(&disk, Scarce::Space);
    }
}

#[test]
fn what_the_dead_left_on_a_disk_without_inodes_is_collected() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(WAITS), "what_the_dead_left_on_a_disk_without_inodes_is_collected") {
        a_disk_that_is_full_of_the_dead(&disk, Scarce::Inodes);
    }
}

/// Large tables go by way of the trash, which has to take their names.
#[test]
fn large_tables_on_a_full_disk_are_collected() {
    const LARGE_HOURS: usize = 12;
    let disks = [
        (SmallDisk::in_memory(COPIES), Scarce::Space),
        (SmallDisk::in_memory(COPIES), Scarce::Inodes),
        (SmallDisk::ext4(COPIES, Scarce::Space), Scarce::Space),
        (SmallDisk::ext4(COPIES, Scarce::Inodes), Scarce::Inodes),
    ];
    for (disk, scarce) in disks {
        let Some(disk) = SmallDisk::or_skip(disk, "large_tables_on_a_full_disk_are_collected") else { return };
        disk.barn.write("sample.parquet", &large_table());
        // All of the same bytes: enough inodes go for one that comes.
        finished(&mut load(&disk.barn, 0, LARGE_HOURS, &[])).ok();
        let artifacts = files(&disk.barn.at("disk/barn/artifacts"));
        assert!(artifacts.len() == 1 && artifacts[0].metadata().unwrap().len() > 8 << 20, "{artifacts:?}");
        disk.fill(scarce);
        let store = disk.store();
        let swept = gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap();
        assert!(swept.price.entries == LARGE_HOURS && swept.price.bytes > 8 << 20, "{swept:?}");
        for directory in ["artifacts", "trash"] {
            assert_eq!(files(&store.path().join(directory)), [] as [PathBuf; 0], "{scarce:?}");
        }
        // As large as what went, and its manifest, would not fit.
        disk.barn.write("sample.parquet", &fs::read(Samples::get().one()).unwrap());
        assert_eq!(finished(&mut load(&disk.barn, 0, 1, &["--json"])).ok().outcomes(), ["generated"]);
        assert!(store.verify().digests().run().unwrap().is_clean());
    }
}

/// The sample with nine megabytes of nothing before its footer, which says where everything else is.
fn large_table() -> Vec<u8> {
    let mut bytes = fs::read(Samples::get().one()).unwrap();
    let (_, end) = bytes.split_last_chunk::<8>().unwrap();
    let footer = u32::from_le_bytes(*end.first_chunk().unwrap()) as usize + end.len();
    let at = bytes.len() - footer;
    bytes.splice(at..at, std::iter::repeat_n(0, 9 << 20));
    bytes
}

/// A journal that cannot be appended to for another reason than space stops it before anything goes; it does not go on without telling anybody.
#[test]
fn a_journal_that_cannot_be_written_stops_it_before_anything_goes() {
    let disk = SmallDisk::ext4(EACH, Scarce::Space);
    let Some(disk) = SmallDisk::or_skip(disk, "a_journal_that_cannot_be_written_stops_it_before_anything_goes") else { return };
    finished(&mut load(&disk.barn, 0, HOURS, &[])).ok();
    let journal = disk.barn.at("disk/barn/journal/log");
    let make = |flag: &str| Command::new("chattr").arg(flag).arg(&journal).status().is_ok_and(|status| status.success());
    if !make("+i") {
        eprintln!("skipped a_journal_that_cannot_be_written_stops_it_before_anything_goes: no chattr");
        return;
    }
    let store = disk.store();
    let there = files(&store.path().join("entries"));
    let refused = gc::sweep(gc::plan(&store, &everything()).unwrap()).unwrap_err();
    assert!(refused.to_string().contains(journal.to_str().unwrap()), "{refused}");
    assert_eq!(files(&store.path().join("entries")), there);
    assert!(make("-i"));
    disk.fill(Scarce::Space);
    check_collecting(&disk, HOURS);
}

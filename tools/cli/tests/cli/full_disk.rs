//! A disk that is full, or that nothing may be written to: what is there is served, and a message says why no more can be made.
//!
//! Invariant 13 of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::mounts::{Mount, make_ext4};
use crate::recovery::{EACH, check_next_load, check_store, half_made, load, made};
use crate::support::{Barn, Ran, finished};

/// A barn whose store lies on a small file system of its own.
struct SmallDisk {
    // Unmounted before its directory is removed.
    mount: Mount,
    barn: Barn,
}

impl SmallDisk {
    const MEMORY_BYTES: u64 = 4 << 20;
    const EXT4_BYTES: u64 = 16 << 20;

    fn in_memory() -> Result<Self, String> {
        let barn = Barn::new(EACH);
        Ok(Self { mount: Mount::memory(&barn.at("barn"), Self::MEMORY_BYTES)?, barn })
    }

    fn ext4() -> Result<Self, String> {
        let barn = Barn::new(EACH);
        make_ext4(&barn.at("image"), Self::EXT4_BYTES)?;
        Ok(Self { mount: Mount::image(&barn.at("barn"), &barn.at("image"))?, barn })
    }

    /// The disk, or a line that says why the test does not run.
    fn or_skip(disk: Result<Self, String>, name: &str) -> Option<Self> {
        disk.inspect_err(|reason| eprintln!("skipped {name}: {reason}")).ok()
    }
}

/// A file that takes all the space there is.
struct Filler {
    path: PathBuf,
    file: File,
}

impl Filler {
    fn fill(barn: &Barn) -> Self {
        let path = barn.at("barn/trash/filler");
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let filler = Self { path, file };
        filler.take_the_rest();
        filler
    }

    fn take_the_rest(&self) {
        for size in [1 << 20, 64 << 10, 4 << 10, 512, 1] {
            let bytes = vec![b'x'; size];
            loop {
                match (&self.file).write(&bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        // What was promised space must have it.
        self.file.sync_all().unwrap();
    }

    /// Gives so many bytes back.
    fn shrink(&self, bytes: u64) {
        let length = self.file.metadata().unwrap().len();
        self.file.set_len(length - bytes).unwrap();
        self.file.sync_all().unwrap();
    }

    fn remove(self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// Checks that a load says that the disk is full, and where: tickbarn itself, or the generator by its last words.
#[track_caller]
fn says_that_there_is_no_space(ran: Ran, barn: &Barn) {
    let ran = ran.failed(1, &["No space left on device", &barn.at("barn").display().to_string()]);

    let by_its_generator = ran.stderr.contains("the generator ended with exit status");
    assert!(by_its_generator || ran.stderr.contains("free some space"), "{ran:#?}");
}

fn a_full_disk(disk: SmallDisk) {
    const HOURS: usize = 6;
    let SmallDisk { barn, .. } = &disk;
    finished(&mut load(barn, 0, HOURS, &[])).ok();
    let filler = Filler::fill(barn);

    let hits = finished(&mut load(barn, 0, HOURS, &["--json"])).ok();
    assert_eq!(hits.outcomes(), ["hit"; HOURS]);
    assert_eq!(barn.run(&["ls", "--json"]).ok().json().len(), HOURS);
    says_that_there_is_no_space(finished(&mut load(barn, 0, HOURS + 2, &["--jobs", "1"])), barn);
    assert_eq!(half_made(barn), [] as [PathBuf; 0]);
    let there = check_store(barn, HOURS + 2);
    assert!(there == (0..HOURS).map(|hour| (hour, made(hour))).collect::<BTreeMap<_, _>>());

    filler.remove();
    check_next_load(barn, HOURS + 2, &there);
    assert_eq!(half_made(barn), [] as [PathBuf; 0]);
}

#[test]
fn a_full_disk_in_memory_serves_what_is_there() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(), "a_full_disk_in_memory_serves_what_is_there") {
        a_full_disk(disk);
    }
}

#[test]
fn a_full_ext4_serves_what_is_there() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(), "a_full_ext4_serves_what_is_there") {
        a_full_disk(disk);
    }
}

#[test]
fn a_generator_that_finds_the_disk_full_is_not_all_that_is_said() {
    let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(), "a_generator_that_finds_the_disk_full_is_not_all_that_is_said") else { return };
    let SmallDisk { barn, .. } = &disk;
    finished(&mut load(barn, 0, 1, &[])).ok();
    let _filler = Filler::fill(barn);
    let ran = finished(&mut load(barn, 0, 2, &[])).failed(1, &["No space left on device"]);
    let (_, error) = ran.stderr.split_once("error: ").unwrap();
    assert!(error.contains(&barn.at("barn").display().to_string()), "which disk is full: {ran:#?}");
    assert!(error.contains("free some space"), "what to do about it: {ran:#?}");
    assert!(!error.contains("shows its log"), "no log could be kept: {ran:#?}");
}

/// Lets the disk run full at each step of generating a partition, a block of space later each time, until there is enough.
fn a_disk_that_runs_full(disk: SmallDisk, block_bytes: u64) {
    /// Far more than a partition takes.
    const BLOCKS_MAX: u64 = 200;
    let SmallDisk { barn, .. } = &disk;
    finished(&mut load(barn, 0, 1, &[])).ok();
    let filler = Filler::fill(barn);
    let mut there = BTreeMap::from([(0, made(0))]);
    let mut failed = 0;
    let mut made_in_a_row = 0;
    for blocks in 0..BLOCKS_MAX {
        // From another hour each time, which was never tried before.
        let hour = blocks as usize + 1;
        filler.shrink(blocks * block_bytes);
        let ran = finished(&mut load(barn, hour, hour + 1, &["--json", "--jobs", "1"]));
        assert_eq!(half_made(barn), [] as [PathBuf; 0], "with {blocks} blocks: {ran:#?}");
        if ran.status == 0 {
            assert_eq!(ran.outcomes(), ["generated"]);
            there.insert(hour, made(hour));
            made_in_a_row += 1;
        } else {
            says_that_there_is_no_space(ran, barn);
            failed += 1;
            made_in_a_row = 0;
        }
        assert!(check_store(barn, hour + 1) == there, "with {blocks} blocks something is lost or wrong");
        if made_in_a_row == 3 {
            break;
        }
        filler.take_the_rest();
    }
    assert!(failed > 0 && made_in_a_row == 3, "it failed {failed} times and then went through");
    filler.remove();
    check_next_load(barn, there.keys().max().unwrap() + 1, &there);
}

#[test]
fn a_disk_in_memory_that_runs_full_half_way_keeps_nothing_half_made() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::in_memory(), "a_disk_in_memory_that_runs_full_half_way_keeps_nothing_half_made") {
        a_disk_that_runs_full(disk, 4096);
    }
}

#[test]
fn an_ext4_that_runs_full_half_way_keeps_nothing_half_made() {
    if let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(), "an_ext4_that_runs_full_half_way_keeps_nothing_half_made") {
        a_disk_that_runs_full(disk, 1024);
    }
}

#[test]
fn a_store_that_cannot_be_written_is_read() {
    const HOURS: usize = 4;
    let Some(disk) = SmallDisk::or_skip(SmallDisk::ext4(), "a_store_that_cannot_be_written_is_read") else { return };
    let SmallDisk { mount, barn } = &disk;
    finished(&mut load(barn, 0, HOURS, &[])).ok();
    let address = barn.address(0);
    mount.make_read_only();

    let hits = finished(&mut load(barn, 0, HOURS, &["--json"])).ok();
    assert_eq!(hits.outcomes(), ["hit"; HOURS]);
    let skipped = finished(&mut load(barn, 0, HOURS + 1, &["--json", "--on-missing", "skip"])).ok();
    assert_eq!(skipped.summary()["read"], HOURS);
    assert_eq!(barn.run(&["ls", "--json"]).ok().json().len(), HOURS);
    assert!(barn.run(&["show", &address]).ok().stdout.contains("test/ONE"));
    assert!(barn.run(&["path", &address]).ok().stdout.contains("artifacts"));
    barn.run(&["logs", &address]).ok();
    let store = barn.at("barn").display().to_string();
    finished(&mut load(barn, 0, HOURS + 1, &[])).failed(2, &["Read-only file system", &store]);

    mount.make_writable();
    check_next_load(barn, HOURS + 1, &check_store(barn, HOURS + 1));
    assert_eq!(half_made(barn), [] as [PathBuf; 0]);
}

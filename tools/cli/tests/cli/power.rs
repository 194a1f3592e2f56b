//! The power goes while a load runs: what it had reported is there afterwards, and nothing is wrong.
//!
//! The store lies on an ext4 in an image file. What the kernel has not written to the image yet would be lost in a power cut, so a copy of the image at
//! any moment is what a power cut then would leave. Mounting a copy replays the journal of its ext4, as after a crash.
//!
//! Invariants 3 and 13 of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::mounts::{Mount, make_ext4};
use crate::recovery::{
    EACH, Seeded, check_index, check_next_load, check_store, half_made, leave_the_sample_out_of_the_key, line_of, load, made, made_from_other, start,
};
use crate::support::{Barn, Samples, finished, send, wait_for};

const HOURS: usize = 120;
const CUTS: usize = 6;
const IMAGE_BYTES: u64 = 48 << 20;

/// A process that may be stopped, and is ended with the test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A copy of the image, and which hours were acknowledged before it was begun.
struct Cut {
    image: PathBuf,
    acknowledged: BTreeSet<usize>,
}

/// Something that is written beside the store and never synced, to see that cuts do lose something.
const UNSYNCED: &str = "barn/trash/unsynced";
const UNSYNCED_BYTES: usize = 100_000;

/// Runs a load, and cuts the power at random moments of it, each time in a copy.
fn cut_power_during(barn: &Barn, mount: &Mount, mut command: Command, random: &mut Seeded) -> Vec<Cut> {
    let mut writer = Writer(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let noting = Arc::clone(&acknowledged);
    let stdout = writer.0.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let line = serde_json::from_str(&line.unwrap()).unwrap();
            if let Some(hour) = (0..HOURS).find(|hour| line_of(std::slice::from_ref(&line), *hour).is_some_and(|line| line["outcome"] == "generated"))
            {
                noting.lock().unwrap().insert(hour);
            }
        }
    });
    let mut cuts = Vec::new();
    for nth in 0..CUTS {
        let enough = nth * (HOURS - HOURS / 4) / CUTS + random.below(10) as usize;
        wait_for("acknowledgements", || acknowledged.lock().unwrap().len() >= enough);
        thread::sleep(Duration::from_micros(random.below(10_000)));
        send("STOP", &writer.0);
        let acknowledged = acknowledged.lock().unwrap().clone();
        fs::write(barn.at(UNSYNCED), vec![b'x'; UNSYNCED_BYTES]).unwrap();
        let image = barn.at(&format!("cut-{nth}"));
        copy_at_once(&barn.at("image"), &image, mount);
        send("CONT", &writer.0);
        cuts.push(Cut { image, acknowledged });
    }
    let mut ended = None;
    wait_for("the end of the load", || {
        ended = writer.0.try_wait().unwrap();
        ended.is_some()
    });
    reader.join().unwrap();
    assert!(ended.is_some_and(|ended| ended.success()), "{ended:?}");
    assert_eq!(acknowledged.lock().unwrap().len(), HOURS);
    let last = cuts.last().unwrap().acknowledged.len();
    assert!(0 < last && last < HOURS, "the last cut came in the middle of the load, after {last} partitions");
    cuts
}

/// Copies an image while nothing is written to it: a copy of which one half is older than the other is nothing that a power cut leaves.
fn copy_at_once(image: &Path, copy: &Path, mount: &Mount) {
    let statistics = format!("/sys/block/{}/stat", mount.device());
    let written = || -> String {
        let statistics = fs::read_to_string(&statistics).unwrap();
        // Writes that are done, sectors written, and what is on its way.
        let fields: Vec<&str> = statistics.split_whitespace().collect();
        format!("{} {} {}", fields[4], fields[6], fields[8])
    };
    wait_for("a moment at which nothing is written", || {
        let before = written();
        fs::copy(image, copy).unwrap();
        before == written() && before.ends_with(" 0")
    });
}

fn barn_on_ext4(name: &str) -> Option<(Mount, Barn)> {
    let barn = Barn::new(EACH);
    match make_ext4(&barn.at("image"), IMAGE_BYTES).and_then(|()| Mount::image(&barn.at("barn"), &barn.at("image"))) {
        Ok(mount) => Some((mount, barn)),
        Err(reason) => {
            eprintln!("skipped {name}: {reason}");
            None
        }
    }
}

/// The store as a cut left it, beside a dataset that is the same.
fn after(cut: &Cut) -> (Mount, Barn) {
    let barn = Barn::new(EACH);
    let mount = Mount::image(&barn.at("barn"), &cut.image).unwrap();
    (mount, barn)
}

/// Whether a cut lost what nobody had synced.
fn lost_what_was_not_synced(barn: &Barn) -> bool {
    !fs::read(barn.at(UNSYNCED)).is_ok_and(|bytes| bytes == vec![b'x'; UNSYNCED_BYTES])
}

#[test]
fn what_was_acknowledged_before_the_power_went_is_there() {
    let Some((mount, barn)) = barn_on_ext4("what_was_acknowledged_before_the_power_went_is_there") else { return };
    let command = load(&barn, 0, HOURS, &["--json", "--jobs", "4"]);
    // The store itself is made before.
    finished(&mut load(&barn, 0, 1, &["--json", "--set", "md.config.levels=1"])).ok();
    let mut lost = 0;
    for (nth, cut) in cut_power_during(&barn, &mount, command, &mut Seeded(0x5eed_0002)).iter().enumerate() {
        let (_mount, after) = after(cut);
        lost += usize::from(lost_what_was_not_synced(&after));
        let there = check_store(&after, HOURS);
        assert!(there.iter().all(|(hour, bytes)| *bytes == made(*hour)), "cut {nth}: a partition has other bytes than were committed");
        let gone: Vec<String> = cut.acknowledged.iter().filter(|hour| !there.contains_key(hour)).map(|hour| start(*hour)).collect();
        assert!(gone.is_empty(), "cut {nth} lost what was acknowledged: {gone:?}");
        check_index(&after, &there);
        check_next_load(&after, HOURS, &there);
        check_drafts(&after);
    }
    assert!(lost > 0, "no cut lost what was never synced, so these cuts prove nothing");
}

#[test]
fn a_refresh_that_the_power_cuts_shows_the_new_or_the_old() {
    let Some((mount, barn)) = barn_on_ext4("a_refresh_that_the_power_cuts_shows_the_new_or_the_old") else { return };
    leave_the_sample_out_of_the_key(&barn);
    finished(&mut load(&barn, 0, HOURS, &["--jobs", "4"])).ok();
    barn.write("sample.parquet", &fs::read(Samples::get().other()).unwrap());
    let command = load(&barn, 0, HOURS, &["--json", "--jobs", "4", "--refresh"]);
    let mut lost = 0;
    for (nth, cut) in cut_power_during(&barn, &mount, command, &mut Seeded(0x5eed_0003)).iter().enumerate() {
        let (_mount, after) = after(cut);
        leave_the_sample_out_of_the_key(&after);
        lost += usize::from(lost_what_was_not_synced(&after));
        let there: BTreeMap<usize, Vec<u8>> = check_store(&after, HOURS);
        for hour in 0..HOURS {
            let bytes = there.get(&hour).unwrap_or_else(|| panic!("cut {nth}: the refresh of {} lost its old bytes", start(hour)));
            let (old, new) = (*bytes == made(hour), *bytes == made_from_other(hour));
            assert!(old || new, "cut {nth}: {} has neither its old bytes nor its new ones", start(hour));
            assert!(new || !cut.acknowledged.contains(&hour), "cut {nth}: {} was acknowledged and has its old bytes", start(hour));
        }
        check_index(&after, &there);
        check_next_load(&after, HOURS, &there);
        check_drafts(&after);
    }
    assert!(lost > 0, "no cut lost what was never synced, so these cuts prove nothing");
}

/// What the power cut half-way is out of the way once all is there, but for work that nobody will claim again.
fn check_drafts(barn: &Barn) {
    let journal_drafts: Vec<PathBuf> = half_made(barn).into_iter().filter(|path| path.ends_with("log.new")).collect();
    assert!(journal_drafts.is_empty(), "{journal_drafts:?}");
}

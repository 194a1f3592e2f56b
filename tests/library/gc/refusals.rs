//! Whatever keeps what is to be kept from being known is an error that names its path, before the first deletion.

use std::os::unix::fs::symlink;

use tickbarn::Pin;

use super::*;

/// A store with something of everything that could go, all of which would.
fn full() -> Barn {
    let barn = Barn::new();
    elsewhere(&barn, "numbers@1 0 4\nsums@1 0 2\nfailing@1 0 1\nturning@1 0 1");
    fs::write(barn.path("again"), "").unwrap();
    elsewhere(&barn, "turning@1 0 1 refresh");
    let store = barn.store.path();
    fs::write(store.join("trash").join("large"), "x").unwrap();
    let orphan = Digest::of(b"nobody's").to_string();
    fs::write(store.join("artifacts").join(&orphan[..2]).join(format!("{orphan}.parquet")), "nobody's").unwrap();
    fs::create_dir(store.join("work").join("0".repeat(64))).unwrap();
    barn
}

fn all() -> Retention {
    retention(|retention| (retention.max_bytes, retention.failures, retention.leftovers) = (Some(0), true, true))
}

/// Everything is refused, by a plan and by carrying out one that was made before, and nothing is changed.
fn refused(barn: &Barn, case: &str, path: &Path, spoil: impl FnOnce()) {
    let plan = gc::plan(&barn.store, &all()).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(!plan.is_empty() && plan.leftovers().len() > 3, "{case}: {:?}", plan.leftovers());
    spoil();
    let before = tree(barn.store.path());
    for error in [gc::plan(&barn.store, &all()).map(drop).unwrap_err(), gc::sweep(plan).map(drop).unwrap_err()] {
        assert!(error.to_string().contains(path.to_str().unwrap()), "{case}: {error} does not name {}", path.display());
        assert!(tree(barn.store.path()) == before, "{case}: {error}");
    }
    // Only what was asked for, too: no rule needs less to be known.
    for less in [of_dataset("numbers"), retention(|retention| retention.leftovers = true), retention(|retention| retention.superseded = true)] {
        assert!(gc::plan(&barn.store, &less).is_err(), "{case}");
    }
}

/// Once it is mended, everything goes.
fn mended(barn: &Barn, case: &str) {
    collect(&barn.store, &all());
    assert!(barn.files(&["entries", "artifacts", "trash", "failures"]).is_empty(), "{case}");
}

#[test]
fn a_damaged_lease_of_a_process_that_lives() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    const DAMAGES: [Damage; 3] = [
        ("an unknown record", |bytes| bytes[17] = b'z'),
        ("another header", |bytes| bytes[0] ^= 1),
        ("an unknown record at its end", |bytes| bytes.extend([b'?'; 33])),
    ];
    for (case, damage) in DAMAGES {
        let barn = full();
        let living = Living::that_loads(barn.store.path(), &barn.path(""), "numbers@1 0 1");
        let lease = living.lease(barn.store.path());
        refused(&barn, case, &lease, || {
            let mut bytes = fs::read(&lease).unwrap();
            damage(&mut bytes);
            fs::write(&lease, bytes).unwrap();
        });
        // Of one that is gone nobody needs to know.
        living.end();
        mended(&barn, case);
    }
}

#[test]
fn a_lease_that_is_a_link() {
    let barn = full();
    let lease = barn.store.path().join("leases").join("1-planted.lease");
    refused(&barn, "a link", &lease, || symlink("/dev/null", &lease).unwrap());
    fs::remove_file(&lease).unwrap();
    mended(&barn, "a link");
}

#[test]
fn a_damaged_pin() {
    let barn = full();
    barn.store.pin(&Pin::range("hour", [], [instrument()], None, Some(hours(0, 1).end())).unwrap()).unwrap();
    let pin = barn.files(&["pins"]).pop().unwrap();
    refused(&barn, "a pin", &pin, || {
        let mut bytes = fs::read(&pin).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&pin, bytes).unwrap();
    });
    barn.store.unpin("hour").unwrap();
    mended(&barn, "a pin");
}

/// The journal does not tell what it names.
#[test]
fn a_manifest_that_cannot_be_read() {
    let barn = full();
    let address = "ab".repeat(32);
    let manifest = barn.store.path().join("entries").join("ab").join(format!("{address}.json"));
    refused(&barn, "a manifest", &manifest, || fs::write(&manifest, "{").unwrap());
    fs::remove_file(&manifest).unwrap();
    mended(&barn, "a manifest");
}

#[test]
fn a_manifest_that_is_a_link_or_of_a_newer_tickbarn() {
    let barn = full();
    let some = barn.files(&["entries"]).remove(0);
    let aside = barn.path("aside");
    for (case, newer) in [("a link", false), ("of a newer tickbarn", true)] {
        let text = fs::read_to_string(&some).unwrap();
        refused(&barn, case, &some, || {
            // Nor is it told by a journal.
            let _ = fs::remove_file(barn.store.path().join("journal").join("log"));
            if newer {
                let (_, body) = text.trim_end().strip_suffix('}').unwrap().split_once("\"body\":").unwrap();
                let body = body.replacen("\"format\":1", "\"format\":2", 1);
                fs::write(&some, format!("{{\"checksum\":\"{}\",\"body\":{body}}}\n", Digest::of(body.as_bytes()))).unwrap();
            } else {
                fs::rename(&some, &aside).unwrap();
                symlink(&aside, &some).unwrap();
            }
        });
        fs::remove_file(&some).unwrap();
        fs::write(&some, &text).unwrap();
    }
    mended(&barn, "a manifest");
}

#[test]
fn a_directory_that_cannot_be_listed() {
    let barn = full();
    let store = barn.store.path();
    let shard = barn.files(&["entries"])[0].parent().unwrap().to_path_buf();
    let aside = barn.path("aside");
    for directory in [shard, store.join("entries"), store.join("pins"), store.join("leases"), store.join("trash")] {
        for planted in ["a link", "a file", "none"] {
            let missing_is_empty =
                directory.parent() != Some(store) || directory.ends_with("pins") || directory.ends_with("leases") || directory.ends_with("trash");
            if planted == "none" && missing_is_empty || planted == "a file" && directory.ends_with("leases") {
                continue;
            }
            let case = format!("{planted} in the place of {}", directory.display());
            refused(&barn, &case, &directory, || {
                fs::rename(&directory, &aside).unwrap();
                match planted {
                    "a link" => symlink(&aside, &directory).unwrap(),
                    "a file" => fs::write(&directory, "").unwrap(),
                    _ => {}
                }
            });
            if planted != "none" {
                fs::remove_file(&directory).unwrap();
            }
            fs::rename(&aside, &directory).unwrap();
        }
    }
    mended(&barn, "put back");
}

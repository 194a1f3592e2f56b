//! Which files a frame opens, as the kernel tells it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify;

/// Watches a store's artifacts being opened.
pub(crate) struct Opened {
    watch: OwnedFd,
}

impl Opened {
    /// Counts from here on.
    pub(crate) fn below(store: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        for shard in std::fs::read_dir(store.join("artifacts")).unwrap() {
            inotify::add_watch(&watch, shard.unwrap().path(), inotify::WatchFlags::OPEN).unwrap();
        }
        Self { watch }
    }

    /// The names of the files that were opened since the last call.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut buffer = [MaybeUninit::uninit(); 64 << 10];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut files = BTreeSet::new();
        while let Ok(event) = reader.next() {
            assert!(!event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW), "too many to count");
            // A shard that is listed is opened itself, and has no name here.
            files.extend(event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_string_lossy().into_owned()));
        }
        files
    }
}

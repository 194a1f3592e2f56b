//! Making a view, and bringing it up to date in place.
//!
//! # Invariants
//! * Every file appears whole, by one operation: a reader finds the old one, the new one, or none, whenever it looks and wherever an update stops.
//!   Running it again finishes what one that was stopped had begun.
//! * Nothing is removed or replaced but what the view's list tells, and no link in the place of a directory is followed below the view's own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::list::{self, List, Made};
use super::options::{ViewLink, ViewOptions};
use super::place;
use super::select::{LeftOut, Selection, Shown};
use crate::address::{Address, Digest};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::store::{Lock, Store, disk, resolved};

/// What cannot be done where only hard links will do.
const HARD_LINK: &str = "make the hard link";

/// How long an update waits for another one of the same view.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a view shows after an update, and what that did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Its directory. Absolute, without links.
    pub directory: PathBuf,
    /// Its files, in order of dataset, instrument, time and output.
    pub files: Vec<ViewFile>,
    /// How many entries those are of.
    pub entries: usize,
    /// How many entries of those that it was asked for have no file, since their generator said that there is no data.
    pub empty: usize,
    /// How many it does not show, and why.
    pub left_out: LeftOut,
    /// The files that were removed, since they show nothing of that any more. Absolute, in order.
    pub removed: Vec<PathBuf>,
    /// What stands where files of it should, and was not made by it: it was left as it is. Absolute, in order.
    pub in_the_way: Vec<PathBuf>,
}

/// A file of a view: one output of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewFile {
    /// The dataset under whose name it is shown.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// The partition.
    pub interval: Interval,
    /// The entry.
    pub address: Address,
    /// The output's name.
    pub output: Arc<str>,
    /// The file. Absolute.
    pub path: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Whether it is a symbolic link, rather than a hard one.
    pub symbolic: bool,
    /// What the update did.
    pub change: ViewChange,
}

/// What an update did about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewChange {
    /// It was there.
    Kept,
    /// There was none in its place.
    Made,
    /// There was another one in its place.
    Replaced,
}

impl ViewChange {
    /// The change as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ViewChange::Kept => "kept",
            ViewChange::Made => "made",
            ViewChange::Replaced => "replaced",
        }
    }
}

/// Makes a directory show what a store holds, as a tree of Parquet files that other tools read in place. Makes the directory where there is none; in one
/// that is a view already, adds what is new, and removes what is no longer asked for or no longer there.
///
/// The files are links to the store's artifacts, which must never be written to. Nothing counts as used by being shown, and nothing is kept from being
/// collected; but a hard link keeps its bytes on the disk.
///
/// # Errors
/// [`Error::NotAView`] for a directory that holds other files, lies in the store, or shows another store; [`Error::InvalidDataset`] where a program or an
/// input of a definition cannot be found; [`Error::Busy`] where another process is at it; [`Error::Io`] where the directory cannot be changed. What stands
/// in the way of single files is no error: see [`View::in_the_way`].
pub fn update(store: &Store, directory: impl AsRef<Path>, options: &ViewOptions) -> Result<View> {
    let directory = resolved(directory.as_ref())?;
    check_place(store, &directory)?;
    disk::ensure_ancestors(&directory)?;
    // Before a lock is put into a directory that is somebody else's.
    List::read(&directory)?;
    let _lock = Lock::exclusive(&list::lock_of(&directory), PATIENCE)?;
    let listed = List::read(&directory)?;
    if let Some(other) = listed.as_ref().filter(|list| list.store != store.id()) {
        let reason = format!("it shows another store, of the id {}; choose another directory, or remove this one", other.store);
        return Err(Error::NotAView { path: directory, reason });
    }
    let list = listed.unwrap_or_else(|| List::of_store(store.id()));
    disk::remove(&list::link_draft_of(&directory))?;

    let Selection { shown, left_out } = Selection::make(store, options)?;
    let mut update = Update { directory, link: options.link, list, left_out, kinds: HashMap::new(), no_hard_links: false };
    let (wanted, entries, empty) = update.wanted(shown, options);
    update.carry_out(wanted, entries, empty)
}

fn check_place(store: &Store, directory: &Path) -> Result<()> {
    let reason = match directory.metadata() {
        _ if directory.starts_with(store.path()) => "it lies in the store; choose a directory outside",
        Ok(metadata) if !metadata.is_dir() => "it is a file; choose a directory",
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("look at", directory)(error)),
        _ => return Ok(()),
    };
    Err(Error::NotAView { path: directory.to_path_buf(), reason: reason.to_owned() })
}

/// A file that is to be there.
struct Wanted {
    /// Of the entry that it is of, among those that are shown.
    file: ViewFile,
    artifact: PathBuf,
    /// What `stat` said of the artifact.
    found: Metadata,
}

/// What stands in the place of a file.
enum Standing {
    Nothing,
    /// A link to the artifact, of a kind that will do.
    Right {
        symbolic: bool,
    },
    /// Something that the view has made.
    Ours,
    Foreign(PathBuf),
}

/// What stands at the path of a directory.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Missing,
    Directory,
    Other,
}

struct Update {
    directory: PathBuf,
    link: ViewLink,
    /// What the view has made.
    list: List,
    left_out: LeftOut,
    /// What stands in the places of directories, by their paths below the view's.
    kinds: HashMap<PathBuf, Kind>,
    /// Whether the file system of the view is another than the store's.
    no_hard_links: bool,
}

impl Update {
    /// The files that are to be there, by their paths below the directory, and how many entries are shown, and how many of all are empty.
    fn wanted(&mut self, shown: Vec<Shown>, options: &ViewOptions) -> (BTreeMap<String, Wanted>, usize, usize) {
        let mut wanted = BTreeMap::new();
        let (mut entries, mut empty) = (0, 0);
        for Shown { dataset, instrument, interval, entry } in shown {
            if entry.outputs.is_empty() {
                empty += 1;
                continue;
            }
            // All files of an entry, or none: half of it would be read as all of it.
            let whole = |artifact: &crate::artifact::Artifact| {
                artifact.path.symlink_metadata().ok().filter(|found| found.is_file() && found.len() == artifact.bytes)
            };
            let Some(found) = entry.outputs.iter().map(whole).collect::<Option<Vec<_>>>() else {
                self.left_out.damaged += 1;
                continue;
            };
            entries += 1;
            let below = place::directory_of(options.layout, &dataset, &instrument, interval.start());
            for (artifact, found) in entry.outputs.into_iter().zip(found) {
                let path = below.join(place::file_name_of(&artifact.name));
                let file = ViewFile {
                    dataset: Arc::clone(&dataset),
                    instrument: instrument.clone(),
                    interval,
                    address: entry.address,
                    output: artifact.name,
                    path: self.directory.join(&path),
                    digest: artifact.digest,
                    bytes: artifact.bytes,
                    rows: artifact.rows,
                    symbolic: false,
                    change: ViewChange::Kept,
                };
                let path = path.into_os_string().into_string().expect("names are text");
                wanted.insert(path, Wanted { file, artifact: artifact.path, found });
            }
        }
        (wanted, entries, empty)
    }

    fn carry_out(mut self, wanted: BTreeMap<String, Wanted>, entries: usize, empty: usize) -> Result<View> {
        let before = self.list.clone();
        let mut next = List::of_store(&before.store);
        let (mut files, mut in_the_way, mut to_make) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (path, wanted) in wanted {
            let change = match self.standing(&path, &wanted) {
                Standing::Right { symbolic } => {
                    next.links.insert(path, BTreeSet::from([Made::of(wanted.file.digest, &wanted.found)]));
                    files.push(ViewFile { symbolic, ..wanted.file });
                    continue;
                }
                Standing::Foreign(path) => {
                    in_the_way.insert(path);
                    continue;
                }
                Standing::Nothing => ViewChange::Made,
                Standing::Ours => ViewChange::Replaced,
            };
            to_make.push((path, Wanted { file: ViewFile { change, ..wanted.file }, ..wanted }));
        }

        // Listed before anything of it is made.
        for (path, wanted) in &to_make {
            self.list.links.entry(path.clone()).or_default().insert(Made::of(wanted.file.digest, &wanted.found));
            for directory in directories_above(path) {
                if self.kind_of(Path::new(directory)) == Kind::Missing {
                    self.list.directories.insert(directory.to_owned());
                }
            }
        }
        if self.list != before || !self.directory.join(list::LIST).exists() {
            self.list.write(&self.directory)?;
        }
        let mut gone = HashSet::new();
        for (path, wanted) in to_make {
            match self.make(&path, &wanted)? {
                Some(symbolic) => {
                    next.links.insert(path, BTreeSet::from([Made::of(wanted.file.digest, &wanted.found)]));
                    files.push(ViewFile { symbolic, ..wanted.file });
                }
                None => drop(gone.insert(wanted.file.address)),
            }
        }
        self.left_out.damaged += gone.len();

        let removed = self.remove_others(&next)?;
        self.remove_directories(&mut next);
        self.make_durable(&removed)?;
        if next != self.list {
            next.write(&self.directory)?;
        }
        let place = |file: &ViewFile| (Arc::clone(&file.dataset), file.instrument.clone(), file.interval, Arc::clone(&file.output));
        files.sort_by_cached_key(place);
        let Self { directory, left_out, .. } = self;
        Ok(View { directory, files, entries: entries - gone.len(), empty, left_out, removed, in_the_way: in_the_way.into_iter().collect() })
    }

    /// What stands in the place of a wanted file.
    fn standing(&mut self, path: &str, wanted: &Wanted) -> Standing {
        for directory in directories_above(path) {
            match self.kind_of(Path::new(directory)) {
                Kind::Directory => {}
                Kind::Missing => return Standing::Nothing,
                Kind::Other => return Standing::Foreign(self.directory.join(directory)),
            }
        }
        let absolute = self.directory.join(path);
        let Ok(found) = absolute.symlink_metadata() else { return Standing::Nothing };
        let right = match self.link {
            _ if found.is_symlink() => self.link != ViewLink::Hard && std::fs::read_link(&absolute).is_ok_and(|target| target == wanted.artifact),
            ViewLink::Symbolic => false,
            ViewLink::Auto | ViewLink::Hard => (found.dev(), found.ino()) == (wanted.found.dev(), wanted.found.ino()),
        };
        match () {
            () if right => Standing::Right { symbolic: found.is_symlink() },
            () if self.is_ours(path, &absolute, &found) => Standing::Ours,
            () => Standing::Foreign(absolute),
        }
    }

    fn is_ours(&self, path: &str, absolute: &Path, found: &Metadata) -> bool {
        self.list.links.get(path).is_some_and(|made| made.iter().any(|made| made.is(absolute, found)))
    }

    fn kind_of(&mut self, directory: &Path) -> Kind {
        if let Some(kind) = self.kinds.get(directory) {
            return *kind;
        }
        let kind = match self.directory.join(directory).symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Kind::Directory,
            Ok(_) => Kind::Other,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kind::Missing,
            Err(_) => Kind::Other,
        };
        self.kinds.insert(directory.to_path_buf(), kind);
        kind
    }

    /// Makes a link, and the directories that it lies in. Says whether it is a symbolic one; nothing where the artifact has gone meanwhile.
    fn make(&mut self, path: &str, wanted: &Wanted) -> Result<Option<bool>> {
        for directory in directories_above(path) {
            if self.kind_of(Path::new(directory)) == Kind::Missing {
                disk::make_directory(&self.directory.join(directory))?;
                self.kinds.insert(directory.into(), Kind::Directory);
            }
        }
        let to = self.directory.join(path);
        let replaces = wanted.file.change == ViewChange::Replaced;
        // One call makes a link whole; only where another one has the name it takes a second.
        let draft = if replaces { list::link_draft_of(&self.directory) } else { to.clone() };
        let Some(symbolic) = self.link_to(&wanted.artifact, &draft)? else { return Ok(None) };
        if replaces {
            disk::rename(&draft, &to).map_err(Error::io("rename into place", &to))?;
        }
        Ok(Some(symbolic))
    }

    fn link_to(&mut self, artifact: &Path, to: &Path) -> Result<Option<bool>> {
        if self.link != ViewLink::Symbolic && !self.no_hard_links {
            match disk::link(artifact, to) {
                Ok(()) => return Ok(Some(false)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if self.link == ViewLink::Hard => return Err(Error::io(HARD_LINK, to)(error)),
                Err(error) => match Errno::from_io_error(&error) {
                    // Another file system, or one without hard links: the same for all of them.
                    Some(Errno::XDEV | Errno::NOTSUP | Errno::NOSYS) => self.no_hard_links = true,
                    // Another user's file, or one that has as many names as the file system allows.
                    Some(Errno::PERM | Errno::ACCESS | Errno::MLINK) => {}
                    _ => return Err(Error::io("link", to)(error)),
                },
            }
        }
        if artifact.symlink_metadata().is_err() {
            return Ok(None);
        }
        disk::link_symbolically(artifact, to).map(|()| Some(true)).map_err(Error::io("link", to))
    }

    /// Removes the links that the view has made and that are not to be there any more.
    fn remove_others(&mut self, next: &List) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        let listed = std::mem::take(&mut self.list.links);
        for (path, made) in &listed {
            let in_directories = directories_above(path).all(|directory| self.kind_of(Path::new(directory)) == Kind::Directory);
            if next.links.contains_key(path) || !in_directories {
                continue;
            }
            let absolute = self.directory.join(path);
            let is_ours = |found: Metadata| made.iter().any(|made| made.is(&absolute, &found));
            if absolute.symlink_metadata().is_ok_and(is_ours) && disk::remove(&absolute)? {
                removed.push(absolute);
            }
        }
        self.list.links = listed;
        Ok(removed)
    }

    /// Makes durable that links are gone: one that came back after a crash, when no list tells of it any more, would be shown for ever.
    fn make_durable(&self, removed: &[PathBuf]) -> Result<()> {
        let above = |path: &'_ PathBuf| {
            path.ancestors().skip(1).take_while(|above| above.starts_with(&self.directory)).map(Path::to_path_buf).collect::<Vec<_>>()
        };
        let changed: BTreeSet<PathBuf> = removed.iter().flat_map(above).collect();
        changed.iter().filter(|directory| directory.symlink_metadata().is_ok()).try_for_each(|directory| disk::sync_directory(directory))
    }

    /// Removes the directories that the view has made and in which nothing is any more. Lists those that stay.
    fn remove_directories(&mut self, next: &mut List) {
        let needed: HashSet<&str> = next.links.keys().flat_map(|path| directories_above(path)).collect();
        // What lies in a directory comes behind it.
        for directory in self.list.directories.iter().rev() {
            let path = self.directory.join(directory);
            let is_there = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            // One that holds what somebody else has put there stays, and is ours all the same.
            if is_there && (needed.contains(directory.as_str()) || disk::remove_directory(&path).is_err()) {
                next.directories.insert(directory.clone());
            }
        }
    }
}

/// The directories that a path below the view's lies in, from the first on.
fn directories_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

//! The right to generate one address, and the directory its holder works in.

use std::io;
use std::path::PathBuf;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::lock::{Holder, PassingLock};

/// The right to generate one address, held by one load of one process at a time, until it is dropped.
///
/// Its work directory goes with it: whatever ends a generator, nothing stays behind.
#[derive(Debug)]
pub(crate) struct Claim {
    // Dropped in this order: nobody may take the claim while the directory still stands.
    work: Work,
    _lock: PassingLock,
}

impl Claim {
    /// Takes the claim of an address, or nothing where another holds it.
    pub(crate) fn try_take(layout: &Layout, address: Address) -> Result<Option<Self>> {
        let Some(lock) = PassingLock::try_exclusive(&layout.claim(&address))? else { return Ok(None) };
        // Not through a link that was planted there.
        drop(disk::open_directory(&layout.work())?);
        let work = Work { path: layout.work_of(&address), made: 0, holder: Holder::this_process() };
        // A holder that was killed may have left it.
        if let Err(error) = disk::remove_tree(&work.path) {
            move_aside(layout, &address, error)?;
        }
        disk::create_private_directory(&work.path)?;
        Ok(Some(Self { work, _lock: lock }))
    }

    /// Removes what attempts have left, which a full disk may need at once.
    pub(crate) fn clear(&mut self) {
        for name in disk::names_in(&self.work.path).unwrap_or_default() {
            let path = self.work.path.join(name);
            if let Err(error) = disk::remove_tree(&path) {
                tracing::debug!(path = %path.display(), %error, "what an attempt left stays until its claim is given back");
            }
        }
    }

    /// A new directory below the claim's own that nobody has used before.
    pub(crate) fn directory(&mut self, purpose: &str) -> Result<PathBuf> {
        let path = self.file(purpose);
        disk::create_private_directory(&path)?;
        Ok(path)
    }

    /// A name below the claim's own directory that nobody has used before, and that a generator cannot guess.
    pub(crate) fn file(&mut self, purpose: &str) -> PathBuf {
        self.work.made += 1;
        let nonce = blake3::hash(format!("{:?}{}{}", std::time::Instant::now(), std::process::id(), self.work.made).as_bytes());
        self.work.path.join(format!("{purpose}-{}-{}", self.work.made, &nonce.to_hex()[..16]))
    }
}

#[derive(Debug)]
struct Work {
    path: PathBuf,
    made: u32,
    holder: Holder,
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.holder.is_this_process() {
            return;
        }
        if let Err(error) = disk::remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a work directory stays behind; it goes with the next claim of its address");
        }
    }
}

/// Moves a work directory out of the way that cannot be removed, such as another user's, which only its owner can empty: where one group shares a store,
/// nobody's crash may keep the others from generating.
fn move_aside(layout: &Layout, address: &Address, why: io::Error) -> Result<()> {
    const LEFT_MAX: usize = 1000;
    let path = layout.work_of(address);
    let cannot = Error::io("remove what a dead process left in", &path);
    let Some(to) = (0..LEFT_MAX).map(|nth| layout.work_left(address, nth)).find(|to| to.symlink_metadata().is_err()) else {
        return Err(cannot(why));
    };
    if disk::rename(&path, &to).is_err() {
        return Err(cannot(why));
    }
    tracing::info!(left = %to.display(), %why, "what a dead process left cannot be removed here, and is moved aside");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn layout() -> (tempfile::TempDir, Layout, Address) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_path_buf());
        fs::create_dir(directory.path().join("claims")).unwrap();
        fs::create_dir(layout.work()).unwrap();
        (directory, layout, Address::of_canonical("{}"))
    }

    #[test]
    fn one_holder_at_a_time_and_nothing_left_behind() {
        let (_directory, layout, address) = layout();
        let mut claim = Claim::try_take(&layout, address).unwrap().unwrap();
        assert!(Claim::try_take(&layout, address).unwrap().is_none());
        let attempt = claim.directory("attempt").unwrap();
        fs::write(attempt.join("half"), "written").unwrap();
        drop(claim);
        assert!(!layout.work_of(&address).exists());
        assert!(Claim::try_take(&layout, address).unwrap().is_some());
    }

    #[test]
    fn what_a_killed_holder_left_is_gone_before_anyone_works() {
        let (_directory, layout, address) = layout();
        fs::create_dir_all(layout.work_of(&address).join("attempt-1-x")).unwrap();
        fs::write(layout.claim(&address), "").unwrap();
        let claim = Claim::try_take(&layout, address).unwrap().unwrap();
        assert_eq!(fs::read_dir(layout.work_of(&address)).unwrap().count(), 0);
        drop(claim);
    }
}

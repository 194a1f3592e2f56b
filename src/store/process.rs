//! What each process has for itself: a forked child begins anew.
//!
//! Python's multiprocessing forks. A child gets copies of its parent's locks, of databases whose threads it has not, and of mutexes that some thread of
//! the parent may just hold: it must use none of them, and give none of them back.

use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use crate::store::lock::Holder;

/// A value that belongs to the process that made it. In a forked child it is another one, made there when it is first asked for.
pub(super) struct PerProcess<T> {
    holder: Holder,
    /// Never dropped in a child: it is the parent's.
    value: ManuallyDrop<T>,
    /// The child's, in a child. No parent ever sets it, so no fork can catch another thread doing so.
    child: OnceLock<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    pub(super) fn new(value: T) -> Self {
        Self { holder: Holder::this_process(), value: ManuallyDrop::new(value), child: OnceLock::new() }
    }

    /// This process's value.
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if self.holder.is_this_process() {
            return &self.value;
        }
        match self.child.get() {
            Some(child) => child.get_or_make(make),
            None => &self.child.get_or_init(|| Box::new(Self::new(make()))).value,
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.holder.is_this_process() {
            // SAFETY: it is dropped once, here, and nothing can ask for it any more.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

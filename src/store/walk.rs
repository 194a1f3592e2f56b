//! Walking the manifests: the slow way that is always right.

use std::collections::HashSet;
use std::path::Path;

use rustix::io::Errno;

use crate::address::{Address, AddressPrefix};
use crate::error::{Error, Result};
use crate::store::disk;
use crate::store::layout::Layout;
use crate::store::manifest::Manifest;
use crate::store::record::Published;

/// What the manifests of these addresses say of their entries, damaged ones as errors.
pub(crate) fn published(layout: &Layout, addresses: Vec<Address>) -> impl Iterator<Item = Result<Published>> {
    addresses.into_iter().filter_map(|address| Manifest::read_published(layout, &address).transpose())
}

/// The addresses of all entries, or of those that begin with a prefix, in order.
pub(crate) fn addresses(layout: &Layout, prefix: Option<&AddressPrefix>) -> Result<Vec<Address>> {
    addresses_below(&layout.entries(), prefix)
}

/// The addresses of all recorded failures, or of those that begin with a prefix, in order.
pub(crate) fn failures(layout: &Layout, prefix: Option<&AddressPrefix>) -> Result<Vec<Address>> {
    addresses_below(&layout.failures(), prefix)
}

/// The addresses whose claims are there, be they held or left by a process that is gone.
pub(crate) fn claimed(layout: &Layout) -> Result<HashSet<Address>> {
    Ok(texts(&layout.claims())?.filter_map(|name| name.parse().ok()).collect())
}

fn addresses_below(directory: &Path, prefix: Option<&AddressPrefix>) -> Result<Vec<Address>> {
    let mut addresses = Vec::new();
    let shards = match prefix {
        Some(prefix) => vec![prefix.as_str()[..2].to_owned()],
        None => texts(directory)?.filter(|name| name.len() == 2).collect(),
    };
    for shard in shards {
        let wanted = |address: &Address| prefix.is_none_or(|prefix| address.to_string().starts_with(prefix.as_str()));
        addresses.extend(addresses_in(texts(&Layout::shard(directory, &shard))?).filter(wanted));
    }
    addresses.sort_unstable();
    Ok(addresses)
}

/// The addresses of the records whose names begin with these two digits, in no order. None where there is no such directory.
///
/// # Errors
/// [`Error::Io`] where it cannot be listed, or a link stands in its place: what is in it is not known then.
pub(crate) fn addresses_of_shard(directory: &Path, shard: &str) -> Result<Vec<Address>> {
    let mut addresses = Vec::new();
    disk::for_each_name_in(&Layout::shard(directory, shard), |name| {
        let stem = std::str::from_utf8(name).ok().and_then(|name| name.strip_suffix(".json"));
        addresses.extend(stem.and_then(Address::of_digits));
    })?;
    Ok(addresses)
}

fn addresses_in(names: impl Iterator<Item = String>) -> impl Iterator<Item = Address> {
    names.filter_map(|name| Address::of_digits(name.strip_suffix(".json")?))
}

/// The names in a directory that are text; none where there is no directory, or a link in its place.
fn texts(directory: &Path) -> Result<impl Iterator<Item = String>> {
    let names = warned_of_link(disk::names_in(directory))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()))
}

/// Nothing is in a directory in whose place a link stands.
fn warned_of_link<T: Default>(listed: Result<T>) -> Result<T> {
    match listed {
        Err(Error::Io { source, path, .. }) if Errno::from_io_error(&source) == Some(Errno::LOOP) => {
            tracing::warn!(path = %path.display(), "a symbolic link stands in the place of a directory of the store, and is not followed");
            Ok(T::default())
        }
        listed => listed,
    }
}

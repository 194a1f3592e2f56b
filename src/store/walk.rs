//! Walking the manifests: the slow way that is always right.

use std::ffi::OsStr;
use std::path::Path;

use crate::address::{Address, AddressPrefix};
use crate::error::{Error, Result};
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

fn addresses_below(directory: &Path, prefix: Option<&AddressPrefix>) -> Result<Vec<Address>> {
    let mut addresses = Vec::new();
    let shards = match prefix {
        Some(prefix) => vec![prefix.as_str()[..2].to_owned()],
        None => names(directory)?.into_iter().filter(|name| name.len() == 2).collect(),
    };
    for shard in shards {
        for name in names(&Layout::shard(directory, &shard))? {
            let address = name.strip_suffix(".json").and_then(|stem| stem.parse::<Address>().ok());
            let wanted = |address: &Address| prefix.is_none_or(|prefix| address.to_string().starts_with(prefix.as_str()));
            addresses.extend(address.filter(wanted));
        }
    }
    addresses.sort_unstable();
    Ok(addresses)
}

/// The names in a directory that are text; none where there is no directory.
fn names(directory: &Path) -> Result<Vec<String>> {
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", directory)(error)),
    };
    listing
        .map(|entry| Ok(entry.map_err(Error::io("list", directory))?.file_name()))
        .filter_map(|name| name.map(|name| OsStr::to_str(&name).map(str::to_owned)).transpose())
        .collect()
}

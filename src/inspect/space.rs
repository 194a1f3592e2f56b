//! Where a store's bytes lie on its disk.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::instrument::Instrument;
use crate::parallel::machine_parallelism;
use crate::store::{Extent, Inventory, OnDamaged, OwnedBy, PARTS, Store};

/// Where a store's bytes lie.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Space {
    /// By part of the store: what takes most of the disk first.
    pub parts: Vec<PartSpace>,
    /// All of the parts together: what `du` says of the store.
    pub total: Extent,
    /// Manifests and artifacts by dataset and instrument, what takes most of the disk first: of artifacts those that no other dataset or instrument names.
    /// So that is what would be free without it.
    pub places: Vec<PlaceSpace>,
    /// Artifacts that several datasets or instruments name.
    pub shared: Extent,
    /// Manifests and artifacts of no entry: of one that is just being published, was replaced, or cannot be read. `gc --leftovers` clears what lies there
    /// for long.
    pub unnamed: Extent,
    /// Directories that this process may not look into: what is in them is in no sum.
    pub closed: Vec<PathBuf>,
}

/// How large a part of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartSpace {
    /// The name of its directory; `other` for what is in none of them.
    pub part: &'static str,
    /// Its size.
    pub extent: Extent,
}

/// How much an instrument of a dataset takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlaceSpace {
    /// The dataset's name when its entries were generated.
    pub dataset: Arc<str>,
    /// The instrument.
    pub instrument: Instrument,
    /// How many entries there are.
    pub entries: u64,
    /// What it alone takes.
    pub extent: Extent,
}

/// Measures what a store takes on its disk. Every file is looked at, as `du` does.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where something cannot be looked at. A manifest that cannot be read is traced, and what it names is nobody's here.
pub fn space(store: &Store) -> Result<Space> {
    let threads = machine_parallelism();
    let inventory = Inventory::take_with(store, threads, OnDamaged::LeaveOut)?;
    let (mut places, owned) = owners(&inventory);
    let shared = owned.nobody as usize - 1;
    let measured = store.measure(threads, &owned)?;

    let mut space = Space {
        parts: Vec::new(),
        total: Extent::default(),
        places: Vec::new(),
        shared: measured.owned[shared],
        unnamed: measured.owned[shared + 1],
        closed: measured.closed,
    };
    for (part, extent) in PARTS.into_iter().chain(["other"]).zip(measured.parts) {
        space.total.add(extent);
        space.parts.push(PartSpace { part, extent });
    }
    places.iter_mut().zip(&measured.owned).for_each(|(place, extent)| place.extent = *extent);
    places.retain(|place| place.entries > 0);
    space.places = places;
    space.parts.sort_by_key(|part| (Reverse(part.extent.disk_bytes), part.part));
    space.places.sort_by(|left, right| {
        let key = |place: &PlaceSpace| (Reverse(place.extent.disk_bytes), Arc::clone(&place.dataset), place.instrument.clone());
        key(left).cmp(&key(right))
    });
    space.closed.sort();
    Ok(space)
}

/// The places of an inventory, and whose its entries and artifacts are: a place's, behind them that of several places, and nobody's last.
fn owners(inventory: &Inventory) -> (Vec<PlaceSpace>, OwnedBy<'_>) {
    let mut places: Vec<PlaceSpace> = Vec::new();
    let mut numbers: HashMap<(&str, &Instrument), u32> = HashMap::new();
    // Of one dataset and instrument there may be several generators.
    let mut number_of = Vec::with_capacity(inventory.places().len());
    for place in inventory.places() {
        let number = *numbers.entry((&place.dataset, &place.instrument)).or_insert_with(|| {
            let (dataset, instrument) = (Arc::clone(&place.dataset), place.instrument.clone());
            places.push(PlaceSpace { dataset, instrument, entries: 0, extent: Extent::default() });
            number(places.len() - 1)
        });
        number_of.push(number);
    }
    let shared = number(places.len());
    let nobody = shared + 1;
    let mut owned = OwnedBy {
        inventory,
        owners: places.len() + 2,
        entries: vec![nobody; inventory.items_len()],
        artifacts: vec![nobody; inventory.artifacts().len()],
        nobody,
    };
    for nth in inventory.there() {
        let item = inventory.item(nth);
        let place = number_of[inventory.place_number(item) as usize];
        places[place as usize].entries += 1;
        owned.entries[nth as usize] = place;
        for artifact in inventory.named_by(item) {
            let owner = &mut owned.artifacts[*artifact as usize];
            *owner = if *owner == nobody || *owner == place { place } else { shared };
        }
    }
    (places, owned)
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer than four billion places")
}

//! Functions whose results are kept: the short way for the common case of one function with one table.

use crate::dataset::{Dataset, DatasetBuilder};
use crate::error::{Error, Result};
use crate::instrument::Instrument;
use crate::interval::Interval;
use crate::load::Load;
use crate::store::Store;

/// A dataset of one output bound to a store: a function whose results are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memoized {
    store: Store,
    dataset: Dataset,
    output: String,
}

impl Store {
    /// Keeps the results of a function: calling it for an instrument and an interval makes what is not in the store yet, and reads the rest.
    ///
    /// ```no_run
    /// # use tickbarn::{BoxError, Dataset, Interval, Job, Store};
    /// # fn main() -> Result<(), BoxError> {
    /// # #[cfg(feature = "frames")] {
    /// use polars::prelude::{DataFrame, df};
    ///
    /// let store = Store::open("barn")?;
    /// let spread = store.memoize(Dataset::function("spread", "1", |job: &Job| -> Result<DataFrame, BoxError> {
    ///     Ok(df!("ts" => [job.start().ns()], "spread" => [0.5])?)
    /// }))?;
    /// let january = spread.call(&"binance/BTC-USDT".parse()?, Interval::parse("2024-01-01", "2024-02-01")?)?;
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The dataset may be anything that has one output: with a configuration, a split, upstreams of its own, also a command.
    ///
    /// # Errors
    /// [`Error::InvalidDataset`] where it cannot be built, or has several outputs.
    pub fn memoize(&self, dataset: DatasetBuilder) -> Result<Memoized> {
        let dataset = dataset.build()?;
        let names: Vec<&str> = dataset.outputs().map(|(name, _)| name).collect();
        let [output] = names[..] else {
            let message = format!("a memoized function has one table, and this has the outputs {}; load it instead", names.join(", "));
            return Err(Error::InvalidDataset { dataset: dataset.name().to_owned(), message });
        };
        let output = output.to_owned();
        Ok(Memoized { store: self.clone(), dataset, output })
    }
}

impl Memoized {
    /// The dataset, to be loaded together with others or to derive others from.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The name of its one output.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// A load of it, to be given policies and limits of its own.
    pub fn load(&self, instrument: &Instrument, interval: Interval) -> Load {
        self.store.load().request(&self.dataset, instrument, interval)
    }
}

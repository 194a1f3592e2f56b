//! Rust functions that make partitions, and what they give back.
//!
//! A function is known by the name and the version that it declares: these and its configuration stand in the key, not its code. Whoever changes what it
//! computes changes the version.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use crate::dataset::job::Job;

/// Any error, as a function may give it back.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A type that makes partitions. Closures do too: [`Dataset::function`](crate::Dataset::function).
///
/// It runs on a thread for blocking work. Its load being dropped or cancelled, or its time being up, it is asked to stop by [`Job::is_cancelled`]; what it
/// gives back after that is not used.
pub trait Function: Send + Sync + 'static {
    /// Its name in the key: 1 to 64 ASCII letters, digits, `_` and `-`.
    fn name(&self) -> &str;

    /// Its version in the key: 1 to 256 bytes, another one whenever it would give other results.
    fn version(&self) -> &str;

    /// Makes one partition.
    ///
    /// # Errors
    /// Whatever keeps it from that: the partition is then a failure of class `error` with the error's message.
    fn generate(&self, job: &Job) -> Result<Outputs, BoxError>;
}

/// A type that makes partitions asynchronously. Closures do too: [`Dataset::async_function`](crate::Dataset::async_function).
///
/// It is polled on the runtime that drives its load, and dropped where that load is dropped or cancelled or its time is up. It should wait more than it
/// computes: what computes for long is better a [`Function`].
pub trait AsyncFunction: Send + Sync + 'static {
    /// As of a [`Function`].
    fn name(&self) -> &str;

    /// As of a [`Function`].
    fn version(&self) -> &str;

    /// Makes one partition.
    ///
    /// # Errors
    /// As of a [`Function`].
    fn generate(&self, job: Job) -> impl Future<Output = Result<Outputs, BoxError>> + Send;
}

/// A table that can be written to a Parquet file: how frames of any library become an output. Polars' frames are (feature `frames`).
pub trait WriteTable: Send {
    /// Writes the table to a path where nothing is yet. What it leaves is checked as a command's output is.
    ///
    /// # Errors
    /// Whatever keeps it from that.
    fn write(self: Box<Self>, path: &Path) -> Result<(), BoxError>;
}

/// What a function made: tables, files that it wrote to [`Job::output`] itself, or word that the interval has no data.
#[derive(Default)]
pub struct Outputs {
    pub(crate) no_data: bool,
    /// The table of the only output.
    pub(crate) only: Option<Box<dyn WriteTable>>,
    pub(crate) named: BTreeMap<String, Box<dyn WriteTable>>,
}

impl Outputs {
    /// Every output is a file that the function has written to its [`Job::output`].
    pub fn files() -> Self {
        Self::default()
    }

    /// The interval has no data, which is an answer and remembered.
    pub fn no_data() -> Self {
        Self { no_data: true, ..Self::default() }
    }

    /// The table of an output; outputs that none is given for are files that the function wrote.
    #[must_use]
    pub fn table(mut self, output: impl Into<String>, table: impl WriteTable + 'static) -> Self {
        self.named.insert(output.into(), Box::new(table));
        self
    }

    /// The table of a dataset's only output.
    pub fn only(table: impl WriteTable + 'static) -> Self {
        Self { only: Some(Box::new(table)), ..Self::default() }
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<&String> = self.named.keys().collect();
        f.debug_struct("Outputs").field("no_data", &self.no_data).field("only", &self.only.is_some()).field("tables", &tables).finish()
    }
}

/// What a closure may give back in place of [`Outputs`]: `()` where it wrote its files itself, `None` for no data, and with the feature `frames` a
/// `DataFrame` or a `LazyFrame` for the only output.
pub trait IntoOutputs {
    /// What was made.
    fn into_outputs(self) -> Outputs;
}

impl IntoOutputs for Outputs {
    fn into_outputs(self) -> Outputs {
        self
    }
}

impl IntoOutputs for () {
    fn into_outputs(self) -> Outputs {
        Outputs::files()
    }
}

impl<T: IntoOutputs> IntoOutputs for Option<T> {
    fn into_outputs(self) -> Outputs {
        self.map_or_else(Outputs::no_data, T::into_outputs)
    }
}

pub(crate) type Made = Result<Outputs, BoxError>;
type SyncBody = dyn Fn(&Job) -> Made + Send + Sync;
type AsyncBody = dyn Fn(Job) -> Pin<Box<dyn Future<Output = Made> + Send>> + Send + Sync;

/// What is called to make a partition.
#[derive(Clone)]
pub(crate) enum Body {
    Sync(Arc<SyncBody>),
    Async(Arc<AsyncBody>),
}

impl Body {
    pub(super) fn of_closure<O: IntoOutputs, E: Into<BoxError>>(closure: impl Fn(&Job) -> Result<O, E> + Send + Sync + 'static) -> Self {
        Body::Sync(Arc::new(move |job| closure(job).map(O::into_outputs).map_err(E::into)))
    }

    pub(super) fn of_async_closure<O, E, F>(closure: impl Fn(Job) -> F + Send + Sync + 'static) -> Self
    where
        O: IntoOutputs,
        E: Into<BoxError>,
        F: Future<Output = Result<O, E>> + Send + 'static,
    {
        Body::Async(Arc::new(move |job| {
            let made = closure(job);
            Box::pin(async move { made.await.map(O::into_outputs).map_err(E::into) })
        }))
    }

    pub(super) fn of_type(function: impl Function) -> Self {
        Body::Sync(Arc::new(move |job| function.generate(job)))
    }

    pub(super) fn of_async_type(function: impl AsyncFunction) -> Self {
        let function = Arc::new(function);
        Body::Async(Arc::new(move |job| {
            let function = Arc::clone(&function);
            Box::pin(async move { function.generate(job).await })
        }))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Body::Sync(_) => "a function",
            Body::Async(_) => "an async function",
        })
    }
}

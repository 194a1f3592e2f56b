//! A store, with the dataset file that it was opened by, if it was.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use tickbarn::{Address, DatasetFile, Error, RunSettings, RunnerKind, StoreOptions, gc};

use crate::dataset::Dataset;
use crate::errors::{raised, refused};
use crate::interrupt::interruptible;

/// A store. In a forked child it goes on to work, as the library's does.
#[pyclass(frozen, module = "tickbarn._native")]
pub(crate) struct Store {
    pub(crate) store: tickbarn::Store,
    pub(crate) file: Option<Arc<DatasetFile>>,
    pub(crate) ray: Option<tickbarn::Ray>,
    /// What collects in the background, as the file's `[gc]` asks for, from the first load on.
    collecting: Mutex<Option<gc::Automatic>>,
}

impl Store {
    fn of(store: tickbarn::Store, file: Option<DatasetFile>) -> Self {
        let ray = file.as_ref().filter(|file| file.runner() == RunnerKind::Ray).map(|file| tickbarn::Ray::on_demand(file.ray().clone()));
        Self { store, file: file.map(Arc::new), ray, collecting: Mutex::default() }
    }

    pub(crate) fn run_settings(&self) -> RunSettings {
        self.file.as_ref().map(|file| file.run()).unwrap_or_default()
    }

    /// Begins to collect, where the file asks for that and it was not begun.
    pub(crate) fn collect_automatically(&self) -> tickbarn::Result<()> {
        let Some(settings) = self.file.as_ref().and_then(|file| file.gc()).filter(|settings| settings.automatic) else { return Ok(()) };
        let mut collecting = self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        if collecting.is_none() {
            *collecting = Some(gc::automatically(&self.store, settings.retention.clone())?);
        }
        Ok(())
    }
}

#[pymethods]
impl Store {
    /// Opens the store that a dataset file names, or another one with its datasets. A directory stands for the file in it.
    #[staticmethod]
    #[pyo3(signature = (config, settings, store=None))]
    fn open(py: Python<'_>, config: PathBuf, settings: Vec<String>, store: Option<PathBuf>) -> PyResult<Self> {
        let open = move || {
            let config = if config.is_dir() { config.join("tickbarn.toml") } else { config };
            let file = DatasetFile::read_with(config, &settings)?;
            let Some(path) = store.or_else(|| file.store().map(PathBuf::from)) else { return Ok(Err(file)) };
            let store = tickbarn::Store::open(path)?.with_options(file.store_options());
            Ok(Ok((store, file)))
        };
        match interruptible(py, "opening a store", None, open)? {
            Ok((store, file)) => Ok(Self::of(store, Some(file))),
            Err(file) => Err(refused(format!("{} names no store; write store = \"barn\" at its top, or give open() a store", file.path().display()))),
        }
    }

    /// Opens a store without datasets of a file, and makes it where there is none.
    #[staticmethod]
    fn at(py: Python<'_>, path: PathBuf, index: &str, verify: &str) -> PyResult<Self> {
        let options = StoreOptions::default()
            .index(index.parse().map_err(|unknown| refused(format!("index: {unknown}")))?)
            .verify(verify.parse().map_err(|unknown| refused(format!("verify: {unknown}")))?);
        let store = interruptible(py, "opening a store", None, move || tickbarn::Store::open(path))?;
        Ok(Self::of(store.with_options(options), None))
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.store.path().to_path_buf()
    }

    #[getter]
    fn id(&self) -> &str {
        self.store.id()
    }

    /// The dataset file.
    #[getter]
    fn config(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|file| file.path().to_path_buf())
    }

    /// The names of the file's datasets.
    fn datasets(&self) -> Vec<String> {
        self.file.iter().flat_map(|file| file.datasets()).map(|dataset| dataset.name().to_owned()).collect()
    }

    /// A dataset of the file. Without a file there is none.
    fn dataset(&self, name: &str) -> PyResult<Dataset> {
        match &self.file {
            Some(file) => file.dataset(name).map(|dataset| Dataset(dataset.clone())).map_err(raised),
            None => Err(refused(format!(
                "there is no dataset {name:?}: this store was opened without a dataset file; open it by one (tickbarn.open), or define it (store.define)"
            ))),
        }
    }

    /// The digest of the source that an entry's function had when it made the entry, as far as that is remembered.
    fn source_of(&self, py: Python<'_>, address: &str) -> PyResult<Option<String>> {
        let read = || {
            let address: Address = address.parse()?;
            let manifest = self.store.manifest(&address)?;
            Ok::<_, Error>(manifest.and_then(|manifest| manifest.provenance.program_digest).map(|digest| digest.to_string()))
        };
        py.detach(read).map_err(raised)
    }
}

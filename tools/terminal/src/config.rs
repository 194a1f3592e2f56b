//! Where a command finds its datasets and its store: flags and variables first, then the dataset file upwards from the working directory.

use std::path::{Path, PathBuf};

use tickbarn::{DatasetFile, Store};

use crate::exit::{Failure, Result};

/// The name of a dataset file in the directory that `--config` may name instead of it.
const FILE_NAME: &str = "tickbarn.toml";

/// What `--config` and `--store` say, or the variables that stand for them.
#[derive(Debug)]
pub struct Place {
    config: Option<PathBuf>,
    store: Option<PathBuf>,
}

impl Place {
    /// What was said, as it was said: nothing is looked for yet.
    pub fn new(config: Option<PathBuf>, store: Option<PathBuf>) -> Self {
        Self { config, store }
    }

    /// A directory that holds a dataset file, whatever flags and variables say.
    pub fn of_directory(directory: PathBuf) -> Self {
        Self { config: Some(directory), store: None }
    }

    /// The store that flags or variables name, if they name one.
    pub fn named_store(&self) -> Option<&PathBuf> {
        self.store.as_ref()
    }

    /// Whether what a dataset file says of its store is meant for the store that is used: not where another one is named, and the file was merely found.
    pub fn is_meant(&self, file: &DatasetFile) -> bool {
        let same = |named: &PathBuf| {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            file.store().is_some_and(|store| real(store) == real(named))
        };
        self.config.is_some() || self.store.as_ref().is_none_or(same)
    }

    /// The dataset file with settings laid over it.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is not right.
    pub fn datasets(&self, settings: &[String]) -> Result<DatasetFile> {
        let path = self.find_file()?.ok_or_else(|| {
            Failure::Usage(
                "there is no tickbarn.toml here or in a directory above, and none was named\n  \
                 name one with --config FILE or TICKBARN_CONFIG, or let `tickbarn demo` write one to begin from"
                    .to_owned(),
            )
        })?;
        Ok(DatasetFile::read_with(path, settings)?)
    }

    /// Where the store is, for a command that has read the dataset file anyway.
    ///
    /// # Errors
    ///
    /// Where neither that file nor anything else names one.
    pub fn store_of(&self, file: &DatasetFile) -> Result<PathBuf> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        file.store().map(PathBuf::from).ok_or_else(|| {
            let path = file.path().display();
            Failure::Usage(format!("{path} names no store\n  write store = \"barn\" at its top, or name one with --store DIR or TICKBARN_STORE"))
        })
    }

    /// The store, which must be there. Reads no dataset file where one is named.
    ///
    /// # Errors
    ///
    /// Where none is named, none is there, or it cannot be used.
    pub fn open_store(&self) -> Result<Store> {
        let file = if self.store.is_some() { None } else { self.datasets_if_any()? };
        self.open_store_of(file.as_ref())
    }

    /// The dataset file, where there is one, for a command that can do without.
    ///
    /// # Errors
    ///
    /// Where one is named that is not there, or it is not right.
    pub fn datasets_if_any(&self) -> Result<Option<DatasetFile>> {
        Ok(self.find_file()?.map(DatasetFile::read).transpose()?)
    }

    /// The store, which must be there, for a command that has looked for the dataset file anyway.
    ///
    /// # Errors
    ///
    /// Where none is named, none is there, or it cannot be used.
    pub fn open_store_of(&self, file: Option<&DatasetFile>) -> Result<Store> {
        match (file, &self.store) {
            (Some(file), _) => Ok(Store::open_existing(self.store_of(file)?)?.with_options(file.store_options())),
            (None, Some(store)) => Ok(Store::open_existing(store)?),
            (None, None) => Err(Failure::Usage(
                "no store is named, and there is no tickbarn.toml here or in a directory above\n  \
                 name a store with --store DIR or TICKBARN_STORE, a dataset file with --config FILE or TICKBARN_CONFIG,\n  \
                 or let `tickbarn demo` make both to begin from"
                    .to_owned(),
            )),
        }
    }

    fn find_file(&self) -> Result<Option<PathBuf>> {
        match &self.config {
            Some(path) if path.is_dir() => Ok(Some(path.join(FILE_NAME))),
            Some(path) => Ok(Some(path.clone())),
            None => {
                let here = std::env::current_dir().map_err(|error| Failure::World(format!("the working directory cannot be found: {error}")))?;
                Ok(DatasetFile::find(here))
            }
        }
    }
}

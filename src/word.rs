//! Words that stand for a choice, where users write them.

use std::fmt;

/// Not one of the words that are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    text: String,
    known: &'static str,
}

impl UnknownWord {
    pub(crate) fn new(text: &str, known: &'static str) -> Self {
        Self { text: text.to_owned(), known }
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is none of {}", self.text, self.known)
    }
}

impl std::error::Error for UnknownWord {}

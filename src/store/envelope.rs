//! The form of small files that check themselves: `{"checksum":"…","body":{…}}` on one line, where the checksum is BLAKE3 of the body's bytes as they
//! stand in the file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::address::Digest;
use crate::error::{Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    checksum: Digest,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The bytes of a file with this body, which holds nothing that JSON cannot.
pub(crate) fn sealed(body: &impl Serialize) -> Vec<u8> {
    let body = serde_json::value::to_raw_value(body).expect("a body holds nothing that JSON cannot");
    let checksum = Digest::of(body.get().as_bytes());
    let mut bytes = serde_json::to_vec(&Envelope { checksum, body: &body }).expect("an envelope is plain JSON");
    bytes.push(b'\n');
    bytes
}

/// The body in a file's bytes, or what is wrong with them.
pub(crate) fn opened(bytes: &[u8]) -> Result<&str, String> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|error| format!("it does not parse: {error}"))?;
    let body = envelope.body.get();
    if Digest::of(body.as_bytes()) != envelope.checksum {
        return Err("its checksum does not match".to_owned());
    }
    Ok(body)
}

/// Whether this library reads the format that a body names.
///
/// # Errors
/// [`Error::NewerFormat`] for a later one than it knows, [`Error::Damaged`] for any other.
pub(crate) fn check_format(path: &Path, found: u32, known: u32) -> Result<()> {
    match found {
        _ if found == known => Ok(()),
        _ if found > known => Err(Error::NewerFormat { path: path.to_path_buf(), found: found.into(), supported: known.into() }),
        _ => Err(Error::Damaged { path: path.to_path_buf(), reason: format!("its format is {found}, this tickbarn reads {known}") }),
    }
}

//! `tickbarn path`: where an entry's files are.

mod args;
mod lines;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use tickbarn::OutputManifest;
use tickbarn_terminal::config::Place;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::stdout;
use tickbarn_terminal::records::write_line;

pub(crate) use args::PathArgs;
use lines::PathLine;

use crate::commands::find;
use crate::commands::outputs::{checked, chosen, entry_with_files};

pub(crate) fn run(place: &Place, args: &PathArgs) -> Result<()> {
    let store = place.open_store()?;
    let manifest = entry_with_files(find(&store, &args.address)?)?;
    let address = manifest.address;
    let outputs = chosen(&manifest, args.output.as_deref())?;

    let mut out = stdout();
    for (name, output) in &outputs {
        let path = checked(&store, output)?;
        if args.json {
            let OutputManifest { digest, bytes, table } = output;
            write_line(&mut out, &PathLine { address, output: name, path: &path, digest: *digest, bytes: *bytes, rows: table.rows })?;
        } else {
            if outputs.len() > 1 {
                write!(out, "{name}\t")?;
            }
            // A path need not be text, and what is printed must name the file.
            out.write_all(path.as_os_str().as_bytes())?;
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}

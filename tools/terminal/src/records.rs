//! JSON lines, as every command writes them. What is in a line is the command's own.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a value as one line, in one piece.
///
/// # Errors
///
/// Where the value cannot be written as JSON, or the line cannot be written.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

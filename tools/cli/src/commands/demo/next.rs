//! What to try after the demo: commands that work as they are printed, in the directory where the demo was called.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use tickbarn::Loaded;
use tickbarn_terminal::exit::Result;
use tickbarn_terminal::output::shell_word;

pub(super) fn write(out: &mut impl Write, directory: &Path, loaded: &Loaded) -> Result<()> {
    let sample = loaded.partitions.iter().find_map(|partition| {
        let entry = partition.outcome.entry()?;
        entry.output("trades").map(|_| (partition.instrument.to_string(), entry.address.short()))
    });
    let Some((instrument, address)) = sample else { return Ok(()) };
    let directory_word = directory.display().to_string();
    let tickbarn = format!("{} -c {}", program(), shell_word(&directory_word));
    let intervals = directory.join("intervals.json").display().to_string();
    writeln!(out, "\nTry next")?;
    for (why, command) in [
        ("what is there", format!("{tickbarn} ls --instrument {instrument}")),
        ("all about one entry: its key, columns, statistics", format!("{tickbarn} show {address}")),
        ("another configuration is other entries: what they would cost", {
            format!("{tickbarn} load md --intervals {} --set md.config.orderbook_levels=5 --dry-run", shell_word(&intervals))
        }),
        ("and making them; the first ones stay", {
            format!("{tickbarn} load md --intervals {} --set md.config.orderbook_levels=5", shell_word(&intervals))
        }),
        ("a file, for any tool that reads Parquet; with Polars installed:", {
            format!("python3 -c 'import sys, polars; print(polars.read_parquet(sys.argv[1]))' \"$({tickbarn} path {address} trades)\"")
        }),
    ] {
        writeln!(out, "  # {why}\n  {command}")?;
    }
    writeln!(out, "\n{} is commented: begin your own datasets there.", directory.join("tickbarn.toml").display())?;
    Ok(())
}

/// How this program is called from here.
fn program() -> String {
    let Ok(exe) = env::current_exe() else { return "tickbarn".to_owned() };
    let on_path = env::var_os("PATH").is_some_and(|path| {
        let first = env::split_paths(&path).map(|directory| directory.join("tickbarn")).find(|candidate| candidate.is_file());
        first.is_some_and(|first| first.canonicalize().ok() == exe.canonicalize().ok())
    });
    if on_path {
        return "tickbarn".to_owned();
    }
    // `cargo run` tells what it runs, and the shell that called it knows no path to it.
    let package = env::var_os("CARGO_PKG_NAME").filter(|name| name == env!("CARGO_PKG_NAME")).and_then(|_| env::var_os("CARGO_MANIFEST_DIR"));
    let workspace = package.and_then(|package| Path::new(&package).ancestors().nth(2).map(PathBuf::from));
    let here = env::current_dir().ok();
    if let (Some(workspace), Some(here)) = (workspace, &here)
        && here.starts_with(workspace)
    {
        let release = exe.parent().and_then(Path::file_name).is_some_and(|profile| profile == "release");
        return if release { "cargo run -rq --" } else { "cargo run -q --" }.to_owned();
    }
    let near = here.and_then(|here| exe.strip_prefix(here).map(PathBuf::from).ok());
    let path = near.map_or(exe, |near| Path::new(".").join(near));
    shell_word(&path.display().to_string()).into_owned()
}

//! Standard error: lines, the progress bar that they must not break, and what the library traces.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::output::{Paint, painted};

/// The bar that stands on the terminal, if one does.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How often a bar moves on although nothing happened.
const TICK: Duration = Duration::from_millis(100);

fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes lines to standard error, above the bar. When nobody reads them, that is no reason to fail.
pub fn say(text: &str) {
    let write = || drop(writeln!(io::stderr(), "{text}"));
    let bar = bar().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Whether a bar would be seen.
pub fn bar_is_seen() -> bool {
    io::stderr().is_terminal()
}

/// A progress bar, there until it is dropped.
#[derive(Debug)]
pub struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    /// A bar over so many steps, which shows `status` behind it.
    pub fn new(total: usize, status: Arc<Mutex<String>>) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {status}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.progress_chars("━╸─").with_key("status", move |_: &ProgressState, out: &mut dyn fmt::Write| {
            // Nothing can be done where a bar cannot be drawn.
            let _ = out.write_str(&status.lock().unwrap_or_else(PoisonError::into_inner));
        });
        let progress = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr()).with_style(style);
        Self::standing(progress)
    }

    /// A line that says what is waited for, where nobody knows how long that takes.
    pub fn waiting(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style).with_message(what);
        Self::standing(progress)
    }

    fn standing(progress: ProgressBar) -> Self {
        progress.enable_steady_tick(TICK);
        *bar() = Some(progress.clone());
        Self { bar: progress }
    }

    /// So many are done.
    pub fn done(&self, count: usize) {
        self.bar.set_position(count as u64);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        bar().take();
        self.bar.finish_and_clear();
    }
}

/// A bar for one stage of some work after the other.
#[derive(Debug, Default)]
pub struct StageBar {
    stage: Option<(&'static str, ProgressLine)>,
}

impl StageBar {
    /// Of this stage, so many out of so many are done.
    pub fn show(&mut self, stage: &'static str, done: u64, total: u64) {
        if self.stage.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            // The last one has to go first: it would take the new one along.
            self.stage = None;
            let line = ProgressLine::new(usize::try_from(total).unwrap_or(usize::MAX), Arc::new(Mutex::new(stage.to_owned())));
            self.stage = Some((stage, line));
        }
        if let Some((_, line)) = &self.stage {
            line.done(usize::try_from(done).unwrap_or(usize::MAX));
        }
    }
}

/// Shows on standard error what the library traces: warnings, with one `-v` what it does, with two its details. To be called once.
pub fn trace(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt().with_max_level(level).event_format(Line).with_writer(|| Lines).init();
}

/// The index's database panics where its files fail it. The library catches that and goes on without, so it is a detail, not the end of a thread.
pub fn silence_the_index() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match panic.location() {
        Some(location) if location.file().contains("/sled-") => tracing::debug!("the index gave up: {panic}"),
        _ => others(panic),
    }));
}

/// Hands whole lines to [`say`]: the format writes an event at once.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as a line: `warning: the message: its error (path=…)`.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let level = match *event.metadata().level() {
            Level::ERROR => painted("error:", Paint::Error),
            Level::WARN => painted("warning:", Paint::Warning),
            Level::INFO => "info:".into(),
            _ => "debug:".into(),
        };
        write!(out, "{level} {}", parts.message)?;
        if !parts.error.is_empty() {
            write!(out, ": {}", parts.error)?;
        }
        if !parts.fields.is_empty() {
            write!(out, " ({})", parts.fields)?;
        }
        writeln!(out)
    }
}

/// An event's fields, sorted by what they are to a reader.
#[derive(Default)]
struct Parts {
    message: String,
    error: String,
    fields: String,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "error" => write!(self.error, "{value:?}"),
            name => {
                let gap = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{gap}{name}={value:?}")
            }
        };
    }
}

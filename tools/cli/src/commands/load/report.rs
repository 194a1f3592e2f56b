//! What a load says while it runs and when it is over. Counts outcomes; decides nothing.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tickbarn::{Error, Outcome, Partition, Place, Progress, Summary};
use tickbarn_terminal::output::{Paint, counted, duration, painted, size, span, thousands};
use tickbarn_terminal::progress::{self, ProgressLine, say};
use tickbarn_terminal::records::write_line;

use super::lines::{PartitionLine, SummaryLine};

/// So many missing partitions are named one by one. There may be a year of them.
const MISSING_TOLD_MAX: usize = 20;

/// What is said of each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// A line of JSON on standard output.
    Json,
    /// A line on standard error for all but hits; beside a bar, only for what went wrong.
    Text,
    /// A line on standard error for what went wrong, and no last word.
    Trouble,
}

/// Watches one load.
#[derive(Debug)]
pub(crate) struct Report {
    tell: Tell,
    total: usize,
    summary: Summary,
    rows: u64,
    bytes: u64,
    /// Partitions that this load brought into the store.
    made: usize,
    missing: usize,
    began: Instant,
    /// When the last hit was reported: what follows is generated.
    generating_since: Instant,
    bar: Option<Bar>,
    /// Nobody reads standard output any more. The entries are the result, so the load goes on.
    reader_gone: bool,
    output_error: Option<io::Error>,
}

#[derive(Debug)]
struct Bar {
    progress: ProgressLine,
    status: Arc<Mutex<String>>,
}

impl Report {
    /// A report on a load of so many partitions.
    pub(crate) fn new(tell: Tell, total: usize) -> Self {
        let lines_on_the_terminal = tell == Tell::Json && io::stdout().is_terminal();
        let bar = (progress::bar_is_seen() && !lines_on_the_terminal).then(|| {
            let status = Arc::new(Mutex::new(String::new()));
            Bar { progress: ProgressLine::new(total, Arc::clone(&status)), status }
        });
        let now = Instant::now();
        Self {
            tell,
            total,
            summary: Summary::default(),
            rows: 0,
            bytes: 0,
            made: 0,
            missing: 0,
            began: now,
            generating_since: now,
            bar,
            reader_gone: false,
            output_error: None,
        }
    }

    /// One partition is done.
    pub(crate) fn partition(&mut self, partition: &Partition) {
        self.summary.count(&partition.outcome);
        if let Some(entry) = partition.outcome.entry() {
            self.rows += entry.outputs.iter().map(|output| output.rows).sum::<u64>();
            self.bytes += entry.outputs.iter().map(|output| output.bytes).sum::<u64>();
        }
        match partition.outcome {
            Outcome::Hit(_) | Outcome::Empty { known: true, .. } => self.generating_since = Instant::now(),
            Outcome::Generated { .. } | Outcome::Empty { known: false, .. } => self.made += 1,
            _ => {}
        }
        match self.tell {
            Tell::Json => self.write(&PartitionLine::of(partition)),
            Tell::Text | Tell::Trouble => self.tell(partition),
        }
        self.advance();
    }

    /// Something else happened in the load.
    pub(crate) fn progress(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Upstream(partition) => self.upstream(partition),
            Progress::Retrying { place, attempt, failure, pause, .. } if self.tell != Tell::Json => {
                let Place { dataset, instrument, interval, .. } = place;
                let again = format!("attempt {attempt} failed, another follows in {}", duration(pause.as_secs_f64()));
                say(&format!("{dataset} {instrument} {}: {again}: {failure}", span(*interval)));
            }
            _ => {}
        }
    }

    /// A partition that only others needed is there, or failed.
    fn upstream(&mut self, partition: &Partition) {
        if let Outcome::Generated { .. } | Outcome::Empty { known: false, .. } = partition.outcome {
            self.made += 1;
        }
        match self.tell {
            Tell::Json => self.write(&PartitionLine::upstream(partition)),
            Tell::Text | Tell::Trouble => {
                if let Some(line) = self.line(partition) {
                    say(&format!("upstream  {line}"));
                }
            }
        }
    }

    /// The failure that stopped the load.
    pub(crate) fn stopped_by(&mut self, error: &Error) {
        let Error::Generation { dataset, instrument, interval, address, failure, .. } = error else { return };
        self.summary.failed += 1;
        match self.tell {
            Tell::Json => self.write(&PartitionLine::failed(dataset, instrument, *interval, *address, failure)),
            Tell::Text | Tell::Trouble => {
                self.bar = None;
                let done = self.summary.requested + 1;
                say(&format!("stopped at {} of {}: {}", thousands(done as u64), thousands(self.total as u64), counts(&self.summary)));
            }
        }
    }

    /// The last word, where the load ended before its end. The sums are of what was reported, out of all that was requested.
    pub(crate) fn end_early(&mut self, why: &'static str) {
        self.bar = None;
        self.summary.requested = self.total;
        self.summary.seconds = self.began.elapsed().as_secs_f64();
        let summary = self.summary;
        match self.tell {
            Tell::Json => self.write(&SummaryLine::of(&summary, Some(why))),
            Tell::Trouble => {}
            Tell::Text => self.print(|out| writeln!(out, "{summary}")),
        }
    }

    /// Nothing came of it; the error says why.
    pub(crate) fn end_silently(&mut self) {
        self.bar = None;
    }

    /// The last word.
    pub(crate) fn end(&mut self, summary: &Summary) {
        self.bar = None;
        if self.missing > MISSING_TOLD_MAX {
            say(&format!("missing  … and {} more", thousands((self.missing - MISSING_TOLD_MAX) as u64)));
        }
        match self.tell {
            Tell::Json => self.write(&SummaryLine::of(summary, None)),
            Tell::Trouble => {}
            Tell::Text => {
                let sums = format!("{} in {}; {} rows, {}", counts(summary), duration(summary.seconds), thousands(self.rows), size(self.bytes));
                self.print(|out| writeln!(out, "{sums}\n{summary}"));
            }
        }
    }

    /// Partitions that this load brought into the store.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// Why standard output could not be written, unless its reader had seen enough.
    pub(crate) fn output_error(&mut self) -> Option<io::Error> {
        self.output_error.take()
    }

    fn tell(&mut self, partition: &Partition) {
        if let Outcome::Missing { .. } = partition.outcome {
            self.missing += 1;
            if self.missing > MISSING_TOLD_MAX {
                return;
            }
        }
        let Some(line) = self.line(partition) else { return };
        let all = self.tell == Tell::Text && self.bar.is_none();
        if all { say(&format!("[{}/{}] {line}", self.summary.requested, self.total)) } else { say(&line) }
    }

    /// What is said of a partition, if anything is.
    fn line(&self, partition: &Partition) -> Option<String> {
        let Partition { dataset, instrument, interval, address, outcome, .. } = partition;
        let place = format!("{dataset} {instrument} {}", span(*interval));
        let all = self.tell == Tell::Text && self.bar.is_none();
        if !outcome.changed().is_empty() {
            let outputs = outcome.changed().join(", ");
            let warning = painted("warning:", Paint::Warning);
            say(&format!("{warning} {place}: the refresh gave other bytes for {outputs}: its generator is not deterministic"));
        }
        let line = match outcome {
            Outcome::Hit(_) | Outcome::Empty { known: true, .. } => return None,
            Outcome::Generated { entry, .. } => {
                let (rows, bytes) = entry.outputs.iter().fold((0, 0), |(rows, bytes), output| (rows + output.rows, bytes + output.bytes));
                if !all {
                    return None;
                }
                format!("generated  {place}: {} rows, {} in {}", thousands(rows), size(bytes), duration(entry.seconds.into()))
            }
            Outcome::Empty { .. } if all => format!("empty  {place}: no data, says its generator"),
            Outcome::Missing { reason } => {
                format!("missing  {place}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())
            }
            Outcome::Failed { failure, recorded } => {
                let failed = painted("failed", Paint::Error);
                let again = if *recorded { " earlier, not tried again" } else { "" };
                let next = address.map(|address| format!("\n        tickbarn logs {}", address.short())).unwrap_or_default();
                format!("{failed}  {place}{again}: {failure}{next}")
            }
            _ => return None,
        };
        Some(line)
    }

    /// Moves the bar on.
    fn advance(&mut self) {
        let Some(bar) = &self.bar else { return };
        let done = self.summary.requested;
        bar.progress.done(done);
        let generated = self.made + self.summary.failed;
        let pace = if generated == 0 {
            String::new()
        } else {
            let seconds = self.generating_since.elapsed().as_secs_f64().max(1e-3);
            let rate = generated as f64 / seconds;
            let left = duration((self.total - done.min(self.total)) as f64 / rate);
            if rate >= 1.0 { format!("  {rate:.1}/s, {left} left") } else { format!("  {:.1}/min, {left} left", rate * 60.0) }
        };
        *bar.status.lock().unwrap_or_else(PoisonError::into_inner) = format!("{}{pace}", counts(&self.summary));
    }

    fn write(&mut self, line: &impl serde::Serialize) {
        self.print(|out| write_line(out, line));
    }

    fn print(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        if self.reader_gone {
            return;
        }
        let mut text = Vec::new();
        let written = write(&mut text).and_then(|()| {
            let mut out = io::stdout().lock();
            out.write_all(&text)?;
            out.flush()
        });
        if let Err(error) = written {
            self.reader_gone = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.output_error = Some(error);
            }
        }
    }
}

/// `46 hits, 12 generated, 1 failed`: what there is any of.
fn counts(summary: &Summary) -> String {
    let kinds = [
        (summary.hit, if summary.hit == 1 { "hit" } else { "hits" }),
        (summary.generated, "generated"),
        (summary.empty, "empty"),
        (summary.missing, "missing"),
        (summary.failed, "failed"),
    ];
    let counts: Vec<String> =
        kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{} {kind}", thousands(count as u64))).collect();
    if counts.is_empty() { counted(0, "partition", "partitions") } else { counts.join(", ") }
}

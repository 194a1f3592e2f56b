//! What the page shows of failures: the youngest, each with the end of its log.

use tickbarn::{FailureRecord, LogText};
use tickbarn_terminal::output::{clock, clock_and_age, counted, size, span, thousands};

use super::page::{FailureShown, Failures, LogTail};
use crate::drawing::{shown, shown_lines};

/// So many are shown. There may be thousands.
const SHOWN_MAX: usize = 200;
/// How much of a log is shown: so many lines, and of those so many bytes.
const TAIL_LINES: usize = 30;
const TAIL_BYTES: usize = 4096;

/// The failures of a store, for the page.
pub(super) fn failures(mut records: Vec<FailureRecord>) -> Failures {
    records.sort_by_key(|record| (std::cmp::Reverse(record.last), record.address));
    let told = match records.len() {
        0 => "No failures are recorded.".to_owned(),
        count if count > SHOWN_MAX => {
            format!(
                "{} are recorded; here are the last {SHOWN_MAX}, the youngest first. `tickbarn ls --failed` lists all.",
                counted(count, "failure", "failures")
            )
        }
        1 => "One failure is recorded.".to_owned(),
        count => format!("{} are recorded, the youngest first.", counted(count, "failure", "failures")),
    };
    Failures { told, shown: records.iter().take(SHOWN_MAX).map(failure).collect() }
}

fn failure(record: &FailureRecord) -> FailureShown {
    let FailureRecord { address, dataset, instrument, interval, count, first, last, failure, .. } = record;
    let times = if *count > 1 { format!(", in {} loads since {}", thousands((*count).into()), clock(*first)) } else { String::new() };
    let logs = [("standard output", &failure.log.stdout), ("standard error", &failure.log.stderr)];
    FailureShown {
        class: failure.class.as_str(),
        dataset: shown(dataset),
        instrument: shown(&instrument.to_string()),
        span: span(*interval),
        when: clock_and_age(*last),
        times,
        message: shown(&failure.message),
        logs: logs.into_iter().filter(|(_, log)| log.bytes > 0).map(|(name, log)| tail(name, log)).collect(),
        next: format!("tickbarn logs {}", address.short()),
    }
}

/// The end of a stream, in whole lines where those are not too long.
fn tail(name: &str, log: &LogText) -> LogTail {
    let text = log.text.trim_end();
    let lines = text.rmatch_indices('\n').nth(TAIL_LINES - 1).map_or(0, |(newline, _)| newline + 1);
    let mut from = lines.max(text.len().saturating_sub(TAIL_BYTES));
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let whole_lines = if from > lines { text[from..].find('\n').map(|newline| from + newline + 1) } else { None };
    let tail = &text[whole_lines.unwrap_or(from)..];
    let part = if tail.len() < text.len() || log.truncated { ", its end" } else { "" };
    LogTail { told: format!("{name}, {}{part}", size(log.bytes)), text: shown_lines(tail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> LogTail {
        tail("standard error", &LogText { text: text.to_owned(), bytes: text.len() as u64, truncated: false })
    }

    #[test]
    fn of_a_log_the_end_is_shown() {
        let short = told("one\ntwo\n");
        assert_eq!((short.text.as_str(), short.told.as_str()), ("one\ntwo", "standard error, 8 B"));
        let lines: String = (0..100).map(|nth| format!("line {nth}\n")).collect();
        let long = told(&lines);
        assert_eq!(long.text.lines().count(), TAIL_LINES);
        assert!(long.text.starts_with("line 70\n") && long.text.ends_with("line 99") && long.told.ends_with(", its end"), "{long:?}");
        let wide = told(&"€".repeat(3000));
        assert!(wide.text.len() <= TAIL_BYTES && wide.text.chars().all(|character| character == '€') && wide.text.len() > TAIL_BYTES - 3);
        let wide_lines = told(&format!("{}\nthe end", "x".repeat(5000)));
        assert_eq!(wide_lines.text, "the end");
    }
}

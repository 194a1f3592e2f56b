//! What is kept of an output stream: its head and its tail, within a fixed amount of memory however much is written.

use std::borrow::Cow;

use super::{LOG_HEAD_BYTES_MAX, LOG_TAIL_BYTES_MAX};
use crate::failure::LogText;

/// The kept part of one stream. Takes at most the head's and twice the tail's limit of memory.
#[derive(Debug, Default)]
pub(super) struct Capture {
    head: Vec<u8>,
    /// Ends with what was written last. It may grow to twice its limit before its front is cut off, so that cutting costs little.
    tail: Vec<u8>,
    bytes: u64,
}

impl Capture {
    /// What another machine kept, of so many bytes in all.
    pub(super) fn of_parts(head: Vec<u8>, tail: Vec<u8>, bytes: u64) -> Self {
        Self { head, tail, bytes }
    }

    /// Takes what was written next.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        let (head, rest) = chunk.split_at(chunk.len().min(LOG_HEAD_BYTES_MAX - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(LOG_TAIL_BYTES_MAX)..];
        if self.tail.len() + rest.len() > 2 * LOG_TAIL_BYTES_MAX {
            self.tail.drain(..(self.tail.len() + rest.len() - LOG_TAIL_BYTES_MAX).min(self.tail.len()));
        }
        self.tail.extend_from_slice(rest);
    }

    /// The text of what was kept, with a line that says how much was cut out where something was.
    pub(super) fn into_text(mut self) -> LogText {
        self.tail.drain(..self.tail.len().saturating_sub(LOG_TAIL_BYTES_MAX));
        let kept = (self.head.len() + self.tail.len()) as u64;
        if kept == self.bytes {
            self.head.append(&mut self.tail);
            return LogText { text: lossy(self.head), bytes: self.bytes, truncated: false };
        }
        // A character that the cut splits goes with the middle rather than become two broken halves.
        let head = &self.head[..self.head.len() - split_character_bytes(&self.head)];
        let tail = &self.tail[self.tail.iter().take(3).take_while(|&&byte| is_continuation(byte)).count()..];
        let cut = self.bytes - (head.len() + tail.len()) as u64;
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        let text = format!("{head}{}… {} bytes cut …\n{tail}", if head.ends_with('\n') { "" } else { "\n" }, grouped(cut));
        LogText { text, bytes: self.bytes, truncated: true }
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8_lossy(&bytes) {
        Cow::Owned(text) => text,
        Cow::Borrowed(_) => String::from_utf8(bytes).expect("from_utf8_lossy borrows only what is UTF-8"),
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// How many bytes at the end begin a character without completing it.
fn split_character_bytes(bytes: &[u8]) -> usize {
    let Some(back) = bytes.iter().rev().take(4).position(|&byte| !is_continuation(byte)) else { return 0 };
    let wanted = match bytes[bytes.len() - 1 - back] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if back + 1 < wanted { back + 1 } else { 0 }
}

/// A number with a comma between each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(chunks: impl IntoIterator<Item = Vec<u8>>) -> LogText {
        let mut capture = Capture::default();
        for chunk in chunks {
            capture.push(&chunk);
            assert!(capture.head.len() <= LOG_HEAD_BYTES_MAX && capture.tail.len() <= 2 * LOG_TAIL_BYTES_MAX);
        }
        capture.into_text()
    }

    #[test]
    fn a_log_within_the_caps_is_kept_to_the_byte() {
        assert_eq!(captured([]), LogText::default());
        let whole = vec![b'x'; LOG_HEAD_BYTES_MAX + LOG_TAIL_BYTES_MAX];
        for chunk_bytes in [1, 1000, 65_536, whole.len()] {
            let log = captured(whole.chunks(chunk_bytes).map(<[u8]>::to_vec));
            assert_eq!((log.text.len(), log.bytes, log.truncated), (whole.len(), whole.len() as u64, false));
        }
    }

    #[test]
    fn a_long_log_keeps_its_beginning_and_its_end_and_says_what_was_cut() {
        let lines: Vec<u8> = (0..100_000).flat_map(|line| format!("line {line:06}\n").into_bytes()).collect();
        for chunk_bytes in [7, 4096, 65_536, 1 << 20] {
            let log = captured(lines.chunks(chunk_bytes).map(<[u8]>::to_vec));
            assert!(log.truncated);
            assert_eq!(log.bytes, 1_200_000);
            assert!(log.text.starts_with("line 000000\n"));
            assert!(log.text.ends_with("line 099999\n"));
            assert!(log.text.contains("\n… 937,856 bytes cut …\n"), "{chunk_bytes}");
            assert_eq!(log.text.len(), LOG_HEAD_BYTES_MAX + LOG_TAIL_BYTES_MAX + "\n… 937,856 bytes cut …\n".len());
        }
    }

    #[test]
    fn a_cut_splits_no_character_and_odd_bytes_do_not_lose_the_log() {
        for shift in 0..4 {
            let mut bytes = vec![b' '; shift];
            bytes.extend("日本🎉".repeat(60_000).bytes());
            let log = captured([bytes]);
            assert!(log.truncated && !log.text.contains('\u{fffd}'), "{shift}");
        }
        assert_eq!(captured([b"a\xffb".to_vec()]).text, "a\u{fffd}b");
    }

    #[test]
    fn cut_bytes_are_written_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_073_479_680, "1,073,479,680")] {
            assert_eq!(grouped(number), text);
        }
    }
}

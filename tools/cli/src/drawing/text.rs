//! Texts that the world chose (names of instruments, messages, logs) as pages and pictures show them: nothing in them stays unseen, and nothing works.
//!
//! Templates escape what markup would make something else of. What is left to do here are characters that a browser shows as nothing, that turn the
//! direction of what follows, or that no XML document may hold.

use std::fmt::Write;

/// A text as one line: control, format and other characters that leave no mark are written as their escapes, such as `\n` or `\u{202e}`.
pub(crate) fn shown(text: &str) -> String {
    with_escapes(text, |_| false)
}

/// A text as the lines that it is, its other invisible characters as escapes.
pub(crate) fn shown_lines(text: &str) -> String {
    with_escapes(&text.replace("\r\n", "\n"), |character| matches!(character, '\n' | '\t'))
}

fn with_escapes(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if keep(character) || is_seen(character) {
            shown.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_debug());
        }
    }
    shown
}

/// Whether a character leaves a mark where it stands, or is a plain space.
fn is_seen(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Behind a letter, since a mark that is set over the letter before it is escaped where it stands first.
    let behind_a_letter: String = ['x', character].iter().collect();
    behind_a_letter.escape_debug().nth(1) == Some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_seen_is_written_out() {
        assert_eq!(shown("x/\u{202e}DSU-CTB"), "x/\\u{202e}DSU-CTB");
        assert_eq!(
            shown("a\u{200b}b\u{feff}c\u{2066}d\u{0}e\u{1b}[31m\u{85}\u{2028}"),
            "a\\u{200b}b\\u{feff}c\\u{2066}d\\0e\\u{1b}[31m\\u{85}\\u{2028}"
        );
        assert_eq!(shown("one\ntwo\tthree"), "one\\ntwo\\tthree");
        assert_eq!(shown_lines("one\r\ntwo\tthree\rfour\u{7}"), "one\ntwo\tthree\\rfour\\u{7}");
    }

    #[test]
    fn what_is_seen_stays_as_it_is() {
        for text in ["<script>alert('x')</script> & \"y\" \\", "市場/円 €", "שלום/عربي", "e\u{301}/नि", "🚀"] {
            assert_eq!(shown(text), text);
        }
    }
}

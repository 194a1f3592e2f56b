//! The name that a user probably meant, for messages about names that are not there.

/// Names longer than this are not compared: the cost grows with the product of the lengths.
const CHARS_MAX: usize = 100;

/// The candidate nearest to `name`, where one is near enough to be a slip of the finger.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length > CHARS_MAX {
        return None;
    }
    let tolerated = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// " (did you mean X?)" with the nearest candidate in it, or nothing.
pub(super) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, candidates).map(|candidate| format!(" (did you mean {candidate}?)")).unwrap_or_default()
}

/// How many characters must be inserted, removed, replaced or exchanged with their neighbour to turn one name into the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().take(CHARS_MAX + 1).collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(from != to);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *from == right[column - 1] && left[row - 1] == *to {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["timeout", "retries", "retry_delay", "config.levels"];
        for (typed, meant) in [("tmeout", "timeout"), ("timeuot", "timeout"), ("retires", "retries"), ("config.levles", "config.levels")] {
            assert_eq!(closest(typed, known), Some(meant), "{typed}");
        }
    }

    #[test]
    fn another_word_is_not_taken_for_a_slip() {
        assert_eq!(closest("memory", ["timeout", "retries"]), None);
        assert_eq!(closest("", ["timeout"]), None);
        assert_eq!(closest(&"x".repeat(100_000), ["timeout"]), None);
    }
}

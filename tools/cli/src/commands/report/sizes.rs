//! What the page shows of bytes and hours: a line for each dataset, and all of it.

use std::collections::BTreeSet;

use tickbarn::inspect::{Holding, Survey};
use tickbarn_terminal::output::{duration, percent, size, thousands};

use super::page::Size;
use crate::drawing::shown;

/// The lines, their sum, and what is said of artifacts that datasets share.
pub(super) fn sizes(survey: &Survey) -> (Vec<Size>, Size, String) {
    let share = |holding: &Holding| if survey.total.bytes == 0 { 0.0 } else { holding.bytes as f64 / survey.total.bytes as f64 };
    let line = |dataset: &str, instruments: usize, holding: &Holding| Size {
        dataset: shown(dataset),
        instruments: thousands(instruments as u64),
        entries: thousands(holding.entries),
        bytes: size(holding.bytes),
        percent: percent(share(holding)),
        bar: (share(holding) * 1000.0).round() / 10.0,
        time: duration(holding.seconds),
    };
    let instruments: BTreeSet<_> = survey.places.iter().map(|place| &place.instrument).collect();
    let lines = survey.datasets.iter().map(|held| {
        let instruments = survey.places.iter().filter(|place| place.dataset == held.dataset).count();
        line(&held.dataset, instruments, &held.holding)
    });
    let saved = survey.total.bytes_saved();
    let sharing = if saved == 0 { String::new() } else { format!("Without sharing equal files it would be {} more.", size(saved)) };
    (lines.collect(), line("all", instruments.len(), &survey.total), sharing)
}

//! A map as a picture of its own: on paper of its own, so that it can be read on a page of any colour, and dark where its reader's is.

use askama::Template;
use tickbarn_terminal::output::{columns_of, cut, thousands};

use super::map::{Fill, LABEL_COLUMNS_MAX, Map, Row, Run};
use super::outline::Letters;
use super::scale::Tick;

/// How far one row lies below another.
const ROW_PITCH: u32 = 18;
/// Room around everything.
const MARGIN: u32 = 20;
/// Room between names, cells and shares.
const GAP: u32 = 12;
/// Where the first row begins, and how far below the last one the picture ends.
const ROWS_TOP: u32 = 88;
const FOOT_HEIGHT: u32 = 74;
/// How wide a letter of names is, a little more than in most fonts whose letters are equally wide.
const LETTER: f64 = 7.3;
/// Room for `99.9%`.
const SHARE_WIDTH: u32 = 44;
/// Room for the cells of a row, of which each is a whole number of pixels wide.
const CELLS_WIDTH: u32 = 720;
const CELL_WIDTH_MAX: u32 = 28;
/// How large letters are, of the title and of all else, in pixels, and how wide a title may be.
const TITLE_SIZE: f64 = 16.0;
const TEXT_SIZE: f64 = 12.0;
const TITLE_COLUMNS_MAX: usize = 70;
/// How far a word of the legend lies behind what it explains, and the next of those behind the word.
const SWATCH: f64 = 20.0;
const SWATCH_GAP: f64 = 22.0;

/// How labels stand in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// As text, in a font of the reader's.
    Text,
    /// As shapes.
    Shapes,
}

/// The map as an SVG of its own. `note` says where it comes from and of when it is.
pub(crate) fn svg(map: &Map, note: &str) -> String {
    drawn(map, note, Labels::Text)
}

pub(super) fn drawn(map: &Map, note: &str, labels: Labels) -> String {
    let hand = Hand { letters: (labels == Labels::Shapes).then(Letters::carried) };
    let names: Vec<String> = map.rows.iter().map(|row| hand.name(row)).collect();
    let about = format!("{} UTC, {} there; a cell is {}", map.range, map.share, map.cell);
    let left_out = match map.rows_left_out {
        0 => String::new(),
        more => format!("and {} more, which are not drawn; ", thousands(more as u64)),
    };
    let lines = [cut(&map.title, TITLE_COLUMNS_MAX).into_owned(), about, format!("{left_out}{note}")];
    let layout = Layout::of(map, &names, &lines);
    let legend = layout.legend(map);
    let labels = hand.labels(map, &names, &lines, &layout, &legend);
    let [_, about, _] = lines;
    let picture = Picture { map, layout, legend, labels, about, is_dark_too: hand.letters.is_none() };
    picture.render().expect("writing to a string does not fail")
}

/// What the looks of cells mean.
pub(crate) fn legend(has_closed: bool) -> Vec<(Fill, &'static str)> {
    use Fill::{Closed, Empty, Failed, Missing, Part, Whole};
    let all = [(Whole, "have"), (Part(2), "in part"), (Empty, "empty"), (Failed, "failed"), (Missing, "missing"), (Closed, "closed")];
    all.into_iter().filter(|(fill, _)| *fill != Closed || has_closed).collect()
}

/// Where everything is, in pixels.
struct Layout {
    cells_left: u32,
    cell_width: u32,
    shares_right: u32,
    rows_bottom: u32,
    width: u32,
    height: u32,
}

impl Layout {
    fn of(map: &Map, names: &[String], [title, about, foot]: &[String; 3]) -> Self {
        let wide = |text: &str| LETTER * columns_of(text) as f64;
        let cells_left = MARGIN + names.iter().map(|name| wide(name).ceil() as u32).max().unwrap_or_default() + GAP;
        let cell_width = (CELLS_WIDTH / map.columns.max(1)).clamp(2, CELL_WIDTH_MAX);
        let shares_right = cells_left + cell_width * map.columns + GAP + SHARE_WIDTH;
        let legend: f64 = legend(true).into_iter().map(|(_, word)| SWATCH + wide(word) + SWATCH_GAP).sum();
        let lines = [wide(title) * TITLE_SIZE / TEXT_SIZE, wide(about), wide(foot), legend].into_iter().fold(0.0, f64::max);
        let rows_bottom = ROWS_TOP + ROW_PITCH * map.rows.len() as u32;
        Self {
            cells_left,
            cell_width,
            shares_right,
            rows_bottom,
            width: MARGIN + shares_right.max(MARGIN + lines.ceil() as u32),
            height: rows_bottom + FOOT_HEIGHT,
        }
    }

    /// Each look with where it is explained, and by which word.
    fn legend(&self, map: &Map) -> Vec<(f64, Fill, &'static str)> {
        let mut left = f64::from(MARGIN);
        let explained = legend(map.has_closed()).into_iter().map(|(fill, word)| {
            let at = left;
            left += SWATCH + LETTER * word.len() as f64 + SWATCH_GAP;
            (at, fill, word)
        });
        explained.collect()
    }

    fn at(&self, tick: &Tick) -> f64 {
        f64::from(self.cells_left) + tick.column * f64::from(self.cell_width)
    }
}

/// What writes labels.
struct Hand {
    letters: Option<Letters>,
}

impl Hand {
    /// What a row is called beside it. A name that has to be spelled is longer.
    fn name(&self, row: &Row) -> String {
        let spelled = |letters: &Letters| cut(&letters.spelled(&row.label), LABEL_COLUMNS_MAX).into_owned();
        self.letters.as_ref().map_or_else(|| row.label.clone(), spelled)
    }

    fn labels(&self, map: &Map, names: &[String], [title, about, foot]: &[String; 3], layout: &Layout, legend: &[(f64, Fill, &str)]) -> Vec<Label> {
        use Anchor::{End, Start};
        let left = f64::from(MARGIN);
        let mut labels = vec![
            self.label("title", (left, 34), Start, title),
            self.label("dim", (left, 54), Start, about),
            self.label("dim", (left, layout.rows_bottom + 58), Start, foot),
        ];
        let ticks = map.ticks.iter().filter(|tick| map.has_room(tick));
        labels.extend(ticks.map(|tick| self.label("dim", (layout.at(tick), ROWS_TOP - 9), Start, &tick.label)));
        for (nth, (row, name)) in map.rows.iter().zip(names).enumerate() {
            let base = ROWS_TOP + ROW_PITCH * nth as u32 + 10;
            labels.push(self.label("ink", (f64::from(layout.cells_left - GAP), base), End, name));
            labels.push(self.label("dim", (f64::from(layout.shares_right), base), End, &row.share));
        }
        labels.extend(legend.iter().map(|(at, _, word)| self.label("ink", (at + SWATCH, layout.rows_bottom + 34), Start, word)));
        labels
    }

    fn label(&self, class: &'static str, (x, y): (f64, u32), anchor: Anchor, text: &str) -> Label {
        let size = if class == "title" { TITLE_SIZE } else { TEXT_SIZE };
        let shape = self.letters.as_ref().map(|letters| letters.path(text, (x, f64::from(y)), size, anchor.part()));
        Label { x, y, anchor, class, text: text.to_owned(), shape }
    }
}

#[derive(Template)]
#[template(path = "map.svg", escape = "html")]
struct Picture<'a> {
    map: &'a Map,
    layout: Layout,
    legend: Vec<(f64, Fill, &'static str)>,
    labels: Vec<Label>,
    about: String,
    /// Whether it has colours for dark paper, too.
    is_dark_too: bool,
}

impl Picture<'_> {
    /// The rows with where they begin.
    fn rows(&self) -> impl Iterator<Item = (u32, &Row)> {
        self.map.rows.iter().enumerate().map(|(nth, row)| (ROWS_TOP + ROW_PITCH * nth as u32, row))
    }

    fn rows_top(&self) -> u32 {
        ROWS_TOP
    }

    fn left(&self, run: &Run) -> u32 {
        self.layout.cells_left + run.column * self.layout.cell_width
    }

    fn width_of(&self, run: &Run) -> u32 {
        run.columns * self.layout.cell_width
    }
}

/// A text in a picture.
struct Label {
    x: f64,
    y: u32,
    anchor: Anchor,
    class: &'static str,
    text: String,
    shape: Option<String>,
}

/// Which point of a text is placed.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Start,
    End,
}

impl Anchor {
    fn part(self) -> f64 {
        match self {
            Anchor::Start => 0.0,
            Anchor::End => 1.0,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::End => "end",
        }
    }
}

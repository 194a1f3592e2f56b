//! A map as dots: its SVG, with letters as shapes, on light paper.

use resvg::{tiny_skia, usvg};
use tickbarn_terminal::exit::{Failure, Result};

use super::map::Map;
use super::svg::{Labels, drawn};

/// Dots to a pixel of the SVG, so that it is sharp on a screen with many.
const DOTS: f32 = 2.0;

/// The map as a PNG.
///
/// # Errors
///
/// Where there is no memory for so many dots.
pub(crate) fn png(map: &Map, note: &str) -> Result<Vec<u8>> {
    let failed = |reason: String| Failure::World(format!("the map cannot be drawn as PNG: {reason}\n  draw it with --svg, or less of it"));
    let svg = drawn(map, note, Labels::Shapes);
    let tree = usvg::Tree::from_str(&svg, &usvg::Options::default()).map_err(|error| failed(error.to_string()))?;
    let (width, height) = ((tree.size().width() * DOTS) as u32, (tree.size().height() * DOTS) as u32);
    let mut dots = tiny_skia::Pixmap::new(width, height).ok_or_else(|| failed(format!("{width} × {height} dots are too many")))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(DOTS, DOTS), &mut dots.as_mut());
    dots.encode_png().map_err(|error| failed(error.to_string()))
}

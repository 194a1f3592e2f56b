//! Pictures of what a store covers: a map of a dataset as SVG and as PNG, and the parts of it that pages are made of.
//!
//! What is drawn is a [`Map`], made of intervals alone: what is asked of a store is none of its matter.

mod map;
mod of_coverage;
mod outline;
mod png;
mod scale;
mod svg;
mod text;

#[cfg(test)]
pub(crate) use map::Track;
pub(crate) use map::{Fill, Map, ROW_HEIGHT};
pub(crate) use of_coverage::tracks_of;
pub(crate) use png::png;
pub(crate) use svg::{legend, svg};
pub(crate) use text::{shown, shown_lines};

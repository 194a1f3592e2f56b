//! Labels as shapes, for pictures made of dots: they look the same on every machine, also on one without any fonts.
//!
//! The font is Hack, which the crate `epaint_default_fonts` brings along. Its letters are all equally wide, so that nothing has to be known of setting
//! type. A character that it does not have is written as its escape.

use std::fmt::Write;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// The letters that the program carries.
pub(super) struct Letters {
    face: Face<'static>,
}

impl Letters {
    pub(super) fn carried() -> Self {
        Self { face: Face::parse(epaint_default_fonts::HACK_REGULAR, 0).expect("the font that is compiled in is one") }
    }

    /// A text as the data of an SVG path: its size in pixels, and the point of its base line at which the part `anchor` of its width lies.
    pub(super) fn path(&self, text: &str, (x, y): (f64, f64), size: f64, anchor: f64) -> String {
        let scale = size / f64::from(self.face.units_per_em());
        let glyphs = self.glyphs(text);
        let advance = |glyph: &GlyphId| f64::from(self.face.glyph_hor_advance(*glyph).unwrap_or_default()) * scale;
        let width: f64 = glyphs.iter().map(advance).sum();
        let mut pen = Pen { x: x - width * anchor, y, scale, path: String::new() };
        for glyph in &glyphs {
            // What has no outline is a space.
            let _ = self.face.outline_glyph(*glyph, &mut pen);
            pen.x += advance(glyph);
        }
        pen.path
    }

    /// A text with the escapes of those characters that the font does not have.
    pub(super) fn spelled(&self, text: &str) -> String {
        let mut spelled = String::with_capacity(text.len());
        for character in text.chars() {
            match self.face.glyph_index(character) {
                Some(_) => spelled.push(character),
                None => spelled.extend(character.escape_unicode()),
            }
        }
        spelled
    }

    fn glyphs(&self, text: &str) -> Vec<GlyphId> {
        self.spelled(text).chars().filter_map(|character| self.face.glyph_index(character)).collect()
    }
}

/// Draws outlines, whose y grows upwards, into a picture whose y grows downwards.
struct Pen {
    x: f64,
    y: f64,
    scale: f64,
    path: String,
}

impl Pen {
    fn add(&mut self, command: char, points: &[(f32, f32)]) {
        self.path.push(command);
        for (x, y) in points {
            let (x, y) = (self.x + f64::from(*x) * self.scale, self.y - f64::from(*y) * self.scale);
            // Writing to a string does not fail.
            let _ = write!(self.path, "{x:.2} {y:.2} ");
        }
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.add('M', &[(x, y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.add('L', &[(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.add('Q', &[(x1, y1), (x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.add('C', &[(x1, y1), (x2, y2), (x, y)]);
    }

    fn close(&mut self) {
        self.path.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_leaves_a_shape() {
        let letters = Letters::carried();
        let path = |text: &str| letters.path(text, (0.0, 0.0), 12.0, 0.0);
        assert_eq!(path(" "), "");
        for text in ["binance/BTC-USDT", "€ Ωμέγα Привет …", "99.9%"] {
            assert!(text.chars().all(|character| character == ' ' || !path(&character.to_string()).is_empty()), "{text}");
        }
        assert_eq!(path("市"), path("\\u{5e02}"), "a character that the font does not have is spelled");
    }
}

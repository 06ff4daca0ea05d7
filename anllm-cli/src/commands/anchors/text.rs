//! The text with its segments and anchors marked: by colours, or by characters where there are none.

use anllm_core::{Place, Segments};

use super::reading::Reading;
use super::spelling::{Token, push_visible};

/// How segments and anchors are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Terminal colours: a background for each segment, another for anchors.
    Colour,
    /// `⟨.⟩` round anchors, `│` between segments.
    Plain,
}

/// Backgrounds of segments, in turn, from the 256-colour table: pale, under black text.
const SEGMENTS: [u8; 4] = [189, 194, 223, 225];
/// Anchors: bold white on dark red.
const ANCHOR: &str = "\x1b[1;38;5;231;48;5;124m";
const RESET: &str = "\x1b[0m";

/// The whole text, and a line that says how to read it.
pub(super) fn render(reading: &Reading, style: Style) -> String {
    marked(&reading.segments, &reading.tokens, style) + "\n" + legend(style)
}

/// How to read a marked text, a line.
pub(super) fn legend(style: Style) -> &'static str {
    match style {
        Style::Colour => "each background is a segment; bold on red is an anchor\n",
        Style::Plain => "⟨ ⟩ is an anchor, │ ends a segment\n",
    }
}

/// The text with its segments and anchors marked, ended by a line break.
pub(super) fn marked(segments: &Segments, tokens: &[Token], style: Style) -> String {
    let mut text = String::new();
    for (place, token) in segments.places().iter().zip(tokens) {
        let ends = place.anchor && place.index + 1 < tokens.len();
        let shown = visible(&token.text, place.anchor);
        match style {
            Style::Colour => colour(&mut text, &shown, place),
            Style::Plain if place.anchor => {
                // A line break that is an anchor is marked before it breaks the line.
                let (inside, breaks) = shown.split_at(shown.trim_end_matches('\n').len());
                text.push_str(&format!("⟨{inside}⟩{}{breaks}", if ends { "│" } else { "" }));
            }
            Style::Plain => text.push_str(&shown),
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The token's characters, safe to print. An anchor's line breaks get a sign of their own.
pub(super) fn visible(token: &str, anchor: bool) -> String {
    let mut text = String::new();
    for c in token.chars() {
        if c == '\n' && anchor {
            text.push('↵');
        }
        push_visible(&mut text, c);
    }
    text
}

fn colour(text: &mut String, shown: &str, place: &Place) {
    let start = match place.anchor {
        true => ANCHOR.to_owned(),
        false => format!("\x1b[38;5;16;48;5;{}m", SEGMENTS[place.segment % SEGMENTS.len()]),
    };
    // A background that is left on would fill the rest of the line.
    for part in shown.split_inclusive('\n') {
        let (line, end) = part.split_at(part.trim_end_matches('\n').len());
        if !line.is_empty() {
            text.push_str(&format!("{start}{line}{RESET}"));
        }
        text.push_str(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;
    use crate::commands::anchors::spelling::{self, Raw};

    fn first_part(text: &str) -> &str {
        text.split("\n\n").next().unwrap()
    }

    #[test]
    fn without_colours_characters_mark_anchors_and_segments() {
        let reading = reading(&["A", " b", ".", "\n", "C", ".", " d"], &[2, 5]);
        let text = render(&reading, Style::Plain);
        assert_eq!(first_part(&text), "A b⟨.⟩│\nC⟨.⟩│ d");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn an_anchor_at_the_end_opens_no_segment() {
        let text = render(&reading(&["A", "."], &[1]), Style::Plain);
        assert_eq!(first_part(&text), "A⟨.⟩");
    }

    #[test]
    fn a_line_break_as_anchor_is_seen() {
        let text = render(&reading(&["A", "\n", "B"], &[1]), Style::Plain);
        assert_eq!(first_part(&text), "A⟨↵⟩│\nB");
    }

    #[test]
    fn characters_over_several_tokens_are_joined() {
        let mut reading = reading(&["a", "b", "c"], &[2]);
        let raw = [&b"\xE2"[..], b"\x82", b"\xAC."].map(|bytes| Raw::Bytes(bytes.to_vec()));
        reading.tokens = spelling::join(raw.to_vec());
        assert_eq!(first_part(&render(&reading, Style::Plain)), "€⟨.⟩");
    }

    #[test]
    fn colours_end_before_a_line_does() {
        let text = render(&reading(&["A", ".\n", "B"], &[1]), Style::Colour);
        assert!(text.contains(&format!("{ANCHOR}.↵{RESET}\n\x1b[38;5;16;48;5;194mB{RESET}\n")), "{text:?}");
    }
}

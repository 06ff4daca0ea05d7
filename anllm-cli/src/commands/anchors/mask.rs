//! The mask as rows of characters.

use anllm_core::Verdict;

use super::reading::Reading;
use super::spelling::columns;

/// The most tokens that are drawn with characters: about as many as a wide terminal has columns.
const MOST_TOKENS_TEXT: usize = 200;

/// The most tokens whose pairs are written out one by one.
pub(super) const MOST_TOKENS_DENSE: usize = 4096;

/// Columns for a row's token.
const LABEL: usize = 16;

/// Draws the mask, one row for each query.
///
/// # Errors
/// When there are too many tokens for a terminal.
pub(super) fn drawing(reading: &Reading) -> anyhow::Result<String> {
    refuse_beyond(MOST_TOKENS_TEXT, reading, "--mask")?;
    let places = reading.segments.places();
    let mut text = format!("{:>22}{}\n", "", ruler(places.len()));
    for (query, token) in reading.places() {
        let label = match query.anchor {
            true => format!("⟨{}⟩", token.short_label(LABEL - 2)),
            false => token.short_label(LABEL),
        };
        let padding = " ".repeat(LABEL.saturating_sub(columns(&label)));
        let row: String = places.iter().map(|key| cell(reading.policy.explain(query, key))).collect();
        text.push_str(&format!("{:>3} {label}{padding} │{}\n", query.index, row.trim_end()));
    }
    text.push_str(match reading.cache.policy.as_str() {
        "anchor" => "each row is a token that looks: █ sees its own segment, ◆ an earlier anchor, · nothing\n",
        _ => "each row is a token that looks: █ sees a token near it, ◆ one that stays, · nothing\n",
    });
    Ok(text)
}

/// # Errors
/// When the text has more than `most` tokens.
pub(super) fn refuse_beyond(most: usize, reading: &Reading, option: &str) -> anyhow::Result<()> {
    let tokens = reading.ids.len();
    let picture = match most < MOST_TOKENS_DENSE && tokens <= MOST_TOKENS_DENSE {
        true => ", or a picture with --svg FILE",
        false => "",
    };
    anyhow::ensure!(
        tokens <= most,
        "{option}: {}: the mask of {tokens} tokens is too large to draw (at most {most} here)\n  hint: draw the \
         beginning with --limit-tokens {most}{picture}",
        reading.source
    );
    Ok(())
}

fn cell(verdict: Verdict) -> char {
    match verdict {
        Verdict::Later => ' ',
        near if near.near() => '█',
        far if far.far() => '◆',
        _ => '·',
    }
}

/// Every tenth column's number.
fn ruler(len: usize) -> String {
    (0..len).step_by(10).map(|at| format!("{at:<10}")).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;

    #[test]
    fn draws_the_papers_figure() {
        let reading = reading(&["1", "2", "3", "4", "5", "6", "7", "8"], &[3, 6]);
        let expected = "
                      0
  0 1                │█
  1 2                │██
  2 3                │███
  3 ⟨4⟩              │████
  4 5                │···◆█
  5 6                │···◆██
  6 ⟨7⟩              │····███
  7 8                │···◆··◆█
";
        let drawing = drawing(&reading).unwrap();
        assert!(drawing.starts_with(&expected[1..]), "{drawing}");
    }

    #[test]
    fn a_large_mask_is_refused_with_a_way_out() {
        let reading = reading(&vec!["a"; MOST_TOKENS_TEXT + 1], &[]);
        let message = drawing(&reading).unwrap_err().to_string();
        for part in ["a test", "201 tokens", "at most 200", "hint: ", "--limit-tokens 200", "--svg"] {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
    }

    #[test]
    fn the_ruler_counts_columns() {
        assert_eq!(ruler(8), "0");
        assert_eq!(ruler(21), "0         10        20");
    }
}

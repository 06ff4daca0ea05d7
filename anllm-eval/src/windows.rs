//! How a long text is cut into windows that fit a model.

use std::ops::Range;

/// A stretch of a text that is fed alone, and which of its tokens are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Tokens fed.
    pub fed: Range<usize>,
    /// Tokens scored; never the first one fed, which nothing predicts.
    pub scored: Range<usize>,
}

/// Settings that make no windows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A window needs a token to predict from and one to predict.
    #[error("a window must have at least 2 tokens, found {0}")]
    TooSmall(usize),
    /// Tokens would be left out.
    #[error("the stride must be from 1 to the window of {window} tokens, found {stride}")]
    Stride {
        /// Tokens in a window.
        window: usize,
        /// Tokens between window starts.
        stride: usize,
    },
}

/// Windows of `window` tokens every `stride`, over `tokens` in all. The first window is scored from its 2nd token on;
/// where `stride < window`, later ones are scored on what they add. The last window may be short.
///
/// # Errors
/// When the window has no token to score, or the stride leaves tokens out.
pub fn windows(tokens: usize, window: usize, stride: usize) -> Result<Vec<Window>, WindowError> {
    if window < 2 {
        return Err(WindowError::TooSmall(window));
    }
    if stride == 0 || stride > window {
        return Err(WindowError::Stride { window, stride });
    }
    let mut cut = Vec::new();
    let mut scored_to = 0;
    for start in (0..tokens).step_by(stride) {
        let end = (start + window).min(tokens);
        let first = scored_to.max(start + 1);
        if first < end {
            cut.push(Window { fed: start..end, scored: first..end });
        }
        scored_to = end;
        if end == tokens {
            break;
        }
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(tokens: usize, window: usize, stride: usize) -> Vec<(Range<usize>, Range<usize>)> {
        windows(tokens, window, stride).unwrap().into_iter().map(|w| (w.fed, w.scored)).collect()
    }

    #[test]
    fn side_by_side_windows_lose_their_first_token() {
        assert_eq!(scored(10, 4, 4), [(0..4, 1..4), (4..8, 5..8), (8..10, 9..10)]);
        assert_eq!(scored(9, 4, 4).len(), 2, "a lone last token has nothing to be predicted from");
    }

    #[test]
    fn overlapping_windows_score_every_token_once() {
        assert_eq!(scored(9, 4, 2), [(0..4, 1..4), (2..6, 4..6), (4..8, 6..8), (6..9, 8..9)]);
        let all: Vec<usize> = windows(57, 16, 5).unwrap().into_iter().flat_map(|w| w.scored).collect();
        assert_eq!(all, (1..57).collect::<Vec<_>>());
    }

    #[test]
    fn refuses_what_leaves_tokens_out() {
        assert!(windows(9, 4, 5).is_err());
        assert!(windows(9, 4, 0).is_err());
        assert!(windows(9, 1, 1).is_err());
        assert!(windows(1, 4, 4).unwrap().is_empty());
    }
}

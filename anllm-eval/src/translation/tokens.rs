//! The tokens that BLEU counts: `13a`, the rules of the WMT campaigns' script (mteval-v13a).

use std::sync::LazyLock;

use regex::Regex;

/// What stands apart. In order; `$1` and so on stay.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // Punctuation but for apostrophe, comma, hyphen and full stop.
        (r"([\{-\~\[-\` -\&\(-\+\:-\@/])", " $1 "),
        // Comma and full stop, where no digit stands before them …
        (r"([^0-9])([\.,])", "$1 $2 "),
        // … or behind them.
        (r"([\.,])([^0-9])", " $1 $2"),
        // A hyphen behind a digit.
        (r"([0-9])(-)", "$1 $2 "),
    ];
    rules.into_iter().filter_map(|(rule, with)| Some((Regex::new(rule).ok()?, with))).collect()
});

/// The tokens of a line.
pub(super) fn tokens(line: &str) -> Vec<String> {
    let mut text = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if text.contains('&') {
        for (code, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
            text = text.replace(code, character);
        }
    }
    let mut text = format!(" {text} ");
    for (rule, with) in RULES.iter() {
        text = rule.replace_all(&text, *with).into_owned();
    }
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `sacrebleu.tokenizers.tokenizer_13a` makes of these lines.
    #[test]
    fn lines_are_cut_as_sacrebleu_cuts_them() {
        for (line, expected) in [
            ("Hello, world!", "Hello , world !"),
            ("It cost 1,000.50 dollars.", "It cost 1,000.50 dollars ."),
            ("a 28-year-old (chef)", "a 28 - year-old ( chef )"),
            ("\"Don't\" &amp; won't", "\" Don't \" & won't"),
            ("U.S. and 3.5%", "U . S . and 3.5 %"),
            ("well-known e.g. x/y", "well-known e . g . x / y"),
            ("", ""),
        ] {
            assert_eq!(tokens(line).join(" "), expected, "{line:?}");
        }
        assert_eq!(RULES.len(), 4);
    }
}

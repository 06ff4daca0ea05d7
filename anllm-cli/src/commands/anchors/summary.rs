//! The numbers of a reading, for people: counts, lengths of segments, what the cache keeps, and what looks wrong.

use anllm_core::AnchorRule;

use super::reading::Reading;
use crate::output::bytes;

/// A segment longer than this keeps the cache large while it is open.
const LONG_SEGMENT: usize = 512;

/// Columns of the longest bar.
const BAR: usize = 40;

/// How many segments have a length from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) count: usize,
}

impl Bin {
    /// The lengths counted: "8–15".
    pub(super) fn range(&self) -> String {
        if self.from == self.to { self.from.to_string() } else { format!("{}–{}", self.from, self.to) }
    }
}

/// The summary as text.
pub(super) fn text(reading: &Reading) -> String {
    let mut text = String::new();
    for (name, value) in rows(reading) {
        text.push_str(&format!("{name:<20} {value}\n"));
    }
    let bins = histogram(&reading.lengths);
    let most = bins.iter().map(|b| b.count).max().unwrap_or(0);
    let digits = most.to_string().len();
    text.push_str("segments by length\n");
    for bin in &bins {
        let bar = "█".repeat((bin.count * BAR).div_ceil(most.max(1)));
        text.push_str(format!("{:>20} {:>digits$} {bar}", bin.range(), bin.count).trim_end());
        text.push('\n');
    }
    text
}

/// Names and values.
pub(super) fn rows(reading: &Reading) -> Vec<(&'static str, String)> {
    let tokens = reading.ids.len();
    let anchors = reading.segments.anchors().len();
    let percent = |part: f64, whole: f64| 100.0 * part / whole.max(1.0);
    let cache = &reading.cache;
    let (visible, causal) = (reading.visible_pairs(), reading.causal_pairs());
    let reduced = if cache.policy == "anchor" { "anchor cache" } else { "reduced cache" };
    vec![
        ("rule", reading.rule.to_string()),
        ("cache policy", cache.policy.clone()),
        ("tokens", tokens.to_string()),
        ("anchors", format!("{anchors} ({:.1} per 100 tokens)", percent(anchors as f64, tokens as f64))),
        (
            "segments",
            format!("{}, mean {:.1} tokens, longest {}", reading.lengths.len(), reading.mean(), reading.longest()),
        ),
        ("pairs attended", format!("{visible} of {causal} ({:.1} %)", percent(visible as f64, causal as f64))),
        ("full cache", format!("{} entries, {} (f32)", cache.seen, bytes(cache.full_bytes))),
        (reduced, format!("{} entries, {} (f32), at most {} at a time", cache.kept, bytes(cache.bytes), cache.peak)),
        ("saved", format!("{:.1} %", 100.0 * cache.reduction())),
    ]
}

/// Counts lengths by powers of two, from the shortest to the longest found.
pub(super) fn histogram(lengths: &[usize]) -> Vec<Bin> {
    let bits = |len: &usize| len.max(&1).ilog2();
    let range = lengths.iter().map(bits).min().zip(lengths.iter().map(bits).max());
    let Some((first, last)) = range else {
        return Vec::new();
    };
    let bin = |power: u32| Bin {
        from: 1 << power,
        to: (1 << power) * 2 - 1,
        count: lengths.iter().filter(|len| bits(len) == power).count(),
    };
    (first..=last).map(bin).collect()
}

/// What keeps the anchors from doing their work on this text, and what to do.
pub(super) fn warnings(reading: &Reading) -> Vec<String> {
    let rule = &reading.rule;
    if reading.segments.anchors().is_empty() {
        let hint = match rule {
            AnchorRule::None => "choose a rule with --anchors",
            AnchorRule::Endpoint => "a rule that more tokens fit, such as --anchors 'endswith:.|!|?'",
            AnchorRule::Added => "the text needs <AC> after each sentence",
            _ => "choose another rule with --anchors, such as ep",
        };
        return vec![format!(
            "no token of {} is an anchor under the rule `{rule}`: attention stays causal and the cache saves nothing\n  \
             hint: {hint}",
            reading.source
        )];
    }
    let longest = reading.spans().max_by_key(|(start, len)| (*len, usize::MAX - start));
    match longest {
        Some((start, len)) if len > LONG_SEGMENT => vec![format!(
            "no anchor in {len} tokens, from token {start} to {}: the cache keeps them all until the segment ends\n  \
             hint: a rule that more tokens fit, such as --anchors 'endswith:.|!|?|\\n' or --anchors every:64",
            start + len - 1
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;

    #[test]
    fn lengths_are_counted_by_powers_of_two() {
        let bin = |from, to, count| Bin { from, to, count };
        assert_eq!(histogram(&[2, 3, 8, 2]), [bin(2, 3, 3), bin(4, 7, 0), bin(8, 15, 1)]);
        assert_eq!(histogram(&[1]), [bin(1, 1, 1)]);
        assert_eq!(histogram(&[]), []);
    }

    #[test]
    fn tells_tokens_anchors_segments_and_savings() {
        let text = text(&reading(&["a", " b", ".", " c", ".", " d"], &[2, 4]));
        for part in [
            "tokens               6\n",
            "anchors              2 (33.3 per 100 tokens)\n",
            "segments             3, mean 2.0 tokens, longest 3\n",
            "full cache           6 entries, 384 B (f32)\n",
            "anchor cache         3 entries, 192 B (f32), at most 3 at a time\n",
            "saved                50.0 %\n",
            "                   1 1 ████████████████████\n",
            "                 2–3 2 ████████████████████████████████████████\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn warns_where_no_anchor_is() {
        assert!(warnings(&reading(&["a", "."], &[1])).is_empty());
        let none = warnings(&reading(&["a", "b"], &[])).join("");
        assert!(none.contains("no token of a test is an anchor under the rule `ep`"), "{none}");
        assert!(none.contains("hint: "), "{none}");
        let mut words = vec!["a"; 700];
        words[9] = ".";
        let long = warnings(&reading(&words, &[9])).join("");
        assert!(long.contains("no anchor in 690 tokens, from token 10 to 699"), "{long}");
    }
}

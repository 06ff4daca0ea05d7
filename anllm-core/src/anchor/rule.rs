//! The anchor rule as data. It is written as one line of text, the same on the command line, in configuration files
//! and inside a checkpoint, so that inference cannot drift from what training used.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which tokens of a sequence are anchors.
///
/// | text | anchors |
/// |---|---|
/// | `ep` | the token "." (AnLLM-EP, paper section 3.3) |
/// | `ac` | the added token `<AC>` (AnLLM-AC, paper section 3.3) |
/// | `tokens:A\|B` | the tokens with exactly these texts; `\n`, `\t`, `\\` and `\|` escape |
/// | `ids:30,1673` | the tokens with these ids |
/// | `endswith:.\|!\|?` | every token whose text ends in one of these |
/// | `every:N` | positions N−1, 2N−1, … of each document |
/// | `none` | no token: plain causal attention |
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AnchorRule {
    /// The token ".".
    Endpoint,
    /// The added token `<AC>`.
    Added,
    /// Tokens with exactly these texts.
    Tokens(Vec<String>),
    /// Tokens with these ids.
    Ids(Vec<u32>),
    /// Tokens whose text ends in one of these.
    EndsWith(Vec<String>),
    /// Every n-th position of a document; at least 1.
    Every(usize),
    /// No anchors.
    None,
}

impl AnchorRule {
    /// The text of the token that AnLLM-AC adds.
    pub const ADDED_TOKEN: &'static str = "<AC>";
}

/// What a user may ask for: a rule, or "the one this checkpoint was trained with".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RuleChoice {
    /// `model`: the rule stored with the checkpoint.
    #[default]
    Model,
    /// An explicit rule.
    Rule(AnchorRule),
}

/// Text that is not an anchor rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The word before the colon is not one of the rules.
    #[error(
        "`{0}` is not an anchor rule (expected `ep`, `ac`, `tokens:A|B`, `ids:1,2`, `endswith:.|!|?`, `every:N` or `none`)"
    )]
    Unknown(String),
    /// A rule that needs arguments has none.
    #[error("the anchor rule `{rule}:` names nothing (expected {expected})")]
    Empty {
        /// The rule's word.
        rule: &'static str,
        /// What should follow.
        expected: &'static str,
    },
    /// An argument is not a number in range.
    #[error("`{found}` in the anchor rule `{rule}:` is not {expected}")]
    Number {
        /// The rule's word.
        rule: &'static str,
        /// The text found.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl FromStr for AnchorRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.split_once(':') {
            None => match text {
                "ep" => Ok(Self::Endpoint),
                "ac" => Ok(Self::Added),
                "none" => Ok(Self::None),
                _ => Err(RuleError::Unknown(text.to_owned())),
            },
            Some(("tokens", list)) => texts("tokens", list).map(Self::Tokens),
            Some(("endswith", list)) => texts("endswith", list).map(Self::EndsWith),
            Some(("ids", list)) => ids(list).map(Self::Ids),
            Some(("every", n)) => match n.trim().parse() {
                Ok(n) if n >= 1 => Ok(Self::Every(n)),
                _ => {
                    Err(RuleError::Number { rule: "every", found: n.to_owned(), expected: "a whole number, 1 or more" })
                }
            },
            Some(_) => Err(RuleError::Unknown(text.to_owned())),
        }
    }
}

fn texts(rule: &'static str, list: &str) -> Result<Vec<String>, RuleError> {
    let parts = split_escaped(list);
    if parts.iter().any(String::is_empty) {
        return Err(RuleError::Empty { rule, expected: "one or more texts separated by `|`, none of them empty" });
    }
    Ok(parts)
}

fn ids(list: &str) -> Result<Vec<u32>, RuleError> {
    if list.trim().is_empty() {
        return Err(RuleError::Empty { rule: "ids", expected: "token ids separated by `,`" });
    }
    list.split(',')
        .map(|id| {
            id.trim().parse().map_err(|_| RuleError::Number {
                rule: "ids",
                found: id.trim().to_owned(),
                expected: "a token id",
            })
        })
        .collect()
}

/// Splits at `|`, undoing `\n`, `\t`, `\|` and `\\`. A backslash before anything else stands for itself.
fn split_escaped(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = match (c, chars.peek()) {
            ('|', _) => {
                parts.push(String::new());
                continue;
            }
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('|')) => Some('|'),
            ('\\', Some('\\')) => Some('\\'),
            _ => None,
        };
        if escaped.is_some() {
            chars.next();
        }
        if let Some(last) = parts.last_mut() {
            last.push(escaped.unwrap_or(c));
        }
    }
    parts
}

fn join_escaped(parts: &[String]) -> String {
    let escape =
        |part: &String| part.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('|', "\\|");
    parts.iter().map(escape).collect::<Vec<_>>().join("|")
}

impl fmt::Display for AnchorRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => f.write_str("ep"),
            Self::Added => f.write_str("ac"),
            Self::Tokens(texts) => write!(f, "tokens:{}", join_escaped(texts)),
            Self::EndsWith(texts) => write!(f, "endswith:{}", join_escaped(texts)),
            Self::Ids(ids) => {
                write!(f, "ids:{}", ids.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
            }
            Self::Every(n) => write!(f, "every:{n}"),
            Self::None => f.write_str("none"),
        }
    }
}

impl TryFrom<String> for AnchorRule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<AnchorRule> for String {
    fn from(rule: AnchorRule) -> Self {
        rule.to_string()
    }
}

impl FromStr for RuleChoice {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text {
            "model" => Ok(Self::Model),
            rule => rule.parse().map(Self::Rule),
        }
    }
}

impl fmt::Display for RuleChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_rule() {
        let read = |s: &str| s.parse::<AnchorRule>().unwrap();
        assert_eq!(read("ep"), AnchorRule::Endpoint);
        assert_eq!(read("ac"), AnchorRule::Added);
        assert_eq!(read("none"), AnchorRule::None);
        assert_eq!(read("every:24"), AnchorRule::Every(24));
        assert_eq!(read("ids:30, 1673"), AnchorRule::Ids(vec![30, 1673]));
        assert_eq!(read("endswith:.|!|?"), AnchorRule::EndsWith(vec![".".into(), "!".into(), "?".into()]));
        assert_eq!(read(r"tokens:.|\n|a\|b|\\"), AnchorRule::Tokens([".", "\n", "a|b", "\\"].map(String::from).into()));
        assert_eq!("model".parse::<RuleChoice>().unwrap(), RuleChoice::Model);
    }

    #[test]
    fn refuses_what_is_not_a_rule_and_says_what_is() {
        let error = |s: &str| s.parse::<AnchorRule>().unwrap_err().to_string();
        assert!(error("dots").contains("expected `ep`"));
        assert!(error("every:0").contains("1 or more"));
        assert!(error("ids:1,x").contains("`x`"));
        assert!(error("tokens:").contains("names nothing"));
        assert!(error("endswith:.||!").contains("names nothing"));
    }

    proptest! {
        #[test]
        fn text_form_round_trips(texts in prop::collection::vec("[.|\\\\\n\ta-z ]{1,4}", 1..4), n in 1usize..99) {
            for rule in [AnchorRule::Tokens(texts.clone()), AnchorRule::EndsWith(texts), AnchorRule::Every(n)] {
                prop_assert_eq!(rule.to_string().parse::<AnchorRule>().unwrap(), rule.clone());
                let json = serde_json::to_string(&rule).unwrap();
                prop_assert_eq!(serde_json::from_str::<AnchorRule>(&json).unwrap(), rule);
            }
        }
    }
}

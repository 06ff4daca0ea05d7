//! An anchor rule resolved against one vocabulary: a question that can be asked of every token.

use super::rule::AnchorRule;
use crate::segments::{SegmentTracker, Segments};

/// What a rule needs to know of a tokenizer.
pub trait Vocabulary {
    /// Number of token ids, special tokens included.
    fn size(&self) -> usize;

    /// The text a token stands for when it appears inside a text (" ." keeps its space), or `None` for ids without
    /// text of their own: special tokens, bytes that are not UTF-8, gaps in the vocabulary.
    fn text(&self, id: u32) -> Option<String>;

    /// The id of the token that is written exactly so in the vocabulary file, special tokens included.
    fn id(&self, token: &str) -> Option<u32>;
}

/// A rule that does not fit a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No token has this text.
    #[error(
        "the anchor rule `{rule}` names the token {token:?}, which is not in the vocabulary of {size} tokens{hint}"
    )]
    NoSuchToken {
        /// The rule.
        rule: AnchorRule,
        /// The text that no token has.
        token: String,
        /// The vocabulary's size.
        size: usize,
        /// What to do, on a line of its own.
        hint: &'static str,
    },
    /// An id is beyond the vocabulary.
    #[error("the anchor rule `{rule}` names the id {id}, but the vocabulary ends at {last}")]
    NoSuchId {
        /// The rule.
        rule: AnchorRule,
        /// The id.
        id: u32,
        /// The largest id.
        last: usize,
    },
    /// No token of the vocabulary ends in any of the texts.
    #[error("no token of the vocabulary ({size} tokens) fits the anchor rule `{rule}`")]
    NothingMatches {
        /// The rule.
        rule: AnchorRule,
        /// The vocabulary's size.
        size: usize,
    },
}

/// A rule, resolved: says of each token whether it is an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorMatcher {
    rule: AnchorRule,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// One flag for each id of the vocabulary.
    Id(Vec<bool>),
    Every(usize),
    Never,
}

impl AnchorMatcher {
    /// Resolves `rule` against `vocabulary`.
    ///
    /// # Errors
    /// When the rule names a token or id that the vocabulary does not have.
    pub fn resolve(rule: &AnchorRule, vocabulary: &dyn Vocabulary) -> Result<Self, ResolveError> {
        let test = match rule {
            AnchorRule::None => Test::Never,
            AnchorRule::Every(n) => Test::Every((*n).max(1)),
            AnchorRule::Endpoint => Test::Id(exact(rule, &[".".to_owned()], vocabulary)?),
            AnchorRule::Added => Test::Id(exact(rule, &[AnchorRule::ADDED_TOKEN.to_owned()], vocabulary)?),
            AnchorRule::Tokens(texts) => Test::Id(exact(rule, texts, vocabulary)?),
            AnchorRule::Ids(ids) => Test::Id(by_id(rule, ids, vocabulary)?),
            AnchorRule::EndsWith(ends) => Test::Id(by_ending(rule, ends, vocabulary)?),
        };
        Ok(Self { rule: rule.clone(), test })
    }

    /// The matcher without anchors, for any vocabulary.
    pub fn none() -> Self {
        Self { rule: AnchorRule::None, test: Test::Never }
    }

    /// The rule this was resolved from.
    pub fn rule(&self) -> &AnchorRule {
        &self.rule
    }

    /// Whether the token `id` is an anchor at `position` of its document.
    pub fn is_anchor(&self, id: u32, position: usize) -> bool {
        match &self.test {
            Test::Id(flags) => flags.get(id as usize).copied().unwrap_or(false),
            Test::Every(n) => (position + 1).is_multiple_of(*n),
            Test::Never => false,
        }
    }

    /// The segments of one document.
    pub fn segments(&self, ids: &[u32]) -> Segments {
        let mut tracker = SegmentTracker::default();
        ids.iter().map(|&id| tracker.push(self.is_anchor(id, tracker.position()))).collect()
    }

    /// The ids that are anchors wherever they stand; `None` when the rule does not depend on ids.
    pub fn ids(&self) -> Option<Vec<u32>> {
        match &self.test {
            Test::Id(flags) => Some((0u32..).zip(flags).filter(|(_, f)| **f).map(|(id, _)| id).collect()),
            Test::Every(_) | Test::Never => None,
        }
    }
}

fn exact(rule: &AnchorRule, texts: &[String], vocabulary: &dyn Vocabulary) -> Result<Vec<bool>, ResolveError> {
    let mut flags = vec![false; vocabulary.size()];
    let mut missing: Vec<&String> = texts.iter().collect();
    for (id, flag) in (0u32..).zip(&mut flags) {
        if let Some(text) = vocabulary.text(id).filter(|text| texts.contains(text)) {
            *flag = true;
            missing.retain(|t| **t != text);
        }
    }
    for text in missing {
        // Special tokens have no text of their own; they are named as the vocabulary writes them.
        match vocabulary.id(text).map(|id| id as usize).filter(|id| *id < flags.len()) {
            Some(id) => flags[id] = true,
            None => {
                let hint = match rule {
                    AnchorRule::Added => {
                        "\n  hint: `anllm convert --add-ac mean` adds the token, or choose another rule with --anchors"
                    }
                    _ => {
                        "\n  hint: a token's text includes its leading space, if any; `endswith:` matches by the end alone"
                    }
                };
                return Err(ResolveError::NoSuchToken {
                    rule: rule.clone(),
                    token: text.clone(),
                    size: flags.len(),
                    hint,
                });
            }
        }
    }
    Ok(flags)
}

fn by_id(rule: &AnchorRule, ids: &[u32], vocabulary: &dyn Vocabulary) -> Result<Vec<bool>, ResolveError> {
    let mut flags = vec![false; vocabulary.size()];
    for &id in ids {
        match flags.get_mut(id as usize) {
            Some(flag) => *flag = true,
            None => {
                return Err(ResolveError::NoSuchId { rule: rule.clone(), id, last: flags.len().saturating_sub(1) });
            }
        }
    }
    Ok(flags)
}

fn by_ending(rule: &AnchorRule, ends: &[String], vocabulary: &dyn Vocabulary) -> Result<Vec<bool>, ResolveError> {
    let size = vocabulary.size();
    let fits = |text: String| ends.iter().any(|end| text.ends_with(end.as_str()));
    let flags: Vec<bool> = (0..size).map(|id| vocabulary.text(id as u32).is_some_and(fits)).collect();
    match flags.contains(&true) {
        true => Ok(flags),
        false => Err(ResolveError::NothingMatches { rule: rule.clone(), size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are indices; a token in angle brackets is special.
    struct Words(&'static [&'static str]);

    impl Vocabulary for Words {
        fn size(&self) -> usize {
            self.0.len()
        }
        fn text(&self, id: u32) -> Option<String> {
            self.0.get(id as usize).filter(|t| !t.starts_with('<')).map(|t| (*t).to_owned())
        }
        fn id(&self, token: &str) -> Option<u32> {
            self.0.iter().position(|t| *t == token).map(|id| id as u32)
        }
    }

    const WORDS: Words = Words(&["<s>", "a", ".", " .", ".\n", "!", "?\"", "<AC>"]);

    fn ids(rule: &str) -> Vec<u32> {
        AnchorMatcher::resolve(&rule.parse().unwrap(), &WORDS).unwrap().ids().unwrap()
    }

    #[test]
    fn resolves_every_rule() {
        assert_eq!(ids("ep"), [2]);
        assert_eq!(ids("ac"), [7]);
        assert_eq!(ids(r"tokens: .|.\n"), [3, 4]);
        assert_eq!(ids("tokens:<s>"), [0]);
        assert_eq!(ids("ids:1,5"), [1, 5]);
        assert_eq!(ids("endswith:.|!"), [2, 3, 5]);
        let every = AnchorMatcher::resolve(&AnchorRule::Every(3), &WORDS).unwrap();
        assert_eq!(every.segments(&[1; 7]).anchors(), [2, 5]);
        let none = AnchorMatcher::resolve(&AnchorRule::None, &WORDS).unwrap();
        assert!(none.segments(&[2; 7]).anchors().is_empty());
    }

    #[test]
    fn names_the_token_that_is_not_there() {
        let error = |rule: &str| AnchorMatcher::resolve(&rule.parse().unwrap(), &WORDS).unwrap_err().to_string();
        assert!(error("tokens:.|;").contains("\";\""));
        assert!(error("ids:8").contains("ends at 7"));
        assert!(error("endswith:;").contains("no token"));
    }
}

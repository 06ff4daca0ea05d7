//! How a sentence is asked for, and where it then stands.

use anllm_core::{ExtendedAnchorPolicy, KeptSpan, PolicyKind};
use anllm_model::{Framing, Tokenizer, TokenizerError};

use super::pairs::Pair;

/// What stands for the sentence in a template.
const SOURCE: &str = "{source}";

/// A prompt around a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: String,
    behind: String,
}

/// Text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template {found:?} must hold {SOURCE} once, where the sentence to translate stands")]
pub struct TemplateError {
    found: String,
}

/// What is never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What the policy keeps, and nothing else.
    AsPolicy,
    /// The source sentence too.
    Source,
}

/// A sentence, ready to be translated.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Which of them are the source.
    pub source: KeptSpan,
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        match text.split_once(SOURCE) {
            Some((before, behind)) if !behind.contains(SOURCE) => {
                Ok(Self { before: before.to_owned(), behind: behind.to_owned() })
            }
            _ => Err(TemplateError { found: text.to_owned() }),
        }
    }
}

impl Template {
    /// A translated sentence, as a demonstration shows it.
    fn shown(&self, pair: &Pair) -> String {
        format!("{}{}{} {}\n\n", self.before, pair.source, self.behind, pair.target)
    }

    /// The prompt for `source` behind `shots`.
    ///
    /// # Errors
    /// When the tokenizer refuses.
    pub fn prompt(&self, tokenizer: &Tokenizer, shots: &[Pair], source: &str) -> Result<Prompt, TokenizerError> {
        let mut text: String = shots.iter().map(|pair| self.shown(pair)).collect();
        text.push_str(&self.before);
        let start = text.len();
        text.push_str(source);
        let end = text.len();
        text.push_str(&self.behind);
        let ids = tokenizer.encode(&text, Framing::Framed)?;
        // Tokens may reach across the ends of the sentence: those count as its own.
        let agreeing = |text: &str| -> Result<(usize, usize), TokenizerError> {
            let alone = tokenizer.encode(text, Framing::Framed)?;
            Ok((alone.iter().zip(&ids).take_while(|(a, b)| a == b).count(), alone.len()))
        };
        let (first, _) = agreeing(&text[..start])?;
        let (last, whole) = agreeing(&text[..end])?;
        let last = if last == whole { last } else { last + 1 };
        let last = last.clamp(first + 1, ids.len().max(first + 1));
        Ok(Prompt { ids, source: KeptSpan { start: first, end: last } })
    }
}

impl Prompt {
    /// The policy for this prompt: `kind`, with the source kept where that is asked for. None where `kind` is not an
    /// anchor policy that can keep a span.
    pub fn policy(&self, kind: PolicyKind, kept: Kept) -> Option<PolicyKind> {
        let extended = match (kept, kind) {
            (Kept::AsPolicy, kind) => return Some(kind),
            (Kept::Source, PolicyKind::Anchor) => ExtendedAnchorPolicy::default(),
            (Kept::Source, PolicyKind::Extended(policy)) if policy.last.is_none() => policy,
            (Kept::Source, _) => return None,
        };
        Some(PolicyKind::Extended(ExtendedAnchorPolicy { kept: Some(self.source), ..extended }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anllm_model::Checkpoint;

    #[test]
    fn the_source_stands_where_the_prompt_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny/llama-gqa-tied");
        let tokenizer = Checkpoint::open(&path).unwrap().tokenizer().unwrap();
        let template: Template = "German: {source}\nEnglish:".parse().unwrap();
        let shots = [Pair { source: "Ja.".to_owned(), target: "Yes.".to_owned() }];
        for source in ["Das Boot liegt im Hafen.", "x", "„Nein“, sagte er"] {
            let prompt = template.prompt(&tokenizer, &shots, source).unwrap();
            let text = |ids: &[u32]| tokenizer.decode(ids).unwrap();
            let kept = text(&prompt.ids[prompt.source.start..prompt.source.end]);
            assert!(kept.contains(source) && kept.len() <= source.len() + 8, "{kept:?}");
            assert!(text(&prompt.ids).ends_with(&format!("{source}\nEnglish:")));
            let policy = prompt.policy(PolicyKind::Anchor, Kept::Source).unwrap();
            assert_eq!(policy.to_string(), format!("anchor:keep={}..{}", prompt.source.start, prompt.source.end));
            assert_eq!(prompt.policy(PolicyKind::Full, Kept::Source), None);
        }
    }

    #[test]
    fn a_template_has_one_place_for_the_sentence() {
        assert!("no place".parse::<Template>().is_err());
        assert!("{source} {source}".parse::<Template>().is_err());
    }
}

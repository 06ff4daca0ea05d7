//! Which splitter, as data: one line of text, the same on the command line and in configuration files.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Demonstrations, SentenceSplitter, Sentencex, Unicode};

/// A choice of sentence splitter.
///
/// | text | splitter |
/// |---|---|
/// | `sentencex`, `sentencex:LANG` | [`Sentencex`] with the rules of a language, English (`en`) if none is named |
/// | `unicode` | [`Unicode`] |
/// | `punkt:PATH` | [`Punkt`](super::Punkt) with the parameters in this JSON file |
/// | `demonstrations`, `demonstrations:TEXT` | [`Demonstrations`] that end with this text, a blank line if none is given; `\n`, `\t` and `\\` escape |
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SplitterKind {
    /// Rules and word lists of one language.
    Sentencex(Sentencex),
    /// Unicode Standard Annex 29.
    Unicode,
    /// Punkt, with the path of its parameters. This crate opens no files: read it and call
    /// [`Punkt::from_json`](super::Punkt::from_json).
    Punkt(PathBuf),
    /// The demonstrations of a few-shot prompt.
    Demonstrations(Demonstrations),
}

impl SplitterKind {
    /// The splitter, for the kinds that need no file; `None` for [`SplitterKind::Punkt`].
    pub fn builtin(&self) -> Option<Arc<dyn SentenceSplitter>> {
        match self {
            Self::Sentencex(splitter) => Some(Arc::new(splitter.clone())),
            Self::Unicode => Some(Arc::new(Unicode)),
            Self::Demonstrations(splitter) => Some(Arc::new(splitter.clone())),
            Self::Punkt(_) => None,
        }
    }
}

impl Default for SplitterKind {
    fn default() -> Self {
        Self::Sentencex(Sentencex::default())
    }
}

/// Text that names no sentence splitter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitterError {
    /// The word before the colon is not one of the splitters.
    #[error(
        "`{0}` is not a sentence splitter (expected `sentencex`, `sentencex:LANG`, `unicode`, `punkt:PATH`, \
         `demonstrations` or `demonstrations:SEPARATOR`)"
    )]
    Unknown(String),
    /// Demonstrations that nothing separates.
    #[error("`demonstrations:` names no separator (without the colon, a blank line separates demonstrations)")]
    NoSeparator,
    /// A splitter that needs a file is given none.
    #[error("`punkt:` names no file (expected `punkt:PATH`, the JSON file with its parameters)")]
    NoPath,
    /// The library has no rules for a language.
    #[error(
        "no sentence rules for the language `{language}` (there are rules for {known}, and for languages close to these)\
         \n  hint: `unicode` splits any language"
    )]
    Language {
        /// The code asked for.
        language: String,
        /// The codes of the languages that have rules of their own.
        known: String,
    },
}

impl FromStr for SplitterKind {
    type Err = SplitterError;

    fn from_str(text: &str) -> Result<Self, SplitterError> {
        match text.split_once(':') {
            None if text == "sentencex" => Ok(Self::default()),
            None if text == "unicode" => Ok(Self::Unicode),
            None if text == "punkt" => Err(SplitterError::NoPath),
            Some(("sentencex", language)) => Sentencex::new(language).map(Self::Sentencex),
            Some(("punkt", "")) => Err(SplitterError::NoPath),
            Some(("punkt", path)) => Ok(Self::Punkt(PathBuf::from(path))),
            None if text == "demonstrations" => Ok(Self::Demonstrations(Demonstrations::default())),
            Some(("demonstrations", separator)) => Demonstrations::separated_by(&unescaped(separator))
                .map(Self::Demonstrations)
                .ok_or(SplitterError::NoSeparator),
            _ => Err(SplitterError::Unknown(text.to_owned())),
        }
    }
}

/// Undoes `\n`, `\t` and `\\`. A backslash before anything else stands for itself.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match (c, chars.peek()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            _ => {
                plain.push(c);
                continue;
            }
        };
        chars.next();
        plain.push(meant);
    }
    plain
}

impl fmt::Display for SplitterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sentencex(splitter) => write!(f, "{}", splitter.name()),
            Self::Unicode => write!(f, "{}", Unicode.name()),
            Self::Punkt(path) => write!(f, "punkt:{}", path.display()),
            Self::Demonstrations(splitter) => write!(f, "{}", splitter.name()),
        }
    }
}

impl TryFrom<String> for SplitterKind {
    type Error = SplitterError;

    fn try_from(text: String) -> Result<Self, SplitterError> {
        text.parse()
    }
}

impl From<SplitterKind> for String {
    fn from(kind: SplitterKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["sentencex:en", "sentencex:de", "unicode", "punkt:a:b/c.json", "demonstrations:#:\\n\\\\n"] {
            let kind: SplitterKind = text.parse().unwrap();
            assert_eq!(kind.to_string(), text);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<SplitterKind>(&json).unwrap(), kind);
        }
        assert_eq!("sentencex".parse::<SplitterKind>().unwrap().to_string(), "sentencex:en");
        assert_eq!(SplitterKind::default().to_string(), "sentencex:en");
        assert_eq!("demonstrations".parse::<SplitterKind>().unwrap().to_string(), r"demonstrations:\n\n");
    }

    #[test]
    fn a_built_in_splitter_has_the_name_of_its_kind() {
        for text in ["sentencex:fr", "unicode", "demonstrations:##"] {
            assert_eq!(text.parse::<SplitterKind>().unwrap().builtin().unwrap().name(), text);
        }
        assert!("punkt:english.json".parse::<SplitterKind>().unwrap().builtin().is_none());
    }

    #[test]
    fn refuses_what_is_not_a_splitter_and_says_what_is() {
        let error = |text: &str| text.parse::<SplitterKind>().unwrap_err().to_string();
        assert!(error("nltk").contains("expected `sentencex`"));
        assert!(error("unicode:en").contains("`unicode:en`"));
        assert!(error("punkt:").contains("punkt:PATH"));
        assert!(error("punkt").contains("punkt:PATH"));
        assert!(error("demonstrations:").contains("blank line"));
        assert!(error("sentencex:tlh").contains("`tlh`"));
        assert!(error("sentencex:").contains("hint"));
    }
}

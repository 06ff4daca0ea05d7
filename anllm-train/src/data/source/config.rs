//! Where documents come from, as a configuration says it.

use serde::{Deserialize, Serialize};

/// One source of documents.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// A file, a folder, a pattern such as `books/*.txt`, or `-` for standard input. A folder is read with all below
    /// it, except names that begin with a dot. Files are taken in the order of their paths.
    pub path: String,
    /// What the files hold. Default: by the extension of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What a record looks like. Default: by the fields of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The field that holds a record's text.
    #[serde(default = "default_field")]
    pub field: String,
    /// How often this source is drawn from, in relation to the others.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// How a plain text file becomes documents.
    #[serde(default)]
    pub split: Split,
}

impl SourceConfig {
    /// The source at `path`, with every other setting at its default.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            format: None,
            shape: None,
            field: default_field(),
            weight: default_weight(),
            split: Split::default(),
        }
    }
}

fn default_field() -> String {
    "text".to_owned()
}

fn default_weight() -> f64 {
    1.0
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain text.
    Text,
    /// One JSON object a line, or one array of objects.
    Jsonl,
    /// Parquet, read by the cargo feature `parquet`.
    Parquet,
}

impl Format {
    const EXTENSIONS: [(&str, Self); 7] = [
        ("txt", Self::Text),
        ("text", Self::Text),
        ("md", Self::Text),
        ("jsonl", Self::Jsonl),
        ("ndjson", Self::Jsonl),
        ("json", Self::Jsonl),
        ("parquet", Self::Parquet),
    ];

    /// The format that files with this extension have, whatever its case.
    pub(super) fn of_extension(extension: &str) -> Option<Self> {
        Self::EXTENSIONS.iter().find(|(e, _)| e.eq_ignore_ascii_case(extension)).map(|&(_, format)| format)
    }

    /// The extensions of `format`, or all of them, for messages: `.txt, .md`.
    pub(super) fn extensions(format: Option<Self>) -> String {
        let of = Self::EXTENSIONS.iter().filter(|(_, f)| format.is_none_or(|format| format == *f));
        of.map(|(e, _)| format!(".{e}")).collect::<Vec<_>>().join(", ")
    }
}

/// What a record looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One text, in the field that the source names. All of it is learnt.
    Text,
    /// `prompt` and `completion`, joined as they are. The completion is learnt.
    PromptCompletion,
    /// `instruction`, `output` and perhaps `input`, put into the wording of Stanford Alpaca. The output is learnt.
    Alpaca,
    /// `messages`, a list of `{"role": …, "content": …}`, put through a chat template. What the assistant says is learnt.
    Messages,
}

/// How a plain text file becomes documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Each file is one document.
    #[default]
    File,
    /// Blank lines stand between documents.
    Paragraphs,
    /// Each line is a document.
    Lines,
}

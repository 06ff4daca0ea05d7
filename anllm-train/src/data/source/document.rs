//! What a source yields.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// One document: its text in pieces, in order. Their texts joined are the document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Never empty; at least one is a target.
    pub pieces: Vec<Piece>,
    /// Where it was read.
    pub origin: Origin,
}

/// Text that the loss counts, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Never empty.
    pub text: String,
    /// Whether the model learns to write this text; otherwise it only reads it.
    pub target: bool,
}

impl Piece {
    /// Text to learn.
    pub(super) fn target(text: impl Into<String>) -> Self {
        Self { text: text.into(), target: true }
    }

    /// Text to read.
    pub(super) fn context(text: impl Into<String>) -> Self {
        Self { text: text.into(), target: false }
    }
}

/// Where a document was read, for messages: `tasks.jsonl:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file; `-` is standard input.
    pub file: Arc<Path>,
    /// The place in it.
    pub place: Place,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    Whole,
    /// From this line on, counted from 1.
    Line(u64),
    /// This row of a table, counted from 1.
    Row(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = Named(&self.file);
        match self.place {
            Place::Whole => write!(f, "{file}"),
            Place::Line(line) => write!(f, "{file}:{line}"),
            Place::Row(row) => write!(f, "{file}, row {row}"),
        }
    }
}

/// A file's name in messages.
pub(super) struct Named<'a>(pub(super) &'a Path);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Path::new(super::files::STDIN) { f.write_str("<stdin>") } else { self.0.display().fmt(f) }
    }
}

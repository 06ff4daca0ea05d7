//! Line editing: history in a file, completion of commands, messages of several lines.

use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::{lines, slash};

const PROMPT: &str = "> ";

/// Reads messages from the terminal.
pub(super) struct Terminal {
    editor: Editor<Commands, FileHistory>,
    history: Option<PathBuf>,
}

/// What was typed.
pub(super) enum Typed {
    Message(String),
    /// Ctrl-C: the line is given up.
    GivenUp,
    /// Ctrl-D.
    End,
}

impl Terminal {
    /// # Errors
    /// When the terminal cannot be used.
    pub(super) fn open(history: Option<&Path>) -> anyhow::Result<Self> {
        // The terminal itself, so that standard output holds answers alone.
        let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Commands));
        let history = match history {
            Some(file) if file == Path::new("none") => None,
            Some(file) => Some(file.to_owned()),
            None => usual_history(),
        };
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    /// The next message.
    ///
    /// # Errors
    /// When the terminal fails.
    pub(super) fn read(&mut self) -> anyhow::Result<Typed> {
        match self.editor.readline(PROMPT) {
            Ok(text) => {
                self.keep();
                Ok(Typed::Message(lines::message(&text)))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::GivenUp),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends what is new to the history, at once: whoever closes the terminal loses nothing.
    fn keep(&mut self) {
        let Some(file) = &self.history else { return };
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.map_err(ReadlineError::from).and_then(|()| self.editor.append_history(file)) {
            tracing::warn!("{}: what is typed cannot be kept: {error}", file.display());
            self.history = None;
        }
    }
}

/// Where histories belong.
fn usual_history() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("anllm/chat-history"))
}

/// Completes commands, and knows when a message is whole.
struct Commands;

impl Helper for Commands {}

impl Highlighter for Commands {}

impl Hinter for Commands {
    type Hint = String;
}

impl Validator for Commands {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let complete = lines::is_complete(context.input());
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Commands {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let names = slash::ALL.iter().map(|(name, ..)| (*name).to_owned());
        Ok((0, names.filter(|name| typed.starts_with('/') && name.starts_with(typed)).collect()))
    }
}

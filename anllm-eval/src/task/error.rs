//! What is wrong with tasks and their records.

use std::path::PathBuf;

use super::record::Origin;

/// A task that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// There is no task of this name.
    #[error("no task is called `{name}`{}\n  hint: there are {known}; a path that ends in .toml names a task of your own", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        name: String,
        /// The most alike, if any is.
        nearest: Option<String>,
        /// All names.
        known: String,
    },
    /// The file cannot be read.
    #[error(
        "{path}: cannot read the task: {source}\n  hint: name a readable .toml file, or one of the tasks in the program"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a task.
    #[error("{task}: not a task: {message}\n  hint: the tasks in the program, in anllm-eval/tasks, are examples")]
    Malformed {
        /// The file or name.
        task: String,
        /// What is wrong, and where.
        message: String,
    },
    /// A template or expression is not Jinja.
    #[error("{task}: `{field}` is not a Jinja {kind}: {message}")]
    Template {
        /// The file or name.
        task: String,
        /// The setting.
        field: &'static str,
        /// Template or expression.
        kind: &'static str,
        /// What the parser says.
        message: String,
    },
}

/// A record that a task can make no question of.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The record lacks something.
    #[error(
        "{origin}: the record has no field {fields}, which the task {task} needs\n  hint: it has {found}; is this the data of {task}?"
    )]
    Missing {
        /// Where the record is.
        origin: Origin,
        /// The task.
        task: String,
        /// What it lacks.
        fields: String,
        /// What it has.
        found: String,
    },
    /// A template fails on the record.
    #[error("{origin}: the task {task} cannot make its {field} of this record: {message}")]
    Evaluate {
        /// Where the record is.
        origin: Origin,
        /// The task.
        task: String,
        /// The task's setting.
        field: &'static str,
        /// What the engine says.
        message: String,
    },
    /// The answer is none of the choices.
    #[error(
        "{origin}: the answer {answer} is not a choice: expected one of {choices}\n  hint: correct the record, or leave it out"
    )]
    Answer {
        /// Where the record is.
        origin: Origin,
        /// What it says.
        answer: String,
        /// What it could say.
        choices: String,
    },
    /// There are not enough demonstrations.
    #[error(
        "{origin}: {wanted} demonstrations were asked for, but there are only {found} other records\n  hint: ask for fewer with --shots, or take them from a longer file with --shots-from"
    )]
    TooFew {
        /// Where demonstrations come from.
        origin: String,
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// A file of records that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{path}: cannot read the records: {source}\n  hint: name a readable file of JSON Lines")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line is not JSON.
    #[error("{origin}: not JSON: {message}\n  hint: a file of records has one JSON object on each line")]
    Json {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// A line is not an object.
    #[error(
        "{origin}: expected a JSON object, found {found}\n  hint: a file of records has one JSON object on each line"
    )]
    NotAnObject {
        /// Where.
        origin: Origin,
        /// What is there.
        found: &'static str,
    },
    /// There is nothing.
    #[error("{path}: the file has no records\n  hint: a file of records has one JSON object on each line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

//! A task's file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::template::Templates;

/// How answers are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The share of questions whose right choice is the likeliest.
    Acc,
    /// The same with each choice's log-likelihood divided by its characters.
    AccNorm,
}

impl Metric {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
        }
    }
}

/// A task: how a record becomes a question.
#[derive(Debug, Clone)]
pub struct Task {
    /// The name in results.
    pub name: String,
    /// Changes when prompts do, so that results are not compared by mistake.
    pub version: f64,
    /// What it asks, for people.
    pub about: String,
    /// How answers are counted.
    pub metrics: Vec<Metric>,
    /// What stands between two demonstrations, and behind the last.
    pub shot_delimiter: String,
    /// Whether one demonstration more is drawn, so that the question itself can be left out: what the harness does
    /// where a data set has no test split.
    pub exclude_question: bool,
    pub(super) description: String,
    pub(super) delimiter: String,
    pub(super) layout: Layout,
    pub(super) labels: Option<String>,
    pub(super) answer: String,
    pub(super) templates: Templates,
    /// The file's own settings, for results.
    settings: TaskFile,
}

/// Where a question's choices stand.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// Behind one context. The expression gives the list of choices.
    Continuations { choices: String },
    /// In the context, one for each choice; what follows is the same for all (partial evaluation).
    Contexts { contexts: String },
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    name: String,
    version: f64,
    #[serde(default)]
    about: String,
    #[serde(default)]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contexts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    answer: String,
    #[serde(default = "space")]
    delimiter: String,
    #[serde(default = "both")]
    metrics: Vec<Metric>,
    #[serde(default)]
    shots: ShotsFile,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct ShotsFile {
    delimiter: String,
    exclude_question: bool,
}

impl Default for ShotsFile {
    fn default() -> Self {
        Self { delimiter: "\n\n".to_owned(), exclude_question: false }
    }
}

fn space() -> String {
    " ".to_owned()
}

fn both() -> Vec<Metric> {
    vec![Metric::Acc, Metric::AccNorm]
}

impl Task {
    /// A task by the name of a built-in one, or by the path of a `.toml` file.
    ///
    /// # Errors
    /// When there is no such task, or the file is not one.
    pub fn find(name: &str) -> Result<Self, TaskError> {
        if !name.ends_with(".toml") {
            return Self::builtin(name);
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text, name)
    }

    /// Reads a task's file; `source` is for messages.
    ///
    /// # Errors
    /// When it is not TOML, lacks or contradicts itself in a setting, or a template is not Jinja.
    pub fn from_toml(text: &str, source: &str) -> Result<Self, TaskError> {
        let malformed = |message: String| TaskError::Malformed { task: source.to_owned(), message };
        let file: TaskFile = toml::from_str(text).map_err(|e| malformed(e.to_string().trim_end().to_owned()))?;
        let settings = file.clone();
        let mut templates = Templates::new(source);
        let layout = match (file.context, file.choices, file.contexts, file.continuation) {
            (Some(context), Some(choices), None, None) => {
                templates.add("context", context)?;
                templates.check("choices", &choices)?;
                Layout::Continuations { choices }
            }
            (None, None, Some(contexts), Some(continuation)) => {
                templates.add("continuation", continuation)?;
                templates.check("contexts", &contexts)?;
                Layout::Contexts { contexts }
            }
            _ => {
                let message = "expected either `context` and `choices`, or `contexts` and `continuation`";
                return Err(malformed(message.to_owned()));
            }
        };
        if let Some(labels) = &file.labels {
            templates.check("labels", labels)?;
        }
        templates.check("answer", &file.answer)?;
        if file.metrics.is_empty() {
            return Err(malformed("`metrics` is empty: expected \"acc\", \"acc_norm\" or both".to_owned()));
        }
        Ok(Self {
            name: file.name,
            version: file.version,
            about: file.about,
            metrics: file.metrics,
            shot_delimiter: file.shots.delimiter,
            exclude_question: file.shots.exclude_question,
            description: file.description,
            delimiter: file.delimiter,
            layout,
            labels: file.labels,
            answer: file.answer,
            templates,
            settings,
        })
    }

    /// The task's settings as its file gives them.
    pub fn settings(&self) -> serde_json::Value {
        serde_json::to_value(&self.settings).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"t\"\nversion = 1\ncontext = \"{{ q }}\"\nchoices = \"c\"\nanswer = \"a\"\n";

    fn error(text: &str) -> String {
        Task::from_toml(text, "t.toml").unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        assert!(Task::from_toml(GOOD, "t.toml").is_ok());
        assert!(error("name = ").starts_with("t.toml: not a task: TOML parse error at line 1"));
        assert!(error(&GOOD.replace("answer", "anwser")).contains("unknown field `anwser`"));
        assert!(error(&GOOD.replace("choices = \"c\"\n", "")).contains("either `context` and `choices`"));
        assert!(error(&GOOD.replace("{{ q }}", "{{ q")).contains("`context` is not a Jinja template"));
        assert!(error(&GOOD.replace("\"a\"", "\"a +\"")).contains("`answer` is not a Jinja expression"));
        assert!(error(&format!("{GOOD}metrics = []\n")).contains("`metrics` is empty"));
    }
}

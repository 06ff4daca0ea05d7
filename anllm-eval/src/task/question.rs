//! A question: what a task makes of a record.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::error::QuestionError;
use super::file::{Layout, Task};
use super::record::Record;

/// What the model is asked to score: a continuation behind a context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scored {
    /// What stands before.
    pub context: String,
    /// What is scored, with the space before it.
    pub continuation: String,
}

/// A record with a text for each of its choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its record.
    pub record: Record,
    /// One for each choice, without demonstrations.
    pub choices: Vec<Scored>,
    /// By how many characters each choice's log-likelihood is divided for `acc_norm`.
    pub characters: Vec<usize>,
    /// Which choice is right.
    pub answer: usize,
    /// What is right, as results name it: the choice's number, or the text that follows every choice.
    pub target: String,
}

impl Question {
    /// The question with its right answer, as a demonstration shows it.
    pub fn demonstration(&self) -> String {
        let Scored { context, continuation } = &self.choices[self.answer];
        format!("{context}{continuation}")
    }
}

impl Task {
    /// The question that a record asks.
    ///
    /// # Errors
    /// When the record lacks a field, or its answer is none of its choices.
    pub fn question(&self, record: &Record) -> Result<Question, QuestionError> {
        let texts = |field, expression| self.templates.texts(field, expression, record);
        let scored = |context: &str, text: &str| Scored {
            context: context.to_owned(),
            continuation: format!("{}{text}", self.delimiter),
        };
        let (choices, options, characters): (Vec<_>, Vec<_>, Vec<_>) = match &self.layout {
            Layout::Continuations { choices } => {
                let context = self.templates.render("context", record)?;
                let options = texts("choices", choices)?;
                let characters = options.iter().map(|option| option.chars().count()).collect();
                (options.iter().map(|option| scored(&context, option)).collect(), options, characters)
            }
            Layout::Contexts { contexts } => {
                let continuation = self.templates.render("continuation", record)?;
                let options = texts("contexts", contexts)?;
                let characters = vec![continuation.chars().count(); options.len()];
                (options.iter().map(|context| scored(context, &continuation)).collect(), options, characters)
            }
        };
        let answer = self.answer_of(record, &options)?;
        let target = match &self.layout {
            Layout::Continuations { .. } => answer.to_string(),
            Layout::Contexts { .. } => choices[answer].continuation[self.delimiter.len()..].to_owned(),
        };
        Ok(Question { record: record.clone(), choices, characters, answer, target })
    }

    /// Which of `options` the record says is right: by its label, where the task has labels; else by its number, counted
    /// from 0, or by its text.
    fn answer_of(&self, record: &Record, options: &[String]) -> Result<usize, QuestionError> {
        let answer = self.templates.value("answer", &self.answer, record)?;
        let labels = match &self.labels {
            Some(labels) => self.templates.texts("labels", labels, record)?,
            None => options.to_vec(),
        };
        let found = match (&self.labels, number(&answer)) {
            (None, Some(number)) => Some(number),
            _ => labels.iter().position(|label| Some(label.as_str()) == answer.as_str()),
        };
        found.filter(|&index| index < options.len()).ok_or_else(|| QuestionError::Answer {
            origin: record.origin.clone(),
            answer: format!("{answer:?}"),
            choices: match &self.labels {
                Some(_) => labels.join(", "),
                None => format!("0 to {}", options.len().saturating_sub(1)),
            },
        })
    }
}

/// A number of a choice; "no" and "yes" as `false` and `true` count as 0 and 1.
fn number(answer: &Value) -> Option<usize> {
    match answer.kind() {
        ValueKind::Bool => Some(usize::from(answer.is_true())),
        ValueKind::Number => usize::try_from(answer.clone()).ok().or(Some(usize::MAX)),
        _ => answer.as_str()?.parse().ok(),
    }
}

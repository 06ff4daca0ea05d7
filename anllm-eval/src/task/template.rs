//! Jinja over records, with the methods of Python's strings that task files use.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use regex::Regex;

use super::error::{QuestionError, TaskError};
use super::record::Record;

/// A task's templates, parsed, and what evaluates its expressions.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    task: String,
    environment: Environment<'static>,
}

impl Templates {
    /// None yet; `task` is for messages.
    pub(super) fn new(task: &str) -> Self {
        let mut environment = Environment::new();
        // A field that is missing is an error, never an empty text.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            // The delimiters are the default ones, which never clash.
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("regex_replace", regex_replace());
        Self { task: task.to_owned(), environment }
    }

    /// Adds the template of the setting `field`.
    pub(super) fn add(&mut self, field: &'static str, source: String) -> Result<(), TaskError> {
        let added = self.environment.add_template_owned(field, source);
        added.map_err(|e| self.misspelt(field, "template", &e))
    }

    /// Checks that the setting `field` is an expression.
    pub(super) fn check(&self, field: &'static str, source: &str) -> Result<(), TaskError> {
        let compiled = self.environment.compile_expression(source.trim()).map(|_| ());
        compiled.map_err(|e| self.misspelt(field, "expression", &e))
    }

    fn misspelt(&self, field: &'static str, kind: &'static str, error: &Error) -> TaskError {
        let message = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        TaskError::Template { task: self.task.clone(), field, kind, message }
    }

    /// The text that the template of `field` makes of a record.
    pub(super) fn render(&self, field: &'static str, record: &Record) -> Result<String, QuestionError> {
        let template = self.environment.get_template(field).map_err(|e| self.failed(field, record, None, &e))?;
        let names = || template.undeclared_variables(false).into_iter().collect();
        let rendered = template.render(Value::from(Serde(&record.fields)));
        rendered.map_err(|e| self.failed(field, record, Some(names()), &e))
    }

    /// The value of an expression over a record.
    pub(super) fn value(&self, field: &'static str, expression: &str, record: &Record) -> Result<Value, QuestionError> {
        let compiled = self.environment.compile_expression(expression.trim());
        let compiled = compiled.map_err(|e| self.failed(field, record, None, &e))?;
        let names = || compiled.undeclared_variables(false).into_iter().collect();
        let undefined = || Error::from(ErrorKind::UndefinedError);
        let value = compiled.eval(Value::from(Serde(&record.fields)));
        let value = value.and_then(|value| if value.is_undefined() { Err(undefined()) } else { Ok(value) });
        value.map_err(|e| self.failed(field, record, Some(names()), &e))
    }

    /// The list of texts that an expression gives.
    pub(super) fn texts(
        &self,
        field: &'static str,
        expression: &str,
        record: &Record,
    ) -> Result<Vec<String>, QuestionError> {
        let value = self.value(field, expression, record)?;
        let wrong = |found: String| QuestionError::Evaluate {
            origin: record.origin.clone(),
            task: self.task.clone(),
            field,
            message: format!("expected a list of texts, found {found}"),
        };
        let items = match value.kind() {
            minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable => value.try_iter(),
            kind => return Err(wrong(kind.to_string())),
        };
        let items = items.map_err(|e| self.failed(field, record, None, &e))?;
        items
            .checked()
            .map(|item| {
                let item = item.map_err(|e| self.failed(field, record, None, &e))?;
                item.as_str().map(str::to_owned).ok_or_else(|| wrong(format!("a {} in it", item.kind())))
            })
            .collect()
    }

    /// Why a record makes no value. Where it lacks fields, that is the reason.
    fn failed(
        &self,
        field: &'static str,
        record: &Record,
        names: Option<BTreeSet<String>>,
        error: &Error,
    ) -> QuestionError {
        let (origin, task) = (record.origin.clone(), self.task.clone());
        let missing: Vec<String> = names
            .into_iter()
            .flatten()
            .filter(|name| !record.fields.contains_key(name))
            .map(|name| format!("`{name}`"))
            .collect();
        if error.kind() == ErrorKind::UndefinedError && !missing.is_empty() {
            let found: Vec<&str> = record.fields.keys().map(String::as_str).collect();
            return QuestionError::Missing { origin, task, fields: missing.join(", "), found: found.join(", ") };
        }
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        QuestionError::Evaluate { origin, task, field, message: format!("{}{detail}", error.kind()) }
    }
}

/// `text | regex_replace(pattern, replacement)`, as the harness has it. Patterns are compiled once.
fn regex_replace() -> impl Fn(&str, &str, &str) -> Result<String, Error> + Send + Sync + 'static {
    let known: Arc<Mutex<HashMap<String, Regex>>> = Arc::default();
    move |text, pattern, replacement| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(pattern) {
            let wrong = |e: regex::Error| Error::new(ErrorKind::InvalidOperation, format!("regex_replace: {e}"));
            known.insert(pattern.to_owned(), Regex::new(pattern).map_err(wrong)?);
        }
        Ok(known[pattern].replace_all(text, replacement).into_owned())
    }
}

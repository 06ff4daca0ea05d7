//! Reading a configuration so that a mistake is named with its line, its key, and what was probably meant.
//!
//! What is known comes from serde: structs say `deny_unknown_fields`, and its messages then list every key. A struct
//! that forgets it gets an error too, only without the list.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::error::{At, Candidates, ConfigError};
use super::locate::{line_column, line_of, parts};
use super::overrides::{set, split};

/// Reads a `T` from `text`, the content of `file`.
///
/// # Errors
///
/// If the text is not TOML, has a key that `T` does not know, lacks one that it needs, or a value does not fit.
pub fn read<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, ConfigError> {
    read_with(text, file, &[])
}

/// Reads a `T` from `text`, the content of `file`, after each of the `overrides` was put into it with [`set`]. Errors
/// name the line of the file or the override, whichever holds the mistake.
///
/// # Errors
///
/// As [`read`] and [`set`].
pub fn read_with<T: DeserializeOwned>(text: &str, file: &Path, overrides: &[String]) -> Result<T, ConfigError> {
    let mut doc: Table = text.parse().map_err(|e: toml::de::Error| {
        let (line, column) = line_column(text, e.span().map_or(0, |span| span.start));
        ConfigError::Syntax { file: file.to_path_buf(), line, column, message: e.message().to_owned() }
    })?;
    for assignment in overrides {
        set(&mut doc, assignment)?;
    }

    let place = Places { text, file, overrides };
    let mut ignored = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let inner = serde_path_to_error::Deserializer::new(Value::Table(doc), &mut track);
    let read = serde_ignored::deserialize(inner, |path| ignored.push(path.to_string()));
    match read {
        Err(error) => Err(place.error(&track.path().to_string(), error.message())),
        Ok(value) => match ignored.into_iter().next() {
            None => Ok(value),
            Some(path) => {
                // An `Option` on the way is written as `?`.
                let key = path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".");
                Err(ConfigError::UnknownKey { at: place.of(&key), key, candidates: Box::default() })
            }
        },
    }
}

/// Finds who said something.
struct Places<'a> {
    text: &'a str,
    file: &'a Path,
    overrides: &'a [String],
}

impl Places<'_> {
    /// The last override of `key` or of something around it, or else the line.
    fn of(&self, key: &str) -> At {
        let by = |assignment: &&String| {
            split(assignment).is_some_and(|(name, _)| key == name || key.starts_with(&format!("{name}.")))
        };
        if let Some(assignment) = self.overrides.iter().rfind(by) {
            return At::Override(assignment.clone());
        }
        match line_of(self.text, &parts(key)) {
            Some(line) => At::Line { file: self.file.to_path_buf(), line },
            None => At::File(self.file.to_path_buf()),
        }
    }

    /// serde's error `message` at `path`, in our words.
    fn error(&self, path: &str, message: &str) -> ConfigError {
        let path = dotted(path);
        let names = quoted(message);
        let (first, known) = match names.split_first() {
            Some((first, known)) => (first.clone(), known.to_vec()),
            None => (String::new(), Vec::new()),
        };
        let join =
            |parent: &str, name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        // For a key, serde's path may or may not end with it.
        let parent = path.strip_suffix(first.as_str()).map_or(path.as_str(), |p| p.trim_end_matches('.'));

        if message.starts_with("unknown field") {
            let key = join(parent, &first);
            let nearest = nearest(&first, &known).map(|name| join(parent, name));
            ConfigError::UnknownKey { at: self.of(&key), key, candidates: Box::new(Candidates { nearest, known }) }
        } else if message.starts_with("missing field") {
            let key = join(&path, &first);
            ConfigError::Missing { at: self.of(&key), key }
        } else if message.starts_with("unknown variant") {
            let nearest = nearest(&first, &known).map(str::to_owned);
            let candidates = Box::new(Candidates { nearest, known });
            ConfigError::UnknownValue { at: self.of(&path), key: path, value: first, candidates }
        } else {
            ConfigError::Value { at: self.of(&path), key: path, message: message.to_owned() }
        }
    }
}

/// serde's path, `data[0].path`, as a dotted key. A path that ends in the unknown (`?`) ends before it.
fn dotted(path: &str) -> String {
    let dotted = path.replace('[', ".").replace(']', "");
    dotted.split('.').filter(|part| !part.is_empty() && *part != "?").collect::<Vec<_>>().join(".")
}

/// The names between backticks.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The one of `known` that `name` was probably meant to be.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // Not the edit distance: `lr` is far from `learning_rate` by that, and still what was meant.
    let likeness = |other: &str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let best = known.iter().map(|other| (likeness(other), other)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then_some(best.1.as_str())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        steps: u64,
        #[serde(default)]
        optim: Optim,
        #[serde(default)]
        data: Vec<Data>,
        loose: Option<Loose>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Optim {
        learning_rate: f64,
        weight_decay: f64,
        schedule: Schedule,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Schedule {
        #[default]
        Cosine,
        Linear,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Data {
        path: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Loose {
        a: Option<u8>,
    }

    fn error(text: &str, overrides: &[&str]) -> String {
        let overrides: Vec<_> = overrides.iter().map(|o| (*o).to_owned()).collect();
        read_with::<Run>(text, Path::new("run.toml"), &overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_right_file_is_read() {
        let text = "steps = 3\n[optim]\nlearning_rate = 1\n[[data]]\npath = \"a\"\n";
        let run: Run = read_with(text, Path::new("run.toml"), &["data.0.path=b".into()]).unwrap();
        assert_eq!(run.steps, 3);
        assert_eq!(run.optim.learning_rate, 1.0);
        assert_eq!(run.data, [Data { path: "b".into() }]);
        assert_eq!(read::<Run>(text, Path::new("run.toml")).unwrap().data, [Data { path: "a".into() }]);
    }

    #[test]
    fn an_unknown_key_gets_its_line_and_a_suggestion() {
        let text = error("steps = 3\n\n[optim]\nweight_decay = 0.1\nlearning_rte = 1.0\n", &[]);
        assert_eq!(
            text,
            "run.toml:5: there is no setting `optim.learning_rte`\n  hint: did you mean `optim.learning_rate`?"
        );
        let text = error("step = 3\n", &[]);
        assert_eq!(text, "run.toml:1: there is no setting `step`\n  hint: did you mean `steps`?");
        let text = error("steps = 3\n[[data]]\npath = \"a\"\n[[data]]\npath = \"b\"\nxyz = 1\n", &[]);
        assert_eq!(text, "run.toml:6: there is no setting `data.1.xyz`\n  hint: expected one of: path");
        let text = error("steps = 3\n[optim]\nlr = 1", &[]);
        assert!(text.ends_with("did you mean `optim.learning_rate`?"), "{text}");
        let text = error("steps = 3\n[optim]\nqqq = 1", &[]);
        assert!(text.contains("hint: expected one of: learning_rate, weight_decay, schedule"), "{text}");
    }

    #[test]
    fn an_unknown_key_is_found_where_serde_would_pass_over_it() {
        let text = error("steps = 3\n[loose]\na = 1\nb = 2\n", &[]);
        assert_eq!(text, "run.toml:4: there is no setting `loose.b`");
    }

    #[test]
    fn a_wrong_type_gets_its_line() {
        let text = error("steps = 3\n[optim]\nlearning_rate = \"fast\"\n", &[]);
        assert!(
            text.starts_with("run.toml:3: `optim.learning_rate`: invalid type: string \"fast\", expected f"),
            "{text}"
        );
        let text = error("steps = -1\n", &[]);
        assert!(text.starts_with("run.toml:1: `steps`: invalid value: integer `-1`, expected u64"), "{text}");
        let text = error("steps = 3\n[[data]]\npath = \"a\"\n[[data]]\npath = 1\n", &[]);
        assert!(text.starts_with("run.toml:5: `data.1.path`: invalid type: integer `1`"), "{text}");
    }

    #[test]
    fn an_unknown_choice_gets_a_suggestion() {
        let text = error("steps = 3\n[optim]\nschedule = \"cosin\"\n", &[]);
        assert_eq!(text, "run.toml:3: `optim.schedule` cannot be \"cosin\"\n  hint: did you mean `cosine`?");
    }

    #[test]
    fn what_is_missing_is_named_where_it_belongs() {
        assert!(error("[optim]\n", &[]).starts_with("run.toml: the setting `steps` is missing"));
        let text = error("steps = 1\n[[data]]\n", &[]);
        assert!(text.starts_with("run.toml:2: the setting `data.0.path` is missing"), "{text}");
    }

    #[test]
    fn mistakes_of_overrides_are_theirs() {
        let text = error("steps = 3\n[optim]\nlearning_rate = 1.0\n", &["optim.learning_rate=fast"]);
        assert!(text.starts_with("--set optim.learning_rate=fast: `optim.learning_rate`: invalid type"), "{text}");
        let text = error("steps = 3\n", &["optim.lerning_rate=1"]);
        assert!(text.ends_with("did you mean `optim.learning_rate`?"), "{text}");
    }

    #[test]
    fn what_is_not_toml_gets_line_and_column() {
        let text = error("steps = 3\nx = [1,\n", &[]);
        assert!(text.starts_with("run.toml:"), "{text}");
        assert!(text.contains("this is not TOML"), "{text}");
    }
}

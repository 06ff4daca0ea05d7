//! What was learned of a language, read from JSON.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// How a word was seen while learning: capitalised or not, at a sentence's beginning, inside one, or unknown where.
pub(super) mod context {
    /// Capitalised inside a sentence.
    pub(in super::super) const UPPER_INSIDE: u8 = 4;
    /// Capitalised anywhere.
    pub(in super::super) const UPPER: u8 = 2 + 4 + 8;
    /// In lower case at a sentence's beginning.
    pub(in super::super) const LOWER_FIRST: u8 = 16;
    /// In lower case anywhere.
    pub(in super::super) const LOWER: u8 = 16 + 32 + 64;
}

/// JSON that is not a set of Punkt parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PunktError {
    /// The text is not JSON.
    #[error("the Punkt parameters are not JSON: {0}")]
    Json(String),
    /// One of the four parts is not there.
    #[error("the Punkt parameters have no `{0}` and no `{1}` (found {found})", names[0], names[1])]
    Missing {
        /// What the part may be called.
        names: [&'static str; 2],
        /// The keys that are there.
        found: String,
    },
    /// A part, or an entry of it, is not what it should be.
    #[error("`{part}` of the Punkt parameters: expected {expected}, found {found}")]
    Shape {
        /// The part's name.
        part: &'static str,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// The parameters of one language. Words are types: in lower case, numbers as `##number##`.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    /// Abbreviations, without their last period.
    pub(super) abbreviations: HashSet<String>,
    /// For a word with a period, the words that belong to it.
    pub(super) collocations: HashMap<String, HashSet<String>>,
    /// Words that often begin sentences.
    pub(super) starters: HashSet<String>,
    /// The flags of [`context`].
    pub(super) contexts: HashMap<String, u8>,
}

const ABBREVIATIONS: [&str; 2] = ["AbbrevTypes", "abbrev_types"];
const COLLOCATIONS: [&str; 2] = ["Collocations", "collocations"];
const STARTERS: [&str; 2] = ["SentStarters", "sentence_starters"];
const CONTEXTS: [&str; 2] = ["OrthoContext", "ortho_context"];

impl Parameters {
    pub(super) fn from_json(json: &str) -> Result<Self, PunktError> {
        let value: Value = serde_json::from_str(json).map_err(|error| PunktError::Json(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(shape("the whole", "an object", &value));
        };
        Ok(Self {
            abbreviations: strings(&object, ABBREVIATIONS)?,
            collocations: collocations(&object)?,
            starters: strings(&object, STARTERS)?,
            contexts: contexts(&object)?,
        })
    }

    pub(super) fn is_collocation(&self, first: &str, second: &str) -> bool {
        self.collocations.get(first).is_some_and(|seconds| seconds.contains(second))
    }

    /// The flags of a word; none when it was never seen.
    pub(super) fn context(&self, word: &str) -> u8 {
        self.contexts.get(word).copied().unwrap_or(0)
    }
}

fn part<'j>(object: &'j Map<String, Value>, names: [&'static str; 2]) -> Result<(&'static str, &'j Value), PunktError> {
    names.into_iter().find_map(|name| Some((name, object.get(name)?))).ok_or_else(|| {
        let keys: Vec<String> = object.keys().take(8).map(|key| format!("`{key}`")).collect();
        let found = if keys.is_empty() { "an empty object".to_owned() } else { keys.join(", ") };
        PunktError::Missing { names, found }
    })
}

/// A set, written as an array of its members or as an object whose keys they are.
fn strings(object: &Map<String, Value>, names: [&'static str; 2]) -> Result<HashSet<String>, PunktError> {
    match part(object, names)? {
        (_, Value::Object(set)) => Ok(set.keys().cloned().collect()),
        (name, Value::Array(list)) => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| shape(name, "a text", item)))
            .collect(),
        (name, other) => Err(shape(name, "an array or an object", other)),
    }
}

fn collocations(object: &Map<String, Value>) -> Result<HashMap<String, HashSet<String>>, PunktError> {
    let mut all: HashMap<String, HashSet<String>> = HashMap::new();
    let mut add = |first: &str, second: &str| all.entry(first.to_owned()).or_default().insert(second.to_owned());
    match part(object, COLLOCATIONS)? {
        (name, Value::Object(set)) => {
            for key in set.keys() {
                let (first, second) = key.split_once(',').ok_or_else(|| PunktError::Shape {
                    part: name,
                    expected: "two words separated by a comma",
                    found: format!("`{key}`"),
                })?;
                add(first, second);
            }
        }
        (name, Value::Array(list)) => {
            for item in list {
                match item.as_array().map(Vec::as_slice) {
                    Some([Value::String(first), Value::String(second)]) => add(first, second),
                    _ => return Err(shape(name, "a pair of words", item)),
                };
            }
        }
        (name, other) => return Err(shape(name, "an array or an object", other)),
    }
    Ok(all)
}

fn contexts(object: &Map<String, Value>) -> Result<HashMap<String, u8>, PunktError> {
    match part(object, CONTEXTS)? {
        (name, Value::Object(words)) => words
            .iter()
            .map(|(word, flags)| match flags.as_u64().and_then(|flags| u8::try_from(flags).ok()) {
                Some(flags) => Ok((word.clone(), flags)),
                None => Err(shape(name, "a sum of flags from 0 to 126", flags)),
            })
            .collect(),
        (name, other) => Err(shape(name, "an object", other)),
    }
}

fn shape(part: &'static str, expected: &'static str, found: &Value) -> PunktError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => found.to_string(),
        Value::Array(list) => format!("an array of {}", list.len()),
        Value::Object(map) => format!("an object of {}", map.len()),
    };
    PunktError::Shape { part, expected, found }
}

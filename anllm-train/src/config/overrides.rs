//! Settings from the command line: `--set optim.lr=3e-4`.

use toml::{Table, Value};

use super::error::ConfigError;

/// Puts one override, `key=value`, into `doc`. The key is dotted, with a number for an element of a list
/// (`data.0.path`); the number after the last adds an element. The value is read as TOML (`3e-4`, `true`, `[1, 2]`,
/// `"text"`), and taken as a string if it is none.
///
/// Tables on the way are made where there are none. Whether a setting exists is found when the configuration is read.
///
/// # Errors
///
/// If there is no `=`, a part of the key is empty, or the key leads through something that is neither table nor list.
pub fn set(doc: &mut Table, assignment: &str) -> Result<(), ConfigError> {
    let wrong = |message: String| ConfigError::Override { assignment: assignment.to_owned(), message };
    let (key, value) = split(assignment).ok_or_else(|| wrong("there is no =".to_owned()))?;
    let parts: Vec<&str> = key.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong("a part of the key is empty".to_owned()));
    }
    let value = value.parse().unwrap_or_else(|_| Value::String(value.to_owned()));
    insert(doc, &parts, value).map_err(wrong)
}

/// An override's key and value, without the blanks around them.
pub(super) fn split(assignment: &str) -> Option<(&str, &str)> {
    assignment.split_once('=').map(|(key, value)| (key.trim(), value.trim()))
}

fn insert(table: &mut Table, parts: &[&str], value: Value) -> Result<(), String> {
    let [name, rest @ ..] = parts else { return Ok(()) };
    let Some(next) = rest.first() else {
        table.insert((*name).to_owned(), value);
        return Ok(());
    };
    let made = || if next.parse::<usize>().is_ok() { Value::Array(Vec::new()) } else { Value::Table(Table::new()) };
    step(table.entry((*name).to_owned()).or_insert_with(made), name, rest, value)
}

/// Goes on inside of `inner`, which is called `name`.
fn step(inner: &mut Value, name: &str, parts: &[&str], value: Value) -> Result<(), String> {
    match inner {
        Value::Table(table) => insert(table, parts, value),
        Value::Array(list) => {
            let [index, rest @ ..] = parts else { return Ok(()) };
            let length = list.len();
            let at = index.parse().ok().filter(|&at: &usize| at <= length);
            let at = at.ok_or_else(|| {
                format!("`{name}` is a list of {length}; expected a number from 0 to {length}, found `{index}`")
            })?;
            match rest {
                [] if at == length => list.push(value),
                [] => list[at] = value,
                rest => {
                    if at == length {
                        list.push(Value::Table(Table::new()));
                    }
                    step(&mut list[at], index, rest, value)?;
                }
            }
            Ok(())
        }
        other => Err(format!("`{name}` is of type {}, it has no `{}`", other.type_str(), parts.join("."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(doc: &str, assignment: &str) -> Result<Table, String> {
        let mut doc: Table = doc.parse().unwrap();
        set(&mut doc, assignment).map_err(|e| e.to_string())?;
        Ok(doc)
    }

    #[test]
    fn values_are_toml_or_else_text() {
        for (value, toml) in [
            ("3e-4", "3e-4"),
            ("true", "true"),
            ("[1, 2]", "[1, 2]"),
            ("\"7\"", "\"7\""),
            ("books/*.txt", "\"books/*.txt\""),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
        ] {
            let expected: Table = format!("[a]\nb = {toml}").parse().unwrap();
            assert_eq!(after("", &format!("a.b={value}")).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn lists_go_by_number() {
        let doc = "[[data]]\npath = \"a\"\n";
        let expect = |toml: &str| toml.parse::<Table>().unwrap();
        assert_eq!(after(doc, "data.0.path=x").unwrap(), expect("[[data]]\npath = \"x\""));
        assert_eq!(after(doc, "data.1.path=x").unwrap(), expect("data = [{path = \"a\"}, {path = \"x\"}]"));
        assert_eq!(after("", "data.0.path=x").unwrap(), expect("data = [{path = \"x\"}]"));
        assert_eq!(after("betas = [0.9, 0.95]", "betas.1=0.99").unwrap(), expect("betas = [0.9, 0.99]"));
        let error = after(doc, "data.2.path=x").unwrap_err();
        assert!(error.contains("`data` is a list of 1; expected a number from 0 to 1, found `2`"), "{error}");
    }

    #[test]
    fn what_is_no_override_says_so() {
        assert!(after("", "a.b").unwrap_err().contains("--set a.b: there is no ="));
        assert!(after("", "a..b=1").unwrap_err().contains("a part of the key is empty"));
        assert!(after("", "=1").unwrap_err().contains("a part of the key is empty"));
        let error = after("a = 1", "a.b.c=1").unwrap_err();
        assert!(error.contains("`a` is of type integer, it has no `b.c`"), "{error}");
    }
}

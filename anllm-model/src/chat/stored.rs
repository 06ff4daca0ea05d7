//! Which chat template a checkpoint brings: `chat_template` of `tokenizer_config.json`, one text or a list of named ones.

use serde_json::Value;

use super::{ChatTemplate, TemplateError};
use crate::checkpoint::Checkpoint;
use crate::tokenizer::Tokenizer;

/// The template that stands alone, or is taken where none is named.
const DEFAULT: &str = "default";

/// The special tokens that templates may name, as `tokenizer_config.json` calls them.
const TOKENS: [&str; 6] = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token"];

impl Checkpoint {
    /// The chat template called `name`, or the default one; `None` where the checkpoint has no template.
    ///
    /// # Errors
    /// When there are templates but none of that name, or it is not Jinja.
    pub fn chat_template(
        &self,
        tokenizer: &Tokenizer,
        name: Option<&str>,
    ) -> Result<Option<ChatTemplate>, TemplateError> {
        let stored = self.settings().tokenizer_config.as_ref().map_or(&Value::Null, |config| &config["chat_template"]);
        match choose(stored, name)? {
            Some(source) => self.with_tokens(ChatTemplate::new(source, "", "")?, tokenizer).map(Some),
            None => Ok(None),
        }
    }

    /// A chat template from elsewhere, with this checkpoint's special tokens.
    ///
    /// # Errors
    /// When it is not Jinja.
    pub fn chat_template_from(&self, tokenizer: &Tokenizer, source: &str) -> Result<ChatTemplate, TemplateError> {
        self.with_tokens(ChatTemplate::new(source, "", "")?, tokenizer)
    }

    fn with_tokens(&self, template: ChatTemplate, tokenizer: &Tokenizer) -> Result<ChatTemplate, TemplateError> {
        let config = self.settings().tokenizer_config.as_ref().unwrap_or(&Value::Null);
        let ids = [("bos_token", self.config().bos), ("eos_token", self.config().eos.first().copied())];
        let of_config = ids.into_iter().filter_map(|(name, id)| Some((name, tokenizer.token(id?)?)));
        let stated = TOKENS.into_iter().filter_map(|name| Some((name, text(&config[name])?.to_owned())));
        // What the tokenizer's own settings state comes last and holds.
        Ok(of_config.chain(stated).fold(template, |template, (name, token)| template.with(name, token)))
    }
}

/// The source of the template called `name`, or of the default one.
fn choose<'a>(stored: &'a Value, name: Option<&str>) -> Result<Option<&'a str>, TemplateError> {
    let named: Vec<(&str, &str)> = match stored {
        Value::Null => return Ok(None),
        Value::String(source) => vec![(DEFAULT, source)],
        Value::Array(list) => {
            let pair = |entry: &'a Value| Some((entry["name"].as_str()?, entry["template"].as_str()?));
            list.iter().map(pair).collect::<Option<_>>().ok_or_else(|| malformed(stored))?
        }
        _ => return Err(malformed(stored)),
    };
    let wanted = name.unwrap_or(DEFAULT);
    match named.iter().find(|(name, _)| *name == wanted) {
        Some((_, source)) => Ok(Some(source)),
        None => Err(TemplateError::Unknown {
            name: wanted.to_owned(),
            found: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }),
    }
}

fn malformed(stored: &Value) -> TemplateError {
    TemplateError::Malformed { found: stored.to_string().chars().take(60).collect() }
}

/// A token's text: stated as it is, or in an object with its properties.
fn text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_template_is_the_default() {
        assert_eq!(choose(&Value::Null, None).unwrap(), None);
        assert_eq!(choose(&json!("a"), None).unwrap(), Some("a"));
        assert_eq!(choose(&json!("a"), Some("default")).unwrap(), Some("a"));
    }

    #[test]
    fn named_templates_are_chosen_by_name() {
        let list = json!([{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}]);
        assert_eq!(choose(&list, None).unwrap(), Some("a"));
        assert_eq!(choose(&list, Some("rag")).unwrap(), Some("b"));
        let message = choose(&list, Some("tool_use")).unwrap_err().to_string();
        assert!(message.contains("`tool_use`") && message.contains("default, rag"), "{message}");
        let message = choose(&json!([{"name": "rag", "template": "b"}]), None).unwrap_err().to_string();
        assert!(message.contains("`default`") && message.contains("rag"), "{message}");
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [json!(7), json!([7]), json!([{"name": "x"}])] {
            assert!(matches!(choose(&wrong, None), Err(TemplateError::Malformed { .. })), "{wrong}");
        }
    }
}

//! `prompt`: a text, a list of texts, a list of token ids, or a list of such lists.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, ArrayItems, OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// All prompts of a request, at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompts(pub(crate) Vec<Prompt>);

/// What may stand in a list.
enum Item {
    Token(u32),
    Prompt(Prompt),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfList;
        impl<'de> Visitor<'de> for OfList {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a token id from 0, or a list of token ids")
            }
            fn visit_u64<E: Error>(self, id: u64) -> Result<Item, E> {
                let unexpected = serde::de::Unexpected::Unsigned(id);
                u32::try_from(id).map(Item::Token).map_err(|_| E::invalid_value(unexpected, &self))
            }
            fn visit_str<E>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Prompt(Prompt::Text(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element()? {
                    ids.push(id);
                }
                Ok(Item::Prompt(Prompt::Tokens(ids)))
            }
        }
        deserializer.deserialize_any(OfList)
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Prompts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of texts, a list of token ids, or a list of lists of token ids")
            }
            fn visit_str<E>(self, text: &str) -> Result<Prompts, E> {
                Ok(Prompts(vec![Prompt::Text(text.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
                let (mut prompts, mut ids) = (Vec::new(), Vec::new());
                while let Some(item) = list.next_element()? {
                    match item {
                        Item::Token(id) => ids.push(id),
                        Item::Prompt(prompt) => prompts.push(prompt),
                    }
                }
                match (prompts.is_empty(), ids.is_empty()) {
                    (true, true) => Err(A::Error::invalid_length(0, &"at least one prompt")),
                    (true, false) => Ok(Prompts(vec![Prompt::Tokens(ids)])),
                    (false, true) => Ok(Prompts(prompts)),
                    (false, false) => Err(A::Error::custom("token ids and prompts are mixed in one list")),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl PartialSchema for Prompts {
    fn schema() -> RefOr<Schema> {
        fn list(items: impl Into<ArrayItems>) -> ArrayBuilder {
            ArrayBuilder::new().items(items).min_items(Some(1))
        }
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let id = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u32::MAX));
        let one_of = OneOfBuilder::new().item(text()).item(list(text())).item(list(id()));
        one_of.item(list(list(id()))).into()
    }
}

impl ToSchema for Prompts {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Prompt>, String> {
        serde_json::from_str::<Prompts>(json).map(|prompts| prompts.0).map_err(|e| e.to_string())
    }

    #[test]
    fn the_four_forms_are_told_apart() {
        let text = |text: &str| Prompt::Text(text.to_owned());
        assert_eq!(read(r#""a""#).unwrap(), [text("a")]);
        assert_eq!(read(r#"["a", ""]"#).unwrap(), [text("a"), text("")]);
        assert_eq!(read("[1, 2]").unwrap(), [Prompt::Tokens(vec![1, 2])]);
        assert_eq!(read("[[1], [2, 3]]").unwrap(), [Prompt::Tokens(vec![1]), Prompt::Tokens(vec![2, 3])]);
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        for (json, expected) in [
            ("[]", "at least one prompt"),
            ("7", "a text, a list of texts"),
            ("null", "a text, a list of texts"),
            ("[-1]", "a token id from 0"),
            ("[1.5]", "a token id from 0"),
            ("[4294967296]", "a token id from 0"),
            ("[1, \"a\"]", "mixed in one list"),
            ("[[\"a\"]]", "expected u32"),
        ] {
            let message = read(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}

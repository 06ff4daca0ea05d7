//! `content` of a message: a text, or a list of parts that are texts.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Object;

/// A message's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Content(pub(crate) String);

/// One part of a message.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: PartKind,
    text: String,
}

/// Kinds of parts. The model reads text alone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartKind {
    Text,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts of the type `text`")
            }
            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut whole = String::new();
                while let Some(Object(Part { kind: PartKind::Text, text })) = list.next_element()? {
                    whole.push_str(&text);
                }
                Ok(Content(whole))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let kind = text().enum_values(Some(["text"]));
        let part = ObjectBuilder::new().property("type", kind).property("text", text());
        let parts = ArrayBuilder::new().items(part.required("type").required("text"));
        OneOfBuilder::new().item(text()).item(parts).into()
    }
}

impl ToSchema for Content {}

//! What goes over the wire: requests as they are read, answers as they are written. OpenAI's names, with additions of
//! our own where the cache has something to say.

pub(crate) mod chat;
pub(crate) mod completion;
mod content;
mod entries;
pub(crate) mod error;
pub(crate) mod finish;
pub(crate) mod logprobs;
pub(crate) mod models;
mod object;
pub(crate) mod prompt;
pub(crate) mod settings;
mod stop;
pub(crate) mod tokens;
pub(crate) mod usage;

pub(crate) use content::Content;
pub(crate) use entries::Entries;
pub(crate) use error::ApiError;
pub(crate) use object::Object;
pub(crate) use stop::Stop;

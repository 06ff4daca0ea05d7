//! Handlers, one file for each path or few.

pub(crate) mod chat;
pub(crate) mod completions;
mod generation;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod openapi;
pub(crate) mod page;
mod prompts;
mod stream;
pub(crate) mod tokens;

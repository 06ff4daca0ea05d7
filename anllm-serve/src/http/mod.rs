//! From a connection to a handler and back: which path goes where, who may ask, what a body may be, what is logged.

mod auth;
mod body;
mod log;
mod page_headers;
mod panics;
mod router;

pub(crate) use body::Json;
pub(crate) use log::RequestName;
pub(crate) use router::router;

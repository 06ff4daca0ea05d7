//! The one thread that has the model, and how others reach it: requests go to it as [`Job`]s and come back as
//! [`Update`]s. Nothing on this side of it waits for the network, nothing on the other waits for the model.

mod board;
mod job;
mod running;
mod worker;

pub(crate) use board::Board;
pub(crate) use job::{Generate, Job, Pieces, Update, What};
pub(crate) use running::{News, Running};
pub(crate) use worker::work;

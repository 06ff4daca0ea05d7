//! Whom a model learns from beside the text.

use std::path::Path;

use anllm_core::Vocabulary;
use anllm_kernels::TrainableKernels;
use anllm_model::{Checkpoint, Decoder, Tokenizer};
use burn::module::AutodiffModule;
use burn::tensor::DType;

use crate::config::TrainSection;
use crate::error::TrainError;
use crate::start::Start;

/// A teacher, which sees everything: full attention over each document.
#[derive(Debug)]
pub(crate) enum Teacher<A: TrainableKernels> {
    /// The weights that learn, as they stand (under adapters: without them).
    Itself,
    /// Another checkpoint, which stays as it is.
    Other(Box<Decoder<A::InnerBackend>>),
}

impl<A: TrainableKernels> Teacher<A> {
    /// The teacher that `train` asks for.
    ///
    /// # Errors
    /// When its checkpoint cannot be read, or numbers its tokens otherwise.
    pub(crate) fn of(train: &TrainSection, start: &Start, device: &A::Device) -> Result<Option<Self>, TrainError> {
        let Some(path) = &train.teacher else {
            return Ok((train.distill > 0.0).then_some(Self::Itself));
        };
        if train.distill == 0.0 {
            return Err(TrainError::settings(
                format!(
                    "train.teacher is {}, but train.distill is 0, so that nothing is learned from it",
                    path.display()
                ),
                "set train.distill, the teacher's share of the loss, to a number up to 1",
            ));
        }
        let checkpoint = Checkpoint::open(path)?;
        same_tokens(path, &checkpoint.tokenizer()?, start)?;
        Ok(Some(Self::Other(Box::new(checkpoint.load(device, DType::F32)?))))
    }

    /// The weights it speaks from, while `student` are the ones that learn.
    pub(crate) fn weights(&self, student: &Decoder<A>) -> Decoder<A::InnerBackend> {
        match self {
            Self::Itself => student.valid().without_adapters(),
            Self::Other(decoder) => (**decoder).clone(),
        }
    }
}

/// A teacher's score of a token is of use to a student that means the same by its number.
fn same_tokens(path: &Path, teacher: &Tokenizer, start: &Start) -> Result<(), TrainError> {
    let student = &start.tokenizer;
    let hint = "choose a teacher with the tokenizer of model.from (with model.add_ac: one that has <AC> too)";
    if teacher.size() != student.size() {
        let what = format!(
            "train.teacher: {} has {} tokens, the model that learns has {}",
            path.display(),
            teacher.size(),
            student.size()
        );
        return Err(TrainError::settings(what, hint));
    }
    for id in 0..student.size() as u32 {
        let (theirs, ours) = (teacher.token(id), student.token(id));
        if theirs != ours {
            let name = |token: Option<String>| token.map_or_else(|| "nothing".to_owned(), |token| format!("`{token}`"));
            let what = format!(
                "train.teacher: token {id} of {} is {}, the model that learns has {} there",
                path.display(),
                name(theirs),
                name(ours)
            );
            return Err(TrainError::settings(what, hint));
        }
    }
    Ok(())
}

//! What happens to a line: the model answers it, or a command is carried out.

use std::ops::ControlFlow;

use anllm_infer::{Chat, ChatError, InferError, Reading, SavedChat, Turn, TurnOptions};
use anllm_kernels::Kernels;
use anllm_model::{Message, Tokenizer};
use serde_json::json;

use super::super::added::Adder;
use super::super::generate::account;
use super::super::interrupt::Interrupt;
use super::super::{anchors, aside};
use super::slash::{self, Slash};
use crate::output::{Interrupted, Output, bytes, is_broken_pipe};

/// A conversation with all that it takes to show it.
pub(super) struct Conversation<'a, B: Kernels> {
    pub(super) chat: Chat<'a, B>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) adder: &'a Adder,
    pub(super) options: TurnOptions,
    pub(super) output: Output,
    pub(super) model: String,
    pub(super) interrupt: Interrupt,
}

/// Whether there is more to come.
pub(super) enum Next {
    GoOn,
    Quit,
}

impl<B: Kernels> Conversation<'_, B> {
    /// Carries out a line.
    ///
    /// # Errors
    /// When a command cannot be carried out, or a turn fails.
    pub(super) fn hear(&mut self, line: &str) -> anyhow::Result<Next> {
        match Slash::parse(line)? {
            Some(Slash::Quit) => return Ok(Next::Quit),
            Some(command) => self.carry_out(command)?,
            None if line.is_empty() => {}
            // `//` begins a message that begins with `/`.
            None => self.answer(if line.starts_with("//") { &line[1..] } else { line })?,
        }
        Ok(Next::GoOn)
    }

    /// Whether the conversation can go on after this error.
    pub(super) fn survives(&self, error: &anyhow::Error) -> bool {
        !is_broken_pipe(error) && !error.is::<Interrupted>()
    }

    /// Where nobody is there to say something else, an interrupt ends more than the answer.
    pub(super) fn end_if_interrupted(&self) -> anyhow::Result<()> {
        if self.interrupt.came() { Err(Interrupted.into()) } else { Ok(()) }
    }

    fn answer(&mut self, message: &str) -> anyhow::Result<()> {
        let (output, interrupt) = (self.output, &self.interrupt);
        let mut shown = Ok(());
        let mut last = '\n';
        interrupt.begin();
        let turn = self.chat.say(&self.adder.add(message), &self.options, |piece| {
            if !output.is_json() {
                shown = output.text(piece);
                last = piece.chars().last().unwrap_or(last);
            }
            let stop = shown.is_err() || interrupt.came();
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        interrupt.end();
        shown?;
        let turn = turn.map_err(with_commands)?;
        // Turns would otherwise all draw alike.
        self.options.sampling.seed = self.options.sampling.seed.wrapping_add(1);
        if output.is_json() {
            return output.json(&report(message, &turn));
        }
        if last != '\n' {
            output.text("\n")?;
        }
        output.note(&statistics(&turn));
        Ok(())
    }

    fn carry_out(&mut self, command: Slash) -> anyhow::Result<()> {
        match command {
            Slash::Help => self.output.note(&slash::help()),
            Slash::System(None) => {
                let system = self.chat.messages().first().filter(|m| m.role == Message::SYSTEM);
                self.output.note(system.map_or("no system message of yours", |m| &m.content));
            }
            Slash::System(Some(text)) => {
                let text = self.adder.add(&text);
                self.chat.set_system(Some(&*text).filter(|text| !text.is_empty()));
                self.output.note("from the next turn on; the conversation is then read again");
            }
            Slash::Reset => {
                self.chat.reset();
                self.output.note("a new conversation");
            }
            Slash::Cache => self.output.note(&self.cache()),
            Slash::Anchors => self.show_anchors(),
            Slash::Save(file) => {
                aside::write(&file, &SavedChat::new(&*self.model, self.chat.messages()).to_json()?)?;
                self.output.note(&format!("wrote {} ({})", file.display(), counted(self.chat.messages().len())));
            }
            Slash::Load(file) => {
                let saved = super::read_saved(&file)?;
                let count = counted(saved.messages.len());
                self.chat.set_messages(saved.messages);
                self.output.note(&format!("{count} with {}; the next turn reads them", saved.model));
            }
            Slash::Seed(seed) => self.options.sampling.seed = seed,
            Slash::Temperature(value) => {
                let mut sampling = self.options.sampling.clone();
                sampling.temperature = value;
                anllm_infer::Sampler::new(sampling.clone()).map_err(|e| {
                    anyhow::anyhow!("/{e}\n  hint: 0 takes the best token, 1 draws as the model was trained")
                })?;
                self.options.sampling = sampling;
            }
            Slash::Quit => {}
        }
        Ok(())
    }

    fn cache(&self) -> String {
        let session = self.chat.session();
        let stats = session.stats();
        let entry = stats.full_bytes.checked_div(stats.seen).unwrap_or(0);
        format!(
            "{}\n{} an entry, {} allocated; {} of {} positions are taken",
            account(&stats),
            bytes(entry),
            bytes(session.allocated_bytes()),
            stats.seen,
            self.chat.engine().config().max_positions
        )
    }

    fn show_anchors(&self) {
        let tokens = self.chat.tokens();
        let segments = self.chat.engine().matcher().segments(tokens);
        let text = anchors::marked(self.tokenizer, tokens, &segments);
        let count = segments.anchors().len();
        self.output.note(&format!("{text}\n{}{} tokens, {count} anchors", anchors::legend(), tokens.len()));
    }
}

fn counted(messages: usize) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

/// A library knows no commands: what helps here is said here.
fn with_commands(error: ChatError) -> anyhow::Error {
    let more = match &error {
        ChatError::ContextFull { .. } | ChatError::Infer(InferError::TooManyEntries { .. }) => {
            " (/reset; /save keeps the old one)"
        }
        _ => "",
    };
    anyhow::anyhow!("{error}{more}")
}

fn statistics(turn: &Turn) -> String {
    let again = match turn.reading {
        Reading::New => "",
        Reading::Again => " again, from the start, as its text no longer begins the same",
    };
    let outcome = match turn.taken {
        true => format!("{} new", turn.generation.tokens.len()),
        false => "broken off: the message is not part of the conversation".to_owned(),
    };
    format!(
        "[{} read{again}, {outcome} | {} | {:.1} tok/s]",
        turn.read,
        account(&turn.generation.kv),
        turn.generation.timing.decode_tps
    )
}

fn report(message: &str, turn: &Turn) -> serde_json::Value {
    let generation = &turn.generation;
    json!({
        "message": message,
        "text": generation.text,
        "prompt_tokens": turn.read,
        "read_again": turn.reading == Reading::Again,
        "tokens": generation.tokens,
        "stop_reason": generation.stop_reason,
        "taken": turn.taken,
        "kv": generation.kv,
        "timing": generation.timing,
    })
}

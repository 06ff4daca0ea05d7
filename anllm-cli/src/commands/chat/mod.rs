//! `anllm chat`: a conversation at the terminal, or one whose messages come from a file.

mod conversation;
mod lines;
mod slash;
mod terminal;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;

use anllm_infer::{Chat, ChatFormat, Sampling, SavedChat, TurnOptions};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};

use self::conversation::{Conversation, Next};
use self::terminal::{Terminal, Typed};
use super::added::Adder;
use super::interrupt::Interrupt;
use super::prefix::{self, Opened};
use super::setup::{self, Rules};
use super::template;
use crate::args::ChatArgs;
use crate::bundled;
use crate::device::{Task, run_on};
use crate::output::{Output, Reported};

pub(crate) fn run(args: Box<ChatArgs>, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    // What the user gave is judged before weights are loaded.
    let said = Said::open(args.prompt_file.as_deref())?;
    let loaded = args.load.as_deref().map(read_saved).transpose()?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules) = prefix::or_rules(args.prefix_cache.as_deref(), &args.run, &checkpoint, &tokenizer)?;
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let usual = match bundled::names(&args.run.model.model) {
        true => bundled::sampling(&args.run.model.model),
        false => Sampling { temperature: 0.6, top_p: 0.9, ..Sampling::default() },
    };
    let sampling = args.sampling.settings(usual, "chat")?;
    let format =
        template::format(args.chat_template.as_deref(), args.template_args.as_deref(), &checkpoint, &tokenizer)?;
    let device = args.run.device;
    let (args, output) = (*args, *output);
    let task = Talk { args, output, said, loaded, checkpoint, tokenizer, rules, prefix, adder, sampling, format };
    run_on(device, task)
}

/// Where messages come from.
enum Said {
    Terminal,
    File(Box<dyn BufRead + Send>),
}

impl Said {
    fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        match file {
            None if io::stdin().is_terminal() => Ok(Self::Terminal),
            Some(file) if file != Path::new("-") => {
                let opened = File::open(file).and_then(|opened| match opened.metadata()?.is_dir() {
                    true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
                    false => Ok(opened),
                });
                let opened = opened.map_err(|e| {
                    anyhow::anyhow!(
                        "{}: cannot read what to say: {e}\n  hint: --prompt-file names a text file, a message a line",
                        file.display()
                    )
                })?;
                Ok(Self::File(Box::new(BufReader::new(opened))))
            }
            _ => Ok(Self::File(Box::new(BufReader::new(io::stdin())))),
        }
    }
}

/// Reads a file that `/save` wrote.
fn read_saved(file: &Path) -> anyhow::Result<SavedChat> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        anyhow::anyhow!("{}: cannot read the conversation: {e}\n  hint: name a file that /save wrote", file.display())
    })?;
    SavedChat::from_json(&text).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))
}

struct Talk {
    args: ChatArgs,
    output: Output,
    said: Said,
    loaded: Option<SavedChat>,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    prefix: Option<Opened>,
    adder: Adder,
    sampling: Sampling,
    format: ChatFormat,
}

impl Task for Talk {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, rules, .. } = self;
        let behind =
            self.prefix.as_ref().map_or(String::new(), |prefix| format!(", behind {} tokens", prefix.tokens()));
        let told = format!("cache {}, anchors {}{behind}", rules.policy.name(), rules.matcher.rule());
        let plain = matches!(self.format, ChatFormat::Continuation);
        let engine = setup::engine::<B>(&args.run, &self.checkpoint, rules.matcher, &device)?;
        let mut chat = match &self.prefix {
            Some(prefix) => Chat::behind(&engine, &self.tokenizer, self.format, prefix.resume(&engine)?),
            None => Chat::new(&engine, &self.tokenizer, self.format, rules.policy),
        };
        if let Some(saved) = self.loaded {
            chat.set_messages(saved.messages);
        }
        if let Some(system) = &args.system {
            chat.set_system(Some(&self.adder.add(system)));
        }
        if plain {
            output.note(
                "this model has no chat template: it goes on with the conversation's text, as it would with any other",
            );
        }
        let options =
            TurnOptions { max_new_tokens: args.max_new_tokens, sampling: self.sampling, stop: args.stop.clone() };
        let mut conversation = Conversation {
            chat,
            tokenizer: &self.tokenizer,
            adder: &self.adder,
            options,
            output,
            model: args.run.model.model.display().to_string(),
            interrupt: Interrupt::watch(),
        };
        match self.said {
            Said::File(file) => from_file(&mut conversation, file),
            Said::Terminal => {
                output.note(&format!("{} | {told} | /help lists commands, Ctrl-D ends", conversation.model));
                at_terminal(&mut conversation, args.history.as_deref())
            }
        }
    }
}

/// Every message of a file. One that fails is reported, and the conversation goes on without it.
fn from_file<B: Kernels>(conversation: &mut Conversation<'_, B>, file: Box<dyn BufRead + Send>) -> anyhow::Result<()> {
    let mut failed = false;
    for message in lines::messages(file.lines()) {
        let message = message.map_err(|e| {
            anyhow::anyhow!("what to say cannot be read: {e}\n  hint: it must be UTF-8 text, a message a line")
        })?;
        match conversation.hear(&message) {
            Ok(Next::GoOn) => {}
            Ok(Next::Quit) => break,
            Err(error) if conversation.survives(&error) => {
                crate::output::report(&error);
                failed = true;
            }
            Err(error) => return Err(error),
        }
        conversation.end_if_interrupted()?;
    }
    if failed { Err(Reported.into()) } else { Ok(()) }
}

fn at_terminal<B: Kernels>(conversation: &mut Conversation<'_, B>, history: Option<&Path>) -> anyhow::Result<()> {
    let mut terminal = Terminal::open(history)?;
    loop {
        let heard = match terminal.read()? {
            Typed::Message(text) => conversation.hear(&text),
            Typed::GivenUp => {
                conversation.output.note("(Ctrl-D or /quit ends)");
                continue;
            }
            Typed::End => return Ok(()),
        };
        match heard {
            Ok(Next::GoOn) => {}
            Ok(Next::Quit) => return Ok(()),
            Err(error) if conversation.survives(&error) => crate::output::report(&error),
            Err(error) => return Err(error),
        }
    }
}

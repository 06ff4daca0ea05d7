//! `anllm eval …`: measures.

mod markdown;
mod qa;
mod written;

use std::path::Path;

use anllm_core::{PolicyKind, Span};
use anllm_eval::{Perplexity, PerplexityOptions, perplexity_behind};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use anllm_train::data::source::{SourceConfig, SourceContext, Sources};

use super::added::Adder;
use super::prefix::{self, Opened};
use super::setup::{self, Rules};
use crate::args::{EvalArgs, EvalCommand, PplArgs};
use crate::device::{Task, run_on};
use crate::output::Output;

pub(crate) fn run(args: EvalArgs, output: &Output) -> anyhow::Result<()> {
    match args.command {
        EvalCommand::Ppl(args) => ppl(*args, output),
        EvalCommand::Qa(args) => qa::run(*args, output),
    }
}

fn ppl(args: PplArgs, output: &Output) -> anyhow::Result<()> {
    if args.stream {
        return super::stream::run(args, *output);
    }
    setup::threads(&args.run)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules) = match &args.prefix_cache {
        Some(file) => {
            let (prefix, rules) = Opened::new(file, &args.run, &checkpoint, &tokenizer)?;
            (Some(prefix), rules)
        }
        None => (None, setup::rules(&args.run, &checkpoint, PolicyKind::Full)?),
    };
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let documents = documents(&args, &tokenizer, &adder)?;
    // Policies that do not look back over the whole window take longer ones.
    let whole = rules.policy.span() == Span::Text;
    let before = prefix.as_ref().filter(|_| whole).map_or(0, Opened::tokens);
    let context = checkpoint.config().max_positions;
    anyhow::ensure!(
        before + 2 <= context,
        "the prefix has {before} tokens, which leaves no room for a window in this model's context of {context}\n  hint: \
         use a shorter prefix"
    );
    let context = context - before;
    let limit = if whole { context } else { usize::MAX };
    let window = args.window.unwrap_or(2048.min(context));
    anyhow::ensure!(
        window <= limit,
        "--window {window} is longer than {} {limit} tokens\n  hint: use --window {limit} or less",
        if before > 0 { "what the prefix leaves of this model's context," } else { "this model's context of" }
    );
    let stride = args.stride.unwrap_or(window);
    anyhow::ensure!(
        stride <= window,
        "--stride {stride} is longer than the window of {window} tokens: tokens between windows would be left out\n  \
         hint: use --stride {window} or less"
    );
    let policy = rules.policy.name();
    let device = args.run.device;
    let unscored = adder.token();
    let task = Ppl { args, output: *output, checkpoint, tokenizer, rules, prefix, documents, unscored, window, stride };
    let result = run_on(device, task)?;
    match output.is_json() {
        true => output.json(&result),
        false => output.text(&summary(&result, &policy)),
    }
}

/// The tokens of each document: framed as a text of its own, or as what follows a prefix.
fn documents(args: &PplArgs, tokenizer: &Tokenizer, adder: &Adder) -> anyhow::Result<Vec<Vec<u32>>> {
    let texts = match args.text.extension().is_some_and(|extension| extension == "jsonl") {
        true => records(&args.text)?,
        false => vec![setup::read_text(&args.text)?],
    };
    let mut left = args.limit_tokens.unwrap_or(usize::MAX);
    let (mut documents, mut longest) = (Vec::new(), 0);
    for text in texts {
        let length = setup::encode(tokenizer, &text, None)?.len();
        longest = longest.max(length);
        if length >= args.min_tokens && left >= 2 {
            let mut ids = match args.prefix_cache {
                Some(_) => prefix::behind(tokenizer, &adder.add(&text))?,
                None => setup::encode(tokenizer, &adder.add(&text), None)?,
            };
            ids.truncate(left);
            left -= ids.len();
            documents.push(ids);
        }
    }
    anyhow::ensure!(
        !documents.is_empty(),
        "{}: no text of at least {} tokens: the longest has {longest} token(s)\n  hint: give a longer text",
        args.text.display(),
        args.min_tokens,
    );
    Ok(documents)
}

/// The texts of a JSON Lines file, as training reads them.
fn records(path: &Path) -> anyhow::Result<Vec<String>> {
    let sources = Sources::open(&[SourceConfig::new(path.to_string_lossy())], SourceContext::default())?;
    let mut texts = Vec::new();
    for document in sources.iter().flat_map(|source| source.documents()) {
        texts.push(document?.pieces.into_iter().map(|piece| piece.text).collect());
    }
    Ok(texts)
}

struct Ppl {
    args: PplArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    prefix: Option<Opened>,
    documents: Vec<Vec<u32>>,
    unscored: Option<u32>,
    window: usize,
    stride: usize,
}

impl Task for Ppl {
    type Output = Perplexity;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Perplexity> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let options = PerplexityOptions {
            window: self.window,
            stride: self.stride,
            policy: self.rules.policy,
            unscored: self.unscored,
            chunk: self.args.run.prefill_chunk.min(256),
        };
        let bytes_of = |id| self.tokenizer.bytes(id).map_or(0, |b| b.len());
        let show = |done, all| self.output.progress(&format!("window {done} of {all}"));
        let start = match &self.prefix {
            Some(prefix) => prefix.resume(&engine)?.session,
            None => engine.session(options.policy.clone()),
        };
        let result = perplexity_behind(&engine, &start, &self.documents, &options, bytes_of, show);
        self.output.progress_done();
        Ok(result?)
    }
}

fn summary(result: &Perplexity, policy: &str) -> String {
    format!(
        "perplexity     {:.4}\nnll            {:.5} nats per token\nbits per byte  {:.4}\ntokens         {} in {} windows of {} document(s)\n\
         anchors        {}\ncache {policy:<8} {:.1} % saved\n",
        result.ppl,
        result.nll,
        result.bits_per_byte,
        result.tokens,
        result.windows,
        result.documents,
        result.anchors,
        100.0 * result.kv_reduction,
    )
}

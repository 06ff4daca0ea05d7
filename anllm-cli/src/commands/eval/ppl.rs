//! `anllm eval ppl`: perplexity by windows.

use std::path::Path;

use anllm_core::Span;
use anllm_eval::{Loss, Perplexity, PerplexityOptions, Quality, Stretch, WindowScore, perplexity_behind};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use anllm_train::data::source::{SourceConfig, SourceContext, Sources};
use serde::Serialize;
use serde_json::json;

use super::super::added::Adder;
use super::super::prefix::{self, Opened};
use super::super::setup::{self, Rules};
use super::super::stream;
use super::head::Head;
use super::markdown::{Side, table};
use super::written;
use crate::args::PplArgs;
use crate::device::{Task, run_on};
use crate::output::Output;

pub(super) fn run(args: PplArgs, output: &Output) -> anyhow::Result<()> {
    if args.stream {
        return stream::run(args, *output);
    }
    setup::threads(&args.run)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules) = prefix::or_rules(args.prefix_cache.as_deref(), &args.run, &checkpoint, &tokenizer)?;
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
    let head = Head::new("ppl", &args.run, &rules);
    let text = args.text.display().to_string();
    let log = args.log_windows.clone();
    let device = args.run.device;
    let unscored = adder.token();
    let task = Ppl { args, output: *output, checkpoint, tokenizer, rules, prefix, documents, unscored, window, stride };
    let (result, windows) = run_on(device, task)?;
    if let Some(file) = log {
        written::lines(&file, windows.iter().map(|score| json!(head.clone().with(score))))?;
    }
    match output.is_json() {
        true => output.json(&head.with(Row { text, window, stride, found: &result })),
        false => output.text(&summary(&result, &policy)),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Row<'a> {
    text: String,
    window: usize,
    stride: usize,
    #[serde(flatten)]
    found: &'a Perplexity,
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
    type Output = (Perplexity, Vec<WindowScore>);

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Self::Output> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let options = PerplexityOptions {
            window: self.window,
            stride: self.stride,
            policy: self.rules.policy,
            unscored: self.unscored,
            chunk: self.args.run.prefill_chunk.min(256),
            bucket: self.args.by_position.unwrap_or_else(|| self.window.div_ceil(8)),
        };
        let bytes_of = |id| self.tokenizer.bytes(id).map_or(0, |b| b.len());
        let mut windows = Vec::new();
        let each = |score: &WindowScore| {
            self.output.progress(&format!("window {} of {}", score.window + 1, score.of));
            windows.push(*score);
        };
        let start = match &self.prefix {
            Some(prefix) => prefix.resume(&engine)?.session,
            None => engine.session(options.policy.clone()),
        };
        let result = perplexity_behind(&engine, &start, &self.documents, &options, bytes_of, each);
        self.output.progress_done();
        Ok((result?, windows))
    }
}

fn summary(result: &Perplexity, policy: &str) -> String {
    let distances = match result.anchors {
        0 => String::new(),
        _ => "\n".to_owned() + &groups("behind the anchor", &result.by_distance),
    };
    format!(
        "{}tokens         {} in {} windows of {} document(s)\nanchors        {}\ncache {policy:<8} {:.1} % saved\n\n{}{distances}",
        quality(&result.quality),
        result.quality.tokens,
        result.windows,
        result.documents,
        result.anchors,
        100.0 * result.kv_reduction,
        groups("position", &result.by_position),
    )
}

/// How well tokens were predicted, in lines.
pub(crate) fn quality(quality: &Quality) -> String {
    let Quality { ppl, nll, bits_per_byte, .. } = quality;
    format!("perplexity     {ppl:.4}\nnll            {nll:.5} nats per token\nbits per byte  {bits_per_byte:.4}\n")
}

/// A table of groups of tokens; those without any are left out.
pub(crate) fn groups(name: &str, groups: &[Stretch<Loss>]) -> String {
    let rows = groups.iter().filter_map(|group| {
        let ppl = group.of.ppl?;
        Some(vec![span(group.from, group.to), group.of.tokens.to_string(), format!("{ppl:.3}")])
    });
    table(&[(name, Side::Right), ("tokens", Side::Right), ("perplexity", Side::Right)], &rows.collect::<Vec<_>>())
}

/// Positions or distances, for people.
pub(crate) fn span(from: Option<usize>, to: Option<usize>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if to == from + 1 => from.to_string(),
        (Some(from), Some(to)) => format!("{from}–{}", to - 1),
        (Some(from), None) => format!("{from}–"),
        (None, _) => "no anchor yet".to_owned(),
    }
}

//! `anllm serve`: the server, from options to its end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anllm_core::PolicyKind;
use anllm_infer::{ChatFormat, Limits, Sampling};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use anllm_serve::{ApiKeys, Ended, LogText, Model, Options, Server, Stopper};
use serde_json::json;

use super::added::Adder;
use super::prefix::Opened;
use super::setup::{self, Rules};
use super::template;
use crate::args::ServeArgs;
use crate::bundled;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output, bytes};

pub(crate) fn run(args: Box<ServeArgs>, output: &Output) -> anyhow::Result<()> {
    let start = Instant::now();
    setup::threads(&args.run)?;
    let usual = match bundled::names(&args.run.model.model) {
        true => bundled::sampling(&args.run.model.model),
        // What clients of OpenAI's expect of requests that do not say.
        false => Sampling { temperature: 1.0, ..Sampling::default() },
    };
    let sampling = args.sampling.settings(usual, "serve")?;
    let options = options(&args)?;
    if !options.address.ip().is_loopback() && options.keys.is_empty() {
        tracing::warn!(
            "{} can be reached from elsewhere, and whoever reaches it may ask: --api-key-file names keys",
            options.address
        );
    }
    let checkpoint = args.run.model.open()?;
    // Clients are told that the model is being loaded, rather than that nobody is there.
    let server = Server::bind(options)?;
    watch(server.stopper());
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules, kind) = match &args.prefix_cache {
        Some(file) => {
            let (prefix, rules) = Opened::new(file, &args.run, &checkpoint, &tokenizer)?;
            let kind = prefix.policy()?;
            (Some(prefix), rules, kind)
        }
        None => {
            let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
            (None, rules, setup::policy(&args.run, checkpoint.config(), PolicyKind::Full))
        }
    };
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let format =
        template::format(args.chat_template.as_deref(), args.template_args.as_deref(), &checkpoint, &tokenizer)?;
    let device = args.run.device;
    let serve = Serve {
        args: *args,
        output: *output,
        start,
        server,
        checkpoint,
        tokenizer,
        rules,
        kind,
        prefix,
        adder,
        sampling,
        format,
    };
    match run_on(device, serve)? {
        Ended::Finished => Ok(()),
        Ended::CutOff => Err(Interrupted.into()),
    }
}

fn options(args: &ServeArgs) -> anyhow::Result<Options> {
    let size = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    let client = Duration::from_secs(args.client_timeout.into());
    Ok(Options {
        address: SocketAddr::from((args.host, args.port)),
        keys: args.api_key_file.as_deref().map(keys).transpose()?.unwrap_or_default(),
        cors: args.cors_origin.clone(),
        batch: Limits {
            rows: args.batch,
            step_tokens: args.step_tokens,
            cache_bytes: size(args.cache_bytes),
            prefix_bytes: size(args.prefix_bytes),
        },
        queue: args.queue,
        prompt_tokens: args.max_prompt_tokens,
        new_tokens: args.max_new_tokens,
        body_bytes: size(args.max_body),
        body_time: client,
        head_time: client,
        write_time: client,
        request_time: Duration::from_secs(args.request_timeout.into()),
        grace: Duration::from_secs(args.grace.into()),
        log: if args.log_text { LogText::Everything } else { LogText::Nothing },
        ..Options::default()
    })
}

fn keys(file: &Path) -> anyhow::Result<ApiKeys> {
    let keys = ApiKeys::parse(&setup::read_text(file)?);
    // A server that was meant to be closed must not stand open.
    anyhow::ensure!(!keys.is_empty(), "{}: there is no key in it\n  hint: write one a line", file.display());
    Ok(keys)
}

/// The first signal lets what runs be finished, the second cuts it off, the third ends the program.
fn watch(stopper: Stopper) {
    let came = Arc::new(AtomicU8::new(0));
    // Without a handler, a signal ends the program at once, which is no worse than before.
    let _ = ctrlc::set_handler(move || match came.fetch_add(1, Ordering::Relaxed) {
        0 => stopper.stop(),
        1 => stopper.cut(),
        _ => std::process::exit(130),
    });
}

struct Serve {
    args: ServeArgs,
    output: Output,
    start: Instant,
    server: Server,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    kind: PolicyKind,
    prefix: Option<Opened>,
    adder: Adder,
    sampling: Sampling,
    format: ChatFormat,
}

impl Task for Serve {
    type Output = Ended;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Ended> {
        let Self { args, output, rules, server, .. } = self;
        let matcher = rules.matcher.clone();
        let engine = setup::engine::<B>(&args.run, &self.checkpoint, rules.matcher, &device)?;
        let config = self.checkpoint.config().clone();
        let name = args.model_name.clone().unwrap_or_else(|| name(&args.run.model.model));
        let model = Model {
            bytes_per_entry: engine.bytes_per_entry(),
            policy: self.kind,
            sampling: self.sampling,
            seed: args.sampling.seed,
            inserter: self.adder.into_inserter(),
            prefix_tokens: self.prefix.as_ref().map_or(0, Opened::tokens),
            tokenizer: self.tokenizer,
            format: self.format,
            matcher,
            config,
            name,
        };
        let url = format!("http://{}", server.address());
        let announce = announcement(&url, &model, self.start.elapsed().as_secs_f64(), output);
        // Whoever reads the announcement may ask at once.
        let server = server.when_ready(announce);
        Ok(match &self.prefix {
            Some(prefix) => server.run_behind(&engine, model, prefix.resume(&engine)?)?,
            None => server.run(&engine, model)?,
        })
    }
}

/// Tells where the server is. That nobody reads it is no reason to stop.
fn announcement(url: &str, model: &Model, load_s: f64, output: Output) -> impl FnOnce() + Send + 'static {
    let record = json!({
        "url": url,
        "model": model.name,
        "cache": model.policy.to_string(),
        "anchors": model.matcher.rule().to_string(),
        "prefix_tokens": model.prefix_tokens,
        "load_s": load_s,
    });
    let behind = match model.prefix_tokens {
        0 => String::new(),
        tokens => format!(" | behind {tokens} tokens"),
    };
    let line = format!(
        "{url} | {} | cache {}, {} an entry, anchors {}{behind} | loaded in {load_s:.2} s | Ctrl-C ends",
        model.name,
        model.policy,
        bytes(model.bytes_per_entry),
        model.matcher.rule(),
    );
    move || match output.is_json() {
        true => {
            if let Err(error) = output.json(&record) {
                tracing::warn!("the server's address could not be written: {error}");
            }
        }
        false => output.note(&line),
    }
}

/// What a model is called by its path: the last part, without what says its form.
fn name(path: &Path) -> String {
    let last = path.file_name().map_or_else(|| path.display().to_string(), |last| last.to_string_lossy().into_owned());
    last.strip_suffix(".gguf").unwrap_or(&last).to_owned()
}

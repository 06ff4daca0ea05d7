//! `anllm serve`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anllm_core::SplitterKind;
use bytesize::ByteSize;
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use super::model::RunArgs;
use super::sampling::SamplingArgs;

/// Options of `anllm serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The address to listen on; 0.0.0.0 is every interface of this machine.
    #[arg(long, env = "ANLLM_HOST", value_name = "IP", default_value = "127.0.0.1", help_heading = "Network",
        value_parser = host)]
    pub(crate) host: IpAddr,

    /// The port to listen on; 0 is any that is free.
    #[arg(long, env = "ANLLM_PORT", value_name = "N", default_value_t = 8080, help_heading = "Network")]
    pub(crate) port: u16,

    /// Answer only who shows one of the keys in this file, one a line, as `Authorization: Bearer KEY`.
    #[arg(long, env = "ANLLM_API_KEY_FILE", value_name = "FILE", help_heading = "Network")]
    pub(crate) api_key_file: Option<PathBuf>,

    /// Let web pages of this origin ask from within browsers, such as `https://example.org`; * is all. May be given several
    /// times.
    #[arg(long, env = "ANLLM_CORS_ORIGIN", value_name = "ORIGIN", help_heading = "Network")]
    pub(crate) cors_origin: Vec<String>,

    /// Let every prompt and conversation go on from this prefix cache (`anllm cache build`). Policy and anchors are the
    /// file's.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE")]
    pub(crate) prefix_cache: Option<PathBuf>,

    /// The name by which clients know the model. [default: the last part of --model]
    #[arg(long, env = "ANLLM_MODEL_NAME", value_name = "NAME")]
    pub(crate) model_name: Option<String>,

    /// A chat template in place of the checkpoint's own: a Jinja file, or the name of one of several that the
    /// checkpoint has.
    #[arg(long, env = "ANLLM_CHAT_TEMPLATE", value_name = "NAME|FILE")]
    pub(crate) chat_template: Option<String>,

    /// What the template may ask for besides the messages, as a JSON object: '{"enable_thinking": false}'.
    #[arg(long, env = "ANLLM_TEMPLATE_ARGS", value_name = "JSON")]
    pub(crate) template_args: Option<String>,

    /// Put <AC> after each sentence of prompts and messages, as a model with the rule ac was trained. A last sentence
    /// that is not finished is left open.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or demonstrations[:SEPARATOR].
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,

    /// How many sequences are worked on side by side.
    #[arg(long, env = "ANLLM_BATCH", value_name = "N", default_value_t = 16, help_heading = "Limits",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: usize,

    /// Tokens of one step, as far as prompts go: less lets those who are writing wait less for those who are read.
    #[arg(long, env = "ANLLM_STEP_TOKENS", value_name = "N", default_value_t = 512, help_heading = "Limits",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) step_tokens: usize,

    /// Memory for the caches of what runs. A request waits until the most that it can come to hold has room.
    #[arg(long, env = "ANLLM_CACHE_BYTES", value_name = "SIZE", default_value = "2GiB", help_heading = "Limits")]
    pub(crate) cache_bytes: ByteSize,

    /// Memory for what ended, for requests that begin with the same tokens, such as the next turn of a conversation; 0
    /// keeps nothing.
    #[arg(long, env = "ANLLM_PREFIX_BYTES", value_name = "SIZE", default_value = "256MiB", help_heading = "Limits")]
    pub(crate) prefix_bytes: ByteSize,

    /// How many more sequences may wait; who comes then is sent away (429) for a while.
    #[arg(long, env = "ANLLM_QUEUE", value_name = "N", default_value_t = 128, help_heading = "Limits",
        value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000_000))]
    pub(crate) queue: usize,

    /// The longest prompt, in tokens. [default: the model's context]
    #[arg(long, env = "ANLLM_MAX_PROMPT_TOKENS", value_name = "N", help_heading = "Limits",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) max_prompt_tokens: Option<usize>,

    /// The most tokens of an answer, whatever a request asks for; a chat that does not say gets as many.
    #[arg(long, short = 'n', env = "ANLLM_MAX_NEW_TOKENS", value_name = "N", default_value_t = 1024,
        help_heading = "Limits", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) max_new_tokens: usize,

    /// The longest body of a request.
    #[arg(long, env = "ANLLM_MAX_BODY", value_name = "SIZE", default_value = "4MiB", help_heading = "Limits")]
    pub(crate) max_body: ByteSize,

    /// Seconds that a request may take.
    #[arg(long, env = "ANLLM_REQUEST_TIMEOUT", value_name = "S", default_value_t = 600, help_heading = "Limits",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub(crate) request_timeout: u32,

    /// Seconds that a request's head, or its body, may take to arrive, and that a client may read nothing.
    #[arg(long, env = "ANLLM_CLIENT_TIMEOUT", value_name = "S", default_value_t = 30, help_heading = "Limits",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub(crate) client_timeout: u32,

    /// Seconds that what runs may go on when the server is told to end, by Ctrl-C or SIGTERM.
    #[arg(long, env = "ANLLM_GRACE", value_name = "S", default_value_t = 30, help_heading = "Limits")]
    pub(crate) grace: u32,

    /// How the log is written, on standard error.
    #[arg(long, env = "ANLLM_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Output")]
    pub(crate) log_format: LogFormat,

    /// Write prompts and answers into the log. Without it no text that anybody wrote is in it.
    #[arg(long, env = "ANLLM_LOG_TEXT", help_heading = "Output", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) log_text: bool,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text.parse().map_err(|_| "expected an address such as 127.0.0.1, or localhost".to_owned()),
    }
}

/// Forms of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of text for each event.
    Text,
    /// A JSON object for each event.
    Json,
}

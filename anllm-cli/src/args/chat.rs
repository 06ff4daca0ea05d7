//! `anllm chat`.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use clap::Args;

use super::model::RunArgs;
use super::sampling::SamplingArgs;

/// Options of `anllm chat`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The system message: who the model is and how it answers.
    #[arg(long, short, env = "ANLLM_SYSTEM", value_name = "TEXT")]
    pub(crate) system: Option<String>,

    /// Take what to say from a file, a message a line; - is standard input. A \ at the end of a line goes on with the
    /// next, and so does everything between two lines of """.
    #[arg(long, env = "ANLLM_PROMPT_FILE", value_name = "FILE")]
    pub(crate) prompt_file: Option<PathBuf>,

    /// Go on with a conversation that /save wrote.
    #[arg(long, env = "ANLLM_LOAD", value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,

    /// Hold the conversation behind this prefix cache (`anllm cache build`), a document or a few-shot prompt that it is
    /// about. Policy and anchors are the file's.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE")]
    pub(crate) prefix_cache: Option<PathBuf>,

    /// A chat template in place of the checkpoint's own: a Jinja file, or the name of one of several that the
    /// checkpoint has.
    #[arg(long, env = "ANLLM_CHAT_TEMPLATE", value_name = "NAME|FILE")]
    pub(crate) chat_template: Option<String>,

    /// What the template may ask for besides the messages, as a JSON object: '{"enable_thinking": false}'.
    #[arg(long, env = "ANLLM_TEMPLATE_ARGS", value_name = "JSON")]
    pub(crate) template_args: Option<String>,

    /// Put <AC> after each sentence that is said, as a model with the rule ac was trained. A last sentence that is not
    /// finished is left open.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, or punkt:FILE.
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,

    /// The most tokens of an answer.
    #[arg(
        long,
        short = 'n',
        env = "ANLLM_MAX_NEW_TOKENS",
        value_name = "N",
        default_value_t = 512,
        allow_negative_numbers = true
    )]
    pub(crate) max_new_tokens: usize,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,

    /// End an answer where it reaches this text; may be given several times.
    #[arg(long, env = "ANLLM_STOP", value_name = "TEXT")]
    pub(crate) stop: Vec<String>,

    /// Where the lines that were typed are kept; `none` keeps none. [default: anllm/chat-history in $XDG_STATE_HOME or
    /// ~/.local/state]
    #[arg(long, env = "ANLLM_HISTORY", value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}

//! Which chat template writes conversations.

use std::path::Path;

use anllm_infer::ChatFormat;
use anllm_model::{Checkpoint, Tokenizer};

use super::setup;

/// How conversations are written: by the template that `--chat-template` names, or the checkpoint's own, with what
/// `--template-args` says.
pub(super) fn format(
    template: Option<&str>,
    template_args: Option<&str>,
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
) -> anyhow::Result<ChatFormat> {
    let own = |name: Option<&str>| {
        let found = checkpoint.chat_template(tokenizer, name);
        found.map_err(|e| anyhow::anyhow!("{}: {e}", checkpoint.path().display()))
    };
    let template = match template {
        None => own(None)?,
        Some(file) if Path::new(file).is_file() => {
            let source = setup::read_text(Path::new(file))?;
            let template = checkpoint.chat_template_from(tokenizer, &source);
            Some(template.map_err(|e| anyhow::anyhow!("{file}: {e}"))?)
        }
        Some(name) => {
            let found = own(Some(name)).map_err(|e| anyhow::anyhow!("{e}; or give a file that is there"))?;
            Some(found.ok_or_else(|| {
                anyhow::anyhow!(
                    "--chat-template {name}: there is no such file, and the checkpoint has no template of its own\n  \
                     hint: name a Jinja file, as `chat_template.jinja` in other models' folders"
                )
            })?)
        }
    };
    let Some(mut template) = template else { return Ok(ChatFormat::Continuation) };
    if let Some(text) = template_args {
        let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|e| {
            anyhow::anyhow!(
                "--template-args {text}: not a JSON object: {e}\n  hint: for example '{{\"enable_thinking\": false}}'"
            )
        })?;
        template = values.into_iter().fold(template, |template, (name, value)| template.with(name, value));
    }
    Ok(ChatFormat::Template(template))
}

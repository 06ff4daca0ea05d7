//! `anllm cache merge`: prefix caches of separate texts, side by side. No model runs: keys are turned as they are copied.

use anllm_infer::prefix::{MergedPrefix, Prefix, PrefixFile, write_prefix};

use super::super::prefix;
use super::{about, check_target, existing, line};
use crate::args::MergeArgs;
use crate::output::Output;

pub(super) fn run(args: &MergeArgs, output: &Output) -> anyhow::Result<()> {
    check_target(&args.target)?;
    let files = args.files.iter().map(|file| PrefixFile::open(file)).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&dyn Prefix> = files.iter().map(|file| file as &dyn Prefix).collect();
    let merged = MergedPrefix::new(&parts)?;
    if let Some(model) = &args.model {
        prefix::check_model(&merged, model)?;
    }
    let target = &args.target;
    let bytes = write_prefix(&merged, &target.to, target.entries, existing(target))?;
    if output.is_json() {
        return output.json(&about(&merged, target.entries, bytes));
    }
    output.text(&format!("{}: {}\n", target.to.display(), line(&merged, target.entries, bytes)))
}

//! `anllm anchors`: a text as its anchors see it.

use crate::args::AnchorsArgs;
use crate::output::Output;

pub(crate) fn run(_args: AnchorsArgs, _output: &Output) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}

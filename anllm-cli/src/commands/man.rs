//! `anllm man`: manual pages, made from the same definitions as `--help`.

use std::io::Write;

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Cli, ManArgs};

pub(crate) fn run(args: ManArgs) -> anyhow::Result<()> {
    let command = Cli::command();
    match args.to {
        Some(folder) => {
            std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot create", folder.display()))?;
            clap_mangen::generate_to(command, &folder)
                .with_context(|| format!("{}: cannot write the pages", folder.display()))
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            Ok(std::io::stdout().lock().write_all(&page)?)
        }
    }
}

//! `anllm man`: manual pages, made from the same definitions as `--help`.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, ManArgs};

pub(crate) fn run(args: ManArgs) -> anyhow::Result<()> {
    let command = Cli::command();
    match args.to {
        Some(folder) => {
            let written = std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder));
            written.map_err(|e| {
                anyhow::anyhow!(
                    "{}: cannot write the pages: {e}\n  hint: choose a folder that can be written to with --to",
                    folder.display()
                )
            })
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            Ok(std::io::stdout().lock().write_all(&page)?)
        }
    }
}

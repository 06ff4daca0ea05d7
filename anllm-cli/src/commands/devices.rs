//! `anllm devices`: where this program can compute.

use comfy_table::{Table, presets};

use crate::device::{DeviceRow, devices};
use crate::output::Output;

pub(crate) fn run(output: &Output) -> anyhow::Result<()> {
    let found = devices();
    if output.is_json() {
        return output.json(&found);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["device", "backend", "usable", ""]);
    for DeviceRow { device, backend, name, usable, reason } in found.devices {
        let state = if usable { "yes" } else { "no" };
        table.add_row([device, backend.to_owned(), state.to_owned(), reason.unwrap_or(name)]);
    }
    output.text(&format!("{table}\n\n--device auto is {}\n", found.auto))
}

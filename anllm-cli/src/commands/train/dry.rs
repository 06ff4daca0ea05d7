//! `anllm train --dry-run`: what a run would do, told without loading its weights.

use anllm_train::config::TrainConfig;
use anllm_train::engine::TrainingRow;
use anllm_train::{MemoryEstimate, Start, adapter_parameters, resolved};
use serde_json::json;

use super::super::anchors;
use crate::output::{Output, bytes};

pub(super) fn run(asked: &TrainConfig, output: Output) -> anyhow::Result<()> {
    let start = Start::new(asked)?;
    let data = start.rows(asked)?;
    let config = resolved(asked, &data)?;
    let model = start.checkpoint.config();
    let parameters = model.parameters();
    let trained = match &config.lora {
        None => parameters,
        Some(lora) => {
            let matrices = if model.tied_head { 1 } else { 2 };
            let row = start.learned_row(&config).map_or(0, |_| matrices * model.hidden_size);
            adapter_parameters(model, lora) + row
        }
    };
    let frozen = if config.lora.is_some() { parameters } else { 0 };
    let memory = MemoryEstimate::of(&config, model, trained);
    let mut order = data.order(config.seed);
    let draws = (0..config.train.rows_per_step).filter_map(|_| order.draw());
    let rows: Vec<_> = draws.map(|d| data.row(d.source, d.row)).collect();
    let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
    let anchors: usize = rows.iter().map(|row| row.segments.anchors().len()).sum();
    let steps = config.train.steps.unwrap_or(0);
    if output.is_json() {
        return output.json(&json!({
            "parameters": parameters,
            "trained_parameters": trained,
            "state_bytes": memory.weights + memory.gradients + memory.moments,
            "memory": memory,
            "memory_bytes": memory.peak(),
            "steps": steps,
            "rows": data.rows(),
            "text_tokens": data.tokens(),
            "tokens_per_step": tokens,
            "anchors_per_step": anchors,
            "rule": start.matcher.rule().to_string(),
        }));
    }
    let mut text = format!(
        "parameters        {trained} trained, {frozen} frozen\n\
         memory            about {}: weights {}, gradients {}, moments {}, activations {}, working {}\n\
         rule              {}\n\
         training text     {} tokens in {} rows\n\
         length            {steps} steps, about {:.1} rounds through the text\n\
         a step            {} rows, {tokens} tokens, {anchors} anchors ({:.1} in a thousand tokens)\n",
        bytes(memory.peak()),
        bytes(memory.weights),
        bytes(memory.gradients),
        bytes(memory.moments),
        bytes(memory.activations),
        bytes(memory.working),
        start.matcher.rule(),
        data.tokens(),
        data.rows(),
        (steps * rows.len()) as f64 / data.rows().max(1) as f64,
        rows.len(),
        1000.0 * anchors as f64 / tokens.max(1) as f64,
    );
    for (number, row) in rows.iter().enumerate() {
        text += &format!("\nrow {} of the first step, {} tokens:\n", number + 1, row.ids.len());
        text += &shown(row, &start);
    }
    output.text(&(text + "\n" + anchors::legend()))
}

fn shown(row: &TrainingRow, start: &Start) -> String {
    anchors::marked(&start.tokenizer, &row.ids, &row.segments)
}

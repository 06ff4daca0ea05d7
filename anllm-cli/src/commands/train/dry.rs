//! `anllm train --dry-run`: what a run would do, told without loading its weights.

use anllm_model::Tokenizer;
use anllm_train::config::TrainConfig;
use anllm_train::engine::TrainingRow;
use anllm_train::{Start, adapter_parameters};
use serde_json::json;

use crate::output::Output;

pub(super) fn run(config: &TrainConfig, output: Output) -> anyhow::Result<()> {
    let start = Start::new(config)?;
    let data = start.rows(config)?;
    let model = start.checkpoint.config();
    let parameters = model.parameters();
    let trained = config.lora.as_ref().map_or(parameters, |lora| adapter_parameters(model, lora));
    let frozen = if config.lora.is_some() { parameters } else { 0 };
    // Of what is trained: weights, gradients and two moments; of what is frozen the weights; 32 bits each.
    let state = 16 * trained + 4 * frozen;
    let mut order = data.order(config.seed);
    let draws = (0..config.train.rows_per_step).filter_map(|_| order.draw());
    let rows: Vec<_> = draws.map(|d| data.row(d.source, d.row)).collect();
    let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
    let anchors: usize = rows.iter().map(|row| row.segments.anchors().len()).sum();
    if output.is_json() {
        return output.json(&json!({
            "parameters": parameters,
            "trained_parameters": trained,
            "state_bytes": state,
            "rows": data.rows(),
            "text_tokens": data.tokens(),
            "tokens_per_step": tokens,
            "anchors_per_step": anchors,
            "rule": start.matcher.rule().to_string(),
        }));
    }
    let mut text = format!(
        "parameters        {trained} trained, {frozen} frozen\nstate             {:.0} MB for weights, gradients and moments\nrule              {}\n\
         training text     {} tokens in {} rows\na step            {} rows, {tokens} tokens, {anchors} anchors\n\n\
         first row, anchors marked:\n",
        state as f64 / 1e6,
        start.matcher.rule(),
        data.tokens(),
        data.rows(),
        rows.len(),
    );
    if let Some(row) = rows.first() {
        text += &marked(row, &start.tokenizer);
        text.push('\n');
    }
    output.text(&text)
}

/// The text of a row with brackets around its anchors; special tokens by their names.
fn marked(row: &TrainingRow, tokenizer: &Tokenizer) -> String {
    let mut text = Vec::new();
    for (id, place) in row.ids.iter().zip(row.segments.places()) {
        // Bytes, since one character may be several tokens.
        let token = tokenizer.bytes(*id).or_else(|| tokenizer.token(*id).map(String::into_bytes)).unwrap_or_default();
        match place.anchor {
            true => text.extend([&b"["[..], &token, b"]"].concat()),
            false => text.extend(token),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

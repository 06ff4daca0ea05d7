//! lm-evaluation-harness's files of results, ours and its own, as rows.

use serde_json::{Map, Value, json};

/// A row for each task of a `results_*.json`; none of other files.
pub(super) fn rows(file: &Value) -> Vec<Value> {
    let Some(results) = file["results"].as_object().filter(|_| file["n-shot"].is_object()) else { return Vec::new() };
    let row = |(task, values): (&String, &Value)| {
        let arguments = &file["config"]["model_args"];
        let mut row = json!({
            "measure": "qa",
            "model": file["model_name"],
            "policy": arguments["cache"].as_str().unwrap_or("full"),
            "rule": arguments["anchors"],
            "mode": arguments["mode"],
            "task": task,
            "shots": file["n-shot"][task],
            "n": file["n-samples"][task]["effective"],
        });
        for metric in ["acc", "acc_norm"] {
            row[metric] = values[format!("{metric},none")].clone();
            row[format!("{metric}_stderr")] = values[format!("{metric}_stderr,none")].clone();
        }
        // What the harness has no place for.
        let ours = &file["anllm"]["tasks"][task];
        let more = [&ours["cache"], &ours["timing"]].into_iter().filter_map(Value::as_object);
        let more: Map<String, Value> = more.flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(row) = row.as_object_mut() {
            row.extend(more);
        }
        row
    };
    results.iter().map(row).collect()
}

/// Whether two rows are of the same run.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    ["model", "policy", "mode", "task", "shots", "n", "acc"].into_iter().all(|key| a[key] == b[key])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As lm-evaluation-harness 0.4.13 writes it, what nobody reads left out.
    #[test]
    fn the_harness_s_own_results_are_rows() {
        let file = json!({
            "results": { "piqa": { "alias": "piqa", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc_norm,none": 0.25 } },
            "n-shot": { "piqa": 5 },
            "n-samples": { "piqa": { "original": 200, "effective": 8 } },
            "config": { "model": "hf", "model_args": "pretrained=smollm2" },
            "model_name": "smollm2",
        });
        let found = rows(&file);
        assert_eq!(found.len(), 1);
        let row = &found[0];
        assert_eq!((&row["task"], &row["shots"], &row["n"]), (&json!("piqa"), &json!(5), &json!(8)));
        assert_eq!((&row["acc"], &row["policy"]), (&json!(0.5), &json!("full")));
        assert!(same(row, row) && rows(&json!({ "results": 3 })).is_empty());
    }
}

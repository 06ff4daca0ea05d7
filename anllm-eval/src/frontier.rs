//! Quality against memory and speed: one policy at one length, on one text.

use std::time::Instant;

use anllm_core::{
    ExtendedAnchorPolicy, Policy, PolicyKind, Positions, SepLlmPolicy, SinkPolicy, WindowPolicy, simulate,
};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use serde::Serialize;

use crate::perplexity::{EvalError, PerplexityOptions, perplexity};
use crate::totals::Quality;
use crate::windows::windows;

/// How to run.
#[derive(Debug, Clone)]
pub struct FrontierOptions {
    /// Tokens in a window.
    pub context: usize,
    /// Tokens decoded one by one at the end of a window, to time them.
    pub decoded: usize,
    /// Times that is repeated, after one to warm up.
    pub reps: usize,
    /// Tokens whose scores over the vocabulary exist at a time.
    pub chunk: usize,
}

/// A point of the frontier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Tokens in a window.
    pub context: usize,
    /// Over all scored tokens.
    #[serde(flatten)]
    pub quality: Quality,
    /// Perplexity of the second half of each window alone, where caches differ most.
    pub ppl_second_half: Option<f64>,
    /// Mean entries at the end of a window.
    pub entries: f64,
    /// The most entries that one-token steps hold at a time.
    pub peak: usize,
    /// Bytes of the mean entries.
    pub bytes: f64,
    /// Bytes of a full cache.
    pub full_bytes: f64,
    /// Share of a full cache's entries that is not kept.
    pub kv_reduction: f64,
    /// Tokens decoded in a second at the end of a window: the median, the slowest and the fastest repetition. Nothing
    /// where none were timed.
    pub decode_tps: Option<f64>,
    /// The slowest and the fastest.
    pub decode_tps_range: Option<[f64; 2]>,
}

/// Measures `policy` on windows of `ids`, side by side. `progress` hears of each finished window: windows done, windows
/// in all.
///
/// # Errors
/// When the text is shorter than a window, a window is longer than the context, or the model fails.
pub fn frontier<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    policy: &Policy,
    options: &FrontierOptions,
    bytes_of: impl Fn(u32) -> usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<FrontierPoint, EvalError> {
    let context = options.context;
    // Windows of other lengths would be other points.
    let whole = ids.len() / context.max(1) * context;
    if whole == 0 {
        return Err(EvalError::ShorterThanWindow { tokens: ids.len(), window: context });
    }
    let ids = &ids[..whole];
    let settings = PerplexityOptions {
        window: context,
        stride: context,
        policy: policy.clone(),
        unscored: None,
        chunk: options.chunk,
        bucket: context.div_ceil(2),
    };
    let found = perplexity(engine, &[ids.to_vec()], &settings, bytes_of, |score| progress(score.window + 1, score.of))?;
    let bytes_per_entry = engine.bytes_per_entry();
    let (mut entries, mut peak, mut count) = (0, 0, 0);
    for window in windows(ids.len(), context, context)? {
        let stats = simulate(&**policy, &engine.matcher().segments(&ids[window.fed]), bytes_per_entry);
        entries += stats.kept;
        peak = peak.max(stats.peak);
        count += 1;
    }
    let entries = entries as f64 / count as f64;
    let times = decode(engine, &ids[..context], policy, options)?;
    Ok(FrontierPoint {
        context,
        quality: found.quality,
        ppl_second_half: found.by_position.get(1).and_then(|half| half.of.ppl),
        entries,
        peak,
        bytes: entries * bytes_per_entry as f64,
        full_bytes: (context * bytes_per_entry) as f64,
        kv_reduction: 1.0 - entries / context as f64,
        decode_tps: times.get(times.len() / 2).copied(),
        decode_tps_range: times.first().zip(times.last()).map(|(slowest, fastest)| [*slowest, *fastest]),
    })
}

/// Tokens decoded in a second, one for each repetition, the slowest first. What is decoded are the text's own tokens, so
/// that anchors come as often as in text.
fn decode<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    policy: &Policy,
    options: &FrontierOptions,
) -> Result<Vec<f64>, EvalError> {
    let decoded = options.decoded.min(ids.len() - 1);
    let mut speeds = Vec::new();
    if decoded == 0 || options.reps == 0 {
        return Ok(speeds);
    }
    let (before, last) = ids.split_at(ids.len() - decoded);
    let mut start = engine.session(policy.clone());
    engine.prefill(&mut start, before)?;
    for round in 0..=options.reps {
        let mut session = start.clone();
        let began = Instant::now();
        for id in last {
            engine.prefill(&mut session, std::slice::from_ref(id))?;
        }
        if round > 0 {
            speeds.push(decoded as f64 / began.elapsed().as_secs_f64());
        }
    }
    speeds.sort_by(f64::total_cmp);
    Ok(speeds)
}

/// What is compared where nobody says otherwise: full attention, the anchor mask with and without recent segments, and
/// every policy that takes a budget at each of `budgets` that is smaller than `context`. SepLLM's budget is that of sinks
/// and window; its separators come on top.
pub fn compared_policies(budgets: &[usize], context: usize) -> Vec<PolicyKind> {
    /// As StreamingLLM has them.
    const SINKS: usize = 4;
    let recent = |recent| PolicyKind::Extended(ExtendedAnchorPolicy { recent, ..ExtendedAnchorPolicy::default() });
    let mut all = vec![PolicyKind::Full, PolicyKind::Anchor, recent(1), recent(3)];
    for budget in budgets.iter().filter(|budget| **budget < context) {
        let tokens = std::num::NonZeroUsize::new(*budget);
        let behind_sinks = std::num::NonZeroUsize::new(budget.saturating_sub(SINKS));
        all.extend(tokens.map(|window| PolicyKind::Window(WindowPolicy { window })));
        all.extend(behind_sinks.map(|window| PolicyKind::Sink(SinkPolicy { sinks: SINKS, window })));
        all.extend(
            behind_sinks.map(|window| {
                PolicyKind::SepLlm(SepLlmPolicy { sinks: SINKS, window, positions: Positions::Original })
            }),
        );
        all.extend(tokens.map(|entries| PolicyKind::Random { entries, seed: 0 }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_beyond_the_context_are_full_caches_and_left_out() {
        let names = |budgets: &[usize], context| -> Vec<String> {
            compared_policies(budgets, context).iter().map(ToString::to_string).collect()
        };
        let always = ["full", "anchor", "anchor:recent=1", "anchor:recent=3"];
        assert_eq!(names(&[128], 64), always);
        let with = names(&[32, 128], 64);
        assert_eq!(with[4..], ["window:32", "sink:4+28", "sepllm:4+28", "random:32"]);
        assert_eq!(names(&[4], 64)[4..], ["window:4", "random:4"], "four sinks leave no window");
    }
}

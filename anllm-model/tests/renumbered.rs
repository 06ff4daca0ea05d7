//! Renumbered positions, against attention written out: each query gathers what it sees, in order, turns it to positions
//! counted from 0, and looks.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use anllm_core::{Place, Policy, PolicyKind, Segments};
use anllm_model::{Checkpoint, Decoder, KvCache};
use burn::tensor::activation::{silu, softmax};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_flex::Flex;

type Hidden = Tensor<Flex, 2>;

fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name)).unwrap()
}

/// The decoder's arithmetic once more, token by token, without masks, runs, lists or caches.
struct Plain<'a> {
    decoder: &'a Decoder<Flex>,
    eps: f64,
}

impl Plain<'_> {
    fn norm(&self, x: Hidden, weight: Tensor<Flex, 1>) -> Hidden {
        let mean = x.clone().powf_scalar(2.0).mean_dim(1);
        x / (mean + self.eps).sqrt() * weight.unsqueeze()
    }

    /// `[T, heads·D]` of all tokens to the `tokens` chosen, `[n, heads, D]`.
    fn gather(x: &Hidden, tokens: &[usize], width: usize) -> Tensor<Flex, 3> {
        let ids: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let ids = Tensor::<Flex, 1, Int>::from_data(TensorData::new(ids, [tokens.len()]), &Default::default());
        let [_, channels] = x.dims();
        x.clone().select(0, ids).reshape([tokens.len(), channels / width, width])
    }

    /// Turns `[n, heads, D]` to `positions`.
    fn turn(&self, x: Tensor<Flex, 3>, positions: &[usize]) -> Tensor<Flex, 3> {
        let [count, _, width] = x.dims();
        let table = |f: fn(f64) -> f64| {
            let values = positions.iter().flat_map(|p| self.decoder.frequencies.iter().map(move |w| (*p, *w)));
            let values: Vec<f32> = values.map(|(p, w)| (self.decoder.amplitude * f(p as f64 * w)) as f32).collect();
            Tensor::<Flex, 3>::from_data(TensorData::new(values, [count, 1, width / 2]), &Default::default())
        };
        let (cos, sin) = (table(f64::cos), table(f64::sin));
        let (a, b) = (x.clone().narrow(2, 0, width / 2), x.narrow(2, width / 2, width / 2));
        Tensor::cat(vec![a.clone() * cos.clone() - b.clone() * sin.clone(), b * cos + a * sin], 2)
    }

    /// Scores `[T, V]`.
    fn logits(&self, ids: &[u32], places: &[Place], policy: &Policy) -> Vec<f32> {
        let device = Default::default();
        let tokens: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let tokens = Tensor::<Flex, 1, Int>::from_data(TensorData::new(tokens, [ids.len()]), &device);
        let mut x = self.decoder.embedding.values(&device).select(0, tokens);
        for block in &self.decoder.blocks {
            let attention = &block.attention;
            let y = self.norm(x.clone(), block.attention_norm.weight.val());
            let project = |linear: &anllm_model::decoder::Linear<Flex>, y: &Hidden| {
                let out = y.clone().matmul(linear.weight.values(&device).transpose());
                linear.bias.as_ref().map_or(out.clone(), |bias| out + bias.val().unsqueeze())
            };
            let (query, key, value) =
                (project(&attention.query, &y), project(&attention.key, &y), project(&attention.value, &y));
            let width = attention.head_dim;
            let heads = (0..ids.len()).map(|i| {
                let seen: Vec<usize> = (0..=i).filter(|&j| policy.visible(&places[i], &places[j])).collect();
                let positions: Vec<usize> = (0..seen.len()).collect();
                let q = self.turn(Self::gather(&query, &[i], width), &[seen.len() - 1]);
                let k = self.turn(Self::gather(&key, &seen, width), &positions);
                let v = Self::gather(&value, &seen, width);
                let [_, groups, _] = k.dims();
                let sharing = q.dims()[1] / groups;
                // [K, G, D] · [K, D, n]
                let q = q.reshape([groups, sharing, width]);
                let scores = q.matmul(k.permute([1, 2, 0])).mul_scalar((width as f64).powf(-0.5));
                softmax(scores, 2).matmul(v.swap_dims(0, 1)).reshape([1, groups * sharing * width])
            });
            x = x + project(&attention.output, &Tensor::cat(heads.collect(), 0));
            let y = self.norm(x.clone(), block.mlp_norm.weight.val());
            let gate = silu(project(&block.mlp.gate, &y)) * project(&block.mlp.up, &y);
            x = x + project(&block.mlp.down, &gate);
        }
        let x = self.norm(x, self.decoder.norm.weight.val());
        let scores = x.matmul(self.decoder.output_weight().values(&device).transpose());
        scores.into_data().into_vec().unwrap()
    }
}

fn ids(count: usize, vocab: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i * 31 + i * 7 + 3) % vocab) as u32).collect()
}

/// Anchors at uneven distances, two of them side by side.
fn row(count: usize) -> Segments {
    let anchors: Vec<usize> = (0..count).filter(|i| matches!(i % 23, 4 | 11 | 12)).collect();
    Segments::from_anchors(count, &anchors)
}

fn largest_gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn renumbered_policies_are_attention_over_what_is_left() {
    const TOKENS: usize = 130;
    for model in ["llama-gqa-tied", "llama-yarn-rope", "qwen2"] {
        let checkpoint = checkpoint(model);
        let decoder: Decoder<Flex> = checkpoint.load(&Default::default(), DType::F32).unwrap();
        let ids = ids(TOKENS, checkpoint.config().vocab_size);
        let row = row(TOKENS);
        let plain = Plain { decoder: &decoder, eps: checkpoint.config().norm_eps };
        for name in [
            "sink:4+16",
            "sink:0+5",
            "sink:3+1",
            "anchor:renumber",
            "anchor:recent=2,renumber",
            "anchor:last=3,renumber",
            "anchor:recent=1,last=4,renumber",
            "anchor:keep=2..9,renumber",
            "sepllm:2+7,renumber",
        ] {
            let policy = name.parse::<PolicyKind>().unwrap().policy();
            let expected = plain.logits(&ids, row.places(), &policy);
            let scale = expected.iter().fold(0.0f32, |most, score| most.max(score.abs()));
            let whole = decoder.logits(decoder.forward(&ids, row.places(), &*policy));
            let whole: Vec<f32> = whole.into_data().into_vec().unwrap();
            assert!(largest_gap(&expected, &whole) < 2e-5 * scale, "{model} {name}: in one pass");
            for chunk in [1, 7, 64] {
                let mut cache = KvCache::new(checkpoint.config(), policy.clone(), DType::F32);
                let mut found: Vec<f32> = Vec::new();
                for (ids, places) in ids.chunks(chunk).zip(row.places().chunks(chunk)) {
                    let hidden = decoder.forward_cached(ids, places, &mut cache);
                    found.extend(decoder.logits(hidden).into_data().into_vec::<f32>().unwrap());
                }
                let gap = largest_gap(&expected, &found);
                assert!(gap < 2e-5 * scale, "{model} {name}: chunks of {chunk} are off by {gap} of {scale}");
            }
        }
    }
}

/// Original positions would give something else: the test above could fail.
#[test]
fn renumbering_matters() {
    let checkpoint = checkpoint("llama-gqa-tied");
    let decoder: Decoder<Flex> = checkpoint.load(&Default::default(), DType::F32).unwrap();
    let (ids, row) = (ids(130, checkpoint.config().vocab_size), row(130));
    let scores = |name: &str| -> Vec<f32> {
        let policy = name.parse::<PolicyKind>().unwrap().policy();
        decoder.logits(decoder.forward(&ids, row.places(), &*policy)).into_data().into_vec().unwrap()
    };
    assert!(largest_gap(&scores("anchor"), &scores("anchor:renumber")) > 1e-2);
    assert!(largest_gap(&scores("sepllm:2+7"), &scores("sepllm:2+7,renumber")) > 1e-2);
}

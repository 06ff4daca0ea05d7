//! Every kernel of the CPU at the sizes of a 135 M model, beside what it replaces, with its operations and bytes
//! counted. `cargo xtask kernels` runs this and shows what share of the machine's measured peak each reaches.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Place, Segments};
use anllm_kernels::{
    PackedMatrix, PackedType, Reaches, Sequence, Slope, add_product, attend, attend_next, convert, cross_entropy,
    linear, linear_packed, product, put, rms_norm, rotate, swiglu,
};
use burn::backend::Autodiff;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Distribution, FloatDType, Int, Tensor};
use burn_flex::Flex;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

type A = Autodiff<Flex>;

/// Heads of queries, heads of keys, and their width.
const HEADS: [usize; 3] = [9, 3, 64];
/// Widths of the model and of its MLP.
const MODEL: usize = 576;
const MLP: usize = 1536;
const VOCABULARY: usize = 49152;

fn noise<const N: usize>(shape: [usize; N]) -> Tensor<Flex, N> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Default::default())
}

/// Measures `work`, whose operations and bytes are known, on a thread of the pool, as in the program.
fn measure(criterion: &mut Criterion, name: &str, operations: usize, bytes: usize, work: impl Fn() + Sync) {
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::ElementsAndBytes { elements: operations as u64, bytes: bytes as u64 });
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            rayon::scope(|_| {
                let start = std::time::Instant::now();
                (0..rounds).for_each(|_| work());
                start.elapsed()
            })
        });
    });
}

/// What the machine can do: the yardsticks of everything else.
fn peaks(c: &mut Criterion) {
    let numbers = vec![1.0f32; 1 << 26];
    let bytes = size_of_val(numbers.as_slice());
    measure(c, "peak: memory read", numbers.len(), bytes, || {
        let sum = |part: &[f32]| {
            let mut sums = [0.0; 64];
            part.as_chunks::<64>().0.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(s, x)| *s += x));
            sums.iter().sum::<f32>()
        };
        black_box(numbers.par_chunks(1 << 16).map(sum).sum::<f32>());
    });
    let (a, b) = (noise([1024, 1024]), noise([1024, 1024]));
    measure(c, "peak: matrix product", 2 << 30, 3 << 22, || {
        black_box(a.clone().matmul(b.clone()));
    });
}

/// `tokens` tokens whose segments have `each`.
fn places(tokens: usize, each: usize) -> Vec<Place> {
    let flags: Vec<bool> = (1..=tokens).map(|token| token % each == 0).collect();
    Segments::from_flags(&flags).places().to_vec()
}

/// Attention as it is without a kernel: every score, then a mask.
fn dense(query: Tensor<A, 4>, key: Tensor<A, 4>, value: Tensor<A, 4>, reaches: &anllm_core::Reach) -> Tensor<A, 4> {
    let [heads, groups, width] = HEADS;
    let tokens = query.dims()[1];
    let repeat = |x: Tensor<A, 4>| {
        let x = x.unsqueeze_dim::<5>(3).repeat_dim(3, heads / groups);
        x.reshape([1, tokens, heads, width]).swap_dims(1, 2)
    };
    let scores = query.swap_dims(1, 2).matmul(repeat(key).transpose()).div_scalar((width as f64).sqrt());
    let hidden = reaches.dense().hidden::<A>(&Default::default()).unsqueeze::<4>();
    let hidden = hidden.expand([1, heads, tokens, tokens]);
    softmax(scores.mask_fill(hidden, -1e30), 3).matmul(repeat(value)).swap_dims(1, 2)
}

fn attention(c: &mut Criterion) {
    let [heads, groups, width] = HEADS;
    for (tokens, kind) in [(512, "anchor"), (4096, "anchor"), (4096, "full"), (4096, "dense mask")] {
        let places = places(tokens, 24);
        let reach = match kind {
            "full" => FullPolicy.reach(&places, &places),
            _ => AnchorPolicy.reach(&places, &places),
        };
        let reaches = Reaches::<A>::new(vec![reach.clone()]);
        let dense_mask = kind == "dense mask";
        let visible = if dense_mask { tokens * tokens } else { reach.pairs() };
        // Two products forward; five backward, the scores once more among them.
        let operations = 2 * visible * heads * width;
        let inputs = [heads, groups, groups].map(|heads| noise([1, tokens, heads, width]));
        let bytes = tokens * (2 * heads + 2 * groups) * width * 4;
        let run = |learn: bool| {
            let [q, k, v] = inputs.clone().map(|x| Tensor::<A, 4>::from_inner(x).set_require_grad(learn));
            match dense_mask {
                true => dense(q, k, v, &reach),
                false => attend(q, k, v, &reaches).unwrap(),
            }
        };
        measure(c, &format!("attention forward, {kind}, {tokens} tokens"), 2 * operations, bytes, || {
            black_box(run(false));
        });
        let both = format!("attention forward and backward, {kind}, {tokens} tokens");
        measure(c, &both, 7 * operations, 3 * bytes, || {
            black_box(run(true).sum().backward());
        });
    }
    // The buffer changes hands, so that one holder is left each time.
    let buffer = std::sync::Mutex::new(Some(noise([1, 4096, groups, width])));
    let entry = noise([1, 1, groups, width]);
    measure(c, "put one entry into a cache of 4096", 0, 2 * groups * width * 4, || {
        let mut held = buffer.lock().unwrap();
        let changed = put(held.take().unwrap(), 4000, entry.clone());
        *held = Some(changed);
    });
}

/// One token over what is held. A model reads one layer's entries after the other's, so that they come from memory: as
/// many layers take turns as the nearer caches don't hold.
fn next_token(c: &mut Criterion) {
    const HELD: usize = 128 << 20;
    let [heads, groups, width] = HEADS;
    for (entries, kind, dtype) in [(150, "f32", DType::F32), (150, "f16", DType::F16), (2048, "f32", DType::F32)] {
        let places = places(entries, 24);
        let reaches = Reaches::<Flex>::new(vec![FullPolicy.reach(&places[entries - 1..], &places)]);
        let (operations, bytes) = (4 * entries * heads * width, 2 * entries * groups * width * dtype.size());
        let layer = || [(); 2].map(|()| noise([1, entries, groups, width]).cast(FloatDType::from(dtype)));
        let layers: Vec<_> = (0..HELD / bytes).map(|_| Some(layer())).collect();
        let layers = std::sync::Mutex::new((0, layers));
        let [q, k, v] = [heads, groups, groups].map(|heads| noise([1, 1, heads, width]));
        measure(c, &format!("one token over {entries} entries, {kind}"), operations, bytes, || {
            let (next, layers) = &mut *layers.lock().unwrap();
            *next = (*next + 1) % layers.len();
            let [keys, values] = layers[*next].take().unwrap();
            let held = Sequence { keys, values, entries: entries - 1, reaches: &reaches };
            let found = attend_next(q.clone(), k.clone(), v.clone(), vec![held]).unwrap();
            layers[*next] = found.held.into_iter().next();
        });
    }
}

fn products(c: &mut Criterion) {
    // One row is a decode step, a few are a batch of them, hundreds a prompt.
    let layer = [1, 2, 4, 7, 8, 16, 32, 64, 512].map(|rows| (rows, MLP, MODEL));
    for (rows, out, width) in [(1, VOCABULARY, MODEL)].into_iter().chain(layer) {
        let (x, weight) = (noise([rows, width]), noise([out, width]));
        let operations = 2 * rows * out * width;
        let others = rows * (width + out) * 4;
        let title = |kind: &str| format!("{rows} × {width} by {out}, {kind}");
        measure(c, &title("f32"), operations, others + out * width * 4, || {
            black_box(linear(x.clone(), weight.clone()));
        });
        for (kind, dtype) in [("bf16", FloatDType::BF16), ("f16", FloatDType::F16)] {
            let weight = weight.clone().cast(dtype);
            measure(c, &title(kind), operations, others + out * width * 2, || {
                black_box(linear(x.clone(), weight.clone()));
            });
        }
        let values: Vec<f32> = weight.into_data().into_vec().unwrap();
        for kind in [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1] {
            let matrix = PackedMatrix::nearest(kind, [out, width], &values);
            measure(c, &title(&kind.to_string()), operations, others + matrix.bytes(), || {
                black_box(linear_packed(x.clone(), &matrix));
            });
        }
    }
}

/// One row with one matrix after the other, as a model reads them: from memory, since the nearer caches don't hold them all.
fn layers(c: &mut Criterion) {
    const HELD: usize = 128 << 20;
    let (x, weight) = (noise([1, MODEL]), noise([MLP, MODEL]));
    let values: Vec<f32> = weight.into_data().into_vec().unwrap();
    for kind in [PackedType::BF16, PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1] {
        let first = PackedMatrix::nearest(kind, [MLP, MODEL], &values);
        let bytes = first.bytes();
        let count = HELD / bytes;
        let matrices: Vec<_> = (0..count).map(|_| PackedMatrix::nearest(kind, [MLP, MODEL], &values)).collect();
        let next = AtomicUsize::new(0);
        let title = format!("1 × {MODEL} by {MLP}, {kind}, one of {count}");
        measure(c, &title, 2 * MODEL * MLP, bytes + (MODEL + MLP) * 4, || {
            let number = next.fetch_add(1, Ordering::Relaxed) % count;
            black_box(linear_packed(x.clone(), &matrices[number]));
        });
    }
}

/// What a step of training adds: the gradients of a linear layer, and the loss with those of the head.
fn training(c: &mut Criterion) {
    let tokens = 512;
    let (x, weight, slope) = (noise([tokens, MODEL]), noise([MLP, MODEL]), noise([tokens, MLP]));
    let (operations, bytes) = (2 * tokens * MLP * MODEL, (tokens * (MLP + MODEL) + MLP * MODEL) * 4);
    measure(c, &format!("gradient of {tokens} × {MODEL} by {MLP}: of the rows"), operations, bytes, || {
        black_box(product(slope.clone(), weight.clone()));
    });
    measure(c, &format!("gradient of {tokens} × {MODEL} by {MLP}: of the weight"), operations, bytes, || {
        black_box(product(slope.clone().transpose(), x.clone()));
    });
    let tokens = 64;
    let (x, slope) = (noise([tokens, MODEL]), noise([tokens, VOCABULARY]));
    // The sum changes hands, so that one holder is left each time; it is read and written.
    let sum = std::sync::Mutex::new(Some(noise([VOCABULARY, MODEL])));
    let bytes = (tokens * (VOCABULARY + MODEL) + 2 * VOCABULARY * MODEL) * 4;
    measure(c, &format!("head's gradient, {tokens} tokens, added"), 2 * tokens * VOCABULARY * MODEL, bytes, || {
        let mut held = sum.lock().unwrap();
        let changed = add_product(held.take().unwrap(), slope.clone().transpose(), x.clone());
        *held = Some(changed);
    });
    let answers = Tensor::<Flex, 2, Int>::ones([tokens, 1], &Default::default());
    let scores = std::sync::Mutex::new(Some(slope));
    let numbers = tokens * VOCABULARY;
    measure(c, &format!("cross-entropy and gradient, {tokens} tokens"), 6 * numbers, 3 * numbers * 4, || {
        let mut held = scores.lock().unwrap();
        let found = cross_entropy(held.take().unwrap(), answers.clone(), Slope { hit: 1.0, scale: 1.0 });
        *held = Some(found.slope);
    });
}

fn small(c: &mut Criterion) {
    let [heads, _, width] = HEADS;
    let tokens = 512;
    let (x, weight) = (noise([tokens, MODEL]), noise([MODEL]));
    measure(c, "norm, 512 tokens", 4 * tokens * MODEL, 2 * tokens * MODEL * 4, || {
        black_box(rms_norm(x.clone(), weight.clone(), 1e-5));
    });
    let (gate, up) = (noise([tokens, MLP]), noise([tokens, MLP]));
    measure(c, "gate, 512 tokens", 5 * tokens * MLP, 3 * tokens * MLP * 4, || {
        black_box(swiglu(gate.clone(), up.clone()));
    });
    for (kind, dtype) in [("bf16", FloatDType::BF16), ("f16", FloatDType::F16)] {
        measure(c, &format!("to {kind}, 512 tokens"), tokens * MLP, tokens * MLP * 6, || {
            black_box(convert(gate.clone(), dtype));
        });
    }
    let x = noise([1, tokens, heads, width]);
    let (cos, sin) = (noise([1, tokens, width / 2]), noise([1, tokens, width / 2]));
    measure(c, "rotation, 512 tokens", 3 * tokens * heads * width, 2 * tokens * heads * width * 4, || {
        black_box(rotate(x.clone(), cos.clone(), sin.clone()));
    });
}

criterion_group!(benches, peaks, attention, next_token, products, layers, training, small);
criterion_main!(benches);

//! Every kernel against the plain operations that Burn differentiates by itself: outputs and all gradients, on random
//! shapes, values and anchors.
#![cfg(feature = "flex")]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Place, Reach};
use anllm_kernels::{
    Kernels, Next, Reaches, Sequence, Slope, add_product, attend, attend_next, convert, cross_entropy, linear, product,
    put, rms_norm, rotate, swiglu,
};
use burn::backend::Autodiff;
use burn::tensor::activation::silu;
use burn::tensor::{FloatDType, Tensor, TensorData};
use burn_flex::Flex;
use common::{on_paper, row};
use half::{bf16, f16};
use proptest::prelude::*;

type A = Autodiff<Flex>;

fn noise<const N: usize>(shape: [usize; N], seed: u64) -> Tensor<A, N> {
    common::noise(shape, seed, &Default::default())
}

fn close<const N: usize>(what: &str, found: Tensor<Flex, N>, expected: Tensor<Flex, N>) -> Result<(), TestCaseError> {
    common::close(what, found.into_data(), expected.into_data(), 2e-5)
}

/// The output's and every input's gradients of two functions, under the same slope.
fn compare<const M: usize, const N: usize, const K: usize>(
    inputs: [Tensor<A, M>; K],
    ours: impl Fn([Tensor<A, M>; K]) -> Tensor<A, N>,
    plain: impl Fn([Tensor<A, M>; K]) -> Tensor<A, N>,
) -> Result<(), TestCaseError> {
    let learn = || inputs.clone().map(|input| Tensor::from_inner(input.inner()).require_grad());
    let (a, b) = (learn(), learn());
    let (ours, plain) = (ours(a.clone()), plain(b.clone()));
    close("output", ours.clone().inner(), plain.clone().inner())?;
    let slope = noise(ours.dims(), 99);
    let found = (ours * slope.clone()).sum().backward();
    let expected = (plain * slope).sum().backward();
    for (number, (a, b)) in a.iter().zip(&b).enumerate() {
        let name = format!("gradient of input {number}");
        close(&name, a.grad(&found).expect("a gradient"), b.grad(&expected).expect("a gradient"))?;
    }
    Ok(())
}

/// The buffers are held elsewhere too: that must not change.
fn next_of_each<B: Kernels>(
    query: &Tensor<B, 4>,
    key: &Tensor<B, 4>,
    value: &Tensor<B, 4>,
    buffers: &[[Tensor<B, 4>; 2]],
    held: &[(usize, usize)],
    reaches: &[Reach],
) -> Next<Tensor<B, 4>> {
    let before: Vec<_> = buffers.iter().flatten().map(|buffer| buffer.to_data()).collect();
    let reaches: Vec<_> = reaches.iter().map(|reach| Reaches::new(vec![reach.clone()])).collect();
    let sequences = buffers.iter().zip(held).zip(&reaches).map(|(([keys, values], (entries, _)), reaches)| Sequence {
        keys: keys.clone(),
        values: values.clone(),
        entries: *entries,
        reaches,
    });
    let next = attend_next(query.clone(), key.clone(), value.clone(), sequences.collect()).expect("shapes fit");
    let after: Vec<_> = buffers.iter().flatten().map(|buffer| buffer.to_data()).collect();
    assert_eq!(before, after);
    next
}

proptest! {
    #![proptest_config(common::cases(48))]

    #[test]
    fn attention_of_whole_rows(
        rows in 1usize..3,
        tokens in 1usize..200,
        groups in 1usize..3,
        sharing in 1usize..4,
        width in prop_oneof![Just(2usize), Just(8), Just(14), Just(32), Just(64)],
        full in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let policy: &dyn CachePolicy = if full { &FullPolicy } else { &AnchorPolicy };
        let reaches: Vec<Reach> = (0..rows as u64)
            .map(|number| {
                let places = row(tokens, seed.wrapping_add(number));
                policy.reach(&places, &places)
            })
            .collect();
        let inputs = [
            noise([rows, tokens, groups * sharing, width], seed).mul_scalar(3.0),
            noise([rows, tokens, groups, width], seed ^ 1),
            noise([rows, tokens, groups, width], seed ^ 2),
        ];
        let ours = Reaches::new(reaches.clone());
        compare(
            inputs,
            |[q, k, v]| attend(q, k, v, &ours).expect("shapes fit"),
            |inputs| on_paper(inputs, &reaches),
        )?;
    }

    /// Any lists and runs, as a cache before the queries gives them; one token takes its own way.
    #[test]
    fn attention_over_a_cache(
        tokens in 1usize..40,
        before in 0usize..150,
        sharing in 1usize..4,
        seed in any::<u64>(),
    ) {
        let places = row(before + tokens, seed);
        let (cached, chunk) = places.split_at(before);
        let kept = cached.iter().filter(|key| chunk.iter().any(|query| AnchorPolicy.visible(query, key)));
        let keys: Vec<Place> = kept.chain(chunk).copied().collect();
        let reaches = vec![AnchorPolicy.reach(chunk, &keys)];
        let inputs = [
            noise([1, tokens, 2 * sharing, 16], seed),
            noise([1, keys.len(), 2, 16], seed ^ 1),
            noise([1, keys.len(), 2, 16], seed ^ 2),
        ];
        let ours = Reaches::new(reaches.clone());
        compare(
            inputs,
            |[q, k, v]| attend(q, k, v, &ours).expect("shapes fit"),
            |inputs| on_paper(inputs, &reaches),
        )?;
    }

    /// Many keys are cut into spans, whose parts are joined.
    #[test]
    fn one_token_over_a_long_cache(
        rows in 1usize..3,
        keys in 1usize..600,
        sharing in 1usize..4,
        width in prop_oneof![Just(14usize), Just(64), Just(72), Just(128)],
        full in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let policy: &dyn CachePolicy = if full { &FullPolicy } else { &AnchorPolicy };
        let reaches: Vec<Reach> = (0..rows as u64)
            .map(|number| {
                let places = row(keys, seed.wrapping_add(number));
                policy.reach(&places[keys - 1..], &places)
            })
            .collect();
        let inputs = [
            noise([rows, 1, 2 * sharing, width], seed).mul_scalar(3.0),
            noise([rows, keys, 2, width], seed ^ 1),
            noise([rows, keys, 2, width], seed ^ 2),
        ];
        let [q, k, v] = inputs.clone().map(Tensor::inner);
        let found = attend(q, k, v, &Reaches::new(reaches.clone())).expect("shapes fit");
        close("output", found, on_paper(inputs, &reaches).inner())?;
    }

    /// Several sequences, each with its next token, whatever floats they hold: on a backend with a kernel, and on one
    /// without.
    #[test]
    fn the_next_token_of_each_of_several_sequences(
        held in prop::collection::vec((0usize..90, 0usize..3), 1..20),
        sharing in 1usize..4,
        width in prop_oneof![Just(14usize), Just(16), Just(64)],
        dtype in prop_oneof![Just(FloatDType::F32), Just(FloatDType::F16), Just(FloatDType::BF16)],
        seed in any::<u64>(),
    ) {
        let (groups, count) = (2, held.len());
        let [query, key, value] = [(groups * sharing, 1), (groups, 2), (groups, 3)]
            .map(|(heads, salt)| noise([1, count, heads, width], seed ^ salt));
        let buffers: Vec<[Tensor<A, 4>; 2]> = (0u64..)
            .zip(&held)
            .map(|(number, (before, free))| {
                [4, 5].map(|salt| noise([1, before + 1 + free, groups, width], seed ^ salt ^ number << 8).cast(dtype))
            })
            .collect();
        let reaches: Vec<Reach> = (0u64..)
            .zip(&held)
            .map(|(number, (before, _))| {
                let places = row(before + 1, seed.wrapping_add(number));
                AnchorPolicy.reach(&places[*before..], &places)
            })
            .collect();
        let found = next_of_each(&query, &key, &value, &buffers, &held, &reaches);
        let inner = |x: &Tensor<A, 4>| x.clone().inner();
        let inner_buffers: Vec<_> = buffers.iter().map(|buffers| buffers.each_ref().map(inner)).collect();
        let fast = next_of_each(&inner(&query), &inner(&key), &inner(&value), &inner_buffers, &held, &reaches);
        for (number, (before, _)) in held.iter().enumerate() {
            let own = |x: &Tensor<A, 4>| x.clone().narrow(1, number, 1);
            // Where a number lies between two that 16 bits have, Burn does not always take the nearer one.
            let near = match dtype {
                FloatDType::F32 => 0.0,
                FloatDType::F16 => 1e-3,
                _ => 8e-3,
            };
            let whole = |x: &Tensor<A, 4>| x.clone().cast(FloatDType::F32).inner();
            for (place, new) in [&key, &value].into_iter().enumerate() {
                let slot = [0..1, *before..before + 1, 0..groups, 0..width];
                let expected = whole(&buffers[number][place].clone().slice_assign(slot, own(new).cast(dtype)));
                for held in [&found.held[number][place], &Tensor::from_inner(fast.held[number][place].clone())] {
                    let apart = (whole(held) - expected.clone()).abs();
                    prop_assert!(apart.lower_equal(expected.clone().abs().mul_scalar(near)).all().into_scalar());
                }
            }
            let of = |held: [Tensor<A, 4>; 2]| {
                let [keys, values] = held.map(|x| x.narrow(1, 0, before + 1).cast(FloatDType::F32));
                on_paper([own(&query), keys, values], &reaches[number..=number]).inner()
            };
            let heads = of(fast.held[number].clone().map(Tensor::from_inner));
            close("heads", fast.heads.clone().narrow(1, number, 1), heads)?;
            close("heads of the plain way", own(&found.heads).inner(), of(found.held[number].clone()))?;
        }
    }

    #[test]
    fn norms(rows in 1usize..150, width in 1usize..70, seed in any::<u64>()) {
        compare(
            [noise([rows, width], seed), noise([1, width], seed ^ 1)],
            |[x, w]| rms_norm(x, w.squeeze_dim(0), 1e-5),
            |[x, w]| x.clone() / (x.clone() * x).mean_dim(1).add_scalar(1e-5).sqrt() * w,
        )?;
    }

    #[test]
    fn gates(rows in 1usize..40, width in 1usize..70, seed in any::<u64>()) {
        compare(
            [noise([rows, width], seed).mul_scalar(9.0), noise([rows, width], seed ^ 1)],
            |[gate, up]| swiglu(gate, up),
            |[gate, up]| silu(gate) * up,
        )?;
    }

    #[test]
    fn products(rows in 1usize..9, from in 1usize..70, to in 1usize..50, seed in any::<u64>()) {
        let weight = noise([to, from], seed ^ 1).require_grad();
        let other = Tensor::from_inner(weight.clone().inner()).require_grad();
        let x = noise([rows, from], seed);
        let slope = noise([rows, to], seed ^ 2);
        close("output", linear(x.clone(), weight.clone()).inner(), x.clone().matmul(other.clone().transpose()).inner())?;
        let found = (linear(x.clone(), weight.clone()) * slope.clone()).sum().backward();
        let expected = (x.matmul(other.clone().transpose()) * slope).sum().backward();
        close("gradient", weight.grad(&found).unwrap(), other.grad(&expected).unwrap())?;
    }

    /// Several matrices side by side, and one that all of them are multiplied with.
    #[test]
    fn products_of_many(
        many in 1usize..4, rows in 1usize..9, inner in 1usize..40, columns in 1usize..30, seed in any::<u64>(),
    ) {
        let (left, right) = (noise([many, rows, inner], seed), noise([many, inner, columns], seed ^ 1));
        compare([left.clone(), right], |[l, r]| product(l, r), |[l, r]| l.matmul(r))?;
        let shared = noise([1, inner, columns], seed ^ 2);
        compare([left, shared], |[l, r]| product(l, r), |[l, r]| l.matmul(r))?;
    }

    /// Matrices that lie by rows or by columns, alone or within wider ones, of more rows than a panel has.
    #[test]
    fn products_of_matrices_however_they_lie(
        rows in prop_oneof![1usize..40, 120usize..300],
        inner in prop_oneof![1usize..70, 2040usize..2100, 4090usize..4110],
        columns in 1usize..70,
        turned in any::<[bool; 2]>(),
        wider in any::<[bool; 2]>(),
        seed in any::<u64>(),
    ) {
        let matrix = |[rows, columns]: [usize; 2], turned, wider, salt| {
            let stored = if turned { [columns, rows] } else { [rows, columns] };
            let more = if wider { 5 } else { 0 };
            let whole = noise([stored[0] + more, stored[1] + more], seed ^ salt).inner();
            let part = whole.slice([more..stored[0] + more, more..stored[1] + more]);
            if turned { part.transpose() } else { part }
        };
        let left = matrix([rows, inner], turned[0], wider[0], 1);
        let right = matrix([inner, columns], turned[1], wider[1], 2);
        // Thousands of products of numbers up to 1 are summed: their rounding is a share of that many.
        let scale = (inner as f32).sqrt().recip();
        let expected = left.clone().matmul(right.clone()).mul_scalar(scale);
        close("product", product(left.clone(), right.clone()).mul_scalar(scale), expected.clone())?;
        let sum = noise([rows, columns], seed ^ 3).inner();
        let found = add_product(sum.clone(), left, right).mul_scalar(scale);
        close("sum", found, expected + sum.mul_scalar(scale))?;
    }

    /// Losses, sums and gradients of a kernel and of plain operations, which are Burn's own.
    #[test]
    fn cross_entropies(
        rows in 1usize..40, width in 1usize..200, hit in 0.0f64..1.0, scale in 0.1f64..2.0, seed in any::<u64>(),
    ) {
        let scores = noise([rows, width], seed).mul_scalar(20.0);
        let answers: Vec<i32> = (0..rows as u64).map(|row| ((seed ^ (row * 7919)) % width as u64) as i32).collect();
        let answers = TensorData::new(answers, [rows, 1]);
        let slope = Slope { hit, scale };
        let plain = cross_entropy(scores.clone(), Tensor::from_data(answers.clone(), &Default::default()), slope);
        let held = scores.clone().inner();
        let fast = cross_entropy(held.clone(), Tensor::from_data(answers, &Default::default()), slope);
        close("surprise", fast.surprise, plain.surprise.inner())?;
        close("log of the sum", fast.log_sum, plain.log_sum.inner())?;
        close("slope", fast.slope, plain.slope.inner())?;
        prop_assert!(held.equal(scores.inner()).all().into_scalar(), "what else holds the scores must not change");
    }

    #[test]
    fn rotations(rows in 1usize..3, tokens in 1usize..20, heads in 1usize..4, half in 1usize..33, seed in any::<u64>()) {
        let (cos, sin) = (noise([1, tokens, half], seed ^ 1), noise([1, tokens, half], seed ^ 2));
        let (c, s) = (cos.clone().unsqueeze_dim::<4>(2), sin.clone().unsqueeze_dim::<4>(2));
        compare(
            [noise([rows, tokens, heads, 2 * half], seed)],
            |[x]| rotate(x, cos.clone(), sin.clone()),
            |[x]| {
                let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
                let turned = first.clone() * c.clone() - second.clone() * s.clone();
                Tensor::cat(vec![turned, second * c.clone() + first * s.clone()], 3)
            },
        )?;
    }
}

#[test]
fn keys_may_be_views_into_a_longer_buffer() {
    let places = row(60, 7);
    let reaches = vec![AnchorPolicy.reach(&places, &places)];
    let (query, long) = (noise([1, 60, 4, 16], 1), noise([1, 128, 2, 16], 2));
    let view = long.clone().narrow(1, 0, 60);
    let ours = Reaches::new(reaches.clone());
    let found = attend(query.clone(), view.clone(), view.clone(), &ours).unwrap().inner();
    close("output", found, on_paper([query, view.clone(), view], &reaches).inner()).unwrap();
}

/// Spans are of equal length and even in number: with 961 keys the last one is empty.
#[test]
fn one_token_looks_at_any_number_of_keys() {
    for keys in [1, 2, 31, 32, 33, 64, 65, 97, 961, 1500] {
        let places = row(keys, 7);
        let reaches = vec![FullPolicy.reach(&places[keys - 1..], &places)];
        let [query, key, value] = [noise([1, 1, 6, 40], 1), noise([1, keys, 2, 40], 2), noise([1, keys, 2, 40], 3)];
        let ours = Reaches::new(reaches.clone());
        let found = attend(query.clone(), key.clone(), value.clone(), &ours).unwrap().inner();
        close(&format!("{keys} keys"), found, on_paper([query, key, value], &reaches).inner()).unwrap();
    }
}

#[test]
fn entries_are_put_where_the_buffer_is() {
    let (buffer, entries) = (noise([1, 20, 2, 4], 1).inner(), noise([1, 3, 2, 4], 2).inner());
    let expected = buffer.clone().slice_assign([0..1, 5..8, 0..2, 0..4], entries.clone());
    let before = buffer.clone();
    close("shared", put(buffer, 5, entries.clone()), expected.clone()).unwrap();
    let address = |tensor: &Tensor<Flex, 4>| tensor.clone().into_primitive().tensor().storage::<f32>().as_ptr();
    let at = address(&before);
    let after = put(before, 5, entries.clone());
    assert_eq!(address(&after), at, "nothing else holds the buffer: it is not copied");
    close("alone", after, expected).unwrap();

    let whole = noise([1, 3, 2, 4], 3).inner();
    close("all of it", put(whole, 0, entries.clone().swap_dims(2, 3).swap_dims(2, 3)), entries).unwrap();
}

#[test]
fn scores_that_are_no_numbers_give_losses_that_are_none() {
    for flaw in [f32::NAN, f32::INFINITY] {
        for at in [0, 5, 16] {
            let mut scores = vec![0.5f32; 17];
            scores[at] = flaw;
            let scores = Tensor::<Flex, 2>::from_data(TensorData::new(scores, [1, 17]), &Default::default());
            let answers = Tensor::from_data(TensorData::new(vec![3], [1, 1]), &Default::default());
            let found = cross_entropy(scores, answers, Slope { hit: 1.0, scale: 1.0 });
            assert!(found.surprise.into_scalar().is_nan(), "{flaw} at {at}");
            assert!(found.slope.is_nan().any().into_scalar(), "{flaw} at {at}");
        }
    }
}

#[test]
fn entries_become_floats_of_the_buffers_type() {
    let (buffer, entries) = (noise([1, 20, 2, 4], 1), noise([1, 3, 2, 4], 2));
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let buffer = convert(buffer.clone(), dtype);
        let plain = put(buffer.clone(), 5, entries.clone());
        assert_eq!(FloatDType::from(plain.dtype()), dtype);
        let (buffer, entries) = (buffer.inner(), entries.clone().inner());
        let expected = buffer.clone().slice_assign([0..1, 5..8, 0..2, 0..4], convert(entries.clone(), dtype));
        let found = put(buffer, 5, entries);
        assert_eq!(FloatDType::from(found.dtype()), dtype);
        assert!(found.equal(expected).all().into_scalar(), "{dtype:?}");
    }
}

#[test]
fn floats_of_16_bits_are_the_nearest() {
    let numbers: Vec<f32> = noise([40_000], 1).into_data().into_vec().unwrap();
    let x = noise([40_000], 1).inner();
    let halves = convert(x.clone(), FloatDType::F16);
    let expected: Vec<f16> = numbers.iter().map(|x| f16::from_f32(*x)).collect();
    assert_eq!(halves.clone().into_data().into_vec::<f16>().unwrap(), expected);
    let brains = convert(x, FloatDType::BF16);
    let close: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
    assert_eq!(brains.clone().into_data().into_vec::<bf16>().unwrap(), close);

    let back: Vec<f32> = convert(halves, FloatDType::F32).into_data().into_vec().unwrap();
    assert_eq!(back, expected.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    let back: Vec<f32> = convert(brains, FloatDType::F32).into_data().into_vec().unwrap();
    assert_eq!(back, close.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let places = row(5, 3);
    let reach = FullPolicy.reach(&places, &places);
    let try_it = |query: [usize; 4], key: [usize; 4], value: [usize; 4], reaches: Vec<Reach>| {
        let found = attend(noise(query, 1), noise(key, 2), noise(value, 3), &Reaches::new(reaches));
        found.map(|_| ()).unwrap_err().to_string()
    };
    let fitting = || vec![reach.clone()];
    let cases = [
        (try_it([1, 5, 4, 8], [1, 5, 2, 8], [1, 5, 2, 6], fitting()), "key and value differ"),
        (try_it([2, 5, 4, 8], [1, 5, 2, 8], [1, 5, 2, 8], fitting()), "2 rows of queries and 1 of keys"),
        (try_it([1, 5, 4, 8], [1, 5, 2, 6], [1, 5, 2, 6], fitting()), "8 wide and those of keys 6"),
        (try_it([1, 5, 4, 8], [1, 5, 3, 8], [1, 5, 3, 8], fitting()), "4 query heads cannot share 3"),
        (try_it([1, 4, 4, 8], [1, 5, 2, 8], [1, 5, 2, 8], fitting()), "5 queries over 5 keys"),
        (try_it([3, 5, 4, 8], [3, 5, 2, 8], [3, 5, 2, 8], vec![reach.clone(); 2]), "3 rows, and reaches for 2"),
        (
            try_it([1, 5, 2, 8], [1, 5, 2, 8], [1, 5, 2, 8], vec![Reach::by_asking(&places, &places, |_, _| false)]),
            "query 0 of row 0 reaches no key",
        ),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn tokens_that_do_not_fit_behind_their_sequences_are_refused() {
    let places = row(5, 3);
    let reaches = Reaches::new(vec![FullPolicy.reach(&places[4..], &places)]);
    let try_it = |tokens, key: [usize; 4], [keys, values]: [[usize; 4]; 2], entries| {
        let held = Sequence { keys: noise(keys, 4), values: noise(values, 5), entries, reaches: &reaches };
        let found = attend_next(noise([1, tokens, 4, 8], 1), noise(key, 2), noise(key, 3), vec![held]);
        found.map(|_| ()).map_err(|error| error.to_string())
    };
    let (key, buffer) = ([1, 1, 2, 8], [1, 6, 2, 8]);
    assert_eq!(try_it(1, key, [buffer; 2], 4), Ok(()));
    let cases = [
        (try_it(2, [1, 2, 2, 8], [buffer; 2], 4), "one token of each of 1 sequences"),
        (try_it(1, [1, 2, 2, 8], [buffer; 2], 4), "one token of each of 1 sequences"),
        (try_it(1, key, [buffer, [1, 5, 2, 8]], 4), "sequence 0"),
        (try_it(1, key, [[1, 4, 2, 8]; 2], 4), "has no room behind 4 entries"),
        (try_it(1, key, [buffer; 2], 5), "1 queries over 5 keys"),
        (try_it(1, [1, 1, 3, 8], [[1, 6, 3, 8]; 2], 4), "4 query heads cannot share 3"),
    ];
    for (found, expected) in cases {
        let found = found.unwrap_err();
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn no_queries_give_no_output() {
    let empty = Reaches::new(vec![FullPolicy.reach(&[], &[])]);
    let none = || noise([1, 0, 2, 8], 1);
    assert_eq!(attend(none(), none(), none(), &empty).unwrap().dims(), [1, 0, 2, 8]);
}

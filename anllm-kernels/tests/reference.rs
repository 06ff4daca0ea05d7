//! Every kernel against the plain operations that Burn differentiates by itself: outputs and all gradients, on random
//! shapes, values and anchors.
#![cfg(feature = "flex")]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Place, Reach};
use anllm_kernels::{
    Kernels, Next, Reaches, Sequence, attend, attend_next, linear, product, put, rms_norm, rotate, swiglu,
};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn_flex::Flex;
use common::{on_paper, row};
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

    /// Several sequences, each with its next token: on a backend with a kernel, and on one without.
    #[test]
    fn the_next_token_of_each_of_several_sequences(
        held in prop::collection::vec((0usize..90, 0usize..3), 1..20),
        sharing in 1usize..4,
        seed in any::<u64>(),
    ) {
        let (groups, width, count) = (2, 16, held.len());
        let [query, key, value] = [(groups * sharing, 1), (groups, 2), (groups, 3)]
            .map(|(heads, salt)| noise([1, count, heads, width], seed ^ salt));
        let buffers: Vec<[Tensor<A, 4>; 2]> = (0u64..)
            .zip(&held)
            .map(|(number, (before, free))| {
                [4, 5].map(|salt| noise([1, before + 1 + free, groups, width], seed ^ salt ^ number << 8))
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
            let [keys, values] = [(&buffers[number][0], &key), (&buffers[number][1], &value)].map(|(buffer, new)| {
                buffer.clone().slice_assign([0..1, *before..before + 1, 0..groups, 0..width], own(new))
            });
            let seen = |x: &Tensor<A, 4>| x.clone().narrow(1, 0, before + 1);
            let heads = on_paper([own(&query), seen(&keys), seen(&values)], &reaches[number..=number]).inner();
            close("heads", fast.heads.clone().narrow(1, number, 1), heads.clone())?;
            close("heads of the plain way", own(&found.heads).inner(), heads)?;
            for (place, expected) in [keys, values].into_iter().enumerate() {
                let held = [found.held[number][place].clone().inner(), fast.held[number][place].clone()];
                let expected = expected.inner();
                prop_assert!(held.into_iter().all(|held| held.equal(expected.clone()).all().into_scalar()));
            }
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

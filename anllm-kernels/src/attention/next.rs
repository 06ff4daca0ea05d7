//! The next token of each of several sequences, over what each holds.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Tensor};

use super::{Reaches, ShapeError, misfit};
use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// What a sequence holds in one layer, and where its next token goes.
#[derive(Debug)]
pub struct Sequence<'a, B: Backend> {
    /// `[1, capacity, K, D]`.
    pub keys: Tensor<B, 4>,
    /// `[1, capacity, K, D]`.
    pub values: Tensor<B, 4>,
    /// `S`, how many entries there are: the token's own go behind them.
    pub entries: usize,
    /// What the token reaches of those and its own, one query over `S + 1` keys.
    pub reaches: &'a Reaches<B>,
}

/// The same on a backend's own tensors.
#[derive(Debug)]
pub struct SequencePrimitives<'a, B: Backend> {
    /// `[1, capacity, K, D]`.
    pub keys: FloatTensor<B>,
    /// `[1, capacity, K, D]`.
    pub values: FloatTensor<B>,
    /// `S`.
    pub entries: usize,
    /// One query over `S + 1` keys.
    pub reaches: &'a Reaches<B>,
}

/// What comes of it.
#[derive(Debug, Clone)]
pub struct Next<T> {
    /// `[1, N, H, D]`.
    pub heads: T,
    /// Keys and values of each sequence, `[1, capacity, K, D]`, its token's among them.
    pub held: Vec<[T; 2]>,
}

/// One token of each of `N` sequences: writes its `key` and `value`, `[1, N, K, D]`, behind what the sequence holds, in
/// place where nobody else holds that, and lets its `query`, `[1, N, H, D]`, attend to what it reaches.
///
/// As [`put`](crate::put) and [`attend`](super::attend) for each of them, in one operation. What is held may be of another
/// float type than the token: the token's own entry is rounded to it like all others, and the result is of the token's
/// type.
///
/// # Errors
/// When the shapes do not fit each other or the reaches, a sequence has no room for its token, or a query reaches
/// nothing.
pub fn attend_next<B: Kernels>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    held: Vec<Sequence<'_, B>>,
) -> Result<Next<Tensor<B, 4>>, ShapeError> {
    let error = |reason| ShapeError { query: query.dims(), key: key.dims(), value: value.dims(), reason };
    let [_, tokens, heads, width] = query.dims();
    let [_, _, groups, _] = key.dims();
    if key.dims() != [1, tokens, groups, width] || query.dims()[0] != 1 || tokens != held.len() {
        return Err(error(format!("expected one token of each of {} sequences", held.len())));
    }
    for (number, Sequence { keys, values, entries, reaches }) in held.iter().enumerate() {
        let [_, capacity, ..] = keys.dims();
        let own = [1, entries + 1, groups, width];
        let reason = match () {
            () if [keys.dims(), values.dims()] != [[1, capacity, groups, width]; 2] => Some("differs in shape".into()),
            () if *entries >= capacity => Some(format!("has no room behind {entries} entries")),
            () => misfit([1, 1, heads, width], own, own, reaches),
        };
        if let Some(reason) = reason {
            return Err(error(format!("sequence {number}, {:?} and {:?}: {reason}", keys.dims(), values.dims())));
        }
    }
    if value.dims() != key.dims() {
        return Err(error("key and value differ in shape".to_owned()));
    }
    if query.dims().contains(&0) {
        return Ok(Next { heads: query, held: held.into_iter().map(|held| [held.keys, held.values]).collect() });
    }
    let primitives = held.into_iter().map(|Sequence { keys, values, entries, reaches }| SequencePrimitives {
        keys: primitive(keys),
        values: primitive(values),
        entries,
        reaches,
    });
    let next = B::attend_next(primitive(query), primitive(key), primitive(value), primitives.collect());
    let held = next.held.into_iter().map(|[keys, values]| [tensor(keys), tensor(values)]);
    Ok(Next { heads: tensor(next.heads), held: held.collect() })
}

/// One sequence after another.
pub(crate) fn reference<B: Kernels>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    held: Vec<SequencePrimitives<'_, B>>,
) -> Next<FloatTensor<B>> {
    let [query, key, value] = [query, key, value].map(tensor::<B, 4>);
    let own = |of: &Tensor<B, 4>, number| primitive(of.clone().narrow(1, number, 1));
    let mut heads = Vec::with_capacity(held.len());
    let each = held.into_iter().enumerate().map(|(number, SequencePrimitives { keys, values, entries, reaches })| {
        let keys = B::put(keys, entries, own(&key, number));
        let values = B::put(values, entries, own(&value, number));
        let seen = |of: &FloatTensor<B>| {
            let seen = tensor::<B, 4>(of.clone()).narrow(1, 0, entries + 1);
            primitive(seen.cast(FloatDType::from(query.dtype())))
        };
        let attended = B::reach_attention(own(&query, number), seen(&keys), seen(&values), reaches);
        heads.push(tensor::<B, 4>(attended.output));
        [keys, values]
    });
    let held = each.collect();
    let heads = match heads.len() {
        1 => heads.remove(0),
        _ => Tensor::cat(heads, 1),
    };
    Next { heads: primitive(heads), held }
}

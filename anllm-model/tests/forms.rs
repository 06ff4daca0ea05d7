//! How many bits matrices are held in.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use anllm_kernels::PackedType;
use anllm_model::Checkpoint;
use anllm_model::checkpoint::MatrixForm;
use anllm_model::decoder::Weight;
use burn::tensor::DType;
use burn_flex::Flex;

/// The types of value projection, gate and embedding.
fn kinds(form: MatrixForm) -> [Option<PackedType>; 3] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny/llama-gqa-tied");
    let decoder = Checkpoint::open(&folder).unwrap().load_as::<Flex>(&Default::default(), DType::F32, form).unwrap();
    let block = &decoder.blocks[0];
    [&block.attention.value.weight, &block.mlp.gate.weight, &decoder.embedding].map(|weight| match weight {
        Weight::Packed(matrix) => Some(matrix.kind()),
        Weight::Float(_) | Weight::Quantized(_) => None,
    })
}

#[test]
fn the_matrices_that_matter_most_keep_more_bits() {
    use PackedType::{F16, F32, Q4_1, Q8_0};
    assert_eq!(kinds(MatrixForm::Float), [None; 3]);
    assert_eq!(kinds(MatrixForm::Stored), [F32, F32, F32].map(Some));
    assert_eq!(kinds(MatrixForm::Eight), [F16, Q8_0, Q8_0].map(Some));
    assert_eq!(kinds(MatrixForm::Four), [Q4_1, Q4_1, Q8_0].map(Some));
}

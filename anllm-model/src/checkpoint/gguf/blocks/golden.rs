//! Every decoder against the values that the Python package `gguf` (0.19, `gguf.quants.dequantize`) gives for the same
//! bytes: two blocks of a fixed byte stream with readable scales put in, eight values and a hash over all.

use super::BlockType;

/// FNV-1a over the values' bytes.
fn hash(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Two blocks whose half-precision scales stand at the offsets `scales`.
fn blocks(block_type: BlockType, scales: &[usize]) -> Vec<u8> {
    let size = block_type.bytes_per_block();
    let mut state = 7u32;
    let mut bytes: Vec<u8> = (0..2 * size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    for (block, scale) in [0.03125, -0.7001].into_iter().enumerate() {
        for (at, factor) in scales.iter().zip([1.0, -3.3]) {
            let half = half::f16::from_f64(scale * factor).to_le_bytes();
            bytes[block * size + at..][..2].copy_from_slice(&half);
        }
    }
    bytes
}

#[track_caller]
fn check(block_type: BlockType, bytes: &[u8], values: &[f32], expected_hash: u64) {
    let mut out = vec![f32::NAN; bytes.len() / block_type.bytes_per_block() * block_type.values_per_block()];
    block_type.dequantize(bytes, &mut out);
    let sampled: Vec<f32> = out.iter().step_by((out.len() / 8).max(1)).copied().collect();
    assert_eq!(sampled, values, "{block_type}");
    assert_eq!(hash(&out), expected_hash, "{block_type}");
}

#[test]
fn floats_decode_as_in_the_reference() {
    let values = [0.0f32, -0.0, 1.0, -2.5, std::f32::consts::PI, -1e-5];
    let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let f16s: Vec<u8> = values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let bf16s: Vec<u8> = values.iter().flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes()).collect();
    check(BlockType::F32, &f32s, &values, 0xb20e_8184_cd3d_8e7e);
    check(BlockType::F16, &f16s, &[0.0, -0.0, 1.0, -2.5, 3.140625, -1.001358e-5], 0x5fd3_134c_cdc8_faf4);
    check(BlockType::BF16, &bf16s, &[0.0, -0.0, 1.0, -2.5, 3.140625, -9.953976e-6], 0x5fc9_834c_cdc1_64bf);
}

#[test]
fn blocks_of_32_decode_as_in_the_reference() {
    let check = |t, scales: &[usize], values: [f32; 8], hash| check(t, &blocks(t, scales), &values, hash);
    check(
        BlockType::Q4_0,
        &[0],
        [0.125, 0.03125, 0.03125, 0.21875, -2.8007812, -4.901367, 2.100586, 4.901367],
        0xacd7_d2fa_7f46_ee3b,
    );
    check(
        BlockType::Q4_1,
        &[0, 2],
        [0.2718506, -0.009399414, -0.103149414, 0.115600586, -1.1904297, -6.791992, -6.791992, 1.6103516],
        0xfc6f_8079_f985_d971,
    );
    check(
        BlockType::Q5_0,
        &[0],
        [-0.125, 0.3125, -0.34375, 0.28125, -10.50293, -7.7021484, -0.7001953, -6.301758],
        0x80f5_fca6_3e68_7141,
    );
    check(
        BlockType::Q5_1,
        &[0, 2],
        [-0.071899414, 0.6156006, -0.071899414, 0.7718506, -17.995117, -4.6914062, 1.6103516, -12.393555],
        0xd03c_f550_ad80_c44d,
    );
    check(
        BlockType::Q8_0,
        &[0],
        [-3.125, -0.21875, 3.78125, 1.40625, 70.71973, -55.31543, -44.8125, 55.31543],
        0x3562_58ac_e7ee_776e,
    );
}

#[test]
fn blocks_of_256_decode_as_in_the_reference() {
    let check = |t, scales: &[usize], values: [f32; 8], hash| check(t, &blocks(t, scales), &values, hash);
    check(
        BlockType::Q4_K,
        &[0, 2],
        [4.37854, 6.7545166, 1.1907959, 5.8795166, -151.02734, -618.1963, -308.5039, -307.2412],
        0x4889_fa2d_5079_3582,
    );
    check(
        BlockType::Q5_K,
        &[0, 2],
        [8.12854, 24.254517, 0.7220459, 18.879517, -131.4961, -168.39258, -76.038_086, -945.75195],
        0x198d_79f0_55d8_a13e,
    );
    check(
        BlockType::Q6_K,
        &[208],
        [-15.40625, 20.78125, 18.6875, -2.34375, -462.1289, 980.27344, -126.03516, 1134.3164],
        0xa858_3787_87d4_6758,
    );
}

#[test]
fn many_blocks_decode_like_each_alone() {
    let one = blocks(BlockType::Q4_1, &[0, 2]);
    let mut alone = [0.0; 64];
    BlockType::Q4_1.dequantize(&one, &mut alone);
    // More than one task's worth.
    let copies = 10_000;
    let mut all = vec![0.0; 64 * copies];
    BlockType::Q4_1.dequantize(&one.repeat(copies), &mut all);
    assert!(all.chunks(64).all(|chunk| chunk == alone));
}

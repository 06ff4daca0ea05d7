//! How GGUF stores values: plain floats, or blocks of quantised values with shared scales.
//!
//! A row of a tensor is a whole number of blocks, so rows, and any run of blocks, decode independently. Every decoder
//! is a function from one block's bytes to its values, `fn(&[u8; BYTES], &mut [f32; VALUES])`, beside a drawing of the
//! block's layout; the sizes are the constants of [`BlockType`].

mod float;
mod kquant;
mod simple;

use std::fmt;

use rayon::prelude::*;

/// Tensors with more blocks than this are decoded by several threads, this many blocks at a time.
const BLOCKS_PER_TASK: usize = 1024;

/// Declares the supported types: `variant(id): bytes per block, values per block, decoder`.
macro_rules! block_types {
    ($($variant:ident($id:literal): $bytes:expr, $values:expr, $decode:path;)*) => {
        /// A storage type that can be read. The names are the format's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(non_camel_case_types, missing_docs)]
        pub enum BlockType {
            $($variant,)*
        }

        impl BlockType {
            /// Every supported type.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Bytes of one block.
            pub const fn bytes_per_block(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }

            /// Values in one block.
            pub const fn values_per_block(self) -> usize {
                match self { $(Self::$variant => $values,)* }
            }

            /// The type's name: `Q4_K`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The type numbered `id` in a file, or the name of the type that is not supported.
            pub(super) fn from_id(id: u32) -> Result<Self, String> {
                match id {
                    $($id => Ok(Self::$variant),)*
                    _ => Err(unsupported_name(id).map_or_else(|| format!("type {id}"), str::to_owned)),
                }
            }

            /// Decodes whole blocks. A last incomplete block of `bytes`, or values of `out` beyond the last block,
            /// are left alone.
            pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
                match self { $(Self::$variant => decode::<{ $bytes }, { $values }>(bytes, out, $decode),)* }
            }
        }
    };
}

block_types! {
    F32(0): 4, 1, float::f32;
    F16(1): 2, 1, float::f16;
    BF16(30): 2, 1, float::bf16;
    Q4_0(2): 18, 32, simple::q4_0;
    Q4_1(3): 20, 32, simple::q4_1;
    Q5_0(6): 22, 32, simple::q5_0;
    Q5_1(7): 24, 32, simple::q5_1;
    Q8_0(8): 34, 32, simple::q8_0;
    Q4_K(12): 144, 256, kquant::q4_k;
    Q5_K(13): 176, 256, kquant::q5_k;
    Q6_K(14): 210, 256, kquant::q6_k;
}

impl BlockType {
    /// All supported names, for messages.
    pub(super) fn names() -> String {
        Self::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn decode<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; VALUES]) + Sync,
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (values, _) = out.as_chunks_mut::<VALUES>();
    // Single floats count as blocks too: a task should have about as many values whatever the type.
    let per_task = BLOCKS_PER_TASK * 256 / VALUES;
    let run = |(blocks, values): (&[[u8; BYTES]], &mut [[f32; VALUES]])| {
        for (bytes, values) in blocks.iter().zip(values) {
            block(bytes, values);
        }
    };
    if blocks.len() <= per_task {
        run((blocks, values));
    } else {
        blocks.par_chunks(per_task).zip(values.par_chunks_mut(per_task)).for_each(run);
    }
}

/// Types of the format that are not supported, by number.
fn unsupported_name(id: u32) -> Option<&'static str> {
    Some(match id {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        _ => return None,
    })
}

#[cfg(test)]
mod golden;

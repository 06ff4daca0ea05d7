//! Blocks of sixteen rows side by side.
//!
//! The processor multiplies pairs of 16-bit integers and adds the two products (`pmaddwd`), in each lane of a vector, and
//! so it does with fours of 8-bit integers, two and two (`pmaddubsw`). So two or four values of a row stand beside each
//! other, and the same ones of the next row in the next lane.

use bytemuck::{Pod, Zeroable};
use half::f16;

/// Rows side by side.
pub(crate) const ROWS: usize = 16;
/// Values of a row that share a scale.
pub(crate) const VALUES: usize = 32;

/// [`VALUES`] values of [`ROWS`] rows.
pub(crate) trait Block: Pod + Send + Sync {
    /// Bytes of one row's block as GGUF stores it.
    const STORED: usize;

    /// Takes row `lane`'s values from their stored form. The last block of a row of floats may have fewer.
    fn set(&mut self, lane: usize, stored: &[u8]);

    /// The values of row `lane`.
    fn values(&self, lane: usize) -> [f32; VALUES];
}

/// A block whose values are `scale·integer + raised`.
pub(crate) trait Scaled: Block {
    /// With signs, of row `lane`.
    fn integers(&self, lane: usize) -> [i8; VALUES];

    /// Of row `lane`.
    fn scale(&self, lane: usize) -> f32;

    /// What is added to each value of row `lane`, where anything is.
    fn raised(&self, _lane: usize) -> Option<f32> {
        None
    }
}

/// Sixteen rows of Q8_0.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Bytes {
    /// `d` of each row, half precision.
    pub(crate) scales: [u16; ROWS],
    /// Pair `p` holds values `2p` and `2p + 1` of each row.
    pub(crate) pairs: [[i8; 2 * ROWS]; VALUES / 2],
}

/// Sixteen rows of Q4_0.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Nibbles {
    /// `d` of each row, half precision.
    pub(crate) scales: [u16; ROWS],
    /// See [`word`].
    pub(crate) words: [[u32; ROWS]; 4],
}

/// Sixteen rows of Q4_1.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RaisedNibbles {
    /// `d` of each row, half precision.
    pub(crate) scales: [u16; ROWS],
    /// `m` of each row, half precision.
    pub(crate) minima: [u16; ROWS],
    /// See [`word`].
    pub(crate) words: [[u32; ROWS]; 4],
}

impl Block for Bytes {
    const STORED: usize = 2 + VALUES;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        self.scales[lane] = u16::from_le_bytes([stored[0], stored[1]]);
        for (pair, stored) in self.pairs.iter_mut().zip(stored[2..].chunks_exact(2)) {
            pair[2 * lane] = stored[0] as i8;
            pair[2 * lane + 1] = stored[1] as i8;
        }
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        let scale = self.scale(lane);
        self.integers(lane).map(|integer| scale * f32::from(integer))
    }
}

impl Scaled for Bytes {
    fn integers(&self, lane: usize) -> [i8; VALUES] {
        let mut integers = [0; VALUES];
        for (integers, pair) in integers.as_chunks_mut::<2>().0.iter_mut().zip(&self.pairs) {
            *integers = [pair[2 * lane], pair[2 * lane + 1]];
        }
        integers
    }

    fn scale(&self, lane: usize) -> f32 {
        f16::from_bits(self.scales[lane]).to_f32()
    }
}

impl Block for Nibbles {
    const STORED: usize = 2 + VALUES / 2;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        self.scales[lane] = u16::from_le_bytes([stored[0], stored[1]]);
        for (number, words) in self.words.iter_mut().enumerate() {
            words[lane] = word(number, &stored[2..]);
        }
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        let scale = self.scale(lane);
        nibbles(self.words.map(|words| words[lane])).map(|nibble| scale * (nibble - 8.0))
    }
}

impl Scaled for Nibbles {
    fn integers(&self, lane: usize) -> [i8; VALUES] {
        nibbles(self.words.map(|words| words[lane])).map(|nibble| nibble as i8 - 8)
    }

    fn scale(&self, lane: usize) -> f32 {
        f16::from_bits(self.scales[lane]).to_f32()
    }
}

impl Block for RaisedNibbles {
    const STORED: usize = 4 + VALUES / 2;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        self.scales[lane] = u16::from_le_bytes([stored[0], stored[1]]);
        self.minima[lane] = u16::from_le_bytes([stored[2], stored[3]]);
        for (number, words) in self.words.iter_mut().enumerate() {
            words[lane] = word(number, &stored[4..]);
        }
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        let scale = self.scale(lane);
        let minimum = f16::from_bits(self.minima[lane]).to_f32();
        nibbles(self.words.map(|words| words[lane])).map(|nibble| scale * nibble + minimum)
    }
}

impl Scaled for RaisedNibbles {
    fn integers(&self, lane: usize) -> [i8; VALUES] {
        nibbles(self.words.map(|words| words[lane])).map(|nibble| nibble as i8 - 8)
    }

    fn scale(&self, lane: usize) -> f32 {
        f16::from_bits(self.scales[lane]).to_f32()
    }

    /// `d·q + m = d·(q − 8) + (m + 8·d)`.
    fn raised(&self, lane: usize) -> Option<f32> {
        Some(f16::from_bits(self.minima[lane]).to_f32() + 8.0 * self.scale(lane))
    }
}

/// Word `number` of a row, values `8·number` to `8·number + 7`: the first four stand in the low halves of its bytes, the
/// others in the high ones, so that one mask brings four to where bytes are multiplied.
///
/// GGUF has nibble `j` in the low half of byte `j`, and nibble `j + 16` in its high half.
fn word(number: usize, stored: &[u8]) -> u32 {
    let nibble = |value: usize| if value < 16 { stored[value] & 15 } else { stored[value - 16] >> 4 };
    let byte = |i: usize| nibble(8 * number + i) | nibble(8 * number + 4 + i) << 4;
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}

/// The other way round, for all four words of a row.
fn nibbles(words: [u32; 4]) -> [f32; VALUES] {
    let mut values = [0.0; VALUES];
    for (values, word) in values.chunks_exact_mut(8).zip(words) {
        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
            values[i] = f32::from(byte & 15);
            values[4 + i] = f32::from(byte >> 4);
        }
    }
    values
}

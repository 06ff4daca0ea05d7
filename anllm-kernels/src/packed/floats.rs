//! Sixteen rows of floats side by side: nothing is packed in them, but they are read as packed rows are.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};

use super::block::{Block, ROWS, VALUES};

/// Sixteen rows of 32-bit floats.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Singles {
    /// Value `i` of each row.
    pub(crate) values: [[f32; ROWS]; VALUES],
}

/// Sixteen rows of half-precision floats.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Halves {
    /// Value `i` of each row.
    pub(crate) values: [[u16; ROWS]; VALUES],
}

/// Sixteen rows of the upper halves of 32-bit floats.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Brains {
    /// Value `i` of each row.
    pub(crate) values: [[u16; ROWS]; VALUES],
}

impl Block for Singles {
    const STORED: usize = 4 * VALUES;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        for (values, stored) in self.values.iter_mut().zip(stored.as_chunks().0) {
            values[lane] = f32::from_le_bytes(*stored);
        }
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        self.values.map(|values| values[lane])
    }
}

impl Block for Halves {
    const STORED: usize = 2 * VALUES;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        set(&mut self.values, lane, stored);
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        self.values.map(|values| f16::from_bits(values[lane]).to_f32())
    }
}

impl Block for Brains {
    const STORED: usize = 2 * VALUES;

    fn set(&mut self, lane: usize, stored: &[u8]) {
        set(&mut self.values, lane, stored);
    }

    fn values(&self, lane: usize) -> [f32; VALUES] {
        self.values.map(|values| bf16::from_bits(values[lane]).to_f32())
    }
}

fn set(values: &mut [[u16; ROWS]; VALUES], lane: usize, stored: &[u8]) {
    for (values, stored) in values.iter_mut().zip(stored.as_chunks().0) {
        values[lane] = u16::from_le_bytes(*stored);
    }
}

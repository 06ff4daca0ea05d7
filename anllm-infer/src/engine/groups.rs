//! Sequences that go through the layers together, where others do so beside them.
//!
//! A layer of a small model has too little work for several threads to share: calling them together takes as long. They
//! do better with sequences of their own, from the first layer to the last.

/// The fewest tokens that are worth a walk through the layers of their own. Products with as many rows come out the same
/// however many more there are, so that groups change no sequence's scores but by the head's few rows.
const TOKENS: usize = 8;

/// How many sequences each group takes, one after another: as even as can be in the tokens they bring, `lengths`, and
/// `most` groups at most.
pub(super) fn sizes(lengths: &[usize], most: usize) -> Vec<usize> {
    let mut left: usize = lengths.iter().sum();
    let mut count = most.min(left / TOKENS).max(1);
    let mut sizes = Vec::with_capacity(count);
    let (mut size, mut tokens) = (0, 0);
    for length in lengths {
        size += 1;
        tokens += length;
        if count > 1 && tokens >= left.div_ceil(count).max(TOKENS) && left - tokens >= TOKENS {
            sizes.push(size);
            left -= tokens;
            count -= 1;
            (size, tokens) = (0, 0);
        }
    }
    if size > 0 {
        sizes.push(size);
    }
    sizes
}

/// `items` in parts of these sizes.
pub(super) fn split<'a, T>(mut items: &'a mut [T], sizes: &[usize]) -> Vec<&'a mut [T]> {
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let (part, rest) = items.split_at_mut(size);
        parts.push(part);
        items = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_that_write_are_shared_out_evenly() {
        assert_eq!(sizes(&[1; 16], 2), [8, 8]);
        assert_eq!(sizes(&[1; 17], 2), [9, 8]);
        assert_eq!(sizes(&[1; 64], 3), [22, 21, 21]);
        assert_eq!(sizes(&[1; 15], 2), [15], "too few for two");
        assert_eq!(sizes(&[1; 64], 1), [64]);
        assert_eq!(sizes(&[500, 1, 1, 1, 1, 1, 1, 1, 1], 4), [1, 8], "a prompt beside them");
        assert_eq!(sizes(&[], 4), [0; 0]);
    }

    proptest! {
        #[test]
        fn every_sequence_has_a_group_and_every_group_enough_to_do(
            lengths in prop::collection::vec(1usize..40, 0..30),
            most in 1usize..6,
        ) {
            let sizes = sizes(&lengths, most);
            prop_assert_eq!(sizes.iter().sum::<usize>(), lengths.len());
            prop_assert!(sizes.len() <= most);
            let mut lengths = lengths;
            for part in split(&mut lengths, &sizes) {
                prop_assert!(!part.is_empty());
                prop_assert!(sizes.len() == 1 || part.iter().sum::<usize>() >= TOKENS);
            }
        }
    }
}

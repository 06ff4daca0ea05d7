//! Tokens in groups: by their position in a window, and by how far the last anchor lies back.
//!
//! Under the anchor mask the first tokens of a segment see the text before them through anchors alone, later ones have
//! their own segment too: the distance from the last anchor shows where the mask costs something.

use anllm_core::Place;
use serde::Serialize;

/// A group, and what its tokens come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stretch<T> {
    /// The first position or distance; none for tokens before the first anchor.
    pub from: Option<usize>,
    /// The one behind the last.
    pub to: Option<usize>,
    /// The group's outcome.
    #[serde(flatten)]
    pub of: T,
}

/// An account for each run of so many positions.
#[derive(Debug, Clone)]
pub(crate) struct ByPosition<T> {
    width: usize,
    accounts: Vec<T>,
}

impl<T: Default> ByPosition<T> {
    /// In runs of `width` positions.
    pub(crate) fn new(width: usize) -> Self {
        Self { width: width.max(1), accounts: Vec::new() }
    }

    /// The account of the token at `position`.
    pub(crate) fn at(&mut self, position: usize) -> &mut T {
        let number = position / self.width;
        if self.accounts.len() <= number {
            self.accounts.resize_with(number + 1, T::default);
        }
        &mut self.accounts[number]
    }

    /// What each comes to.
    pub(crate) fn report<R>(&self, outcome: impl Fn(&T) -> R) -> Vec<Stretch<R>> {
        let row = |(number, account)| Stretch {
            from: Some(number * self.width),
            to: Some((number + 1) * self.width),
            of: outcome(account),
        };
        self.accounts.iter().enumerate().map(row).collect()
    }
}

/// An account for each doubling of the distance from the last anchor.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByDistance<T> {
    before: T,
    accounts: Vec<T>,
}

impl<T: Default> ByDistance<T> {
    /// The account of a token at this distance, as [`distances`] counts it.
    pub(crate) fn at(&mut self, distance: Option<usize>) -> &mut T {
        let Some(distance) = distance else { return &mut self.before };
        // 1, 2, 3 to 4, 5 to 8, …
        let number = distance.max(1).next_power_of_two().trailing_zeros() as usize;
        if self.accounts.len() <= number {
            self.accounts.resize_with(number + 1, T::default);
        }
        &mut self.accounts[number]
    }

    /// What each comes to, tokens before the first anchor first.
    pub(crate) fn report<R>(&self, outcome: impl Fn(&T) -> R) -> Vec<Stretch<R>> {
        let before = Stretch { from: None, to: None, of: outcome(&self.before) };
        let row = |(number, account)| {
            let last = 1_usize << number;
            Stretch { from: Some(last / 2 + 1), to: Some(last + 1), of: outcome(account) }
        };
        [before].into_iter().chain(self.accounts.iter().enumerate().map(row)).collect()
    }
}

/// How many tokens each of `places` stands behind the last anchor before it: 1 is the first of a segment. None where
/// there is no anchor before it.
pub(crate) fn distances(places: &[Place]) -> Vec<Option<usize>> {
    let mut last = None;
    let mut found = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        found.push(last.map(|anchor: usize| at - anchor));
        if place.anchor {
            last = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use anllm_core::Segments;

    #[test]
    fn distances_count_from_the_anchor_before() {
        let segments = Segments::from_anchors(8, &[3, 6]);
        let expected = [None, None, None, None, Some(1), Some(2), Some(3), Some(1)];
        assert_eq!(distances(segments.places()), expected);
    }

    #[test]
    fn distances_double_from_group_to_group() {
        let mut groups: ByDistance<usize> = ByDistance::default();
        for distance in 1..=9 {
            *groups.at(Some(distance)) += 1;
        }
        *groups.at(None) += 5;
        let rows = groups.report(|count| *count);
        let rows: Vec<_> = rows.iter().map(|row| (row.from, row.to, row.of)).collect();
        let group = |from, to, count| (Some(from), Some(to), count);
        let expected = [group(1, 2, 1), group(2, 3, 1), group(3, 5, 2), group(5, 9, 4), group(9, 17, 1)];
        assert_eq!(rows[0], (None, None, 5));
        assert_eq!(rows[1..], expected);
    }

    #[test]
    fn positions_run_on() {
        let mut groups: ByPosition<usize> = ByPosition::new(4);
        for position in [0, 3, 4, 11] {
            *groups.at(position) += 1;
        }
        let counts: Vec<_> = groups.report(|count| *count).iter().map(|row| (row.from, row.of)).collect();
        assert_eq!(counts, [(Some(0), 2), (Some(4), 1), (Some(8), 1)]);
    }
}

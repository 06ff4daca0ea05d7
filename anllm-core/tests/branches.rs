//! A tree of continuations shows each token just what its own path would.

use anllm_core::{AnchorPolicy, Branches, CachePolicy, FullPolicy, Ledger, Place, SegmentTracker, Survivors};
use proptest::prelude::*;

/// A run: which earlier run it goes on from (none where there is no such), and which of its tokens are anchors.
type Sketch = (usize, Vec<bool>);

fn flags(longest: usize) -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(prop::bool::weighted(0.3), 1..longest)
}

fn places(tracker: &mut SegmentTracker, flags: &[bool]) -> Vec<Place> {
    flags.iter().map(|&anchor| tracker.push(anchor)).collect()
}

proptest! {
    #[test]
    fn a_token_sees_its_own_path_alone(
        sequence in prop::collection::vec(prop::bool::weighted(0.3), 0..20),
        sketches in prop::collection::vec((0usize..6, flags(6)), 1..8),
        full in any::<bool>(),
    ) {
        let policy: &dyn CachePolicy = if full { &FullPolicy } else { &AnchorPolicy };
        let mut trunk = SegmentTracker::default();
        let mut ledger = Ledger::default();
        let before = places(&mut trunk, &sequence);
        if !before.is_empty() {
            ledger.advance(policy, &before);
        }
        let entries = ledger.entries().to_vec();
        let parent = |number: usize, sketch: &Sketch| (sketch.0 < number).then_some(sketch.0);
        let mut branches = Branches::new(trunk);
        for (number, sketch) in sketches.iter().enumerate() {
            prop_assert_eq!(branches.push(parent(number, sketch), sketch.1.len(), |token, _| sketch.1[token]), number);
        }
        let plan = branches.plan(policy, &entries);
        prop_assert_eq!(plan.survivors, Survivors::all(entries.len()));
        prop_assert_eq!(plan.reach.keys(), entries.len() + branches.len());

        for (number, sketch) in sketches.iter().enumerate() {
            // The path as if it were all the text there is.
            let mut path = vec![number];
            while let Some(before) = parent(path[0], &sketches[path[0]]) {
                path.insert(0, before);
            }
            let mut tracker = trunk;
            let mut keys: Vec<(Place, usize)> = entries.iter().copied().zip(0..).collect();
            for &run in &path {
                let slots = branches.slots(run).map(|slot| entries.len() + slot);
                keys.extend(places(&mut tracker, &sketches[run].1).into_iter().zip(slots));
            }
            let own = keys.len() - sketch.1.len();
            for (query, slot) in &keys[own..] {
                let expected: Vec<usize> =
                    keys.iter().filter(|(key, _)| policy.visible(query, key)).map(|(_, slot)| *slot).collect();
                let token = slot - entries.len();
                let seen: Vec<usize> = (0..plan.reach.keys()).filter(|&key| plan.reach.sees(token, key)).collect();
                prop_assert_eq!(seen, expected);
                prop_assert_eq!(plan.positions[token], query.position);
            }
        }
    }

    /// Siblings share their list of far keys: a row of many short continuations stays cheap to attend over.
    #[test]
    fn siblings_share_what_they_see(question in 1usize..30, answers in 1usize..6) {
        let mut branches = Branches::new(SegmentTracker::default());
        let asked = branches.push(None, question, |_, _| false);
        for _ in 0..answers {
            branches.push(Some(asked), 3, |_, _| false);
        }
        let reach = branches.plan(&FullPolicy, &[]).reach;
        prop_assert_eq!(reach.far().len(), question);
    }
}

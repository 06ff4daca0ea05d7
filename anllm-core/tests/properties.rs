//! Properties that hold for any anchors, any documents and any chunking.
#![allow(clippy::unwrap_used)]

use anllm_core::{
    AnchorPolicy, ApartPolicy, CachePolicy, DenseMask, FullPolicy, Ledger, Part, Place, Policy, PolicyKind, Positions,
    Reach, SegmentTracker, Segments, Shift, simulate,
};
use proptest::prelude::*;

/// Up to four documents; adjacent anchors, an anchor first or last, and none at all come up often.
fn rows() -> impl Strategy<Value = Segments> {
    let flags = prop_oneof![
        Just(vec![false; 9]),
        Just(vec![true; 5]),
        prop::collection::vec(prop::bool::weighted(0.2), 1..40),
        prop::collection::vec(any::<bool>(), 1..12),
    ];
    prop::collection::vec(flags, 1..4).prop_map(|d| Segments::from_documents(d.iter().map(Vec::as_slice)))
}

/// Every policy, with numbers small enough to matter in short rows.
fn policies() -> impl Strategy<Value = Policy> {
    let names = prop_oneof![
        Just("full".to_owned()),
        Just("anchor".to_owned()),
        (1usize..12).prop_map(|n| format!("window:{n}")),
        (0usize..6, 1usize..9).prop_map(|(s, n)| format!("sink:{s}+{n}")),
        (0usize..4, 1usize..9).prop_map(|(s, n)| format!("sepllm:{s}+{n}")),
        (0usize..4, 1usize..9).prop_map(|(s, n)| format!("sepllm:{s}+{n},renumber")),
        (1usize..4).prop_map(|r| format!("anchor:recent={r}")),
        (0usize..6, 1usize..9).prop_map(|(a, n)| format!("anchor:keep={a}..{}", a + n)),
        (1usize..3, 0usize..6).prop_map(|(r, a)| format!("anchor:recent={r},keep={a}..{},renumber", a + 4)),
        Just("anchor:renumber".to_owned()),
        (1usize..4, 0usize..4).prop_map(|(m, r)| match r {
            0 => format!("anchor:last={m}"),
            _ => format!("anchor:recent={r},last={m},renumber"),
        }),
        (1usize..4).prop_map(|m| format!("anchor:last={m},renumber")),
        (1usize..9, any::<u64>()).prop_map(|(n, seed)| format!("random:{n},seed={seed}")),
    ];
    names.prop_map(|name| name.parse::<PolicyKind>().unwrap().policy())
}

/// The definition, from the anchor list alone: segment ids are counted, not read.
fn by_definition(segments: &Segments, i: usize, j: usize) -> bool {
    let places = segments.places();
    let anchor = |t: usize| segments.anchors().contains(&t);
    let seg = |t: usize| (0..t).filter(|&a| anchor(a) && places[a].document == places[t].document).count();
    j <= i && places[i].document == places[j].document && (seg(j) == seg(i) || (anchor(j) && !anchor(i)))
}

fn chunks(places: &[Place], sizes: &[usize]) -> Vec<Vec<Place>> {
    let mut rest = places;
    let mut out = Vec::new();
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        out.push(chunk.to_vec());
        rest = later;
    }
    out
}

proptest! {
    #[test]
    fn the_mask_is_the_definition(row in rows()) {
        let mask = DenseMask::of(&row);
        let mut pairs = 0;
        for i in 0..row.len() {
            for j in 0..row.len() {
                prop_assert_eq!(mask.get(i, j), by_definition(&row, i, j), "pair ({}, {})", i, j);
                pairs += u64::from(mask.get(i, j));
            }
        }
        prop_assert_eq!(anllm_core::visible_pairs(&AnchorPolicy, &row), pairs);
        prop_assert_eq!(pairs, row.visible_pairs());
        prop_assert_eq!(row.lengths().iter().sum::<usize>(), row.len());
    }

    /// Lists and runs say the same as the predicate, however they were found.
    #[test]
    fn a_reach_is_the_mask(row in rows(), policy in policies()) {
        let (queries, keys) = (row.places(), row.places());
        let mask = DenseMask::under(&*policy, queries, keys);
        let walked = policy.reach(queries, keys);
        let asked = Reach::by_asking(queries, keys, |query, key| policy.visible(query, key));
        prop_assert_eq!(&walked.dense(), &mask);
        prop_assert_eq!(&asked.dense(), &mask);
        prop_assert_eq!(walked.pairs(), asked.pairs());
        prop_assert_eq!(walked.all(), mask.all());
    }

    #[test]
    fn without_anchors_the_mask_is_causal(len in 1usize..40) {
        let row = Segments::from_anchors(len, &[]);
        for i in 0..len {
            for j in 0..len {
                prop_assert_eq!(row.visible(i, j), j <= i);
            }
        }
    }

    /// What makes a reduced cache exact: a query sees through the cache just what it sees in the whole row.
    #[test]
    fn a_cache_shows_each_query_what_the_mask_does(
        row in rows(),
        sizes in prop::collection::vec(1usize..9, 1..5),
        policy in policies(),
    ) {
        let mut ledger = Ledger::default();
        for chunk in chunks(row.places(), &sizes) {
            let keys: Vec<Place> = ledger.entries().iter().chain(&chunk).copied().collect();
            let plan = ledger.advance(&*policy, &chunk);
            for (t, query) in chunk.iter().enumerate() {
                let through_cache: Vec<usize> = (0..keys.len())
                    .filter(|&s| plan.reach.sees(t, s))
                    .map(|s| keys[s].index)
                    .collect();
                let in_row: Vec<usize> =
                    row.places().iter().filter(|key| policy.visible(query, key)).map(|key| key.index).collect();
                prop_assert_eq!(through_cache, in_row);
            }
            let kept: Vec<Place> = plan.survivors.slots().map(|s| keys[s]).collect();
            prop_assert_eq!(ledger.entries(), &kept[..]);
            prop_assert!(plan.survivors.moved.iter().all(|&slot| slot > plan.survivors.unmoved));
        }
    }

    /// `may_drop` is a promise about `keeps`: where it says no, nothing is dropped.
    #[test]
    fn what_may_not_drop_does_not(row in rows(), policy in policies()) {
        let mut held: Vec<Place> = Vec::new();
        for newest in row.places() {
            held.push(*newest);
            let before = held.len();
            held.retain(|entry| policy.keeps(entry, newest));
            prop_assert!(held.len() == before || policy.may_drop(newest));
        }
    }

    #[test]
    fn accounts_do_not_depend_on_chunks(
        row in rows(),
        sizes in prop::collection::vec(1usize..9, 1..5),
        policy in policies(),
    ) {
        let mut ledger = Ledger::default();
        for chunk in chunks(row.places(), &sizes) {
            ledger.advance(&*policy, &chunk);
        }
        prop_assert_eq!(ledger.stats(&*policy, 8), simulate(&*policy, &row, 8));
    }

    /// Nothing stays that no later token can see.
    #[test]
    fn what_is_kept_is_seen_by_the_next_token(row in rows(), policy in policies()) {
        let mut ledger = Ledger::default();
        for pair in row.places().windows(2) {
            ledger.enter(&*policy, pair[0]);
            // The next token as it would be without being an anchor, which looks back least.
            let next = Place { anchor: false, ..pair[1] };
            if next.document == pair[0].document {
                for entry in ledger.entries() {
                    prop_assert!(policy.visible(&next, entry), "{:?} keeps {:?} for {:?}", policy, entry, next);
                }
            }
        }
    }

    /// The reason given for a pair says the same as the mask.
    #[test]
    fn the_explanation_is_the_mask(row in rows(), policy in policies()) {
        for query in row.places() {
            for key in row.places() {
                prop_assert_eq!(policy.explain(query, key).allowed(), policy.visible(query, key));
            }
        }
    }

    /// What renumbering relies on: the far list of a document only grows at its end and is dropped from its start, and
    /// near runs are neighbours.
    #[test]
    fn far_keys_keep_their_rank(row in rows(), policy in policies()) {
        if policy.positions() == Positions::Original {
            return Ok(());
        }
        let reach = policy.reach(row.places(), row.places());
        let mut before: Option<(usize, Vec<usize>)> = None;
        for (query, look) in row.places().iter().zip(reach.looks()) {
            prop_assert_eq!(look.near.end, query.index + 1);
            let far = reach.far()[look.far.clone()].to_vec();
            if far.is_empty() {
                continue;
            }
            if let Some((document, earlier)) = &before && *document == query.document {
                let kept = earlier.iter().position(|slot| *slot == far[0]).map_or(&[][..], |at| &earlier[at..]);
                prop_assert!(far.starts_with(kept) && far[0] >= earlier[0], "{:?} after {:?}", far, earlier);
            }
            before = Some((query.document, far));
        }
    }

    #[test]
    fn an_extended_policy_without_options_is_the_papers(row in rows()) {
        let plain = anllm_core::ExtendedAnchorPolicy::default();
        prop_assert_eq!(anllm_core::ExtendedAnchorPolicy::keeping(0..0).reach(row.places(), row.places()),
            plain.reach(row.places(), row.places()));
        let (keys, extended) = (row.places(), Policy::from(plain));
        prop_assert_eq!(extended.reach(keys, keys), Policy::from(AnchorPolicy).reach(keys, keys));
        prop_assert_eq!(simulate(&plain, &row, 8), simulate(&AnchorPolicy, &row, 8));
    }

    /// Constant memory however long the text: what a budget says, and no more.
    #[test]
    fn budgets_are_kept(row in rows(), sinks in 0usize..5, window in 1usize..9) {
        let longest = row.lengths().into_iter().max().unwrap_or(0);
        let peak = |name: String| simulate(&*name.parse::<PolicyKind>().unwrap().policy(), &row, 8).peak;
        let peaks = [format!("window:{window}"), format!("sink:{sinks}+{window}"), format!("random:{window}")].map(peak);
        // When a document begins, the entries of the one before it are still there for one token.
        prop_assert!(peaks[0] <= window && peaks[1] <= sinks + window && peaks[2] <= window + longest + 1, "{peaks:?}");
    }

    #[test]
    fn one_document_keeps_its_anchors_and_its_tail(flags in prop::collection::vec(any::<bool>(), 1..60)) {
        let row = Segments::from_flags(&flags);
        let stats = simulate(&AnchorPolicy, &row, 8);
        let tail = flags.iter().rev().take_while(|a| !**a).count();
        let anchors = row.anchors().len();
        prop_assert_eq!(stats.kept, anchors + tail);
        prop_assert_eq!(stats.seen, flags.len());
        prop_assert_eq!(stats.bytes, stats.kept * 8);
        prop_assert_eq!(stats.full_bytes, flags.len() * 8);
        let longest = row.lengths().into_iter().max().unwrap_or(0);
        prop_assert!(stats.peak <= anchors + longest);
        prop_assert!(stats.kept <= stats.peak);
    }
}

#[test]
fn the_full_policy_keeps_everything() {
    let stats = simulate(&FullPolicy, &Segments::from_anchors(10, &[3, 6]), 4);
    assert_eq!((stats.seen, stats.kept, stats.peak, stats.bytes), (10, 10, 10, 40));
    assert_eq!(stats.reduction(), 0.0);
}

/// Parts that were placed alone and put side by side, with tokens behind them, and the policy that they stand under.
fn side_by_side() -> impl Strategy<Value = (Vec<Place>, ApartPolicy)> {
    let flags = prop::collection::vec(prop::bool::weighted(0.3), 1..9);
    let parts = prop::collection::vec((flags.clone(), 0usize..2), 1..4);
    (parts, flags, any::<bool>()).prop_map(|(parts, following, full)| {
        let (mut row, mut cut): (Vec<Place>, Vec<Part>) = (Vec::new(), Vec::new());
        for (flags, lead) in parts {
            let shift = row.last().map_or(Shift::default(), |last| Shift::behind(last, lead));
            let start = row.len();
            row.extend(Segments::from_flags(&flags).places().iter().map(|place| shift.apply(place)));
            cut.push(Part { tokens: start..row.len(), lead });
        }
        let mut tracker = row.last().map_or(SegmentTracker::default(), SegmentTracker::after);
        row.extend(following.iter().map(|&anchor| tracker.push(anchor)));
        let within: Policy = if full { FullPolicy.into() } else { AnchorPolicy.into() };
        (row, ApartPolicy::new(within, cut))
    })
}

proptest! {
    /// The layout that joined caches stand for is a policy like any other: its cache shows what its mask does.
    #[test]
    fn a_cache_of_parts_shows_what_the_mask_does(
        (row, policy) in side_by_side(),
        sizes in prop::collection::vec(1usize..9, 1..5),
    ) {
        let mut ledger = Ledger::default();
        for chunk in chunks(&row, &sizes) {
            let keys: Vec<Place> = ledger.entries().iter().chain(&chunk).copied().collect();
            let plan = ledger.advance(&policy, &chunk);
            for (t, query) in chunk.iter().enumerate() {
                let through_cache: Vec<usize> =
                    (0..keys.len()).filter(|&s| plan.reach.sees(t, s)).map(|s| keys[s].index).collect();
                let in_row: Vec<usize> =
                    row.iter().filter(|key| policy.visible(query, key)).map(|key| key.index).collect();
                prop_assert_eq!(through_cache, in_row);
            }
        }
        let mut held: Vec<Place> = Vec::new();
        for newest in &row {
            held.push(*newest);
            let before = held.len();
            held.retain(|entry| policy.keeps(entry, newest));
            prop_assert!(held.len() == before || policy.may_drop(newest));
        }
    }

    /// A ledger that is stored and restored goes on as if nothing had happened.
    #[test]
    fn a_restored_ledger_goes_on(row in rows(), at in any::<prop::sample::Index>()) {
        let (before, after) = row.places().split_at(at.index(row.len()));
        let mut live = Ledger::default();
        live.advance(&AnchorPolicy, before);
        let mut restored = Ledger::restore(live.entries().to_vec(), live.settled(), live.seen(), live.peak()).unwrap();
        prop_assert_eq!(restored.advance(&AnchorPolicy, after), live.advance(&AnchorPolicy, after));
        prop_assert_eq!(restored, live);
    }
}

//! Attention maps of a layer: under full attention, and under the policy.

use super::{Figure, Section, Table, digits, model, percent};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;

pub(super) fn section(found: &Found) -> Option<Section> {
    use Side::{Left, Right};
    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for (number, (row, maps)) in found.maps().enumerate() {
        for (at, (picture, map)) in maps.pictures().into_iter().zip(&maps.maps).enumerate() {
            figures.push(Figure::new(format!("attention-{}-{}", number + 1, at + 1), picture));
            rows.push(vec![
                model(row),
                digits(maps.layer as f64, 0),
                maps.head.clone(),
                map.policy.clone(),
                percent(map.to_earlier_anchors),
            ]);
        }
    }
    let columns = vec![
        ("model", Left),
        ("layer", Right),
        ("head", Left),
        ("policy", Left),
        ("mean share to earlier anchors", Right),
    ];
    (!figures.is_empty()).then(|| Section {
        title: "Attention",
        about:
            "Each row is a token that looks, each column one that is looked at; anchors are marked. Small shares are \
                drawn darker than they are."
                .to_owned(),
        figures,
        tables: vec![Table { columns, rows }],
    })
}

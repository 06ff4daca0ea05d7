//! Loss curves of training runs.

use super::{Figure, Section, Table, digits};
use crate::commands::eval::Side;
use crate::commands::report::found::{Found, Losses};
use crate::figures::{Axis, Chart, Mark, Scale, Series};

/// More points than this are drawn as means of so many runs of them.
const POINTS: usize = 240;

/// One of a run's curves.
type Points = fn(&Losses) -> &[(f64, f64)];

pub(super) fn section(found: &Found) -> anyhow::Result<Option<Section>> {
    use Side::{Left, Right};
    if found.losses.is_empty() {
        return Ok(None);
    }
    let mut figures = Vec::new();
    let curves: [(&str, &str, Points); 2] =
        [("losses", "Training loss", |run| &run.train), ("validation", "Validation loss", |run| &run.validation)];
    for (file, title, points) in curves {
        let runs = found.losses.iter().filter(|run| !points(run).is_empty());
        let series: Vec<Series> =
            runs.map(|run| Series { name: run.name.clone(), points: thinned(points(run)), mark: Mark::Line }).collect();
        if !series.is_empty() {
            let x = Axis { name: "step", scale: Scale::Linear };
            let y = Axis { name: "nats per token", scale: Scale::Linear };
            figures.push(Figure::new(file, Chart { title: title.to_owned(), x, y, series }.svg()?));
        }
    }
    let rows = found.losses.iter().map(|run| {
        let last = |points: &[(f64, f64)]| points.last().map_or_else(String::new, |(_, loss)| digits(*loss, 4));
        let steps = run.train.last().map_or(0.0, |(step, _)| *step);
        vec![run.name.clone(), digits(steps, 0), last(&run.train), last(&run.validation)]
    });
    let columns = vec![("run", Left), ("steps", Right), ("last loss", Right), ("last validation loss", Right)];
    Ok(Some(Section {
        title: "Training",
        about: String::new(),
        figures,
        tables: vec![Table { columns, rows: rows.collect() }],
    }))
}

/// Means of neighbours, so that a long run is a line and no cloud.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
    };
    points.chunks(run).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_thinned_to_its_means() {
        let points: Vec<(f64, f64)> = (0..1000).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS && thin.iter().all(|(_, loss)| (0.2..0.8).contains(loss)), "{thin:?}");
        assert_eq!(thinned(&points[..10]), points[..10]);
    }
}

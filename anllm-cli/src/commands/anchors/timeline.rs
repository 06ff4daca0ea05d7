//! Timelines of caches as a picture: entries held against tokens seen, and what a full cache would hold.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::json;

use super::super::aside;
use super::super::trace::{self, Part, Row};
use crate::args::AnchorsArgs;
use crate::output::{Output, bytes};

const SIZE: (u32, u32) = (900, 480);
const INK: RGBColor = RGBColor(31, 41, 51);
const DIM: RGBColor = RGBColor(107, 119, 133);
const GRID: RGBColor = RGBColor(228, 231, 235);
/// One for each timeline, in turn.
const LINES: [RGBColor; 4] =
    [RGBColor(61, 111, 180), RGBColor(224, 138, 44), RGBColor(47, 133, 90), RGBColor(151, 71, 160)];

/// A timeline and what to call it.
struct Traced {
    name: String,
    rows: Vec<Row>,
}

/// `anllm anchors --trace`: the last step of each timeline, and their picture.
pub(super) fn run(args: &AnchorsArgs, output: &Output) -> anyhow::Result<()> {
    let traced: Vec<Traced> = args.trace.iter().map(|file| named(file, args.trace.len())).collect::<Result<_, _>>()?;
    if let Some(file) = args.svg.as_deref() {
        aside::write(file, &picture(&traced)?)?;
        output.note(&format!("wrote {}", file.display()));
    }
    for Traced { name, rows } in &traced {
        // As the cache counts it: with the entry of the token that then drops others.
        let peak = rows.iter().map(|row| row.held + row.dropped.len()).max().unwrap_or(0);
        let anchors = rows.iter().filter(|row| row.anchor).count();
        // Files without a step are refused where they are read.
        let Some(last) = rows.last() else { continue };
        if output.is_json() {
            output.json(&json!({
                "trace": name, "policy": last.policy, "tokens": rows.len(), "anchors": anchors, "kept": last.held,
                "peak": peak, "bytes": last.bytes, "full_bytes": last.full_bytes,
            }))?;
        } else {
            output.text(&format!(
                "{name}: {} tokens, {anchors} anchors; {} entries kept, peak {peak}, {} of {}\n",
                rows.len(),
                last.held,
                bytes(last.bytes),
                bytes(last.full_bytes)
            ))?;
        }
    }
    Ok(())
}

fn named(file: &Path, files: usize) -> anyhow::Result<Traced> {
    let rows = trace::read(file)?;
    let policy = rows.first().map_or_else(String::new, |row| row.policy.clone());
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Traced { name: if files > 1 { format!("{stem} ({policy})") } else { policy }, rows })
}

fn picture(traced: &[Traced]) -> anyhow::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    // Drawing into a string has nothing that fails; a failure would be a mistake here.
    draw(&area, traced).map_err(|e| anyhow::anyhow!("the timeline cannot be drawn: {e}"))?;
    drop(area);
    Ok(svg)
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, traced: &[Traced]) -> Drawn {
    let text = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
    area.fill(&WHITE)?;
    let tokens = traced.iter().map(|t| t.rows.len()).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption("Cache entries held while tokens come", text(20, &INK))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0..tokens, 0..tokens + tokens / 20 + 1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(DIM)
        .label_style(text(14, &INK))
        .axis_desc_style(text(15, &INK))
        .x_desc("tokens seen")
        .y_desc("entries held")
        .draw()?;

    let full = |x| (x, x);
    chart
        .draw_series(LineSeries::new([full(0), full(tokens)], DIM.stroke_width(1)))?
        .label("full cache")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], DIM.stroke_width(1)));
    for (Traced { name, rows }, colour) in traced.iter().zip(LINES.iter().cycle()) {
        // A token's own entry is there before it drops others: the line rises to it and falls.
        let points = rows.iter().flat_map(|row| {
            let before = row.held + row.dropped.len();
            [(row.step + 1, before), (row.step + 1, row.held)]
        });
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(std::iter::once((0, 0)).chain(points), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    if let [Traced { rows, .. }] = traced {
        let prompt = rows.iter().filter(|row| row.part == Part::Prompt).count();
        let end = [(prompt, 0), (prompt, tokens + tokens / 20 + 1)];
        chart
            .draw_series([PathElement::new(end, GRID.stroke_width(2))])?
            .label("end of the prompt")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], GRID.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .label_font(text(15, &INK))
        .draw()?;
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(held: &[usize]) -> Vec<Row> {
        let row = |(step, &held): (usize, &usize)| Row {
            step,
            id: 0,
            text: "a".to_owned(),
            part: if step < 2 { Part::Prompt } else { Part::Generated },
            anchor: false,
            segment: 0,
            held,
            dropped: Vec::new(),
            bytes: held,
            full_bytes: step + 1,
            policy: "anchor".to_owned(),
        };
        held.iter().enumerate().map(row).collect()
    }

    #[test]
    fn the_picture_names_axes_and_lines() {
        let traced = [Traced { name: "<anchor>".to_owned(), rows: rows(&[1, 2, 1, 2]) }];
        let svg = picture(&traced).unwrap();
        for part in
            ["<svg", "tokens seen", "entries held", "full cache", "&lt;anchor&gt;", "end of the prompt", "</svg>"]
        {
            assert!(svg.contains(part), "no {part}: {svg}");
        }
    }
}

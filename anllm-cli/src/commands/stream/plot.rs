//! A stream as a picture: perplexity by position, and below it what the cache held.

use anllm_eval::StreamPerplexity;
use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 460);
const INK: RGBColor = RGBColor(31, 41, 51);
const DIM: RGBColor = RGBColor(107, 119, 133);
const GRID: RGBColor = RGBColor(228, 231, 235);
const PERPLEXITY: RGBColor = RGBColor(61, 111, 180);
const ENTRIES: RGBColor = RGBColor(224, 138, 44);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The picture, as SVG.
pub(super) fn picture(result: &StreamPerplexity) -> anyhow::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    // Drawing into a string has nothing that fails; a failure would be a mistake here.
    draw(&area, result).map_err(|e| anyhow::anyhow!("the stream cannot be drawn: {e}"))?;
    drop(area);
    Ok(svg)
}

fn draw(area: &Area<'_>, result: &StreamPerplexity) -> Drawn {
    area.fill(&WHITE)?;
    let area = area.margin(8, 8, 8, 16);
    let title = format!("{} tokens under {}", result.kv.seen, result.kv.policy);
    let area = area.titled(&title, ("sans-serif", 18).into_font().color(&INK))?;
    let (above, below) = area.split_vertically(230);
    let rows = &result.by_position;
    let perplexity = rows.iter().filter_map(|row| row.loss.ppl.map(|ppl| (row.to as f64, ppl)));
    panel(&above, "perplexity", PERPLEXITY, perplexity.collect())?;
    panel(&below, "entries held", ENTRIES, rows.iter().map(|row| (row.to as f64, row.entries as f64)).collect())?;
    area.present()
}

/// One line over positions, from 0 on both axes.
fn panel(area: &Area<'_>, name: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Drawn {
    let text = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
    let end = points.iter().map(|(x, _)| *x).fold(1.0, f64::max);
    let highest = points.iter().map(|(_, y)| *y).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(4)
        .x_label_area_size(34)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..end, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_labels(5)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(DIM)
        .label_style(text(12, &INK))
        .axis_desc_style(text(13, &INK))
        .x_desc("position, in tokens")
        .y_desc(name)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anllm_core::CacheStats;
    use anllm_eval::{Bucket, Loss, Quality};

    #[test]
    fn both_lines_are_drawn_and_the_policy_is_named() {
        let row = |from: usize, ppl| Bucket {
            from,
            to: from + 10,
            loss: Loss { tokens: 10, nll: ppl, ppl },
            entries: 7,
            allocated_bytes: 64,
        };
        let kv = CacheStats { policy: "sink:4+4".to_owned(), seen: 30, kept: 7, peak: 8, bytes: 56, full_bytes: 240 };
        let result = StreamPerplexity {
            quality: Quality { ppl: 5.0, nll: 1.6, tokens: 29, bits_per_byte: 1.0 },
            anchors: 3,
            kv_reduction: 0.7,
            kv,
            allocated_bytes: 64,
            by_position: vec![row(0, Some(6.0)), row(10, None), row(20, Some(5.0))],
            by_distance: Vec::new(),
        };
        let svg = picture(&result).unwrap();
        for part in ["30 tokens under sink:4+4", "perplexity", "entries held", "#3D6FB4", "#E08A2C"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}

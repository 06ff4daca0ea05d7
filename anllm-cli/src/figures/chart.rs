//! Lines and points over two axes.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{DIM, GRID, INK, WIDTH, colour, escape, legend, open, short, text};

/// How values stand on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As they are.
    Linear,
    /// Each doubling as long as the other; values must be positive.
    Doubling,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Doubling => value.max(f64::MIN_POSITIVE).log2(),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Doubling => place.exp2(),
        }
    }
}

/// An axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis<'a> {
    pub(crate) name: &'a str,
    pub(crate) scale: Scale,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A line: many values.
    Line,
    /// A line with its points: few values.
    Both,
}

/// Values under one name.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) mark: Mark,
}

/// Series over the same axes.
#[derive(Debug, Clone)]
pub(crate) struct Chart<'a> {
    pub(crate) title: String,
    pub(crate) x: Axis<'a>,
    pub(crate) y: Axis<'a>,
    pub(crate) series: Vec<Series>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

const HEIGHT: u32 = 260;

impl Chart<'_> {
    /// The picture. Points that are no numbers are left out.
    pub(crate) fn svg(&self) -> anyhow::Result<String> {
        let mut plot = String::new();
        let area = SVGBackend::with_string(&mut plot, (WIDTH, HEIGHT)).into_drawing_area();
        // Drawing into a string has nothing that fails; a failure would be a mistake here.
        self.draw(&area).map_err(|e| anyhow::anyhow!("{}: the chart cannot be drawn: {e}", self.title))?;
        drop(area);
        let names: Vec<(&str, &str)> =
            self.series.iter().enumerate().map(|(number, series)| (series.name.as_str(), colour(number))).collect();
        let (key, head) = legend(&names, 24.0);
        let about = format!("{}: {} by {}", self.title, self.y.name, self.x.name);
        let mut svg = open(24.0 + head + f64::from(HEIGHT), &about);
        svg.push_str(&format!("<title>{}</title>\n", escape(&self.title)));
        svg.push_str(&text(12.0, 17.0, 14.0, "start", INK, &self.title));
        svg.push_str(&key);
        // The plot's own frame goes; what is inside it moves below the legend.
        let inside = plot.find('>').map_or("", |end| &plot[end + 1..]).trim_end().trim_end_matches("</svg>");
        svg.push_str(&format!("<g transform=\"translate(0 {:.0})\">\n{}\n</g>\n</svg>\n", 24.0 + head, inside.trim()));
        Ok(svg)
    }

    fn places(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.series.iter().flat_map(|series| self.points(series))
    }

    fn points<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = (f64, f64)> + 'a {
        let place = |&(x, y): &(f64, f64)| (self.x.scale.place(x), self.y.scale.place(y));
        series.points.iter().map(place).filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let across = range(self.places().map(|(x, _)| x), 0.02);
        let up = range(self.places().map(|(_, y)| y), 0.08);
        // Over a few doublings only whole ones have a number.
        let many = up.end - up.start > 2.5;
        let label = |size: i32| ("sans-serif", size).into_font().color(&rgb(INK));
        let mut chart = ChartBuilder::on(area)
            .margin(4)
            .margin_right(14)
            .x_label_area_size(38)
            .y_label_area_size(54)
            .build_cartesian_2d(across, up)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(6)
            .y_labels(6)
            .bold_line_style(rgb(GRID))
            .light_line_style(TRANSPARENT)
            .axis_style(rgb(DIM))
            .label_style(label(15))
            .axis_desc_style(label(15))
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .x_label_formatter(&|place| written(self.x.scale, *place))
            .y_label_formatter(&|place| match many {
                true => written(self.y.scale, *place),
                false => short(self.y.scale.value(*place)),
            })
            .draw()?;
        for (number, series) in self.series.iter().enumerate() {
            let colour = rgb(colour(number));
            chart.draw_series(LineSeries::new(self.points(series), colour.stroke_width(2)))?;
            if series.mark == Mark::Both {
                chart.draw_series(self.points(series).map(|point| Circle::new(point, 4, colour.filled())))?;
            }
        }
        area.present()
    }
}

/// The label of a place on the x axis. Where each doubling has a label, places between them have none.
fn written(scale: Scale, place: f64) -> String {
    match scale {
        Scale::Doubling if (place - place.round()).abs() > 1e-6 => String::new(),
        _ => short(scale.value(place)),
    }
}

/// From the least value to the greatest, with a margin.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    // One value alone has a range too.
    let span = if high > low { high - low } else { low.abs().max(1.0) };
    low - margin * span..high + margin * span
}

/// A colour as plotters has it.
fn rgb(colour: &str) -> RGBColor {
    let channel = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    RGBColor(channel(1), channel(3), channel(5))
}

#[cfg(test)]
mod tests {
    use super::super::COLOURS;
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart<'static> {
        Chart {
            title: "losses <of> a run".to_owned(),
            x: Axis { name: "window", scale: Scale::Doubling },
            y: Axis { name: "perplexity", scale: Scale::Linear },
            series: vec![
                Series { name: "full".to_owned(), points: points.clone(), mark: Mark::Both },
                Series { name: "anchor".to_owned(), points, mark: Mark::Line },
            ],
        }
    }

    #[test]
    fn series_have_names_and_colours() {
        let svg = chart(vec![(256.0, 30.0), (512.0, 25.0), (1024.0, 24.0)]).svg().unwrap();
        for part in [">full</text>", ">anchor</text>", COLOURS[0], COLOURS[1], "losses &lt;of&gt; a run", "perplexity"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3, "the line has no points");
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
    }

    #[test]
    fn what_is_no_number_or_alone_is_no_failure() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(1.0, f64::NAN), (0.0, 1.0), (2.0, f64::INFINITY)]] {
            assert!(chart(points).svg().unwrap().ends_with("</svg>\n"));
        }
    }
}

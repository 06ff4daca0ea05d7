//! Horizontal bars: names are read on a phone too.

use super::{DIM, INK, WIDTH, colour, escape, legend, open, text, width};

/// A bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// Which of the series it is of.
    pub(crate) series: usize,
    pub(crate) value: f64,
    /// The value as it is written.
    pub(crate) shown: String,
}

/// Groups of bars, one below the other.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) title: String,
    /// Names of the series.
    pub(crate) series: Vec<String>,
    /// Each group's name and bars.
    pub(crate) groups: Vec<(String, Vec<Bar>)>,
    /// Where bars end, if not at the greatest value.
    pub(crate) most: Option<f64>,
}

const SIZE: f64 = 12.0;
const BAR: f64 = 15.0;

impl Bars {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let names: Vec<(&str, &str)> =
            self.series.iter().enumerate().map(|(number, name)| (name.as_str(), colour(number))).collect();
        let (key, head) = if names.len() > 1 { legend(&names, 24.0) } else { (String::new(), 4.0) };
        let all = || self.groups.iter().flat_map(|(_, bars)| bars);
        let most = self.most.unwrap_or_else(|| all().map(|bar| bar.value).fold(0.0, f64::max)).max(f64::MIN_POSITIVE);
        let label = self.groups.iter().map(|(name, _)| width(name, SIZE)).fold(0.0, f64::max).min(190.0) + 20.0;
        let value = all().map(|bar| width(&bar.shown, SIZE)).fold(0.0, f64::max) + 12.0;
        let room = f64::from(WIDTH) - label - value - 8.0;
        let mut body = String::new();
        let mut y = 24.0 + head;
        for (name, bars) in &self.groups {
            let height = BAR * bars.len() as f64;
            body.push_str(&text(label - 8.0, y + height / 2.0 + 4.0, SIZE, "end", INK, name));
            for bar in bars {
                let share = (bar.value / most).clamp(0.0, 1.0);
                let long = if share.is_nan() { 0.0 } else { room * share };
                body.push_str(&format!(
                    "<rect x=\"{label:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{}\"/>\n",
                    y + 1.5,
                    long.max(1.0),
                    BAR - 3.0,
                    colour(bar.series)
                ));
                body.push_str(&text(label + long.max(1.0) + 5.0, y + BAR - 3.5, SIZE, "start", INK, &bar.shown));
                y += BAR;
            }
            y += 9.0;
        }
        let mut svg = open(y + 4.0, &self.title);
        svg.push_str(&format!("<title>{}</title>\n", escape(&self.title)));
        svg.push_str(&text(12.0, 17.0, 14.0, "start", INK, &self.title));
        svg.push_str(&key);
        svg.push_str(&format!(
            "<line x1=\"{label:.1}\" y1=\"{:.1}\" x2=\"{label:.1}\" y2=\"{:.1}\" stroke=\"{DIM}\"/>\n",
            20.0 + head,
            y - 4.0
        ));
        svg.push_str(&body);
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_bar_takes_the_room() {
        let bar = |series, value: f64| Bar { series, value, shown: format!("{value}×") };
        let bars = Bars {
            title: "speed-up".to_owned(),
            series: vec!["no cache".to_owned(), "full cache".to_owned()],
            groups: vec![("piqa & co".to_owned(), vec![bar(0, 4.0), bar(1, 1.0)])],
            most: None,
        };
        let svg = bars.svg();
        let wide: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect") && line.contains("height=\"12.0\""))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((wide[0] / wide[1] - 4.0).abs() < 0.01, "{svg}");
        assert!(svg.contains("piqa &amp; co") && svg.contains("4×") && svg.contains("full cache"), "{svg}");
    }
}

//! Tables that read well on a terminal and in a document.

/// Which side a column's cells stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A Markdown table whose columns are as wide as their widest cell.
pub(crate) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([columns[column].0.chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).zip(columns).map(|((cell, width), (_, side))| {
            let room = " ".repeat(width - cell.chars().count());
            match side {
                Side::Left => format!("{cell}{room}"),
                Side::Right => format!("{room}{cell}"),
            }
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = columns.iter().zip(&widths).map(|((_, side), width)| match side {
        Side::Left => format!("|{}", "-".repeat(width + 2)),
        Side::Right => format!("|{}:", "-".repeat(width + 1)),
    });
    let mut text = line(columns.iter().map(|(name, _)| *name).collect());
    text.push_str(&format!("{}|\n", rule.collect::<String>()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1.5".to_owned()], vec!["long".to_owned(), "10.25".to_owned()]];
        let text = table(&[("Task", Side::Left), ("T⇑", Side::Right)], &rows);
        assert_eq!(text, "| Task |    T⇑ |\n|------|------:|\n| a    |   1.5 |\n| long | 10.25 |\n");
    }
}

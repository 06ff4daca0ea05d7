//! What the user types, or a file says: a message a line. A `\` at the end of a line goes on with the next, and so does
//! everything between two lines of `"""`.

/// Opens and closes a block of lines.
const BLOCK: &str = "\"\"\"";

/// Whether `text`, one line or several, is all of a message.
pub(super) fn is_complete(text: &str) -> bool {
    match text.trim_start().strip_prefix(BLOCK) {
        Some(inside) => inside.trim_end().ends_with(BLOCK),
        None => !text.ends_with('\\'),
    }
}

/// The message that complete lines mean. A block that the end of the file closes is taken as it is.
pub(super) fn message(text: &str) -> String {
    match text.trim_start().strip_prefix(BLOCK) {
        Some(inside) => {
            let inside = inside.trim_end();
            inside.strip_suffix(BLOCK).unwrap_or(inside).trim_matches('\n').to_owned()
        }
        None => text.replace("\\\n", "\n").trim_end_matches('\\').trim().to_owned(),
    }
}

/// The messages in the lines of a file.
pub(super) fn messages(
    lines: impl IntoIterator<Item = std::io::Result<String>>,
) -> Messages<impl Iterator<Item = std::io::Result<String>>> {
    Messages(lines.into_iter())
}

/// An iterator over messages, which reads no further than it must.
pub(super) struct Messages<I>(I);

impl<I: Iterator<Item = std::io::Result<String>>> Iterator for Messages<I> {
    type Item = std::io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = match self.0.next()? {
            Ok(line) => line,
            Err(e) => return Some(Err(e)),
        };
        while !is_complete(&text) {
            match self.0.next() {
                Some(Ok(line)) => {
                    text.push('\n');
                    text.push_str(&line);
                }
                Some(Err(e)) => return Some(Err(e)),
                None => break,
            }
        }
        Some(Ok(message(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        messages(text.lines().map(|line| Ok(line.to_owned()))).map(Result::unwrap).collect()
    }

    #[test]
    fn a_message_is_a_line_or_goes_on_over_several() {
        assert_eq!(read("one\n two \nthree\\\nfour\n"), ["one", "two", "three\nfour"]);
        assert_eq!(read("\"\"\"\na\n\n  b\\\n\"\"\"\nc"), ["a\n\n  b\\", "c"]);
        assert_eq!(read("\"\"\"one\"\"\"\ntwo"), ["one", "two"]);
    }

    #[test]
    fn the_end_of_the_file_ends_a_message() {
        assert_eq!(read("\"\"\"\nopen"), ["open"]);
        assert_eq!(read("open\\"), ["open"]);
    }
}

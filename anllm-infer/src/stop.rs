//! Stop strings in a stream of text: what might still become one is held back, and nothing of one is shown.

/// Watches a stream for any of several strings.
#[derive(Debug, Clone, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// Whether the stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// A stop string came.
    Yes,
    /// None so far.
    No,
}

impl StopMatcher {
    /// Watches for `stops`; empty strings are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        Self { stops: stops.into_iter().filter(|s| !s.is_empty()).collect(), held: String::new() }
    }

    /// Takes the next text; returns what may be shown. After [`Stopped::Yes`] the stream is over.
    pub fn push(&mut self, text: &str) -> (String, Stopped) {
        self.held.push_str(text);
        if let Some((_, start)) = first_complete(&self.held, &self.stops) {
            self.held.truncate(start);
            return (std::mem::take(&mut self.held), Stopped::Yes);
        }
        let keep = self.stops.iter().map(|stop| partial(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), Stopped::No)
    }

    /// The text still held back when the stream ends without a stop.
    pub fn finish(self) -> String {
        self.held
    }
}

/// End and start of the stop that is complete first, and of those the longest: then it makes no difference how the
/// text was cut into pieces.
fn first_complete(text: &str, stops: &[String]) -> Option<(usize, usize)> {
    let found = stops.iter().filter_map(|stop| text.find(stop.as_str()).map(|start| (start + stop.len(), start)));
    found.min()
}

/// Length of the longest end of `text` that begins `stop` without being all of it.
fn partial(text: &str, stop: &str) -> usize {
    let starts = text.char_indices().map(|(at, _)| text.len() - at).filter(|len| *len < stop.len());
    starts.into_iter().find(|len| stop.starts_with(&text[text.len() - len..])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn holds_back_what_may_become_a_stop() {
        let mut stop = StopMatcher::new(["\nUser:".to_owned()]);
        assert_eq!(stop.push("Hi\nUs"), ("Hi".to_owned(), Stopped::No));
        assert_eq!(stop.push("age"), ("\nUsage".to_owned(), Stopped::No));
        assert_eq!(stop.push("\nUser: x"), (String::new(), Stopped::Yes));
    }

    #[test]
    fn the_end_releases_what_was_held() {
        let mut stop = StopMatcher::new(["END".to_owned()]);
        assert_eq!(stop.push("the EN").0, "the ");
        assert_eq!(stop.finish(), "EN");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_text_is_shown(
            pieces in prop::collection::vec("[abé]{0,4}", 0..12),
            stops in prop::collection::vec("[abé]{1,4}", 0..3),
        ) {
            let whole: String = pieces.concat();
            let expected = first_complete(&whole, &stops).map_or(&whole[..], |(_, start)| &whole[..start]);
            let mut stop = StopMatcher::new(stops.clone());
            let mut shown = String::new();
            let mut stopped = Stopped::No;
            for piece in &pieces {
                let (text, now) = stop.push(piece);
                shown.push_str(&text);
                stopped = now;
                if stopped == Stopped::Yes {
                    break;
                }
            }
            if stopped == Stopped::No {
                shown.push_str(&stop.finish());
            }
            prop_assert_eq!(&shown[..], expected);
        }
    }
}

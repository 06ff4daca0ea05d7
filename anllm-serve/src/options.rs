//! How the server behaves.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anllm_infer::Limits;

/// How the server behaves. The defaults are those of the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who may ask; everybody where there is no key.
    pub keys: ApiKeys,
    /// Web pages of these origins may ask from within browsers; `*` is all. None, without one.
    pub cors: Vec<String>,
    /// What the engine does at once.
    pub batch: Limits,
    /// Continuations that wait beside those that run; who comes then is sent away.
    pub queue: usize,
    /// The longest prompt, in tokens; without it the model's context.
    pub prompt_tokens: Option<usize>,
    /// The most tokens of an answer, and of one to a chat that does not say how many.
    pub new_tokens: usize,
    /// The longest body of a request, in bytes.
    pub body_bytes: usize,
    /// How long a request's body may take to arrive.
    pub body_time: Duration,
    /// How long a request's head may take to arrive, and a connection may do nothing.
    pub head_time: Duration,
    /// How long a client may take none of what is written to it.
    pub write_time: Duration,
    /// How long a request may take.
    pub request_time: Duration,
    /// How long requests that run may go on when the server is told to stop.
    pub grace: Duration,
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Whether prompts and answers are part of the log.
    pub log: LogText,
}

/// What the log has of prompts and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogText {
    /// Nothing.
    #[default]
    Nothing,
    /// Their text.
    Everything,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            keys: ApiKeys::default(),
            cors: Vec::new(),
            batch: Limits { cache_bytes: 2 << 30, prefix_bytes: 256 << 20, ..Limits::default() },
            queue: 128,
            prompt_tokens: None,
            new_tokens: 1024,
            body_bytes: 4 << 20,
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            request_time: Duration::from_secs(600),
            grace: Duration::from_secs(30),
            connections: 1024,
            log: LogText::Nothing,
        }
    }
}

/// Keys that clients show. Only their hashes are held, and comparing hashes takes the same time whatever they are.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<blake3::Hash>);

impl ApiKeys {
    /// One key a line; empty lines, and those that begin with `#`, are none.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(|key| blake3::hash(key.as_bytes())).collect())
    }

    /// Whether there is no key, so that everybody may ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` is one of them. All of them are looked at.
    pub(crate) fn has(&self, key: &str) -> bool {
        let shown = blake3::hash(key.as_bytes());
        // The equality of hashes takes constant time.
        self.0.iter().fold(false, |found, known| found | (*known == shown))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines() {
        let keys = ApiKeys::parse("# ours\n  one  \n\ntwo\n");
        assert!(keys.has("one") && keys.has("two"));
        assert!(!keys.has("") && !keys.has("# ours") && !keys.has("one "));
        assert!(ApiKeys::parse("\n# nothing\n").is_empty());
        assert_eq!(format!("{keys:?}"), "2 keys");
    }
}

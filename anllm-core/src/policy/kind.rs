//! Policies by name, as the command line, configuration files and reports write them.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use super::{
    AnchorPolicy, ExtendedAnchorPolicy, FullPolicy, KeptSpan, Policy, Positions, RandomPolicy, SepLlmPolicy,
    SinkPolicy, WindowPolicy,
};

/// A policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PolicyKind {
    /// `full`: causal attention, everything kept.
    #[default]
    Full,
    /// `anchor`: the anchor mask; anchors and the open segment kept.
    Anchor,
    /// `anchor:recent=R,keep=A..B,last=M,renumber`, any of them: the anchor mask and more.
    Extended(ExtendedAnchorPolicy),
    /// `window:N`: the last N tokens.
    Window(WindowPolicy),
    /// `sink:S+N`: the first S tokens and the last N, renumbered.
    Sink(SinkPolicy),
    /// `sepllm:S+N` or `sepllm:S+N,renumber`: the first S tokens, all separators and the last N.
    SepLlm(SepLlmPolicy),
    /// `random:N` or `random:N,seed=S`: N tokens drawn at random, and the open segment.
    Random {
        /// How many.
        entries: NonZeroUsize,
        /// Which draw.
        seed: u64,
    },
}

impl PolicyKind {
    /// What can be written, for help texts and messages.
    pub const GRAMMAR: &'static str = "full, anchor[:recent=R,keep=A..B,last=M,renumber], window:N, sink:S+N, \
                                       sepllm:S+N[,renumber], random:N[,seed=S]";

    /// The policy itself.
    pub fn policy(self) -> Policy {
        match self {
            Self::Full => FullPolicy.into(),
            Self::Anchor => AnchorPolicy.into(),
            Self::Extended(policy) => policy.into(),
            Self::Window(policy) => policy.into(),
            Self::Sink(policy) => policy.into(),
            Self::SepLlm(policy) => policy.into(),
            Self::Random { entries, seed } => RandomPolicy::new(entries, seed).into(),
        }
    }

    /// Whether it matters which tokens are anchors.
    pub fn needs_anchors(self) -> bool {
        matches!(self, Self::Anchor | Self::Extended(_) | Self::SepLlm(_))
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.policy().name())
    }
}

/// Text that is not a cache policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No policy has the name.
    #[error("`{found}` is not a cache policy{}\n  known: {}", meant(.nearest), PolicyKind::GRAMMAR)]
    Unknown {
        /// What was written.
        found: String,
        /// A name that looks like it.
        nearest: Option<&'static str>,
    },
    /// The policy needs something that was not said.
    #[error("`{policy}` needs {needs}, such as `{example}`")]
    Missing {
        /// The policy.
        policy: &'static str,
        /// What it needs.
        needs: &'static str,
        /// How that is written.
        example: &'static str,
    },
    /// A value that the policy cannot take.
    #[error("`{policy}`: {what} must be {expected}, found `{found}`")]
    Value {
        /// The policy.
        policy: &'static str,
        /// Which value.
        what: &'static str,
        /// What it can be.
        expected: &'static str,
        /// What was written.
        found: String,
    },
    /// An option that the policy does not have.
    #[error("`{policy}` has no option `{found}` (it has {known})")]
    Option {
        /// The policy.
        policy: &'static str,
        /// What was written.
        found: String,
        /// What it has.
        known: &'static str,
    },
}

fn meant(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

impl FromStr for PolicyKind {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), Some(rest.trim())),
            None => (text.trim(), None),
        };
        match (name, rest) {
            ("full", None) => Ok(Self::Full),
            ("full", Some(rest)) => Err(option("full", rest, "none")),
            ("anchor", None) => Ok(Self::Anchor),
            ("anchor", Some(options)) => extended(options).map(Self::Extended),
            ("window", rest) => {
                let found = rest.ok_or(missing("window", "a number of tokens", "window:256"))?;
                let window = tokens("window", "the window", found)?;
                Ok(Self::Window(WindowPolicy { window }))
            }
            ("sink", rest) => {
                let rest = rest.ok_or(missing("sink", "sinks and a window", "sink:4+252"))?;
                let (sinks, window) = sinks_and_window("sink", rest)?;
                Ok(Self::Sink(SinkPolicy { sinks, window }))
            }
            ("sepllm", rest) => {
                let rest = rest.ok_or(missing("sepllm", "sinks and a window", "sepllm:4+64"))?;
                let mut parts = rest.split(',').map(str::trim);
                let (sinks, window) = sinks_and_window("sepllm", parts.next().unwrap_or_default())?;
                let mut positions = Positions::Original;
                for part in parts {
                    match part {
                        "renumber" => positions = Positions::Renumbered,
                        other => return Err(option("sepllm", other, "renumber")),
                    }
                }
                Ok(Self::SepLlm(SepLlmPolicy { sinks, window, positions }))
            }
            ("random", rest) => {
                let rest = rest.ok_or(missing("random", "a number of entries", "random:64"))?;
                let mut parts = rest.split(',').map(str::trim);
                let entries = tokens("random", "the number of entries", parts.next().unwrap_or_default())?;
                let mut seed = 0;
                for part in parts {
                    match part.split_once('=') {
                        Some(("seed", number)) => seed = whole("random", "the seed", number)?,
                        _ => return Err(option("random", part, "seed=S")),
                    }
                }
                Ok(Self::Random { entries, seed })
            }
            _ => Err(PolicyError::Unknown { found: text.to_owned(), nearest: nearest(name) }),
        }
    }
}

fn extended(options: &str) -> Result<ExtendedAnchorPolicy, PolicyError> {
    let mut policy = ExtendedAnchorPolicy::default();
    for part in options.split(',').map(str::trim) {
        match part.split_once('=') {
            None if part == "renumber" => policy.positions = Positions::Renumbered,
            Some(("recent", number)) => policy.recent = tokens("anchor", "recent", number)?.get(),
            Some(("keep", span)) => policy.kept = Some(kept(span)?),
            Some(("last", number)) => policy.last = Some(tokens("anchor", "last", number)?),
            _ => return Err(option("anchor", part, "recent=R, keep=A..B, last=M, renumber")),
        }
    }
    match (policy.kept, policy.last) {
        (Some(_), Some(last)) => Err(PolicyError::Value {
            policy: "anchor",
            what: "last",
            expected: "left out beside keep, since what is forgotten must be what came first",
            found: last.to_string(),
        }),
        _ => Ok(policy),
    }
}

fn kept(text: &str) -> Result<KeptSpan, PolicyError> {
    let bounds = text.split_once("..").and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)));
    match bounds {
        Some((start, end)) if start < end => Ok(KeptSpan { start, end }),
        _ => Err(PolicyError::Value {
            policy: "anchor",
            what: "keep",
            expected: "two positions A..B, counted from 0, A below B, B not kept any more",
            found: text.to_owned(),
        }),
    }
}

/// `S+N`.
fn sinks_and_window(policy: &'static str, text: &str) -> Result<(usize, NonZeroUsize), PolicyError> {
    let Some((sinks, window)) = text.split_once('+') else {
        return Err(PolicyError::Value {
            policy,
            what: "what it keeps",
            expected: "two numbers of tokens S+N, the first S and the last N",
            found: text.to_owned(),
        });
    };
    Ok((whole(policy, "the number of sinks", sinks)?, tokens(policy, "the window", window)?))
}

fn tokens(policy: &'static str, what: &'static str, text: &str) -> Result<NonZeroUsize, PolicyError> {
    let expected = "a whole number, 1 or more";
    text.trim().parse().map_err(|_| PolicyError::Value { policy, what, expected, found: text.to_owned() })
}

fn whole<N: FromStr>(policy: &'static str, what: &'static str, text: &str) -> Result<N, PolicyError> {
    let expected = "a whole number";
    text.trim().parse().map_err(|_| PolicyError::Value { policy, what, expected, found: text.to_owned() })
}

fn missing(policy: &'static str, needs: &'static str, example: &'static str) -> PolicyError {
    PolicyError::Missing { policy, needs, example }
}

fn option(policy: &'static str, found: &str, known: &'static str) -> PolicyError {
    PolicyError::Option { policy, found: found.to_owned(), known }
}

/// The known name that takes the fewest changes, where those are few.
fn nearest(found: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = ["full", "anchor", "window", "sink", "sepllm", "random"];
    let named = NAMES.iter().map(|name| (changes(found, name), *name));
    named.filter(|(changes, name)| *changes <= name.len() / 2).min().map(|(_, name)| name)
}

/// How many letters must be put in, taken out or replaced (Levenshtein 1966).
fn changes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "full",
            "anchor",
            "anchor:recent=2",
            "anchor:recent=1,keep=3..17,renumber",
            "anchor:recent=1,last=8,renumber",
            "window:256",
            "sink:4+252",
            "sink:0+1",
            "sepllm:4+64",
            "sepllm:4+64,renumber",
            "random:64",
            "random:64,seed=7",
        ] {
            assert_eq!(text.parse::<PolicyKind>().unwrap().to_string(), text);
        }
        assert_eq!(" window: 8 ".parse::<PolicyKind>().unwrap().to_string(), "window:8");
    }

    #[test]
    fn what_makes_no_policy_is_refused_with_the_reason() {
        for (text, expected) in [
            ("anchors", "did you mean `anchor`?"),
            ("sinks:4+64", "did you mean `sink`?"),
            ("quantum", "known: full, anchor"),
            ("", "known: full"),
            ("window", "needs a number of tokens, such as `window:256`"),
            ("window:0", "the window must be a whole number, 1 or more, found `0`"),
            ("window:-3", "found `-3`"),
            ("window:x", "found `x`"),
            ("sink:4", "two numbers of tokens S+N"),
            ("sink:4+0", "the window must be a whole number, 1 or more, found `0`"),
            ("sink:+4", "the number of sinks must be"),
            ("sink", "needs sinks and a window"),
            ("sepllm:1+2,renumbered", "`sepllm` has no option `renumbered` (it has renumber)"),
            ("random:0", "the number of entries must be"),
            ("random:8,seed=x", "the seed must be"),
            ("random:8,dice=6", "`random` has no option `dice=6`"),
            ("full:8", "`full` has no option `8`"),
            ("anchor:recent=0", "recent must be a whole number, 1 or more"),
            ("anchor:keep=5..5", "keep must be two positions A..B"),
            ("anchor:keep=5", "keep must be"),
            ("anchor:", "`anchor` has no option ``"),
            ("anchor:window=3", "it has recent=R, keep=A..B, last=M, renumber"),
            ("anchor:last=0", "last must be a whole number, 1 or more"),
            ("anchor:last=4,keep=0..4", "last must be left out beside keep"),
        ] {
            let message = text.parse::<PolicyKind>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message:?}");
        }
    }
}

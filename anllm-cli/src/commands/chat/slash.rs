//! The commands that begin with `/`.

use std::path::PathBuf;

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slash {
    Help,
    /// Shows the system message, sets it, or removes it (an empty one).
    System(Option<String>),
    Reset,
    Cache,
    Anchors,
    Save(PathBuf),
    Load(PathBuf),
    Seed(u64),
    Temperature(f32),
    Quit,
}

/// Names, what they take, and what they do.
pub(super) const ALL: [(&str, &str, &str); 10] = [
    ("/help", "", "this list"),
    ("/system", "[TEXT|-]", "show the system message, set it, or remove it"),
    ("/reset", "", "begin a new conversation under the same system message"),
    ("/cache", "", "what the cache holds of the conversation"),
    ("/anchors", "", "the conversation with its segments and anchors"),
    ("/save", "FILE", "keep the conversation in a file"),
    ("/load", "FILE", "go on with a conversation that was kept"),
    ("/seed", "N", "seed of the next answers' draws"),
    ("/temperature", "X", "0 takes the best token, more is bolder"),
    ("/quit", "", "end (or Ctrl-D)"),
];

impl Slash {
    /// The command in `line`; `None` where it begins with none. `//` begins a message that begins with `/`.
    ///
    /// # Errors
    /// When the command is unknown, or what follows it does not fit.
    pub(super) fn parse(line: &str) -> anyhow::Result<Option<Self>> {
        if !line.starts_with('/') || line.starts_with("//") {
            return Ok(None);
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let file = || match rest {
            "" => Err(anyhow::anyhow!("{name} needs the name of a file\n  hint: {name} talk.json")),
            file => Ok(PathBuf::from(file)),
        };
        let number =
            |e: &dyn std::fmt::Display| anyhow::anyhow!("{name} {rest}: {e}\n  hint: /help says what it takes");
        let command = match name {
            "/help" | "/?" => Self::Help,
            "/system" if rest.is_empty() => Self::System(None),
            "/system" if rest == "-" => Self::System(Some(String::new())),
            "/system" => Self::System(Some(rest.to_owned())),
            "/reset" => Self::Reset,
            "/cache" => Self::Cache,
            "/anchors" => Self::Anchors,
            "/save" => Self::Save(file()?),
            "/load" => Self::Load(file()?),
            "/seed" => Self::Seed(rest.parse().map_err(|e| number(&e))?),
            "/temperature" => Self::Temperature(rest.parse().map_err(|e| number(&e))?),
            "/quit" | "/exit" => Self::Quit,
            _ => anyhow::bail!(
                "there is no command {name}{}\n  hint: /help lists them; a message that begins with / begins with //",
                nearest(name)
            ),
        };
        Ok(Some(command))
    }
}

/// The list that `/help` shows.
pub(super) fn help() -> String {
    let mut text = String::new();
    for (name, takes, does) in ALL {
        text.push_str(&format!("  {:<22} {does}\n", format!("{name} {takes}")));
    }
    text + "  A \\ at the end of a line, or \"\"\" around several, makes one message of them. Ctrl-C stops an answer."
}

/// The command that was perhaps meant: one that begins so.
fn nearest(name: &str) -> String {
    let begins = |known: &str| known.starts_with(name) || name.starts_with(known);
    let found = ALL.iter().find(|(known, ..)| name.len() > 1 && begins(known));
    found.map(|(known, ..)| format!(" (did you mean {known}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_messages_are_told_apart() {
        let parse = |line: &str| Slash::parse(line).unwrap();
        assert_eq!(parse("Hello /quit"), None);
        assert_eq!(parse("//quit is a command"), None);
        assert_eq!(parse("/quit"), Some(Slash::Quit));
        assert_eq!(parse("/system"), Some(Slash::System(None)));
        assert_eq!(parse("/system  Be brief. "), Some(Slash::System(Some("Be brief.".to_owned()))));
        assert_eq!(parse("/system -"), Some(Slash::System(Some(String::new()))));
        assert_eq!(parse("/save my talk.json"), Some(Slash::Save("my talk.json".into())));
        assert_eq!(parse("/temperature 0.5"), Some(Slash::Temperature(0.5)));
    }

    #[test]
    fn mistakes_are_answered_with_a_way_out() {
        for (line, part) in [
            ("/sys Hi", "did you mean /system?"),
            ("/etc/passwd", "begins with //"),
            ("/save", "/save needs the name of a file"),
            ("/seed one", "/seed one"),
            ("/temperature", "/help"),
        ] {
            let message = Slash::parse(line).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("hint: "), "{line}: {message}");
        }
    }

    #[test]
    fn help_knows_every_command() {
        for (name, takes, _) in ALL {
            let line = match takes {
                "N" | "X" => format!("{name} 1"),
                _ => format!("{name} a"),
            };
            assert!(Slash::parse(&line).unwrap().is_some(), "{line}");
            assert!(help().contains(name));
        }
    }
}

//! The tasks that come with the program.

use super::error::TaskError;
use super::file::Task;

const FILES: [(&str, &str); 8] = [
    ("openbookqa", include_str!("../../tasks/openbookqa.toml")),
    ("winogrande", include_str!("../../tasks/winogrande.toml")),
    ("arc_easy", include_str!("../../tasks/arc_easy.toml")),
    ("arc_challenge", include_str!("../../tasks/arc_challenge.toml")),
    ("piqa", include_str!("../../tasks/piqa.toml")),
    ("hellaswag", include_str!("../../tasks/hellaswag.toml")),
    ("sciq", include_str!("../../tasks/sciq.toml")),
    ("boolq", include_str!("../../tasks/boolq.toml")),
];

/// The names of the tasks that come with the program.
pub fn builtin_tasks() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

impl Task {
    /// A task of the program by its name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn builtin(name: &str) -> Result<Self, TaskError> {
        match FILES.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::from_toml(text, name),
            None => Err(TaskError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name),
                known: builtin_tasks().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

fn nearest(name: &str) -> Option<String> {
    let likeness = |known: &&str| strsim::jaro_winkler(&name.to_lowercase(), known);
    let best = builtin_tasks().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) > 0.7).then(|| best.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_task_under_its_own_name() {
        for name in builtin_tasks() {
            assert_eq!(Task::builtin(name).unwrap().name, name);
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_told_the_nearest_name() {
        let error = Task::builtin("arc-easy").unwrap_err().to_string();
        assert!(error.contains("did you mean `arc_easy`?") && error.contains("hellaswag"), "{error}");
        let error = Task::builtin("xyz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }
}

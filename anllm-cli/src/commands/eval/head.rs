//! What every measure's JSON begins with: what was measured, of which model, under which policy. Reports find rows by it.

use anllm_core::{AnchorRule, Policy};
use serde::Serialize;

use super::super::setup::Rules;
use crate::args::RunArgs;

/// The beginning of a row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Head {
    /// Which measure: `ppl`, `qa`, `kl`, …
    measure: &'static str,
    model: String,
    policy: String,
    /// Which tokens are anchors.
    rule: String,
}

impl Head {
    pub(crate) fn new(measure: &'static str, run: &RunArgs, rules: &Rules) -> Self {
        Self::of(measure, run, &rules.policy, rules.matcher.rule())
    }

    pub(crate) fn of(measure: &'static str, run: &RunArgs, policy: &Policy, rule: &AnchorRule) -> Self {
        let model = run.model.model.display().to_string();
        Self { measure, model, policy: policy.name(), rule: rule.to_string() }
    }

    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }

    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    /// A row that begins so.
    pub(crate) fn with<T>(self, found: T) -> Measured<T> {
        Measured { head: self, found }
    }
}

/// A row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured<T> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    pub(crate) found: T,
}

//! A run's configuration: a TOML file, with overrides from the command line.

mod error;
mod locate;
mod overrides;
mod run;
mod unknown;

pub use error::{At, Candidates, ConfigError};
pub use overrides::set;
pub use run::{
    Compute, DataSection, LogSection, LoraSection, MaskMode, ModelSection, SaveSection, TokenizerChoice, TrainConfig,
    TrainSection,
};
pub use unknown::{read, read_with};

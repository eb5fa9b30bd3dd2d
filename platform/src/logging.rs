//! Logs on standard error, for people or for machines.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::PlatformError;

/// What is never worth a line unless somebody asks for it: the kube client logs every failed call as an
/// error, which its callers report with what they were doing.
const QUIET: &str = "kube_client::client::builder=off";

/// How logs are written.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// How log lines are written
    #[arg(long, env = "PARALLAX_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, or directives such as info,parallax_hub=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "LEVEL", global = true)]
    pub log_level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets up logging for the whole process, once.
///
/// # Errors
/// When the filter is not valid, or logging is set up already.
pub fn init_logging(args: &LogArgs) -> Result<(), PlatformError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&args.log_level)?)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    }
    .map_err(|_| PlatformError::LoggingTwice)
}

fn filter(directives: &str) -> Result<EnvFilter, PlatformError> {
    let wrong = |why: String| PlatformError::LogLevel { filter: directives.to_owned(), why };
    // A word alone would be taken for the name of a module, and everything else be silent.
    let alone = directives.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    if let Some(word) =
        alone.filter(|part| !part.is_empty()).find(|part| part.parse::<LevelFilter>().is_err())
    {
        return Err(wrong(format!("{word:?} is no level")));
    }
    let whole = if directives.is_empty() { format!("info,{QUIET}") } else { format!("{QUIET},{directives}") };
    EnvFilter::try_new(whole).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_and_directives_are_understood() {
        for good in ["", "info", "warn,parallax_hub=debug", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_filter_that_is_none_is_named() {
        for wrong in ["parallax_hub=loud", "loud", "info,loud"] {
            let error = filter(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("use error, warn"), "{error}");
            assert!(!error.contains('\n'));
        }
    }
}

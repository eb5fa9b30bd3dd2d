//! Answers, on standard output.

use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::error::CliError;

/// In which form an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

/// Prints an answer in its form. `text` is asked for only where people read it.
pub fn answer(form: Form, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Form(error.to_string());
    match form {
        Form::Text => say(text().trim_end()),
        Form::Json => say(&serde_json::to_string_pretty(value).map_err(|error| failed(&error))?),
        Form::Yaml => say(serde_saphyr::to_string(value).map_err(|error| failed(&error))?.trim_end()),
    }
    Ok(())
}

/// One line, or more, of an answer. A reader that has seen enough (`| head`) is no error.
pub fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Columns without borders.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

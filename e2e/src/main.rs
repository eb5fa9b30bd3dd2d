//! The `fleet` tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    parallax_e2e::cli::main()
}

//! Calling cargo from a program that cargo itself runs.

use std::process::Command;

/// A `cargo` command with the environment that the user's own would have.
///
/// `cargo run` tells the program it starts about its package (`CARGO_PKG_NAME`, `CARGO_MANIFEST_DIR`, …). Passed on to
/// another cargo they count as changed inputs of every build script that reads them (`ring`'s does), and all that
/// depends on it would be compiled again, once in each direction.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_a_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether cargo sets a variable of this name for a program that it runs, as opposed to those by which a user
/// configures cargo (`CARGO_HOME`, `CARGO_TARGET_DIR`, …).
/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html>
fn is_of_a_package(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 4] = ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_of_a_package;

    #[test]
    fn what_the_user_set_is_passed_on() {
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_NET_OFFLINE", "PATH"] {
            assert!(!is_of_a_package(name), "{name}");
        }
    }

    #[test]
    fn what_cargo_says_of_the_running_package_is_not() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE", "CARGO_MANIFEST_DIR"] {
            assert!(is_of_a_package(name), "{name}");
        }
    }
}

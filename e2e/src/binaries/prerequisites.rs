//! What the machine must have, each said in one line where it is missing.

use std::process::{Command, Stdio};

use anyhow::bail;

/// The oldest Go that compiles `control-plane/go.mod`.
const GO: (u32, u32) = (1, 26);

/// Go is there and new enough.
///
/// # Errors
/// One line that says what to install.
pub fn check_go() -> anyhow::Result<()> {
    let Some(printed) = first_line("go", &["env", "GOVERSION"]) else {
        bail!(
            "Go {}.{} or newer is needed to build the control plane's programs: install it, or point KUBEBUILDER_ASSETS \
             at a directory that has them",
            GO.0,
            GO.1
        );
    };
    match parse_go_version(&printed) {
        Some(version) if version >= GO => Ok(()),
        _ => bail!("Go {}.{} or newer is needed, and this is {printed}: update Go", GO.0, GO.1),
    }
}

/// Cargo and a C compiler are there, with which the hub and the members are built.
///
/// # Errors
/// One line that says what to install.
pub fn check_rust() -> anyhow::Result<()> {
    if first_line("cargo", &["--version"]).is_none() {
        bail!(
            "Rust is needed to build the hub and the members: install Rust 1.95 or newer, with cargo on the PATH"
        );
    }
    if !["cc", "gcc", "clang"].iter().any(|compiler| first_line(compiler, &["--version"]).is_some()) {
        bail!("a C compiler is needed to build the hub and the members: install gcc or clang");
    }
    Ok(())
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

fn parse_go_version(printed: &str) -> Option<(u32, u32)> {
    let mut parts = printed.strip_prefix("go")?.split(['.', 'r', 'b', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_and_candidate_versions_of_go_are_understood() {
        assert_eq!(parse_go_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_go_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_go_version("devel"), None);
    }
}

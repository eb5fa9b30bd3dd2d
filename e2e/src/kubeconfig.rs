//! Kubeconfig files, one user each.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::pki::Credential;

/// How the file's user proves who it is.
pub enum Login<'a> {
    /// By a client certificate.
    Certificate(&'a Credential),
    /// By a service account's token.
    Token(&'a str),
}

/// Writes a kubeconfig that only its owner can read.
///
/// # Errors
/// The file can't be written.
pub fn write(path: &Path, cluster: &str, server: &str, ca: &str, login: &Login<'_>) -> anyhow::Result<()> {
    let user = match login {
        Login::Certificate(credential) => json!({
            "client-certificate-data": STANDARD.encode(&credential.certificate),
            "client-key-data": STANDARD.encode(&credential.key),
        }),
        Login::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{
            "name": cluster,
            "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(ca) },
        }],
        "users": [{ "name": cluster, "user": user }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": cluster } }],
    });
    let yaml = serde_saphyr::to_string(&config).context("writing a kubeconfig as YAML")?;
    write_private(path, &yaml)
}

/// Writes a file that only its owner can read, replacing what is there.
///
/// # Errors
/// The file can't be written.
pub fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

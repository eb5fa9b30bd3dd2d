//! The API server's audit log as a judge: who wrote what.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;

/// One finished mutating request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Who asked.
    pub user: AuditUser,
    /// The user agent of the client.
    #[serde(default)]
    pub user_agent: String,
    /// What it was about; absent where the URL was no object's.
    #[serde(default)]
    pub object_ref: AuditObject,
    /// The answer's status.
    #[serde(default)]
    pub response_status: AuditStatus,
    /// When the request was received.
    pub request_received_timestamp: Timestamp,
    /// With its query: `?dryRun=All` and `?fieldManager=` show here.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditUser {
    /// `admin`, `system:serviceaccount:parallax-system:parallax-hub`, …
    pub username: String,
}

/// What a request was about; absent fields are empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditObject {
    /// The resource's plural.
    pub resource: String,
    /// Its API group; empty for the core group.
    pub api_group: String,
    /// The namespace.
    pub namespace: String,
    /// The name; empty for a create.
    pub name: String,
    /// `status`, `scale`, …
    pub subresource: String,
}

/// The answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuditStatus {
    /// HTTP status code.
    pub code: u16,
}

impl AuditEvent {
    /// Whether something may have been written: the request succeeded, and was no dry run.
    pub fn is_write(&self) -> bool {
        (200..300).contains(&self.response_status.code) && !self.request_uri.contains("dryRun=All")
    }

    /// Whether the user is this service account of `parallax-system`.
    pub fn is_by_service_account(&self, account: &str) -> bool {
        let namespace = parallax_crds::labels::SYSTEM_NAMESPACE;
        self.user.username == format!("system:serviceaccount:{namespace}:{account}")
    }
}

/// The events of a log, oldest first. A last line that is still being written is left out.
///
/// # Errors
/// The file can't be read, or a whole line of it is no event.
pub fn read(path: &Path) -> anyhow::Result<Vec<AuditEvent>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<AuditEvent>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no audit event: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"x","stage":"ResponseComplete","requestURI":"/apis/parallax.io/v1alpha1/namespaces/a/parallaxagents/b/status?fieldManager=h","verb":"patch","user":{"username":"system:serviceaccount:parallax-system:parallax-hub","groups":[]},"sourceIPs":["127.0.0.1"],"userAgent":"h","objectRef":{"resource":"parallaxagents","namespace":"a","name":"b","apiGroup":"parallax.io","apiVersion":"v1alpha1","subresource":"status"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-23T05:40:00.123456Z","stageTimestamp":"2026-11-23T05:40:00.2Z"}"#;

    #[test]
    fn an_event_tells_who_wrote_what() {
        let events = parse(&format!("{LINE}\n")).unwrap();
        let event = &events[0];
        assert!(event.is_write() && event.is_by_service_account("parallax-hub"));
        assert_eq!(
            (event.object_ref.resource.as_str(), event.object_ref.subresource.as_str()),
            ("parallaxagents", "status")
        );
    }

    #[test]
    fn a_dry_run_and_a_refusal_are_no_writes() {
        let dry = LINE.replace("?fieldManager=h", "?dryRun=All");
        let refused = LINE.replace("\"code\":200", "\"code\":409");
        let events = parse(&format!("{dry}\n{refused}\n")).unwrap();
        assert!(events.iter().all(|event| !event.is_write()));
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_for_later() {
        assert_eq!(parse(&format!("{LINE}\n{}", &LINE[..40])).unwrap().len(), 1);
    }
}

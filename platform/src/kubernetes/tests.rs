#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

const GOOD: &str = r"
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t0psecret}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: n}}]
";

async fn with(kubeconfig: &str) -> Result<(Config, String), PlatformError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    fs::write(&path, kubeconfig).unwrap();
    let args = KubeArgs { kubeconfig: Some(path.display().to_string()) };
    client(&args).await?;
    config(&args, None).await
}

#[tokio::test]
async fn a_kubeconfig_is_used_as_it_says() {
    let (config, _) = with(GOOD).await.unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:1/");
    assert_eq!(config.default_namespace, "n");
}

#[tokio::test]
async fn another_context_is_used_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let other = "contexts: [{name: d, context: {cluster: c, user: u, namespace: other}}, ";
    fs::write(&path, GOOD.replace("contexts: [", other)).unwrap();
    let args = KubeArgs { kubeconfig: Some(path.display().to_string()) };
    let named = client_in(&args, Some("d")).await.unwrap();
    assert_eq!(named.default_namespace(), "other");
    assert_eq!(client_in(&args, None).await.unwrap().default_namespace(), "n");
    let error = client_in(&args, Some("nowhere")).await.err().unwrap().to_string();
    assert!(error.contains("nowhere") && error.contains("check --kubeconfig"), "{error}");
}

#[tokio::test]
async fn several_kubeconfigs_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::write(&one, GOOD.replace("users: [{name: u, user: {token: t0psecret}}]", "")).unwrap();
    fs::write(&two, "users: [{name: u, user: {token: t}}]").unwrap();
    let paths = std::env::join_paths([&one, &two]).unwrap().into_string().unwrap();
    config(&KubeArgs { kubeconfig: Some(paths) }, None).await.unwrap();
}

#[tokio::test]
async fn a_missing_kubeconfig_is_one_line_that_says_where_and_what_to_do() {
    let error = client(&KubeArgs { kubeconfig: Some("/nowhere/kubeconfig".into()) }).await.err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("/nowhere/kubeconfig") && text.contains("check --kubeconfig or KUBECONFIG"),
        "{text}"
    );
    assert_eq!(text.matches("/nowhere/kubeconfig").count(), 1);
}

#[tokio::test]
async fn a_broken_kubeconfig_is_one_line_without_its_credentials() {
    for (what, text) in [
        ("no YAML", GOOD.replace("kind: Config", "kind: [")),
        ("nothing", String::new()),
        ("not a kubeconfig", "just text with t0psecret".to_owned()),
        ("a context that isn't there", GOOD.replace("current-context: c", "current-context: other")),
        ("a user that isn't there", GOOD.replace("user: u,", "user: other,")),
        ("a user of another type", GOOD.replace("{token: t0psecret}", "[t0psecret]")),
        ("no server", GOOD.replace("server: 'https://127.0.0.1:1'", "")),
        ("a bad server", GOOD.replace("https://127.0.0.1:1", "https://a b")),
        ("a bad CA", GOOD.replace("cluster: {", "cluster: {certificate-authority-data: '!', ")),
        (
            "a CA that isn't there",
            GOOD.replace("cluster: {", "cluster: {certificate-authority: /nowhere/ca, "),
        ),
    ] {
        let error = with(&text).await.err().unwrap_or_else(|| panic!("{what} was accepted")).to_string();
        assert!(!error.contains('\n') && error.contains("check --kubeconfig"), "{what}: {error}");
        assert!(!error.contains("t0psecret"), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_failed_call_is_explained_without_rusts_view_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    fs::write(&path, GOOD).unwrap();
    let client = client(&KubeArgs { kubeconfig: Some(path.display().to_string()) }).await.unwrap();
    let unreachable = explain(&client.apiserver_version().await.unwrap_err());
    assert!(
        unreachable.contains("Connection refused") && !unreachable.contains("ServiceError"),
        "{unreachable}"
    );

    let status = kube::core::Status::failure("no such thing", "NotFound").with_code(404);
    let said = "no such thing (HTTP 404)";
    assert_eq!(explain_watch(&watcher::Error::WatchError(Box::new(status.clone()))), said);
    let error = kube::Error::Api(Box::new(status));
    assert_eq!(explain(&error), said);
    assert_eq!(explain_watch(&watcher::Error::InitialListFailed(error)), said);
}

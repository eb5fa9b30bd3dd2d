//! The client of a Kubernetes API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::Status;
use kube::runtime::watcher;
use kube::{Client, Config};

use crate::api_calls::ApiCallLayer;
use crate::{Metrics, PlatformError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// kube asks API servers to end a watch after 290 s: one that is silent for longer is half-open.
const READ_TIMEOUT: Duration = Duration::from_secs(310);

/// Which API server to talk to.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct KubeArgs {
    /// Kubeconfig to use. Without one: the pod's service account, then ~/.kube/config
    #[arg(long, env = "KUBECONFIG", value_name = "PATH", global = true)]
    pub kubeconfig: Option<String>,
}

/// A client that notices half-open connections, bounds every call (see [`crate::api_calls`]), and never
/// repeats a request by itself.
///
/// Nothing is sent yet: an API server that can't be reached shows with the first call.
///
/// # Errors
/// When the kubeconfig, or what it refers to, is missing or broken.
pub async fn client(args: &KubeArgs) -> Result<Client, PlatformError> {
    build(args, None, ApiCallLayer::new()).await
}

/// As [`client`], of another context of the kubeconfig than the current one.
///
/// # Errors
/// As [`client`], and when there is no such context.
pub async fn client_in(args: &KubeArgs, context: Option<&str>) -> Result<Client, PlatformError> {
    build(args, context, ApiCallLayer::new()).await
}

/// As [`client`], and counts the calls in `metrics`.
///
/// # Errors
/// As [`client`].
pub async fn observed_client(args: &KubeArgs, metrics: &Metrics) -> Result<Client, PlatformError> {
    build(args, None, ApiCallLayer::observed(metrics)).await
}

async fn build(args: &KubeArgs, context: Option<&str>, layer: ApiCallLayer) -> Result<Client, PlatformError> {
    let (mut config, source) = config(args, context).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Else the time that a pooled connection has lain idle counts.
    config.reset_reader_on_write = true;
    // A create that a server committed before it answered 504 would come back as AlreadyExists, and the
    // pauses can reach minutes: every caller has its own way to try again.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| PlatformError::Kubeconfig { path: source, why: error.to_string() })?;
    Ok(builder.with_layer(&layer).build())
}

/// What went wrong with a call, for people: the API server's own words, or the innermost causes. kube's own
/// text also prints the whole Status as Rust sees it.
#[must_use]
pub fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => answer(status),
        kube::Error::Service(transport) => chain(transport.as_ref()),
        other => chain(other),
    }
}

/// What went wrong with a watch, for people, as [`explain`] says it.
#[must_use]
pub(crate) fn explain_watch(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(call) | WatchStartFailed(call) | WatchFailed(call) => explain(call),
        WatchError(status) => answer(status),
        NoResourceVersion => error.to_string(),
    }
}

/// Whether a watch failed since the process has no right to it.
#[must_use]
pub(crate) fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(call) | WatchStartFailed(call) | WatchFailed(call) => {
            matches!(call, kube::Error::Api(status) if status.code == 403)
        }
        WatchError(status) => status.code == 403,
        NoResourceVersion => false,
    }
}

fn answer(status: &Status) -> String {
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    format!("{text} (HTTP {})", status.code)
}

/// An error with what caused it, in one line, nothing twice.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text.replace('\n', " ")
}

/// The configuration and where it came from.
async fn config(args: &KubeArgs, context: Option<&str>) -> Result<(Config, String), PlatformError> {
    let given = args.kubeconfig.as_deref().filter(|paths| !paths.is_empty());
    if given.is_none() && context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        let config =
            Config::incluster_env().map_err(|error| PlatformError::ServiceAccount(error.to_string()))?;
        return Ok((config, "of the pod".to_owned()));
    }
    let source = match given {
        Some(paths) => paths.to_owned(),
        None => home_kubeconfig().ok_or(PlatformError::NoCluster)?.display().to_string(),
    };
    let broken =
        |why: KubeconfigError| PlatformError::Kubeconfig { path: source.clone(), why: one_line(&why) };
    let merged = std::env::split_paths(&source)
        .filter(|path| !path.as_os_str().is_empty())
        .try_fold(Kubeconfig::default(), |merged, path| merged.merge(Kubeconfig::read_from(path)?))
        .map_err(broken)?;
    let context = context.or(merged.current_context.as_deref());
    if let Some(user) = context.and_then(|context| missing_user(&merged, context)) {
        let why = format!("its context names the user {user:?}, which it doesn't define");
        return Err(PlatformError::Kubeconfig { path: source, why });
    }
    let options =
        KubeConfigOptions { context: context.map(ToOwned::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(merged, &options).await.map_err(broken)?;
    Ok((config, source))
}

/// A context's user, if it isn't defined: kube would go on as nobody.
fn missing_user(kubeconfig: &Kubeconfig, context: &str) -> Option<String> {
    let named = kubeconfig.contexts.iter().find(|known| known.name == context)?;
    let user = named.context.as_ref()?.user.as_ref().filter(|user| !user.is_empty())?;
    let defined = kubeconfig.auth_infos.iter().any(|known| known.name == *user);
    (!defined).then(|| user.clone())
}

fn home_kubeconfig() -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(".kube").join("config");
    path.exists().then_some(path)
}

/// Why, without the path that the caller states anyway, and without a YAML parser's drawing of the file,
/// which may show credentials.
fn one_line(why: &KubeconfigError) -> String {
    let text = match why {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;

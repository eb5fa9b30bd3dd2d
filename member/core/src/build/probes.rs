//! The probes that a health check becomes.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use parallax_crds::agent::HealthCheck;

use super::PORT;

/// The agent's container, checked as its user asks; without a health check it is ready as soon as it runs.
pub(super) fn probed(container: Container, check: Option<&HealthCheck>) -> Container {
    let Some(check) = check else { return container };
    let running = running(check);
    Container {
        startup_probe: Some(startup(check)),
        readiness_probe: Some(running.clone()),
        liveness_probe: Some(running),
        ..container
    }
}

/// Asks a container that starts more often than one that runs, so that a long period doesn't keep requests waiting
/// for an agent that is up, and gives it as much time as a liveness probe of those numbers alone would.
fn startup(check: &HealthCheck) -> Probe {
    let running = running(check);
    let (every, misses) = (running.period_seconds.unwrap_or(1), running.failure_threshold.unwrap_or(1));
    // An answer that is waited for holds up the next question.
    let period = running.timeout_seconds.unwrap_or(1).min(every).max(1);
    Probe {
        // An API server leaves a zero out; we do, too, or we would see a difference for ever.
        initial_delay_seconds: check.initial_delay_seconds.filter(|delay| *delay > 0),
        period_seconds: Some(period),
        failure_threshold: Some(every.saturating_mul(misses).saturating_add(period - 1) / period),
        ..running
    }
}

/// The other two begin when the first has been answered, so that they know of no delay.
fn running(check: &HealthCheck) -> Probe {
    let HealthCheck {
        path,
        port,
        initial_delay_seconds: _,
        period_seconds,
        failure_threshold,
        timeout_seconds,
    } = check;
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.clone().unwrap_or_else(|| "/health".into())),
            port: IntOrString::Int(port.unwrap_or(PORT.0)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds.unwrap_or(10)),
        failure_threshold: Some(failure_threshold.unwrap_or(3)),
        timeout_seconds: Some(timeout_seconds.unwrap_or(1)),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from its start until a container that never answers is restarted: the delay, and every question.
    fn patience(check: &HealthCheck) -> i32 {
        let probe = startup(check);
        probe.initial_delay_seconds.unwrap_or(0)
            + probe.period_seconds.unwrap_or(0) * probe.failure_threshold.unwrap_or(0)
    }

    fn check(delay: i32, period: i32, misses: i32, timeout: i32) -> HealthCheck {
        HealthCheck {
            initial_delay_seconds: Some(delay),
            period_seconds: Some(period),
            failure_threshold: Some(misses),
            timeout_seconds: Some(timeout),
            ..HealthCheck::default()
        }
    }

    #[test]
    fn an_agent_that_starts_is_asked_every_second_and_has_as_long_as_its_user_gives_it() {
        let public_page = check(10, 30, 3, 1);
        assert_eq!(startup(&public_page).period_seconds, Some(1));
        assert_eq!(patience(&public_page), 100);
        assert_eq!(patience(&HealthCheck::default()), 30);
    }

    #[test]
    fn no_numbers_make_a_probe_that_kubernetes_refuses_or_that_is_impatient() {
        for delay in [0, 7, 3600] {
            for period in [1, 10, 3600] {
                for misses in [1, 3, 100] {
                    for timeout in [1, 7, 300] {
                        let check = check(delay, period, misses, timeout);
                        let probe = startup(&check);
                        assert!(
                            probe.period_seconds >= Some(1) && probe.failure_threshold >= Some(1),
                            "{check:?}"
                        );
                        assert!(probe.initial_delay_seconds != Some(0), "{check:?}");
                        let asked = delay + period * misses;
                        assert!((asked..asked + timeout).contains(&patience(&check)), "{check:?}");
                    }
                }
            }
        }
    }
}

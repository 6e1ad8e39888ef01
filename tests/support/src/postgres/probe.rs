//! A readiness probe over HTTP, as a kubelet makes it.
//!
//! In: `readinessProbe.httpGet` of a container, and the pod's address. Out: whether it has passed since the start. A real
//! kubelet goes on probing; here the first success stays, as no application of the tests becomes unready again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::request::get;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A probe that goes on until it has passed. Dropping it ends it.
#[derive(Debug)]
pub struct Probe {
    passed: Arc<AtomicBool>,
    attempts: AbortHandle,
}

impl Probe {
    /// Starts the probe of a container if it has one. Needs the local tasks of the kubelet.
    pub fn start(container: &Container, address: &str) -> Result<Option<Self>> {
        let Some(probe) = &container.readiness_probe else { return Ok(None) };
        let Some(http) = &probe.http_get else { bail!("only probes with httpGet are stood for") };
        let IntOrString::Int(port) = http.port else { bail!("only ports that are numbers are stood for") };
        let (address, path) = (format!("{address}:{port}"), http.path.clone().unwrap_or_default());
        let period = Duration::from_secs(u64::try_from(probe.period_seconds.unwrap_or(10))?);
        let passed = Arc::<AtomicBool>::default();
        let tell = Arc::clone(&passed);
        let attempts = tokio::task::spawn_local(async move {
            while !passes(&address, &path).await {
                sleep(period).await;
            }
            tell.store(true, Ordering::Relaxed);
        });
        Ok(Some(Self { passed, attempts: attempts.abort_handle() }))
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.attempts.abort();
    }
}

async fn passes(address: &str, path: &str) -> bool {
    let answer = timeout(PATIENCE, get(address, path)).await;
    matches!(answer, Ok(Ok(answer)) if (200..400).contains(&answer.status))
}

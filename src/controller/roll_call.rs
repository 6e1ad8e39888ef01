//! All nodes, as they were listed last: for what is gone from a node that nobody knows.
//!
//! In: the gateway, the time. Out: what the nodes show, and when. One list serves all budgets. Forbidden here: whom it is
//! asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::gateway::Gateway;
use crate::cluster::node::Roll;

/// Nodes are asked again after this long at the earliest.
pub const AGAIN: Duration = Duration::from_secs(5);

/// What nodes show, or the class of the error.
pub type Answer = Result<Arc<Roll>, &'static str>;

/// All nodes, as they were listed last.
#[derive(Debug, Default)]
pub struct RollCall(AsyncMutex<Option<(Duration, Answer)>>);

impl RollCall {
    /// What the nodes show, and when they were seen.
    pub async fn call<G: Gateway>(&self, gateway: &G, now: Duration) -> (Duration, Answer) {
        let mut last = self.0.lock().await;
        if let Some((seen, answer)) = &*last
            && now < seen.saturating_add(AGAIN)
        {
            return (*seen, answer.clone());
        }
        let answer = gateway.nodes().await.map(Arc::new).map_err(|error| {
            tracing::warn!(%error, "nodes cannot be asked whether they still run what is gone");
            error.class()
        });
        *last = Some((now, answer.clone()));
        (now, answer)
    }
}

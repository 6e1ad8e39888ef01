//! Connections that a port closed or refused, by port and reason: both are of closed sets.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a port closes or refuses a connection.
const REASONS: [&str; 3] = ["full", "source", "no_request"];

/// Which connections a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    port: &'static str,
    reason: &'static str,
}

/// The counters of all ports; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Drops(Family<DropLabels, Counter>);

impl Drops {
    /// Counters that this registry shows.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let drops = Self::default();
        let says = "Connections that were closed or refused, because there were too many or no request came";
        registry.register("connections_dropped", says, drops.0.clone());
        drops
    }

    /// Lets the counters of a port begin at zero.
    pub fn port(&self, port: &'static str) {
        for reason in REASONS {
            drop(self.0.get_or_create(&DropLabels { port, reason }));
        }
    }

    /// Counts a connection.
    pub fn count(&self, port: &'static str, reason: &'static str) {
        self.0.get_or_create(&DropLabels { port, reason }).inc();
    }
}

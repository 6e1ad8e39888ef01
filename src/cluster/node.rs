//! Nodes: whether one is Ready, and when its kubelet last reported. Read one by one, never watched.
//!
//! In: a node and the Lease of its kubelet. Out: a [`NodeSight`].

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::meta;
use super::pod::ConditionView;

/// The namespace of the Leases that kubelets renew every 10 seconds.
pub const LEASES: &str = "kube-node-lease";

/// A node, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::core::v1::Node")]
pub struct NodeView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: NodeStatusView,
}

/// The part of a node's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct NodeStatusView {
    /// Conditions, of which Ready is used.
    #[serde(default)]
    pub conditions: Vec<ConditionView>,
}

/// What was seen of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSight {
    /// Whether it is Ready.
    pub ready: bool,
    /// Its kubelet's last sign of life, by the node's own clock. Two different ones show that it reported in between,
    /// and nothing more. None if there is no Lease.
    pub heartbeat: Option<String>,
}

impl NodeSight {
    /// What a node and its Lease show.
    #[must_use]
    pub fn of(node: &NodeView, lease: Option<&Lease>) -> Self {
        let ready = node.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref());
        Self { ready, heartbeat: renewed.map(|time| time.0.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_ready_when_it_says_so_and_heard_of_when_its_lease_is_renewed() {
        let node = |ready: &str| -> NodeView {
            let conditions =
                json!([{"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
            serde_json::from_value(json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}}))
                .expect("a node")
        };
        let lease: Lease = serde_json::from_value(
            json!({"metadata": {}, "spec": {"renewTime": "2026-01-01T00:00:10.000000Z"}}),
        )
        .expect("a Lease");
        let sight =
            |ready, heartbeat: Option<&str>| NodeSight { ready, heartbeat: heartbeat.map(Into::into) };
        assert_eq!(NodeSight::of(&node("True"), Some(&lease)), sight(true, Some("2026-01-01T00:00:10Z")));
        for away in ["Unknown", "False"] {
            assert_eq!(NodeSight::of(&node(away), None), sight(false, None), "{away}");
        }
    }
}

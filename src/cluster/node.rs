//! Nodes: whether one is Ready, and when its kubelet last reported. Read when they are asked about, never watched.
//!
//! In: nodes and the Leases of their kubelets. Out: a [`NodeSight`] of one, a [`Roll`] of those that have a say.

use std::collections::BTreeMap;

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

/// Nodes, as they were seen at one time: those that have a say in when something is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll(BTreeMap<String, NodeSight>);

impl Roll {
    /// Whether no node is left to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes that are not Ready.
    pub fn away(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, sight)| !sight.ready).map(|(name, _)| name.as_str())
    }

    /// The nodes whose kubelet has not reported since `base`. One that is new since then has nothing to report.
    pub fn silent(&self, base: Option<&Self>) -> impl Iterator<Item = &str> {
        let has_reported = move |name: &str, sight: &NodeSight| match (base, &sight.heartbeat) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(base), beat) => base.0.get(name).is_none_or(|before| before.heartbeat != *beat),
        };
        self.0.iter().filter(move |(name, sight)| !has_reported(name, sight)).map(|(name, _)| name.as_str())
    }
}

impl FromIterator<(String, NodeSight)> for Roll {
    fn from_iter<I: IntoIterator<Item = (String, NodeSight)>>(nodes: I) -> Self {
        Self(nodes.into_iter().collect())
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

    #[test]
    fn nodes_are_silent_until_each_has_reported_since() {
        let roll = |nodes: &[(&str, bool, Option<&str>)]| -> Roll {
            let sight = |(name, ready, beat): &(&str, bool, Option<&str>)| {
                ((*name).to_owned(), NodeSight { ready: *ready, heartbeat: beat.map(Into::into) })
            };
            nodes.iter().map(sight).collect()
        };
        let base = roll(&[("a", true, Some("1")), ("b", true, Some("1")), ("c", true, Some("1"))]);
        // One has reported, one has not, one is gone, one is new, one has no Lease.
        let later = roll(&[
            ("a", true, Some("2")),
            ("b", false, Some("1")),
            ("d", true, Some("1")),
            ("e", true, None),
        ]);
        assert_eq!(later.silent(Some(&base)).collect::<Vec<_>>(), ["b"]);
        assert_eq!(later.silent(None).collect::<Vec<_>>(), ["a", "b", "d"], "nothing was seen before");
        assert_eq!(later.away().collect::<Vec<_>>(), ["b"]);
        assert!(roll(&[]).is_empty() && roll(&[]).silent(None).next().is_none());
    }
}

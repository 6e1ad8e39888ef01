//! When changes of the admission policies take effect.
//!
//! In: a cluster whose policies were installed, changed or removed. Out: the moment from which every request meets the
//! current policies. The API server compiles policies some time after they were stored, in the order in which they were
//! stored. So when a policy that was stored last is in force, all are, and none that was removed before still is.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::tools::Version;

/// The label by which the mutating policy signals the validating one.
const MARK: &str = "in-force.example.com";

static ROUND: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// Waits until the policies are in force as they are stored.
    pub async fn until_in_force(&self) -> Result<()> {
        let name = format!("in-force-{}.example.com", ROUND.fetch_add(1, Ordering::Relaxed));
        let pairs = self.last_policies(&name);
        let objects: Vec<Value> = pairs.into_iter().flatten().collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        self.apply(&list).await?;
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}})
        .to_string();
        let probe = self.folder().write(&format!("{name}.json"), &probe)?.display().to_string();
        self.until("policies that were stored last are in force", || self.refuses(&probe)).await?;
        let list = self.folder().write(&format!("{name}-policies.json"), &list)?.display().to_string();
        self.kubectl(&["delete", "--wait=false", "-f", &list]).await.map(drop)
    }

    async fn refuses(&self, probe: &str) -> Result<()> {
        match self.kubectl(&["create", "--dry-run=server", "-f", probe]).await {
            Ok(created) => bail!("{created}"),
            Err(error) if format!("{error:#}").contains(MARK) => Ok(()),
            Err(error) => Err(error).context("neither created nor refused by the last policy"),
        }
    }

    /// Policies and their bindings: the validating policy refuses what the mutating one has marked, so one answer
    /// proves both.
    fn last_policies(&self, name: &str) -> Vec<[Value; 2]> {
        let object = |kind: &str, spec: Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
                "spec": spec})
        };
        let constraints = json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["configmaps"], "resourceNames": [name]}]});
        let marks = self.tools().version() != Version::Older;
        let condition = if marks {
            format!("!has(object.metadata.labels) || !('{MARK}' in object.metadata.labels)")
        } else {
            "false".into()
        };
        let refuse = [
            object(
                "ValidatingAdmissionPolicy",
                json!({"failurePolicy": "Fail", "matchConstraints": constraints,
                    "validations": [{"expression": condition, "message": MARK}]}),
            ),
            object(
                "ValidatingAdmissionPolicyBinding",
                json!({"policyName": name, "validationActions": ["Deny"]}),
            ),
        ];
        if !marks {
            return vec![refuse];
        }
        let expression = format!("Object{{metadata: Object.metadata{{labels: {{'{MARK}': 'yes'}}}}}}");
        let mark = [
            object(
                "MutatingAdmissionPolicy",
                json!({"failurePolicy": "Fail", "matchConstraints": constraints, "reinvocationPolicy": "Never",
                    "mutations": [{"patchType": "ApplyConfiguration",
                        "applyConfiguration": {"expression": expression}}]}),
            ),
            object("MutatingAdmissionPolicyBinding", json!({"policyName": name})),
        ];
        vec![mark, refuse]
    }
}

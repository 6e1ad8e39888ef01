//! The two objects of a grant, as objects, as YAML, and as the commands that make them.
//!
//! In: names that were checked. Out: plain values. Forbidden here: a request.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::api::dns::MAX_NAME;

/// The API group of the two objects.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";
/// The label by which we know our own objects, and its value.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "poolbudget");
/// The other labels.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/name", "poolbudget"), ("app.kubernetes.io/component", "secret-grant")];

/// Who may read which Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// The name of the Role and of the RoleBinding.
    pub(super) name: String,
    pub(super) secret: String,
    /// The namespace of all three.
    pub(super) namespace: String,
    /// The operator's ServiceAccount.
    pub(super) account: String,
    pub(super) account_namespace: String,
}

impl Grant {
    pub(super) fn new(secret: &str, namespace: &str, account_namespace: &str, account: &str) -> Self {
        Self {
            name: name_for(secret),
            secret: secret.to_owned(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            account_namespace: account_namespace.to_owned(),
        }
    }

    /// `get` on the one Secret. Not `list` or `watch`: both give its contents too, and neither is used.
    pub(super) fn role(&self) -> Role {
        let rule = PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".to_owned()]),
            resource_names: Some(vec![self.secret.clone()]),
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        };
        Role { metadata: self.metadata(), rules: Some(vec![rule]) }
    }

    pub(super) fn binding(&self) -> RoleBinding {
        RoleBinding {
            metadata: self.metadata(),
            role_ref: RoleRef {
                api_group: Some(GROUP.to_owned()),
                kind: "Role".to_owned(),
                name: self.name.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: self.account.clone(),
                namespace: Some(self.account_namespace.clone()),
                api_group: None,
            }]),
        }
    }

    fn metadata(&self) -> ObjectMeta {
        let labels = LABELS.into_iter().chain([MANAGED_BY]);
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        }
    }

    /// Both, for `kubectl apply -f -`.
    pub(super) fn yaml(&self) -> anyhow::Result<String> {
        let (role, binding) = (serde_yaml::to_string(&self.role())?, serde_yaml::to_string(&self.binding())?);
        Ok(format!("{role}---\n{binding}"))
    }

    /// The commands that grant the same.
    pub(super) fn kubectl_create(&self) -> [String; 2] {
        let Self { name, secret, namespace, .. } = self;
        let role = format!(
            "kubectl create role {name} --verb=get --resource=secrets --resource-name={secret} -n {namespace}"
        );
        [role, self.kubectl_create_binding()]
    }

    /// The second of them.
    pub(super) fn kubectl_create_binding(&self) -> String {
        let Self { name, namespace, account, account_namespace, .. } = self;
        format!(
            "kubectl create rolebinding {name} --role={name} --serviceaccount={account_namespace}:{account} -n {namespace}"
        )
    }

    /// The command that takes it back.
    pub(super) fn kubectl_delete(&self) -> String {
        format!("kubectl delete rolebinding,role {} -n {}", self.name, self.namespace)
    }
}

/// The name of the Role for a Secret. If that would be too long, it has a hash instead of the Secret's name, behind a
/// prefix with which no other of these names begins.
fn name_for(secret: &str) -> String {
    let name = format!("poolbudget-secret-{secret}");
    if name.len() <= MAX_NAME {
        return name;
    }
    let mut short = "poolbudget-long-secret-".to_owned();
    for byte in Sha256::digest(secret) {
        // A String takes whatever is written to it.
        let _ = write!(short, "{byte:02x}");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dns;

    #[test]
    fn no_two_secrets_share_a_name_and_no_name_is_too_long() {
        assert_eq!(name_for("db"), "poolbudget-secret-db");
        let fits = "a".repeat(235);
        assert_eq!(name_for(&fits), format!("poolbudget-secret-{fits}"));
        let long = [
            "a".repeat(236),
            "a".repeat(253),
            "a".repeat(252) + "b",
            "a".repeat(250) + ".bc",
            "a".repeat(235) + ".bc",
        ];
        let mut names: Vec<String> = long.iter().map(|secret| name_for(secret)).collect();
        assert!(names.iter().all(|name| dns::is_subdomain(name)), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("poolbudget-long-secret-") && name.len() == 87));
        // A Secret that is named like the end of another one's Role.
        names.extend(names.clone().iter().filter_map(|name| name.get(11..)).map(name_for));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2 * long.len());
    }

    #[test]
    fn the_yaml_gives_get_on_the_one_secret_to_the_one_account() {
        let yaml = Grant::new("db", "shop", "poolbudget-system", "poolbudget").yaml().expect("YAML");
        insta::assert_snapshot!(yaml);
    }
}

//! Kubeconfigs with the token of a ServiceAccount: the holder may do what the account's RBAC allows and nothing else.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use super::cluster::Cluster;
use super::pki::{Identity, kubeconfig};

const VALID_SECONDS: i64 = 24 * 3600;

impl Cluster {
    /// Requests a token of the account, writes a kubeconfig with it and returns its path.
    pub async fn account_kubeconfig(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(VALID_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let who = || format!("a token of ServiceAccount {namespace}/{account}");
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let token = answer.with_context(who)?.status.and_then(|status| status.token).with_context(who)?;
        let text = kubeconfig(&self.server(), self.authority(), Identity::Token(&token));
        self.folder().write(&format!("account-{namespace}-{account}.kubeconfig"), &text)
    }
}

/// The user name of a ServiceAccount, as RBAC, policies and the audit log write it.
pub fn account_user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

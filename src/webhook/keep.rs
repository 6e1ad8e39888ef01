//! Keeps the certificate in a Secret that all replicas share, and its authority in the webhook configurations.
//!
//! In: the Secret and the two configurations, each read by its name. Out: a Secret that is valid for a while, written
//! with compare-and-swap by the replica that first sees that it is not; its certificate, shown; its authorities in
//! every entry of the configurations, restored when somebody overwrites them. Whatever fails is retried.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::certificate::{CannotMake, Held, Lives, renewed};
use super::configuration::NAME;
use super::shown::Shown;
use crate::api::names;

/// The name of the Secret.
pub const SECRET: &str = names::WEBHOOK_SECRET;

/// How often the dates are checked, and how soon a failure is retried.
const LOOK: Duration = Duration::from_secs(30);
/// The longest time that one look may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Keeps the certificate of one installation in order.
pub struct Keeper {
    secrets: Api<Secret>,
    mutating: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
    host: String,
    shown: Shown,
    lives: Lives,
    now: fn() -> Timestamp,
}

/// Why there is no certificate in order.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The API server refused or failed.
    #[error("cannot {attempted}: {error}")]
    Api {
        /// What was attempted.
        attempted: String,
        /// What it said.
        error: kube::Error,
    },
    /// The certificate cannot be made.
    #[error(transparent)]
    CannotMake(#[from] CannotMake),
    /// Another replica was faster.
    #[error("another replica has written the Secret {SECRET}")]
    Outrun,
}

impl Keeper {
    /// A keeper for the Secret of this namespace, whose certificate is for this host.
    #[must_use]
    pub fn new(client: &Client, namespace: &str, host: &str, shown: Shown) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            mutating: Api::all(client.clone()),
            validating: Api::all(client.clone()),
            host: host.to_owned(),
            shown,
            lives: Lives::default(),
            now: Timestamp::now,
        }
    }

    /// Runs for ever: looks at every change of the objects that hold the certificate, and at regular intervals.
    pub async fn run(self) {
        let mut changes = select_all([
            changes(&self.secrets, SECRET),
            changes(&self.mutating, NAME),
            changes(&self.validating, NAME),
        ]);
        loop {
            match tokio::time::timeout(ATTEMPT, self.look()).await {
                Ok(Ok(())) => {}
                // The other replica's write is a change that wakes us.
                Ok(Err(Trouble::Outrun)) => tracing::debug!("{}", Trouble::Outrun),
                Ok(Err(trouble)) => tracing::warn!(%trouble, "the webhook's certificate is not in order"),
                Err(_) => tracing::warn!("looking after the webhook's certificate took too long"),
            }
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Checks everything once.
    ///
    /// # Errors
    /// When something could not be read or written.
    pub async fn look(&self) -> Result<(), Trouble> {
        let secret = self
            .secrets
            .get_opt(SECRET)
            .await
            .map_err(|e| trouble(format!("read the Secret {SECRET}"), e))?;
        let held = secret.as_ref().map(held);
        let held = match renewed(held.as_ref(), &self.host, self.lives, (self.now)())? {
            Some(new) => self.write(secret, new).await?,
            None => held.unwrap_or_default(),
        };
        self.shown.show(&held);
        let authorities = ByteString(held.authorities.into_bytes());
        spread(&self.mutating, &authorities).await?;
        spread(&self.validating, &authorities).await
    }

    /// Writes `new`, unless the Secret has changed since it was read.
    async fn write(&self, old: Option<Secret>, new: Held) -> Result<Held, Trouble> {
        let params = PostParams::default();
        let mut secret = old.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        });
        secret.data = Some(data(&new));
        let written = match secret.resource_version() {
            Some(_) => self.secrets.replace(SECRET, &params, &secret).await,
            None => self.secrets.create(&params, &secret).await,
        };
        match written {
            Ok(_) => {
                tracing::info!(secret = SECRET, host = self.host, "the webhook's certificate is renewed");
                Ok(new)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Err(Trouble::Outrun)
            }
            Err(error) => Err(trouble(format!("write the Secret {SECRET}"), error)),
        }
    }
}

fn trouble(attempted: String, error: kube::Error) -> Trouble {
    Trouble::Api { attempted, error }
}

/// One item for each change of the object with this name; the object itself is read when it is checked.
fn changes<K>(api: &Api<K>, name: &str) -> BoxStream<'static, ()>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api.clone(), only).default_backoff().map(|_| ()).boxed()
}

const FIELDS: [&str; 4] = ["ca.crt", "ca.key", "tls.crt", "tls.key"];

fn held(secret: &Secret) -> Held {
    let [authorities, authority_key, certificate, key] = FIELDS.map(|field| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(field));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    });
    Held { authorities, authority_key, certificate, key }
}

fn data(held: &Held) -> std::collections::BTreeMap<String, ByteString> {
    let texts = [&held.authorities, &held.authority_key, &held.certificate, &held.key];
    FIELDS
        .into_iter()
        .zip(texts)
        .map(|(field, text)| (field.to_owned(), ByteString(text.clone().into_bytes())))
        .collect()
}

/// A configuration of either kind.
trait Configuration {
    /// How each of its entries is reached.
    fn clients(&self) -> Vec<&WebhookClientConfig>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn clients(&self) -> Vec<&WebhookClientConfig> {
        self.webhooks.iter().flatten().map(|webhook| &webhook.client_config).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn clients(&self) -> Vec<&WebhookClientConfig> {
        self.webhooks.iter().flatten().map(|webhook| &webhook.client_config).collect()
    }
}

/// Puts the authorities into every entry that has others. A configuration that is not installed needs none.
async fn spread<K>(api: &Api<K>, authorities: &ByteString) -> Result<(), Trouble>
where
    K: Configuration + Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let what = || format!("{} {NAME}", K::kind(&()));
    let found = api.get_opt(NAME).await.map_err(|error| trouble(format!("read the {}", what()), error))?;
    let Some(configuration) = found else { return Ok(()) };
    let patch = patch_of(&configuration, authorities);
    if patch.is_empty() {
        return Ok(());
    }
    let patch = serde_json::from_value(Value::Array(patch)).map_err(kube::Error::SerdeError);
    let patch = patch.map_err(|error| trouble(format!("make the patch of the {}", what()), error))?;
    api.patch(NAME, &PatchParams::default(), &Patch::<()>::Json(patch))
        .await
        .map_err(|error| trouble(format!("write the authority into the {}", what()), error))?;
    tracing::info!(kind = %K::kind(&()), name = NAME, "the authority of the webhook is written in");
    Ok(())
}

/// The patch fails on any other version of the configuration, because it addresses entries by their index in a list.
fn patch_of<K: Configuration + Resource>(configuration: &K, authorities: &ByteString) -> Vec<Value> {
    let version =
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": configuration.resource_version()});
    let clients = configuration.clients().into_iter().enumerate();
    let others = clients.filter(|(_, client)| client.ca_bundle.as_ref() != Some(authorities));
    let adds: Vec<Value> = others
        .map(|(place, _)| {
            json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": authorities})
        })
        .collect();
    if adds.is_empty() { adds } else { [vec![version], adds].concat() }
}

#[cfg(test)]
mod tests;

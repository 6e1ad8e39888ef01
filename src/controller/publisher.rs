//! Events as kubectl shows and sorts them.
//!
//! In: what happened, and to what. Out: core/v1 Events. events.k8s.io/v1 refuses the first and the last time
//! (`needs to be unset`, `pkg/apis/core/validation/events.go`), so `kubectl get events --sort-by=.lastTimestamp` would
//! not show when they happened. An event that repeats within minutes is counted on the existing one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Event as Stored, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Client, Error};
use serde_json::json;

/// How long an event that repeats is counted as the same one.
const SAME: SignedDuration = SignedDuration::from_mins(6);

/// The most events that are remembered; any further one is created anew.
const REMEMBERED: usize = 10_000;

/// Who reports.
const CONTROLLER: &str = "poolbudget";

/// Publishes events.
pub struct Publisher {
    client: Client,
    instance: String,
    known: Mutex<HashMap<Key, Known>>,
}

/// What makes an event the same as an earlier one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    about: [Option<String>; 3],
    reason: String,
    action: String,
}

/// An event that was created.
#[derive(Clone)]
struct Known {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Publisher {
    /// A publisher that reports as the replica `instance`.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: instance.to_owned(), known: Mutex::default() }
    }

    /// Creates an event, or counts the existing one once more.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish(&self, event: &Event, about: &ObjectReference) -> Result<(), Error> {
        let now = Timestamp::now();
        let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let key = Key {
            namespace: namespace.clone(),
            about: [about.kind.clone(), about.name.clone(), about.uid.clone()],
            reason: event.reason.clone(),
            action: event.action.clone(),
        };
        let api: Api<Stored> = Api::namespaced(self.client.clone(), &namespace);
        let known = self.lately(&key, now);
        let stored = match known {
            Some(known) => {
                let again = Known { count: known.count.saturating_add(1), last: now, ..known };
                let patch = json!({"count": again.count, "lastTimestamp": Time(now), "message": event.note});
                api.patch(&again.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| again)
            }
            None => {
                let stored = self.stored(event, about, &namespace, now);
                let name = stored.metadata.name.clone().unwrap_or_default();
                api.create(&PostParams::default(), &stored).await.map(|_| Known { name, count: 1, last: now })
            }
        };
        let mut all = self.known();
        match stored {
            Ok(known) if all.len() < REMEMBERED => drop(all.insert(key, known)),
            Ok(_) => {}
            Err(error) => {
                // The API server may have dropped it; the next one is created anew.
                all.remove(&key);
                return Err(error);
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lately(&self, key: &Key, now: Timestamp) -> Option<Known> {
        let mut known = self.known();
        known.retain(|_, known| now.duration_since(known.last) < SAME);
        known.get(key).cloned()
    }

    fn stored(&self, event: &Event, about: &ObjectReference, namespace: &str, now: Timestamp) -> Stored {
        let name = about.name.as_deref().unwrap_or(CONTROLLER);
        Stored {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: about.clone(),
            type_: Some(if event.type_ == EventType::Warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(event.reason.clone()),
            action: Some(event.action.clone()),
            message: event.note.clone(),
            event_time: Some(MicroTime(now)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            related: event.secondary.clone(),
            source: Some(EventSource { component: Some(CONTROLLER.to_owned()), host: None }),
            reporting_component: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            series: None,
        }
    }
}

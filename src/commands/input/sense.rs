//! What can be decoded but the API server would refuse, in fields that decide numbers of pods.
//!
//! In: an object, decoded and loosened. Out: the first field with a value that does not exist, or that contradicts
//! another field. Forbidden here: fields that no count depends on.

use serde_json::Value;

use super::Object;
use super::strict::{QUOTED, shown};
use crate::api::keys::near;
use crate::cluster::template::shortened;

/// Enumerated fields that decide how the pods of a kind are counted.
const WORDS: [(&str, &str, &[&str]); 8] = [
    ("Deployment", "/spec/strategy/type", &["RollingUpdate", "Recreate"]),
    ("StatefulSet", "/spec/updateStrategy/type", &["RollingUpdate", "OnDelete"]),
    ("StatefulSet", "/spec/podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("DaemonSet", "/spec/updateStrategy/type", &["RollingUpdate", "OnDelete"]),
    ("CronJob", "/spec/concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("Job", "/spec/completionMode", &["NonIndexed", "Indexed"]),
    ("Job", "/spec/podReplacementPolicy", &["TerminatingOrFailed", "Failed"]),
    ("CronJob", "/spec/jobTemplate/spec/completionMode", &["NonIndexed", "Indexed"]),
];

/// Numbers of pods, and the smallest allowed value of each.
const COUNTS: [(&str, i64); 9] = [
    ("/spec/replicas", 0),
    ("/spec/parallelism", 0),
    ("/spec/completions", 0),
    ("/spec/minReplicas", 0),
    ("/spec/maxReplicas", 1),
    ("/spec/minReplicaCount", 0),
    ("/spec/maxReplicaCount", 1),
    ("/spec/jobTemplate/spec/parallelism", 0),
    ("/spec/jobTemplate/spec/completions", 0),
];

/// The bounds of an autoscaler: the lower one, the upper one, and the default if it is left out.
const BOUNDS: [(&str, &str, &str, Option<i64>); 2] = [
    ("HorizontalPodAutoscaler", "/spec/minReplicas", "/spec/maxReplicas", None),
    ("ScaledObject", "/spec/minReplicaCount", "/spec/maxReplicaCount", Some(super::KEDA_MOST)),
];

/// Shares of a rollout: a number of pods, or a percentage.
const SHARES: [(&str, &str); 5] = [
    ("Deployment", "/spec/strategy/rollingUpdate/maxSurge"),
    ("Deployment", "/spec/strategy/rollingUpdate/maxUnavailable"),
    ("StatefulSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
    ("DaemonSet", "/spec/updateStrategy/rollingUpdate/maxSurge"),
    ("DaemonSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
];

/// A strategy, and the only type that allows a rollingUpdate.
const ROLLING: [(&str, &str); 2] =
    [("Deployment", "/spec/strategy"), ("StatefulSet", "/spec/updateStrategy")];

/// Fields of the spec of a ScaledObject.
const OF_KEDA: [&str; 10] = [
    "scaleTargetRef",
    "pollingInterval",
    "initialCooldownPeriod",
    "cooldownPeriod",
    "idleReplicaCount",
    "minReplicaCount",
    "maxReplicaCount",
    "fallback",
    "advanced",
    "triggers",
];

/// A field that can be decoded but that the API server would refuse.
pub(super) fn senseless(object: &Object, value: &Value) -> Option<String> {
    let kind = object.kind();
    words(kind, value)
        .or_else(|| counts(value))
        .or_else(|| bounds(kind, value))
        .or_else(|| shares(kind, value))
        .or_else(|| strategy(kind, value))
        .or_else(|| standstill(kind, value))
        .or_else(|| no_template(kind, value))
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn words(kind: &str, value: &Value) -> Option<String> {
    WORDS.iter().filter(|(of, ..)| *of == kind).find_map(|(_, pointer, words)| {
        let text = value.pointer(pointer)?.as_str()?;
        // An empty value gets its default.
        let unknown = !text.is_empty() && !words.contains(&text);
        let (field, found) = (field(pointer), shortened(text, QUOTED));
        unknown.then(|| format!("{field} must be one of {}; it is the string {found:?}", words.join(", ")))
    })
}

fn counts(value: &Value) -> Option<String> {
    COUNTS.iter().find_map(|(pointer, least)| {
        let number = value.pointer(pointer)?.as_i64().filter(|number| number < least)?;
        Some(format!("{} must not be below {least}; it is the number {number}", field(pointer)))
    })
}

fn bounds(kind: &str, value: &Value) -> Option<String> {
    BOUNDS.iter().filter(|(of, ..)| *of == kind).find_map(|(_, lower, upper, default)| {
        let least = value.pointer(lower)?.as_i64()?;
        let most = value.pointer(upper).and_then(Value::as_i64).or(*default)?;
        let (lower, upper) = (field(lower), field(upper));
        (least > most)
            .then(|| format!("{lower} must not be larger than {upper}; they are {least} and {most}"))
    })
}

fn shares(kind: &str, value: &Value) -> Option<String> {
    SHARES.iter().filter(|(of, _)| *of == kind).find_map(|(_, pointer)| {
        let share = value.pointer(pointer).filter(|share| !is_share(share))?;
        let found = shown(Some(share), "");
        let field = field(pointer);
        Some(format!("{field} must be a whole number or a percentage such as 25%; it is {found}"))
    })
}

fn is_share(share: &Value) -> bool {
    match share {
        Value::Number(number) => number.as_i64().is_none_or(|number| number >= 0),
        Value::String(text) => text
            .strip_suffix('%')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())),
        _ => true,
    }
}

/// A rollingUpdate of a workload that does not use rolling updates.
fn strategy(kind: &str, value: &Value) -> Option<String> {
    ROLLING.iter().filter(|(of, _)| *of == kind).find_map(|(_, pointer)| {
        let strategy = value.pointer(pointer)?;
        let word = strategy.get("type")?.as_str().filter(|word| !["", "RollingUpdate"].contains(word))?;
        strategy.get("rollingUpdate")?;
        Some(format!("{}.rollingUpdate must be left out with type {word}", field(pointer)))
    })
}

/// A rollout that could never progress, because it may neither add a pod nor miss one; a DaemonSet may do only one of
/// both.
fn standstill(kind: &str, value: &Value) -> Option<String> {
    let pointer = match kind {
        "Deployment" => "/spec/strategy/rollingUpdate",
        "DaemonSet" => "/spec/updateStrategy/rollingUpdate",
        _ => return None,
    };
    let rolling = value.pointer(pointer)?;
    let is_daemon_set = kind == "DaemonSet";
    let is_zero = |share: &Value| match share {
        Value::String(text) => text.trim_end_matches('%').bytes().all(|digit| digit == b'0'),
        share => share.as_i64() == Some(0),
    };
    let none_surges = rolling.get("maxSurge").map_or(is_daemon_set, is_zero);
    let none_is_missed = rolling.get("maxUnavailable").is_some_and(is_zero);
    let field = field(pointer);
    match (none_surges, none_is_missed) {
        (true, true) => Some(format!("{field}: maxSurge and maxUnavailable must not both be 0")),
        (false, false) if is_daemon_set => {
            Some(format!("{field}: maxUnavailable must be 0 if maxSurge is not 0; its default is 1"))
        }
        _ => None,
    }
}

/// A Rollout that does not say what its pods are made from.
fn no_template(kind: &str, value: &Value) -> Option<String> {
    let has = |pointer| value.pointer(pointer).is_some_and(|value| !value.is_null());
    (kind == "Rollout" && !has("/spec/template") && !has("/spec/workloadRef"))
        .then(|| "spec.template is missing, and so is spec.workloadRef".to_owned())
}

/// What passes but is probably not meant: fields that KEDA would not read.
pub(super) fn unread(object: &Object) -> Vec<String> {
    let spec =
        object.value.get("spec").and_then(Value::as_object).filter(|_| object.kind() == "ScaledObject");
    let Some(spec) = spec else { return Vec::new() };
    let default = if spec.contains_key("maxReplicaCount") {
        String::new()
    } else {
        format!("; without maxReplicaCount its ceiling is {} replicas", super::KEDA_MOST)
    };
    let unknown = spec.keys().filter(|key| !OF_KEDA.contains(&key.as_str())).take(super::NAMED);
    let told = |key: &String| {
        let meant = near(key, OF_KEDA.into_iter());
        let meant = meant.map_or_else(String::new, |meant| format!(", did you mean {meant}?"));
        format!("spec.{}: KEDA has no such field{meant}{default}", shortened(key, QUOTED))
    };
    unknown.map(told).collect()
}

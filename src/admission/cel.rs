//! The CEL fragments that more than one policy uses.
//!
//! In: names from `api::names`, the table of `profile`. Out: CEL expressions as text. Forbidden here: a name written
//! out by hand, and two opening braces in a row (the chart's template language would interpret them).
//!
//! Fragments about the app take the CEL text of a map of annotations or of a list of container names,
//! so that the gate, which prepares a pod, and the check, which explains a bad one, cannot disagree.

use crate::api::keys::{self, Map};
use crate::api::names;
use crate::profile::OwnNames;
use crate::profile::proxies::PROXIES;
use crate::profile::rules::{self, Rule};

/// A CEL string literal.
pub(super) fn text(content: &str) -> String {
    format!("'{}'", content.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A CEL list of string literals.
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| text(name)).collect();
    format!("[{}]", quoted.join(", "))
}

/// The labels of `metadata` as a map, empty where there are none.
pub(super) fn labels(metadata: &str) -> String {
    format!("{metadata}.?labels.orValue({{}})")
}

/// The annotations of `metadata` as a map, empty where there are none.
pub(super) fn annotations(metadata: &str) -> String {
    format!("{metadata}.?annotations.orValue({{}})")
}

/// Whether `metadata` has the budget label.
pub(super) fn governed(metadata: &str) -> String {
    format!("{metadata}.?labels[?{}].hasValue()", text(names::BUDGET))
}

/// The unknown keys of ours among the labels of `metadata`.
pub(super) fn unknown_labels(metadata: &str) -> String {
    unknown_in(&labels(metadata), Map::Labels)
}

/// The unknown keys of ours in `metadata`.
pub(super) fn unknown(metadata: &str) -> String {
    format!("{}\n  + {}", unknown_labels(metadata), unknown_in(&annotations(metadata), Map::Annotations))
}

fn unknown_in(map: &str, of: Map) -> String {
    format!("{map}.filter(k, k.startsWith({}) && !(k in {}))", text(keys::PREFIX), list(&of.known()))
}

/// The node that a pod or a pod template names, in CEL; empty for none.
pub(super) fn node(template: &str) -> String {
    format!("{template}.spec.?nodeName.orValue('')")
}

/// The containers of a pod spec. In a spec without any, policies see null in their place: the API server refuses it,
/// with its own message, but only later.
pub(super) fn containers(spec: &str) -> String {
    format!("({spec}.containers == null ? [] : {spec}.containers)")
}

/// The init containers of a pod spec.
pub(super) fn init_containers(spec: &str) -> String {
    format!("{spec}.?initContainers.orValue([])")
}

/// The names of the containers of a pod spec.
pub(super) fn container_names(spec: &str) -> String {
    format!("{}.map(c, c.name)", containers(spec))
}

/// The names of the init containers of a pod spec.
pub(super) fn init_container_names(spec: &str) -> String {
    format!("{}.map(c, c.name)", init_containers(spec))
}

/// The names of the containers of a pod spec, each with the names of its env.
pub(super) fn containers_and_env(spec: &str) -> String {
    format!("{}.map(c, {NAME_AND_ENV})", containers(spec))
}

/// The names of the init containers of a pod spec, each with the names of its env.
pub(super) fn init_containers_and_env(spec: &str) -> String {
    format!("{}.map(c, {NAME_AND_ENV})", init_containers(spec))
}

/// Whether a pod has so few items that no expression about it exceeds the API server's cost limit. If it has more, only
/// the check answers. This test must itself be cheap: it counts the lists before it looks through them.
pub(super) fn in_bounds(spec: &str, annotations: &str, most_env: usize) -> String {
    format!("({} && {})", few(spec, most_env), short(annotations))
}

/// The most env entries of a pod.
pub(super) const POD: usize = names::MAX_ENV + names::MAX_ENV_ADDED;

/// The most env entries of a pod template.
pub(super) const TEMPLATE: usize = names::MAX_ENV;

/// Whether there are not too many containers and env entries.
pub(super) fn few(spec: &str, most_env: usize) -> String {
    let (containers, inits) = (containers(spec), init_containers(spec));
    format!(
        "({containers}.size() + {inits}.size() <= {}\n  && {} <= {most_env})",
        names::MAX_ALL_CONTAINERS,
        env_entries(spec),
    )
}

/// The number of env entries of all containers.
pub(super) fn env_entries(spec: &str) -> String {
    let (containers, inits) = (containers(spec), init_containers(spec));
    format!("({containers} + {inits}).map(c, c.?env.orValue([]).size()).sum()")
}

/// Whether the annotations about the app are not too long.
fn short(annotations: &str) -> String {
    format!("{}.size() == 0", long(annotations))
}

/// The annotations that are too long.
pub(super) fn long(annotations: &str) -> String {
    let keys: Vec<&str> = names::read_from().collect();
    format!(
        "{}.filter(k, k in {annotations} && {annotations}[k].size() > {})",
        list(&keys),
        names::MAX_STATED
    )
}

const NAME_AND_ENV: &str = "[c.name] + c.?env.orValue([]).map(e, e.name)";

/// The names of the containers that open connections, whether they exist or not.
pub(super) fn named_containers(annotations: &str, container_names: &str) -> String {
    let (key, kubectl) = (text(names::CONTAINER), text(names::DEFAULT_CONTAINER));
    format!(
        "{key} in {annotations} ? {annotations}[{key}].split(',')\n\
         \x20 : {kubectl} in {annotations} && {annotations}[{kubectl}] in {container_names} ? [{annotations}[{kubectl}]]\n\
         \x20 : [{container_names}.filter(n, !(n in {})) + {container_names}]\n\
         \x20   .map(l, l.size() > 0 ? [l[0]] : [])[0]",
        list(&PROXIES),
    )
}

/// The name of the profile.
pub(super) fn profile(annotations: &str) -> String {
    format!("{annotations}[?{}].orValue({})", text(names::PROFILE), text(names::DEFAULT_PROFILE))
}

/// Whether the rules hold that are needed to know which variables an app reads.
///
/// `variables.profile` must hold the name of the profile.
pub(super) fn own_name_rule(rule: Rule, annotations: &str) -> String {
    let (size, overflow) = (text(names::POOL_SIZE_ENV), text(names::MAX_OVERFLOW_ENV));
    let of = |profiles: Vec<&str>| format!("variables.profile in {}", list(&profiles));
    match rule {
        Rule::OwnNamesTogether => format!(
            "!({})\n  || ({size} in {annotations}) == ({overflow} in {annotations})",
            of(rules::of_both_with_own_names())
        ),
        Rule::OwnOverflowName => {
            format!("!({overflow} in {annotations}) || {}", of(rules::of_both_with_own_names()))
        }
        Rule::OwnSizeNameNeeded => {
            format!("{size} in {annotations} || !({})", of(rules::of_names(OwnNames::Must)))
        }
        Rule::OwnSizeName => format!("!({size} in {annotations}) || {}", of(rules::with_own_names())),
        Rule::OwnNamesValid => format!(
            "{}.all(k, !(k in {annotations}) || {annotations}[k].matches(r'{ENV_NAME}'))",
            list(&[names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV]),
        ),
        Rule::OwnNamesDiffer => format!(
            "!({size} in {annotations} && {overflow} in {annotations})\n\
             \x20 || {annotations}[{size}] != {annotations}[{overflow}]"
        ),
        _ => "true".to_owned(),
    }
}

/// The allowed names of env variables: fewer than in Kubernetes, which accepts nearly every character.
const ENV_NAME: &str = "^[A-Za-z_][A-Za-z0-9_.-]{0,252}$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_does_not_end_the_literal() {
        assert_eq!(text("plain"), "'plain'");
        assert_eq!(text(r"it's \n"), r"'it\'s \\n'");
    }
}

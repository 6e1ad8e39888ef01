//! The CEL fragments that more than one policy uses.
//!
//! In: names from `api::names`. Out: CEL expressions as text. Forbidden here: a name written out by
//! hand, and two opening braces in a row (the chart's template language would read them as its own).
//!
//! Fragments about the app take the CEL text of a map of annotations or of a list of container names,
//! so that the gate, which prepares a pod, and the check, which explains a bad one, cannot disagree.

use crate::api::names;

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

/// Whether `metadata` bears the budget label.
pub(super) fn governed(metadata: &str) -> String {
    format!("{metadata}.?labels[?{}].hasValue()", text(names::BUDGET))
}

/// The names of the containers of a pod spec. A spec without any reaches the policies with a null in
/// their place: the API server refuses it, in words of its own, but only later.
pub(super) fn container_names(spec: &str) -> String {
    format!("({spec}.containers == null ? [] : {spec}.containers.map(c, c.name))")
}

/// The index of the container that opens the connections, or -1 when the annotation names none of them.
pub(super) fn container_index(annotations: &str, container_names: &str) -> String {
    let key = text(names::CONTAINER);
    format!(
        "{key} in {annotations} ? {container_names}.indexOf({annotations}[{key}])\n\
         \x20 : ({container_names}.size() > 0 ? 0 : -1)"
    )
}

/// Whether the profile is one whose variables the gate can bind.
pub(super) fn profile_is_known(annotations: &str) -> String {
    format!("{annotations}[?{}].orValue({1}) == {1}", text(names::PROFILE), text(names::DEFAULT_PROFILE))
}

/// Whether the two annotations for own env names are both there or both absent.
pub(super) fn own_names_are_complete(annotations: &str) -> String {
    format!(
        "({} in {annotations}) == ({} in {annotations})",
        text(names::POOL_SIZE_ENV),
        text(names::MAX_OVERFLOW_ENV)
    )
}

/// Whether every own env name that is given is a name a shell would accept.
pub(super) fn own_names_are_valid(annotations: &str) -> String {
    format!(
        "{keys}.all(k, !(k in {annotations}) || {annotations}[k].matches(r'{ENV_NAME}'))",
        keys = list(&[names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV]),
    )
}

/// Whether the own env names differ from each other.
pub(super) fn own_names_differ(annotations: &str) -> String {
    let (size, overflow) = (text(names::POOL_SIZE_ENV), text(names::MAX_OVERFLOW_ENV));
    format!(
        "!({size} in {annotations} && {overflow} in {annotations})\n\
         \x20 || {annotations}[{size}] != {annotations}[{overflow}]"
    )
}

/// What an env variable may be called: narrower than Kubernetes, which lets nearly every character pass.
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

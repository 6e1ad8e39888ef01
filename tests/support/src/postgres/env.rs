//! The environment and the command line of a container, as a kubelet builds them.
//!
//! In: a pod as the API server shows it, and the Secrets that it names. Out: variables and words. What is not supported is an error, never left out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

/// The variables of a container.
pub type Variables = BTreeMap<String, String>;

/// The Secrets of a namespace, with their values by key.
pub type Secrets = BTreeMap<String, BTreeMap<String, String>>;

/// The names of the Secrets that a pod reads variables from.
pub fn named_secrets(pod: &Pod) -> BTreeSet<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let sources = containers
        .flat_map(|container| container.env.iter().flatten())
        .filter_map(|it| it.value_from.as_ref());
    sources.filter_map(|source| Some(source.secret_key_ref.as_ref()?.name.clone())).collect()
}

/// The result of `env`, in its order, so that a later entry of a name wins.
pub fn variables(pod: &Pod, container: &Container, secrets: &Secrets) -> Result<Variables> {
    if container.env_from.as_ref().is_some_and(|sources| !sources.is_empty()) {
        bail!("container {} reads envFrom, which is not stood for", container.name);
    }
    let mut variables = Variables::new();
    for entry in container.env.iter().flatten() {
        let value =
            value(pod, entry, &variables, secrets).with_context(|| format!("variable {}", entry.name))?;
        variables.insert(entry.name.clone(), value);
    }
    Ok(variables)
}

/// `command` and `args`, with `$(NAME)` replaced.
pub fn words(container: &Container, variables: &Variables) -> Vec<String> {
    let words = container.command.iter().flatten().chain(container.args.iter().flatten());
    words.map(|word| expand(word, variables)).collect()
}

fn value(pod: &Pod, entry: &EnvVar, known: &Variables, secrets: &Secrets) -> Result<String> {
    let Some(source) = &entry.value_from else {
        return Ok(expand(entry.value.as_deref().unwrap_or_default(), known));
    };
    if let Some(key) = &source.secret_key_ref {
        let found = secrets.get(&key.name).and_then(|secret| secret.get(&key.key)).cloned();
        return found.with_context(|| format!("Secret {} has no {}", key.name, key.key));
    }
    let Some(field) = &source.field_ref else { bail!("only fieldRef and secretKeyRef are stood for") };
    let path = field.field_path.as_str();
    if let Some(key) = path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']")) {
        // A missing annotation gives an empty value, as in a kubelet.
        let annotations = pod.metadata.annotations.as_ref();
        return Ok(annotations.and_then(|all| all.get(key)).cloned().unwrap_or_default());
    }
    let status = pod.status.as_ref();
    let found = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "status.podIP" => status.and_then(|status| status.pod_ip.clone()),
        _ => bail!("fieldRef {path} is not stood for"),
    };
    found.with_context(|| format!("the pod has no {path}"))
}

fn expand(text: &str, variables: &Variables) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

//! How a pod would run the program under test, so that a process can stand in for the pod.
//!
//! In: the Deployment that the chart created. Out: arguments and environment as the kubelet would set them. Only what
//! must differ between processes of one machine is replaced: the kubeconfig and the addresses.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar};

/// The variable of the program for the same address.
pub(super) const HTTP_ADDRESS: &str = "POOLBUDGET_HTTP_ADDRESS";

/// The variable of the program for the address of its webhook.
pub(super) const WEBHOOK_ADDRESS: &str = "POOLBUDGET_WEBHOOK_ADDRESS";

/// The flag of the program for the address of `/metrics`, `/livez` and `/readyz`.
const HTTP_FLAG: &str = "--http-address";

/// The pod that a process stands in for: what the downward API would say about it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `metadata.name`.
    pub pod: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `spec.serviceAccountName`.
    pub service_account: String,
}

/// A program with its arguments and its environment.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name in messages and for the log file.
    pub name: String,
    /// The program.
    pub binary: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
}

impl Launch {
    /// A program without arguments that talks to the cluster of the kubeconfig.
    pub fn new(name: &str, binary: &Path, kubeconfig: &Path) -> Self {
        let env = BTreeMap::from([
            ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ]);
        Self { name: name.to_owned(), binary: binary.to_owned(), args: Vec::new(), env }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The arguments and environment of the Deployment's first container, for one pod of it.
    pub fn from_deployment(
        deployment: &Deployment,
        identity: &Identity,
        binary: &Path,
        kubeconfig: &Path,
    ) -> Result<Self> {
        let template = deployment.spec.template.spec.as_ref().context("the Deployment has no pod spec")?;
        let container = template.containers.first().context("the Deployment has no container")?;
        let mut launch = Self::new(&identity.pod, binary, kubeconfig);
        if container.env_from.as_ref().is_some_and(|sources| !sources.is_empty()) {
            bail!("container {} reads envFrom, which a process cannot stand for", container.name);
        }
        for entry in container.env.iter().flatten() {
            let value = value_of(entry, identity).with_context(|| format!("variable {}", entry.name))?;
            launch.env.insert(entry.name.clone(), value);
        }
        // Every process needs its own address.
        launch.env.remove(HTTP_ADDRESS);
        launch.args = without_http_address(expand(arguments(container), &launch.env));
        Ok(launch)
    }

    pub(super) fn os_args(&self) -> Vec<OsString> {
        self.args.iter().map(OsString::from).collect()
    }
}

/// The words after the program's name: the image's entry point is the program itself.
fn arguments(container: &Container) -> impl Iterator<Item = &String> {
    container.command.iter().flatten().skip(1).chain(container.args.iter().flatten())
}

/// Replaces `$(NAME)` by the variable, as the kubelet does.
fn expand<'a>(args: impl Iterator<Item = &'a String>, env: &BTreeMap<String, String>) -> Vec<String> {
    let expand_one = |arg: &String| {
        env.iter().fold(arg.clone(), |text, (name, value)| text.replace(&format!("$({name})"), value))
    };
    args.map(expand_one).collect()
}

/// The environment gives the address instead, because every process needs its own.
fn without_http_address(args: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = args.into_iter();
    while let Some(arg) = rest.next() {
        if arg == HTTP_FLAG {
            rest.next();
        } else if !arg.starts_with(&format!("{HTTP_FLAG}=")) {
            kept.push(arg);
        }
    }
    kept
}

fn value_of(entry: &EnvVar, identity: &Identity) -> Result<String> {
    let Some(source) = &entry.value_from else { return Ok(entry.value.clone().unwrap_or_default()) };
    let Some(field) = &source.field_ref else { bail!("only fieldRef can be stood for") };
    Ok(match field.field_path.as_str() {
        "metadata.name" => identity.pod.clone(),
        "metadata.namespace" => identity.namespace.clone(),
        "spec.serviceAccountName" => identity.service_account.clone(),
        "spec.nodeName" => "node-0".to_owned(),
        "status.podIP" | "status.hostIP" => "127.0.0.1".to_owned(),
        path => bail!("fieldRef {path} can not be stood for"),
    })
}

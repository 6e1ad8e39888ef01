//! Commands that print text: the resource, the policies, the version.

use clap::{Args, ValueEnum};

use super::render;
use crate::admission::{self, FailurePolicy, Settings};
use crate::api;
use crate::profile;
use crate::webhook::configuration::{self, Place};

#[derive(Args, Debug)]
pub(super) struct CrdArgs {
    /// Print the template of the Helm chart instead of the resource
    #[arg(long)]
    chart: bool,
}

#[derive(Args, Debug)]
pub(super) struct PoliciesArgs {
    /// Namespace of the operator
    #[arg(long, env = "POD_NAMESPACE", default_value = "poolbudget-system")]
    namespace: String,
    /// ServiceAccount of the operator: beside the one of `release`, whose name ends in -release, the only one that may open
    /// gates
    #[arg(long, default_value = "poolbudget")]
    service_account: String,
    /// What happens to a request when a policy cannot be evaluated
    #[arg(long, value_enum, default_value_t = Failure::Fail)]
    failure_policy: Failure,
    /// Print the webhook configurations, and only the policies that the webhook does not replace
    #[arg(long)]
    webhook: bool,
    /// Where API servers find the webhook when they cannot reach its Service, such as https://10.0.0.7:9443
    #[arg(long, value_name = "URL", requires = "webhook")]
    webhook_url: Option<String>,
    /// Print the template of the Helm chart instead
    #[arg(long)]
    chart: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Failure {
    /// The request is refused
    Fail,
    /// The request passes
    Ignore,
}

pub(super) fn crd(args: &CrdArgs) -> anyhow::Result<()> {
    let yaml = api::crd_yaml()?;
    Ok(render::put(&if args.chart { admission::chart_crd(&yaml) } else { yaml })?)
}

/// The page of the profiles, for `docs`.
pub(super) fn profiles() -> anyhow::Result<()> {
    Ok(render::put(&profile::page::page())?)
}

pub(super) fn policies(args: &PoliciesArgs) -> anyhow::Result<()> {
    match (args.chart, args.webhook) {
        (true, false) => return Ok(render::put(&admission::chart_policies()?)?),
        (true, true) => return Ok(render::put(&configuration::chart()?)?),
        (false, _) => {}
    }
    let failure_policy = match args.failure_policy {
        Failure::Fail => FailurePolicy::Fail,
        Failure::Ignore => FailurePolicy::Ignore,
    };
    let account = Settings::for_service_account(&args.namespace, &args.service_account);
    let settings = Settings { failure_policy, ..account };
    let service = || Place::service(&args.namespace);
    let objects = if args.webhook {
        configuration::objects(&settings, &args.webhook_url.clone().map_or_else(service, Place::Url))
    } else {
        admission::objects(&settings)
    };
    Ok(render::put(&admission::render(&objects)?)?)
}

pub(super) fn version() -> anyhow::Result<()> {
    Ok(render::put(concat!("poolbudget ", env!("CARGO_PKG_VERSION"), "\n"))?)
}

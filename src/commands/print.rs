//! Commands that print text: the resource, the policies, the version.

use clap::{Args, ValueEnum};

use super::render;
use crate::admission::{self, FailurePolicy, Settings};
use crate::api;
use crate::profile;
use crate::webhook::configuration::{self, Place};

#[derive(Args, Debug)]
pub(super) struct CrdArgs {
    /// Print the Helm chart's template instead of the resource
    #[arg(long)]
    chart: bool,
}

#[derive(Args, Debug)]
pub(super) struct PoliciesArgs {
    /// Namespace of the operator
    #[arg(long, env = "POD_NAMESPACE", default_value = "poolbudget-system")]
    namespace: String,
    /// ServiceAccount of the operator. Only it and the account of `release`, whose name ends in -release, may open gates
    #[arg(long, default_value = "poolbudget")]
    service_account: String,
    /// What the API server does with a request when it cannot evaluate a policy
    #[arg(long, value_enum, default_value_t = Failure::Fail)]
    failure_policy: Failure,
    /// Print the webhook configurations, and only the policies that the webhook does not replace
    #[arg(long)]
    webhook: bool,
    /// URL of the webhook for API servers that cannot reach its Service, such as https://10.0.0.7:9443
    #[arg(long, value_name = "URL", requires = "webhook")]
    webhook_url: Option<String>,
    /// Print the Helm chart's template instead
    #[arg(long)]
    chart: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Failure {
    /// Refuse the request
    Fail,
    /// Let the request pass
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

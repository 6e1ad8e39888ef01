//! `poolbudget status`: the state of budgets, once or on each change.
//!
//! In: the budgets of a namespace, and the Lease. Out: a picture of each. It reads what the operator wrote and computes
//! nothing itself.

pub(super) mod leader;
mod notes;
mod screen;
mod shares;
mod stray;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};

use super::client::ClusterArgs;
use super::output::{OutputArgs, list_of};
use super::render::{self, ColorArgs, Paint, Tone};
use super::trouble;
use crate::api::DbConnectionBudget;
use crate::cluster::guarded::Guarded;
use crate::controller::snapshot::snapshot;
use leader::{Leader, OperatorArgs};
use screen::Screen;
use shares::Shares;

/// Plural and group.
const RESOURCE: &str = "dbconnectionbudgets.poolbudget.dev";

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// One budget; without NAME, all budgets of the namespace
    name: Option<String>,
    /// Budgets of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Watch for changes
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    color: ColorArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

type Budget = Guarded<DbConnectionBudget>;

pub(super) async fn status(args: StatusArgs) -> anyhow::Result<()> {
    let connection = args.cluster.connect().await?;
    let Connected { api, place } = Connected::of(&args, connection.client.clone(), &connection.namespace);
    let found = list(&api, args.name.as_deref(), &place).await?;
    if let (Some(name), true, false) = (&args.name, found.is_empty(), args.watch) {
        bail!("{}", missing(&api, name, &place).await?);
    }
    if args.output.is_asked_for() {
        let sound = found.iter().filter_map(|budget| match budget {
            Guarded::Read(budget) => Some(budget),
            Guarded::Unreadable(_) => None,
        });
        return args.output.put(&list_of(sound, args.name.is_some())?);
    }
    let looks_around = args.name.is_none() && !args.all_namespaces && !args.watch;
    let picture = Picture {
        strays: if looks_around {
            strays(&connection.client, &connection.namespace).await
        } else {
            Vec::new()
        },
        paint: args.color.paint(&std::io::stdout()),
        leader: args.operator.leader(&connection.client).await,
        everywhere: args.all_namespaces,
        place,
    };
    let found = found.into_iter().map(|budget| (key(&budget), budget)).collect();
    if args.watch {
        return follow(api, args.name.as_deref(), &picture, found).await;
    }
    Ok(render::put(&picture.of(&found))?)
}

/// Workloads of a namespace whose budget does not exist. A user who may not list workloads still sees the budgets.
async fn strays(client: &Client, namespace: &str) -> Vec<String> {
    match snapshot(client, namespace).await {
        Ok(observed) => stray::strays(&observed.world(), namespace),
        Err(error) => {
            tracing::debug!(%error, "the workloads are not looked at");
            Vec::new()
        }
    }
}

/// Where to look, for the API and in words.
struct Connected {
    api: Api<Budget>,
    place: String,
}

impl Connected {
    fn of(args: &StatusArgs, client: Client, namespace: &str) -> Self {
        if args.all_namespaces {
            Self { api: Api::all(client), place: "any namespace".to_owned() }
        } else {
            Self { api: Api::namespaced(client, namespace), place: format!("namespace {namespace}") }
        }
    }
}

async fn list(api: &Api<Budget>, name: Option<&str>, place: &str) -> anyhow::Result<Vec<Budget>> {
    // A list by name, not a get: only a list can tell a missing budget from a missing resource.
    let params = name.map_or_else(ListParams::default, |name| ListParams::default().fields(&by_name(name)));
    match api.list(&params).await {
        Ok(list) => Ok(list.items),
        Err(error) => Err(trouble::told(&format!("cannot list the budgets of {place}"), RESOURCE, &error)),
    }
}

fn by_name(name: &str) -> String {
    format!("metadata.name={name}")
}

async fn missing(api: &Api<Budget>, name: &str, place: &str) -> anyhow::Result<String> {
    let others: Vec<String> = list(api, None, place).await?.iter().map(ResourceExt::name_any).collect();
    let known = match others.as_slice() {
        [] => "there is none at all; write one and `kubectl apply` it (examples/free-tier.yaml is one)"
            .to_owned(),
        others => format!("there are: {}", others.join(", ")),
    };
    Ok(format!("{place} has no DbConnectionBudget {name}; {known}"))
}

type Known = BTreeMap<(String, String), Budget>;

fn key(budget: &Budget) -> (String, String) {
    (budget.namespace().unwrap_or_default(), budget.name_any())
}

/// Shows each change until interrupted, or until the reader is gone.
async fn follow(
    api: Api<Budget>,
    name: Option<&str>,
    picture: &Picture,
    mut known: Known,
) -> anyhow::Result<()> {
    let config = watcher::Config::default();
    let config = name.map_or_else(|| config.clone(), |name| config.clone().fields(&by_name(name)));
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut listed = Known::new();
    let mut screen = Screen::of_stdout()?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while screen.show(picture.of(&known)).context("cannot show the status")? {
        let event = tokio::select! {
            interrupted = &mut interrupted => return Ok(interrupted?),
            event = events.try_next() => event,
        };
        match event {
            Ok(Some(event)) => take(&mut known, &mut listed, event),
            Ok(None) => return Ok(()),
            // The watch resumes; until then the old picture stays.
            Err(error) => tracing::debug!(%error, "watch interrupted"),
        }
    }
    Ok(())
}

/// Applies an event; `listed` is what a running list has brought so far.
fn take(known: &mut Known, listed: &mut Known, event: Event<Budget>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(budget) => {
            listed.insert(key(&budget), budget);
        }
        Event::InitDone => *known = std::mem::take(listed),
        Event::Apply(budget) => {
            known.insert(key(&budget), budget);
        }
        Event::Delete(budget) => {
            known.remove(&key(&budget));
        }
    }
}

/// How budgets are shown.
struct Picture {
    paint: Paint,
    leader: Leader,
    everywhere: bool,
    place: String,
    /// Workloads whose budget does not exist.
    strays: Vec<String>,
}

impl Picture {
    fn of(&self, budgets: &Known) -> String {
        let mut blocks: Vec<String> = budgets.iter().map(|(key, budget)| self.block(key, budget)).collect();
        if budgets.is_empty() {
            blocks.push(format!("no DbConnectionBudget in {}\n", self.place));
        }
        let label = "Label";
        let told = |text: &String| render::paragraph(&self.paint.text(Tone::Bad, label), label.len(), text);
        let strays: String = self.strays.iter().map(told).collect();
        blocks.extend((!strays.is_empty()).then_some(strays));
        blocks.join("\n")
    }

    fn block(&self, (namespace, name): &(String, String), budget: &Budget) -> String {
        let name = if self.everywhere { format!("{namespace}/{name}") } else { name.clone() };
        let budget = match budget {
            Guarded::Read(budget) => budget,
            Guarded::Unreadable(object) => {
                let why = format!("cannot be read, and grants nothing until it is fixed: {}", object.why);
                return format!(
                    "{}   {}\n",
                    self.paint.text(Tone::Strong, &name),
                    self.paint.text(Tone::Bad, &why)
                );
            }
        };
        let status = budget.status.clone().unwrap_or_default();
        let answered = status.observed_generation.is_some() && !matches!(self.leader, Leader::Nobody(_));
        let reserved = budget.spec.reserved;
        let mut text = Shares { name: &name, reserved, answered, status: &status }.render(self.paint);
        for note in notes::notes(budget, &self.leader) {
            let about = self.paint.text(note.tone, &note.about);
            text.push_str(&render::paragraph(&about, note.about.chars().count(), &note.text));
        }
        text
    }
}

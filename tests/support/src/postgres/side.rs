//! One of the two sides: a namespace, its own database, and the count of what that holds.
//!
//! In: the way to the database, and whether the side's Deployments have a budget. Out: commands run in its namespace,
//! and the [`Outcome`].

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::apps::{APPS, App, budget};
use super::count::{Count, Sample};
use super::kubelet::Kubelet;
use super::pooler::Pooler;
use super::server::Server;
use super::tally::Life;
use super::way::Way;
use crate::Cluster;

/// One side.
#[derive(Debug)]
pub struct Side {
    /// Its namespace.
    pub namespace: &'static str,
    // Fields are dropped in this order: the counter before what it counts, the pooler before its server.
    count: Count,
    pooler: Option<Pooler>,
    server: Server,
}

/// The result of a side.
#[derive(Debug)]
pub struct Outcome {
    /// What was held over time.
    pub samples: Vec<Sample>,
    /// The result of each pod.
    pub lives: Vec<Life>,
    /// How many connections were refused, from the log of the server or pooler.
    pub refused: usize,
    /// Pods that were Ready in the end, and all pods that existed.
    pub ready: (usize, usize),
}

impl Outcome {
    /// The most that was held at once.
    pub fn peak(&self) -> u64 {
        self.samples.iter().map(Sample::held).max().unwrap_or(0)
    }

    /// All queries that were answered.
    pub fn queries(&self) -> u64 {
        self.lives.iter().map(|life| life.queries).sum()
    }

    /// When the applications were refused, in order.
    pub fn refusals(&self) -> Vec<f64> {
        let mut times: Vec<f64> = self.lives.iter().flat_map(|life| &life.refused).map(|it| it.at).collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

impl Side {
    /// Servers without load, and the Deployments without pods.
    pub async fn open(cluster: &Cluster, namespace: &'static str, way: &Way, governed: bool) -> Result<Self> {
        let server = Server::start(way.server_connections()).await?;
        let pooler = match way.pool_size() {
            Some(clients) => Some(Pooler::start(&server, clients).await?),
            None => None,
        };
        let count = Count::start(&server, pooler.as_ref()).await?;
        let port = pooler.as_ref().map_or(server.port(), Pooler::port);
        let database = format!("postgresql://app@127.0.0.1:{port}/app");
        cluster.create_namespace(namespace).await?;
        if governed {
            cluster.apply(&budget(namespace, &way.limit_spec(), way.reserved, way.ceilings)).await?;
        }
        for app in APPS {
            cluster.apply(&app.deployment(namespace, &database, governed)).await?;
        }
        Ok(Self { namespace, count, pooler, server })
    }

    /// Runs a kubectl command in the side's namespace.
    pub async fn kubectl(&self, cluster: &Cluster, command: &str) -> Result<()> {
        let words = command.split_whitespace().skip_while(|word| *word == "kubectl");
        let args: Vec<&str> = ["-n", self.namespace].into_iter().chain(words).collect();
        cluster.kubectl(&args).await.map(|_| ())
    }

    /// Whether every Deployment has all its pods of the newest revision, Ready, and no other pod is left.
    pub async fn complete(&self, client: &Client, replicas: &[(App, i32)]) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), self.namespace);
        for (app, replicas) in replicas {
            let found = deployments.get(app.name()).await.context("read a Deployment")?;
            let status = found.status.unwrap_or_default();
            let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
            let counts = counts.map(Option::unwrap_or_default);
            let seen = status.observed_generation >= found.metadata.generation;
            ensure!(seen && counts == [*replicas; 3], "{}: {counts:?} of {replicas}", app.name());
        }
        let (_, all) = self.pods(client).await?;
        let wanted: i32 = replicas.iter().map(|(_, replicas)| replicas).sum();
        ensure!(i32::try_from(all) == Ok(wanted), "{all} pods are there, and {wanted} wanted");
        Ok(())
    }

    /// What is held and was refused so far, and the results of its pods.
    pub async fn outcome(&mut self, client: &Client, kubelet: &Kubelet) -> Result<Outcome> {
        let lives = kubelet.tally().of(self.namespace);
        Ok(Outcome {
            samples: self.count.samples().await?,
            lives,
            refused: self.refused()?,
            ready: self.pods(client).await?,
        })
    }

    /// How many connections were refused, from the log of the server or pooler.
    pub fn refused(&self) -> Result<usize> {
        let pooler = self.pooler.as_ref().map_or(Ok(0), Pooler::refused)?;
        Ok(pooler + self.server.refused()?)
    }

    /// What is held at present.
    pub async fn held(&mut self) -> Result<u64> {
        Ok(self.count.samples().await?.last().map_or(0, Sample::held))
    }

    /// Pods that are Ready, and all pods.
    async fn pods(&self, client: &Client) -> Result<(usize, usize)> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), self.namespace);
        let pods = pods.list(&ListParams::default()).await.context("list the pods")?.items;
        Ok((pods.iter().filter(|pod| is_ready(pod)).count(), pods.len()))
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

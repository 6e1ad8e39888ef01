//! A whole control plane: starts and stops it, kills its parts and restarts them.
//!
//! In: [`Options`]. Out: a [`Cluster`] that is ready: the API server answers, the default ServiceAccount exists, every
//! node is Ready. A failed start names the program that failed and shows the end of its log. A [`kube::Client`] belongs
//! to the runtime that created it, so every test asks for its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep, timeout};

use super::components::{self, Kubeconfigs, Ports};
use super::folder::Folder;
use super::pki::{Identity, Pair, Pki, kubeconfig};
use super::ports::free_port;
use super::process::{Process, Spec};
use super::relay::Relay;
use super::tools::{Tools, Version};

const STAGES: &str = include_str!("stages.yaml");

/// How long a start may take on a machine that is busy with other clusters.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// How long one check may take: a request to an API server without its store would hang for a minute.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The properties of a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which Kubernetes it is.
    pub version: Version,
    /// How many nodes it has.
    pub nodes: usize,
    /// More flags for the API server.
    pub apiserver_flags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: Version::default(), nodes: 2, apiserver_flags: Vec::new() }
    }
}

/// A running control plane. Dropping it stops every program and removes its folder.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the programs before the folder that they write to.
    etcd: Component,
    apiserver: Component,
    controller_manager: Component,
    scheduler: Component,
    kwok: Component,
    tools: Tools,
    ports: Ports,
    relay: Relay,
    kubeconfigs: Kubeconfigs,
    pki: Pki,
    folder: Folder,
    /// Whether the operator may be forbidden something.
    pub(super) withheld: AtomicBool,
}

impl Cluster {
    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If the programs are missing: with the sentence that says how to get them.
    pub async fn start(options: Options) -> Result<Self> {
        install_crypto();
        let cluster = Self::lay_out(&options)?;
        cluster.etcd.start()?;
        cluster.apiserver.start()?;
        cluster.until("the API server is ready", || cluster.apiserver_is_ready()).await?;
        // These give up if the API server does not answer them soon after their start.
        cluster.controller_manager.start()?;
        cluster.scheduler.start()?;
        cluster.kwok.start()?;
        cluster.create_nodes(options.nodes).await?;
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// Writes keys, files and command lines; nothing runs yet.
    fn lay_out(options: &Options) -> Result<Self> {
        let tools = Tools::find(options.version);
        let folder = Folder::create()?;
        let pki = Pki::create(&folder)?;
        let ports = Ports { etcd: free_port()?, etcd_peer: free_port()?, apiserver: free_port()? };
        let client = |file: &str, user: &str, group: Option<&str>| -> Result<PathBuf> {
            let pair: Pair = pki.client(&folder, user, group)?;
            let text = kubeconfig(&server(ports), &pki.authority, Identity::Certificate(&pair));
            folder.write(file, &text)
        };
        let masters = Some("system:masters");
        let kubeconfigs = Kubeconfigs {
            admin: client("admin.kubeconfig", "admin", masters)?,
            controller_manager: client("kcm.kubeconfig", "system:kube-controller-manager", None)?,
            scheduler: client("scheduler.kubeconfig", "system:kube-scheduler", None)?,
            kwok: client("kwok.kubeconfig", "kwok", masters)?,
        };
        let component = |name: &str, args: Vec<OsString>| Component::new(name, args, &tools, &folder);
        let audit_policy = folder.write("audit-policy.yaml", components::AUDIT_POLICY)?;
        let stages = folder.write("stages.yaml", STAGES)?;
        let mut apiserver = components::apiserver(ports, &pki, &audit_policy, &folder.file("audit.log"));
        apiserver.extend(options.apiserver_flags.iter().map(OsString::from));
        Ok(Self {
            etcd: component("etcd", components::etcd(ports, &folder.file("etcd"))),
            apiserver: component("kube-apiserver", apiserver),
            controller_manager: component(
                "kube-controller-manager",
                components::controller_manager(&pki, &kubeconfigs.controller_manager),
            ),
            scheduler: component("kube-scheduler", components::scheduler(&kubeconfigs.scheduler)),
            kwok: component("kwok", components::kwok(&kubeconfigs.kwok, &stages)),
            tools,
            ports,
            relay: Relay::listen(free_port()?)?,
            kubeconfigs,
            pki,
            folder,
            withheld: AtomicBool::new(false),
        })
    }

    /// Stops every program and removes the folder, for a cluster that is never dropped.
    pub(super) fn end(&self) {
        // No test is left that an error could fail.
        let _ = self.collect_rights();
        for component in self.components() {
            // A program that has ended by itself counts as killed.
            let _ = component.kill();
        }
        self.folder.remove();
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        server(self.ports)
    }

    /// The address of etcd, for [`super::store`].
    pub fn store_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.etcd)
    }

    /// The file with the CA of its certificate.
    pub fn authority(&self) -> &Path {
        &self.pki.authority
    }

    /// A kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfigs.admin
    }

    /// The folder of its files and logs.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The programs that it consists of.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Stands in for the Service of the operator's webhook.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// A new client of the administrator, bound to the calling runtime.
    pub async fn client(&self) -> Result<Client> {
        client_of(self.kubeconfig()).await
    }

    /// SIGKILL for the API server: with open watches its own shutdown takes a minute.
    pub fn kill_apiserver(&self) -> Result<()> {
        self.apiserver.kill()
    }

    /// Restarts the killed API server on the same port, and waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        // It answers before it has created all roles.
        self.expects_forbidden();
        self.apiserver.start()?;
        self.until("the API server serves again", || self.serves_again()).await?;
        self.wake_clients()
    }

    /// SIGKILL for etcd.
    pub fn kill_etcd(&self) -> Result<()> {
        self.etcd.kill()
    }

    /// Restarts the killed etcd with the same data, and waits until the API server is ready.
    pub async fn start_etcd(&self) -> Result<()> {
        self.expects_forbidden();
        self.etcd.start()?;
        self.until("the API server serves again", || self.serves_again()).await?;
        self.wake_clients()
    }

    /// SIGKILL for the controller manager: nothing acts on Deployments until it is restarted.
    pub fn kill_controller_manager(&self) -> Result<()> {
        self.controller_manager.kill()
    }

    /// Restarts the killed controller manager.
    pub fn start_controller_manager(&self) -> Result<()> {
        self.controller_manager.start()
    }

    /// SIGKILL for the fake kubelets: no pod starts and no pod goes until they are restarted.
    pub fn kill_kwok(&self) -> Result<()> {
        self.kwok.kill()
    }

    /// Restarts the killed fake kubelets.
    pub fn start_kwok(&self) -> Result<()> {
        self.kwok.start()
    }

    /// Restarts the programs that are clients of the API server, which has been away. After an outage of half a minute
    /// their watches would pause for up to a minute before they try again (client-go waits 30 s, and up to twice that
    /// with jitter), and the fake kubelets, unlike real ones, never retry a failed write.
    fn wake_clients(&self) -> Result<()> {
        for client in [&self.controller_manager, &self.scheduler, &self.kwok] {
            // One that a test has killed stays away.
            if client.runs() {
                client.kill()?;
                client.start()?;
            }
        }
        Ok(())
    }

    /// Waits until everything that should run serves.
    pub async fn wait_ready(&self) -> Result<()> {
        self.until("the API server is ready", || self.apiserver_is_ready()).await?;
        self.until("every node is Ready", || self.nodes_are_ready()).await?;
        self.until("namespace default can have pods", || self.has_account("default")).await
    }

    /// Creates a namespace and waits until pods can be created in it.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        self.kubectl(&["create", "namespace", name]).await?;
        self.until(&format!("namespace {name} can have pods"), || self.has_account(name)).await
    }

    /// Polls until `condition` holds; fails at once if a program that should run has ended.
    pub(super) async fn until<C>(&self, what: &str, condition: C) -> Result<()>
    where
        C: AsyncFn() -> Result<()>,
    {
        let end = Instant::now() + START_DEADLINE;
        loop {
            let answer = timeout(ANSWER_DEADLINE, condition()).await.context("no answer").flatten();
            let Err(reason) = answer else { return Ok(()) };
            for component in self.components() {
                component.expect_running()?;
            }
            if Instant::now() >= end {
                return Err(reason.context(format!("not within {START_DEADLINE:?}: {what}")));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn components(&self) -> [&Component; 5] {
        [&self.etcd, &self.apiserver, &self.controller_manager, &self.scheduler, &self.kwok]
    }

    /// Whether the API server says so and serves lists: after a restart it refuses those ("storage is
    /// (re)initializing") until its caches are filled, for each kind on its own, and may do so when it is ready already.
    async fn serves_again(&self) -> Result<()> {
        self.apiserver_is_ready().await?;
        let client = self.client().await?;
        let pods: Api<Pod> = Api::all(client.clone());
        pods.list(&ListParams::default()).await.context("list the pods")?;
        let deployments: Api<Deployment> = Api::all(client.clone());
        deployments.list(&ListParams::default()).await.context("list the Deployments")?;
        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.list(&ListParams::default()).await.context("list the namespaces")?;
        Ok(())
    }

    async fn apiserver_is_ready(&self) -> Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new()).context("build a request")?;
        self.client().await?.request_text(request).await.context("ask the API server whether it is ready")?;
        Ok(())
    }

    async fn has_account(&self, namespace: &str) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        accounts.get("default").await.context("read the default ServiceAccount")?;
        Ok(())
    }

    async fn nodes_are_ready(&self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        let nodes = nodes.list(&ListParams::default()).await.context("list the nodes")?;
        for node in nodes {
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            if !conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                bail!("node {} is not Ready", node.metadata.name.unwrap_or_default());
            }
        }
        Ok(())
    }

    async fn create_nodes(&self, count: usize) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        for number in 0..count {
            let name = format!("node-{number}");
            let mut node = Node::default();
            let labels = [("kubernetes.io/hostname", name.as_str()), ("kubernetes.io/os", "linux")];
            node.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
            node.metadata.name = Some(name);
            nodes.create(&PostParams::default(), &node).await.context("make a node")?;
        }
        Ok(())
    }
}

/// A client for the user of a kubeconfig.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    install_crypto();
    let file = Kubeconfig::read_from(kubeconfig).context("read the kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    // A test that kills the API server wants to see at once that it is gone, not after minutes of retries.
    config.default_retry = false;
    Client::try_from(config).context("make a client")
}

fn server(ports: Ports) -> String {
    format!("https://127.0.0.1:{}", ports.apiserver)
}

fn install_crypto() {
    // An error means that one is installed already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A program of the cluster that can be stopped and restarted unchanged.
#[derive(Debug)]
struct Component {
    spec: Spec,
    process: Mutex<Option<Process>>,
}

impl Component {
    fn new(name: &str, args: Vec<OsString>, tools: &Tools, folder: &Folder) -> Self {
        let log = folder.file(&format!("{name}.log"));
        let env = BTreeMap::from([("HOME".to_owned(), folder.path().into())]);
        let spec = Spec { name: name.to_owned(), program: tools.program(name), args, env, log };
        Self { spec, process: Mutex::new(None) }
    }

    fn start(&self) -> Result<()> {
        let mut process = self.process();
        if process.is_some() {
            bail!("{} runs already", self.spec.name);
        }
        *process = Some(Process::start(&self.spec)?);
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        match self.process().take() {
            Some(mut process) => process.kill(),
            None => bail!("{} does not run", self.spec.name),
        }
    }

    /// Whether it was started and nobody has killed it.
    fn runs(&self) -> bool {
        self.process().is_some()
    }

    /// An error if it was started and has ended by itself.
    fn expect_running(&self) -> Result<()> {
        self.process().as_mut().map_or(Ok(()), Process::expect_running)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

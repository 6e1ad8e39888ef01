//! The program under test as a process: starts it, kills it, sends it requests.
//!
//! In: a [`Launch`]. Out: a handle with its log, its HTTP answers and its exit status. It listens on its own port, so
//! any number of replicas run side by side. If a test panics, it shows the end of the log.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cluster::Cluster;
use super::launch::{HTTP_ADDRESS, Identity, Launch, WEBHOOK_ADDRESS};
use super::ports::free_port;
use super::process::{Process, Spec};

/// A running program under test. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    spec: Spec,
    process: Process,
    http: String,
}

impl Cluster {
    /// Starts a program against this cluster.
    pub fn start_operator(&self, launch: &Launch) -> Result<Operator> {
        let http = match launch.env.get(HTTP_ADDRESS) {
            Some(address) if !address.ends_with(":0") => address.clone(),
            _ => format!("127.0.0.1:{}", free_port()?),
        };
        let mut env: BTreeMap<String, OsString> =
            launch.env.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        env.insert(HTTP_ADDRESS.to_owned(), (&http).into());
        if let Some(address) = env.get_mut(WEBHOOK_ADDRESS) {
            let port = free_port()?;
            *address = format!("127.0.0.1:{port}").into();
            self.relay().add(port);
        }
        let spec = Spec {
            name: launch.name.clone(),
            program: launch.binary.clone(),
            args: launch.os_args(),
            env,
            log: self.folder().file(&format!("operator-{}.log", launch.name)),
        };
        let process = Process::start(&spec)?;
        Ok(Operator { spec, process, http })
    }

    /// How the pod named `pod` of an installed Deployment would run `binary`: with the Deployment's arguments
    /// and environment, and with the token of its ServiceAccount.
    pub async fn launch_of(
        &self,
        namespace: &str,
        deployment: &str,
        pod: &str,
        binary: &Path,
    ) -> Result<Launch> {
        let deployments: Api<Deployment> = Api::namespaced(self.client().await?, namespace);
        let found = deployments.get(deployment).await;
        let found = found.with_context(|| format!("read Deployment {namespace}/{deployment}"))?;
        let account = found.spec.template.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let account =
            account.with_context(|| format!("Deployment {namespace}/{deployment} names no account"))?;
        let kubeconfig = self.account_kubeconfig(namespace, &account).await?;
        let identity =
            Identity { pod: pod.to_owned(), namespace: namespace.to_owned(), service_account: account };
        Launch::from_deployment(&found, &identity, binary, &kubeconfig)
    }
}

impl Operator {
    /// SIGKILL; it is gone when this returns.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM; [`Operator::wait`] returns how it ended.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Waits until it has ended, but not longer than `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline).await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// Restarts it unchanged, after it was killed or has ended. Its log continues.
    pub fn start_again(&mut self) -> Result<()> {
        if self.is_running()? {
            bail!("{} runs already", self.spec.name);
        }
        self.process = Process::start(&self.spec)?;
        Ok(())
    }

    /// The pod that it stands in for.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its process id, to look at its memory.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The file of its log.
    pub fn log_file(&self) -> &PathBuf {
        &self.spec.log
    }

    /// Everything that it has logged.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.spec.log).with_context(|| format!("read {}", self.spec.log.display()))
    }

    /// The address of metrics and health.
    pub fn http_address(&self) -> &str {
        &self.http
    }

    /// GET of a path: the status code and the body.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = timeout(Duration::from_secs(10), http_get(&self.http, path)).await;
        answer.with_context(|| format!("GET {path} from {} took too long", self.spec.name))?
    }
}

impl Drop for Operator {
    #[expect(clippy::print_stderr, reason = "a failed test has to show why")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the end of the log of {}:\n{}", self.spec.name, self.process.log_end());
        }
    }
}

/// The minimum of HTTP/1.0: one request, and the answer ends with the connection.
async fn http_get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.with_context(|| format!("read the answer to GET {path}"))?;
    let (head, body) =
        answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.with_context(|| format!("no HTTP status: {head:?}"))?, body.to_owned()))
}

//! kubectl and helm against a cluster.
//!
//! In: arguments. Out: standard output, or an error with the command line and its whole output.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::cluster::Cluster;

impl Cluster {
    /// Runs kubectl as the administrator and returns its output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        run(self.command("kubectl", self.kubeconfig()), args, "").await
    }

    /// Runs helm as the administrator and returns its output. It sets an image, because the chart has no default for
    /// that; no kubelet here pulls it.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        let takes_values = matches!(args.first(), Some(&("install" | "upgrade")));
        let image: &[&str] =
            if takes_values { &["--set", "image.repository=registry.test/poolbudget"] } else { &[] };
        let said = run(self.command("helm", self.kubeconfig()), &[args, image].concat(), "").await?;
        if matches!(args.first(), Some(&("install" | "upgrade" | "rollback" | "uninstall"))) {
            self.until_in_force().await?;
        }
        Ok(said)
    }

    /// `kubectl apply` of the text, which may hold several documents.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        run(self.command("kubectl", self.kubeconfig()), &["apply", "-f", "-"], manifest).await
    }

    /// A program of the cluster that reads none of the user's own configuration.
    fn command(&self, program: &str, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.tools().program(program));
        command.env_clear().env("KUBECONFIG", kubeconfig).env("HOME", self.folder().path());
        command
    }
}

async fn run(mut command: Command, args: &[impl AsRef<OsStr>], input: &str) -> Result<String> {
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let line = describe(&command);
    let mut child = Running(command.spawn().with_context(|| format!("start {line}"))?);
    if let Some(mut stdin) = child.0.stdin.take() {
        // A program that ends before it has read everything reports the reason itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.output().await.with_context(|| format!("wait for {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}\n{}", output.status, said(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A child that ends with its handle: nothing may write to a folder that is about to be removed.
struct Running(Child);

impl Running {
    async fn output(&mut self) -> io::Result<Output> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (status, stdout, stderr) = tokio::try_join!(self.0.wait(), all_of(stdout), all_of(stderr))?;
        Ok(Output { status, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended; after the signal it does not run for long.
        while self.0.start_kill().is_ok() && matches!(self.0.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn describe(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

//! The command line of each program of a control plane.
//!
//! In: the paths and ports of the cluster. Out: arguments. Differences from a production cluster are for speed (no
//! fsync, no leader election, high request rates, short sync periods), and comments here name them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::pki::Pki;

/// The ports of one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The port of etcd for the API server.
    pub etcd: u16,
    /// The port of etcd for other members.
    pub etcd_peer: u16,
    /// The port of the API server.
    pub apiserver: u16,
}

/// Writes every request to the audit log, once, when it is answered.
pub const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"#;

/// etcd with its data in `data`.
pub fn etcd(ports: Ports, data: &Path) -> Vec<OsString> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    Args::new()
        .path("--data-dir", data)
        .set("--listen-client-urls", &client)
        .set("--advertise-client-urls", &client)
        .set("--listen-peer-urls", &peer)
        .set("--initial-advertise-peer-urls", &peer)
        .set("--initial-cluster", &format!("default={peer}"))
        .set("--log-level", "warn")
        // The data survives a killed process without fsync: only a crash of the machine would lose some.
        .set("--unsafe-no-fsync", "true")
        .done()
}

/// The API server; the audit log goes to `audit_log`.
pub fn apiserver(ports: Ports, pki: &Pki, audit_policy: &Path, audit_log: &Path) -> Vec<OsString> {
    Args::new()
        .set("--etcd-servers", &format!("http://127.0.0.1:{}", ports.etcd))
        .set("--bind-address", "127.0.0.1")
        .set("--advertise-address", "127.0.0.1")
        .set("--secure-port", &ports.apiserver.to_string())
        // The address of the `kubernetes` service would have to be routable.
        .set("--endpoint-reconciler-type", "none")
        .set("--service-cluster-ip-range", "10.96.0.0/16")
        .path("--tls-cert-file", &pki.apiserver.certificate)
        .path("--tls-private-key-file", &pki.apiserver.key)
        .path("--client-ca-file", &pki.authority)
        .set("--service-account-issuer", "https://kubernetes.default.svc")
        .path("--service-account-key-file", &pki.account_public_key)
        .path("--service-account-signing-key-file", &pki.account_key)
        .set("--authorization-mode", "Node,RBAC")
        .set("--enable-admission-plugins", "NodeRestriction")
        .set("--allow-privileged", "true")
        .path("--requestheader-client-ca-file", &pki.front_proxy_authority)
        .set("--requestheader-allowed-names", "front-proxy-client")
        .set("--requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .set("--requestheader-group-headers", "X-Remote-Group")
        .set("--requestheader-username-headers", "X-Remote-User")
        .path("--proxy-client-cert-file", &pki.front_proxy.certificate)
        .path("--proxy-client-key-file", &pki.front_proxy.key)
        .path("--audit-policy-file", audit_policy)
        .path("--audit-log-path", audit_log)
        // One file however long the test runs: its readers remember offsets in it.
        .set("--audit-log-maxsize", "100000")
        .set("--profiling", "false")
        .done()
}

/// The controller manager with every controller of a usual cluster.
pub fn controller_manager(pki: &Pki, kubeconfig: &Path) -> Vec<OsString> {
    Args::new()
        .path("--kubeconfig", kubeconfig)
        .set("--secure-port", "0")
        .set("--leader-elect", "false")
        .set("--use-service-account-credentials", "true")
        .path("--service-account-private-key-file", &pki.account_key)
        .path("--root-ca-file", &pki.authority)
        .set("--controllers", "*")
        .set("--kube-api-qps", "500")
        .set("--kube-api-burst", "1000")
        .set("--horizontal-pod-autoscaler-sync-period", "1s")
        .set("--horizontal-pod-autoscaler-downscale-stabilization", "1s")
        // The nodes have no heartbeat; see kwok.
        .set("--node-monitor-grace-period", "8760h")
        .done()
}

/// The scheduler.
pub fn scheduler(kubeconfig: &Path) -> Vec<OsString> {
    Args::new()
        .path("--kubeconfig", kubeconfig)
        .set("--secure-port", "0")
        .set("--leader-elect", "false")
        .set("--kube-api-qps", "500")
        .set("--kube-api-burst", "1000")
        .done()
}

/// kwok as the kubelet of every node.
pub fn kwok(kubeconfig: &Path, stages: &Path) -> Vec<OsString> {
    Args::new()
        .path("--kubeconfig", kubeconfig)
        .path("--config", stages)
        .set("--manage-all-nodes", "true")
        // With leases, a restarted kwok would wait for its own old one to expire.
        .set("--node-lease-duration-seconds", "0")
        .set("--cidr", "10.0.0.1/16")
        .set("--node-ip", "127.0.0.1")
        .done()
}

struct Args(Vec<OsString>);

impl Args {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn set(mut self, flag: &str, value: &str) -> Self {
        self.0.push(format!("{flag}={value}").into());
        self
    }

    fn path(mut self, flag: &str, value: &Path) -> Self {
        let mut arg = OsString::from(flag);
        arg.push("=");
        arg.push(value);
        self.0.push(arg);
        self
    }

    fn done(self) -> Vec<OsString> {
        self.0
    }
}

/// The kubeconfigs of the clients that are not under test.
#[derive(Debug)]
pub struct Kubeconfigs {
    /// `system:masters`.
    pub admin: PathBuf,
    /// The controller manager.
    pub controller_manager: PathBuf,
    /// The scheduler.
    pub scheduler: PathBuf,
    /// The fake kubelets.
    pub kwok: PathBuf,
}

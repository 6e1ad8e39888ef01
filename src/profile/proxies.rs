//! Containers that injectors add beside an app, recognized by their names.
//!
//! In: the name of a container. Out: whether it is one of these. A closed table: the policies have a copy of it, and
//! `docs/profiles.md` shows it. Forbidden here: containers that open connections to a database by themselves, such as a
//! pooler.

/// Their names.
pub const PROXIES: [&str; 35] = [
    // Service meshes: Istio, Linkerd, App Mesh and Open Service Mesh, Consul (now and formerly), Kuma, NGINX, Dapr.
    "istio-proxy",
    "linkerd-proxy",
    "envoy",
    "envoy-sidecar",
    "consul-dataplane",
    "consul-connect-envoy-sidecar",
    "kuma-sidecar",
    "nginx-mesh-sidecar",
    "daprd",
    "queue-proxy",
    // Tunnels to a database: they open only what the app opens through them.
    "cloud-sql-proxy",
    "cloudsql-proxy",
    "cloud-sql-auth-proxy",
    "cloudsql-auth-proxy",
    "cloud-sql-proxy-sidecar",
    "sql-proxy",
    "alloydb-auth-proxy",
    "tailscale",
    // Authentication, and secrets.
    "vault-agent",
    "oauth2-proxy",
    "kube-rbac-proxy",
    "azwi-proxy",
    "aws-sigv4-proxy",
    // Logs, traces and metrics.
    "fluent-bit",
    "fluentd",
    "filebeat",
    "vector",
    "promtail",
    "otc-container",
    "otel-collector",
    "opentelemetry-collector",
    "jaeger-agent",
    "datadog-agent",
    "xray-daemon",
    // Files.
    "gke-gcsfuse-sidecar",
];

/// Whether injectors add a container of this name beside apps.
#[must_use]
pub fn is_proxy(name: &str) -> bool {
    PROXIES.contains(&name)
}

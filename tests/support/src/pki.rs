//! The certificates of one cluster.
//!
//! In: a folder. Out: a CA, the API server's certificate, the key that signs ServiceAccount tokens, the aggregation
//! layer's pair, and a kubeconfig for each client. Nothing here outlives the folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::folder::Folder;

/// Files with a certificate and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Everything that the programs of a cluster need to authenticate each other.
#[derive(Debug)]
pub struct Pki {
    /// The CA that signs every client and server certificate.
    pub authority: PathBuf,
    /// The certificate that the API server presents.
    pub apiserver: Pair,
    /// Signs ServiceAccount tokens.
    pub account_key: PathBuf,
    /// Verifies them.
    pub account_public_key: PathBuf,
    /// The CA of the aggregation layer.
    pub front_proxy_authority: PathBuf,
    /// The certificate that the API server presents to extension API servers.
    pub front_proxy: Pair,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Creates all keys and certificates.
    pub fn create(folder: &Folder) -> Result<Self> {
        let issuer = authority("poolbudget-test-cluster")?;
        let front_proxy_issuer = authority("poolbudget-test-front-proxy")?;
        let account = KeyPair::generate()?;
        let names = ["localhost", "kubernetes", "kubernetes.default.svc", "127.0.0.1", "10.96.0.1"];
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        Ok(Self {
            authority: folder.write("ca.crt", &issuer.pem())?,
            apiserver: issue(folder, &issuer, "apiserver", &subject("kube-apiserver", None), &names, server)?,
            account_key: folder.write("sa.key", &account.serialize_pem())?,
            account_public_key: folder.write("sa.pub", &account.public_key_pem())?,
            front_proxy_authority: folder.write("front-proxy-ca.crt", &front_proxy_issuer.pem())?,
            front_proxy: issue(
                folder,
                &front_proxy_issuer,
                "front-proxy-client",
                &subject("front-proxy-client", None),
                &[],
                client,
            )?,
            issuer,
        })
    }

    /// A client certificate for `user`, in `group` if any.
    pub fn client(&self, folder: &Folder, user: &str, group: Option<&str>) -> Result<Pair> {
        let file = user.replace(':', "-");
        issue(folder, &self.issuer, &file, &subject(user, group), &[], ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// How the user of a kubeconfig authenticates.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// With a client certificate.
    Certificate(&'a Pair),
    /// With a ServiceAccount token.
    Token(&'a str),
}

/// The text of a kubeconfig.
pub fn kubeconfig(server: &str, authority: &Path, identity: Identity<'_>) -> String {
    let user = match identity {
        Identity::Certificate(pair) => serde_json::json!({
            "client-certificate": pair.certificate, "client-key": pair.key,
        }),
        Identity::Token(token) => serde_json::json!({ "token": token }),
    };
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    })
    .to_string()
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = subject(name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    validity(&mut params);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        .with_context(|| format!("make the authority {name}"))
}

fn issue(
    folder: &Folder,
    issuer: &CertifiedIssuer<'static, KeyPair>,
    file: &str,
    subject: &DistinguishedName,
    names: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Result<Pair> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = subject.clone();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.insert_extended_key_usage(usage);
    validity(&mut params);
    let key = KeyPair::generate()?;
    let certificate =
        params.signed_by(&key, issuer).with_context(|| format!("sign the certificate {file}"))?;
    Ok(Pair {
        certificate: folder.write(&format!("{file}.crt"), &certificate.pem())?,
        key: folder.write(&format!("{file}.key"), &key.serialize_pem())?,
    })
}

fn subject(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    name
}

/// From an hour ago, so that a clock that is set back in the meantime breaks nothing, to a week from now.
fn validity(params: &mut CertificateParams) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::HOUR;
    params.not_after = now + Duration::WEEK;
}

//! `poolbudget grant-secret` on a real control plane: the chart's account may read the one Secret that is granted, for as
//! long as it is.

use std::path::Path;

use poolbudget::api::SecretKeyRef;
use poolbudget::controller::secrets::Secrets;
use testkit::cluster::client_of;
use testkit::eventually;
use testkit::install::{RELEASE, SYSTEM};

use crate::commands::{run, run_as};
use crate::installed::{Installed, SETTLES, SHOP};

const DSN: &str = "postgres://shop:hunter2@db/shop";
const GRANT: [&str; 4] = ["grant-secret", "db", "-n", SHOP];
const FORBIDDEN: &str = "poolbudget may not read Secret/db: run kubectl poolbudget grant-secret db -n shop";

/// What the operator reads at a key of a Secret, or why it does not.
async fn read(operator: &Secrets, name: &str, key: &str) -> String {
    let of = SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
    match operator.value(SHOP, &of).await {
        Ok(value) => String::from_utf8(value.to_vec()).unwrap(),
        Err(doubt) => doubt.to_string(),
    }
}

/// RBAC is followed by a watch.
async fn until_read(operator: &Secrets, expected: &str) {
    eventually(SETTLES, expected, async || {
        let said = read(operator, "db", "dsn").await;
        if said == expected { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test]
async fn the_operator_reads_the_one_secret_that_is_granted_until_it_is_taken_back() {
    let shop = Installed::without_operator().await;
    shop.cluster.expects_forbidden();
    for secret in ["db", "other"] {
        let dsn = format!("--from-literal=dsn={DSN}");
        shop.kubectl(&["create", "secret", "generic", secret, &dsn]).await;
    }
    let account = shop.cluster.account_kubeconfig(SYSTEM, RELEASE).await.unwrap();
    let client = client_of(&account).await.unwrap();
    let operator = Secrets::new(client, SYSTEM);

    assert_eq!(read(&operator, "db", "dsn").await, FORBIDDEN);
    let first = run(&shop, &GRANT).await.well();
    assert!(
        first.starts_with("ServiceAccount poolbudget-system/poolbudget may get Secret shop/db"),
        "{first}"
    );
    until_read(&operator, DSN).await;
    it_may_get_that_one_and_no_more(&shop, &operator).await;
    assert!(run(&shop, &GRANT).await.well().contains("may already get"));

    let revoke = [&GRANT[..], &["--revoke"]].concat();
    run(&shop, &revoke).await.well();
    until_read(&operator, FORBIDDEN).await;

    // The lines for an administrator do what the command does, and so does the YAML.
    for line in first.lines().filter_map(|line| line.strip_prefix("  kubectl ")) {
        shop.cluster.kubectl(&line.split(' ').collect::<Vec<_>>()).await.unwrap();
    }
    until_read(&operator, DSN).await;
    assert!(run(&shop, &GRANT).await.well().contains("may already get"));
    let refused = run(&shop, &revoke).await.badly();
    let delete = "kubectl delete rolebinding poolbudget-secret-db -n shop";
    assert!(refused.contains("was not made by this command") && refused.contains(delete), "{refused}");
    shop.kubectl(&["delete", "rolebinding,role", "poolbudget-secret-db"]).await;
    until_read(&operator, FORBIDDEN).await;
    shop.apply(&run(&shop, &[&GRANT[..], &["--print"]].concat()).await.well()).await;
    until_read(&operator, DSN).await;
    run(&shop, &revoke).await.well();
    until_read(&operator, FORBIDDEN).await;

    who_lacks_the_right_cannot_grant_it(&shop).await;
    until_read(&operator, DSN).await;
}

async fn it_may_get_that_one_and_no_more(shop: &Installed, operator: &Secrets) {
    let said = read(operator, "other", "dsn").await;
    assert!(said.starts_with("poolbudget may not read Secret/other"), "{said}");
    let said = read(operator, "db", "password").await;
    assert_eq!(said, "Secret/db has no key password");
    let user = format!("--as=system:serviceaccount:{SYSTEM}:{RELEASE}");
    for verb in ["list", "watch", "update", "patch", "delete"] {
        let may = shop.try_kubectl(&["auth", "can-i", verb, "secrets/db", &user]).await;
        assert!(may.as_ref().is_err_and(|said| said.lines().any(|line| line == "no")), "{verb}: {may:?}");
    }
    // Nothing says that it is missing but the answer to who may look.
    shop.kubectl(&["delete", "secret", "db"]).await;
    let said = read(operator, "db", "dsn").await;
    assert_eq!(said, "there is no Secret/db in namespace shop");
    let told = run(shop, &GRANT).await.well();
    assert!(told.ends_with("note: there is no Secret db in namespace shop yet\n"), "{told}");
    shop.kubectl(&["create", "secret", "generic", "db", &format!("--from-literal=dsn={DSN}")]).await;
}

async fn who_lacks_the_right_cannot_grant_it(shop: &Installed) {
    shop.kubectl(&["create", "serviceaccount", "deployer"]).await;
    let deployer = shop.cluster.account_kubeconfig(SHOP, "deployer").await.unwrap();
    let refused = run_as(&deployer, &GRANT).await.badly();
    assert!(refused.starts_with("poolbudget: cannot read the Role poolbudget-secret-db"), "{refused}");
    assert!(refused.contains("\n  kubectl create role poolbudget-secret-db --verb=get"), "{refused}");
    let verbs = "--verb=get,create,update,delete";
    let to = "--serviceaccount=shop:deployer";
    shop.kubectl(&["create", "role", "roles", verbs, "--resource=roles,rolebindings"]).await;
    shop.kubectl(&["create", "rolebinding", "roles", "--role=roles", to]).await;
    until_told(&deployer, "attempting to grant RBAC permissions not currently held").await;
    until_told(&deployer, "RBAC asks for get on Secret db, or for the verbs escalate on roles").await;
    shop.kubectl(&["create", "role", "db", "--verb=get", "--resource=secrets", "--resource-name=db"]).await;
    shop.kubectl(&["create", "rolebinding", "db", "--role=db", to]).await;
    until_told(&deployer, "ServiceAccount poolbudget-system/poolbudget may get Secret shop/db").await;
}

/// Runs the command until it says this: RBAC is followed by a watch.
async fn until_told(kubeconfig: &Path, part: &str) {
    eventually(SETTLES, part, async || {
        let said = run_as(kubeconfig, &GRANT).await;
        if said.out.contains(part) || said.err.contains(part) { Ok(()) } else { Err(said.out + &said.err) }
    })
    .await;
}

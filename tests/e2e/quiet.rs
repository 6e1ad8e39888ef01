//! Nothing is written while nothing changes.

use std::time::Duration;

use testkit::account::account_user;
use testkit::install::SYSTEM;

use crate::installed::Installed;
use crate::main_job::governed;

#[tokio::test]
async fn an_idle_minute_shows_lease_renewals_watches_and_the_look_for_argo_rollouts_only() {
    let shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 3).to_string()).await;
    shop.settles(&[("api", 3)]).await;
    // Whatever the last change set off is over when a second passes without a request.
    let user = account_user(SYSTEM, "poolbudget");
    testkit::eventually(Duration::from_secs(60), "the operator comes to rest", async || {
        let mark = shop.cluster.audit_mark().map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let busy = shop.cluster.audited(mark, &user).map_err(|error| error.to_string())?;
        let busy = busy.iter().filter(|request| !is_idle(request)).count();
        if busy == 0 { Ok(()) } else { Err(format!("{busy} requests")) }
    })
    .await;
    let mark = shop.cluster.audit_mark().unwrap();
    // The minute is what is measured.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let requests = shop.cluster.audited(mark, &user).unwrap();
    let unexpected: Vec<_> = requests.iter().filter(|request| !is_idle(request)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    let renewals = requests.iter().filter(|request| request.is_write()).count();
    assert!((15..=62).contains(&renewals), "{renewals} renewals");
}

fn is_idle(request: &testkit::audit::Request) -> bool {
    let resource = request.object_ref.as_ref().map(|object| object.resource.as_str()).unwrap_or_default();
    // Nobody tells of a kind that comes.
    let discovery = request.object_ref.is_none() && request.uri.starts_with("/apis/argoproj.io");
    request.verb == "watch" || resource == "leases" || discovery
}

//! The page on a real control plane, from a replica that does not lead, with the rights of the chart and no others.

use std::net::SocketAddr;

use serde_json::Value;
use testkit::eventually;
use testkit::install::{RELEASE, SYSTEM, operator_binary};
use testkit::ports::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;

/// A replica with more variables than the chart gives it by default; the address of its page.
async fn replica(shop: &mut Installed, pod: &str, env: &[(&str, &str)]) -> SocketAddr {
    let free = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let binary = operator_binary().unwrap();
    let mut launch = shop.cluster.launch_of(SYSTEM, RELEASE, pod, &binary).await.unwrap();
    launch = launch.env("POOLBUDGET_PAGE_ADDRESS", &free.to_string());
    for (name, value) in env {
        launch = launch.env(name, value);
    }
    shop.operators.push(shop.cluster.start_operator(&launch).unwrap());
    free
}

/// GET of a path: the status code and the body, which has to be JSON.
async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> Result<(u16, Value), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no code")?;
    serde_json::from_str(body).map(|body| (code, body)).map_err(|error| format!("{error}: {body}"))
}

fn names(news: &Value) -> Vec<&str> {
    news["rows"].as_array().into_iter().flatten().filter_map(|row| row["namespace"].as_str()).collect()
}

#[tokio::test]
async fn any_replica_shows_what_is_so_and_with_tokens_only_what_they_may_get() {
    let mut shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    let page = replica(&mut shop, "poolbudget-page", &[]).await;
    eventually(SETTLES, "the page shows two granted pods", async || {
        let (code, open) = get(page, "/api/budgets/shop/main", None).await?;
        let pods: Vec<_> = open["pods"].as_array().into_iter().flatten().collect();
        let granted = pods.iter().filter(|pod| pod["state"] == "granted" && pod["holds"] == 4).count();
        if code == 200 && granted == 2 && open["committed"] == 8 { Ok(()) } else { Err(open.to_string()) }
    })
    .await;
    let (_, all) = get(page, "/api/budgets", None).await.unwrap();
    assert_eq!(names(&all), [SHOP]);
    shop.scale("api", 20).await;
    shop.awaits("Settled", "False", "Infeasible").await;
    eventually(SETTLES, "the page says why pods wait", async || {
        let (_, open) = get(page, "/api/budgets/shop/main", None).await?;
        let waits = |pod: &&Value| {
            pod["reason"] == "NoSlot"
                && pod["text"].to_string().contains("has room for 13 pods of this workload")
        };
        let waiting = open["pods"].as_array().into_iter().flatten().filter(waits).count();
        if waiting > 0 && open["state"] == "stalled" { Ok(()) } else { Err(open.to_string()) }
    })
    .await;
    tokens_open_what_they_may_get(&mut shop).await;
}

async fn tokens_open_what_they_may_get(shop: &mut Installed) {
    // What the chart adds with page.authorize.
    let reviews = "--resource=tokenreviews.authentication.k8s.io,subjectaccessreviews.authorization.k8s.io";
    shop.kubectl(&["create", "clusterrole", "reviews", "--verb=create", reviews]).await;
    let account = format!("--serviceaccount={SYSTEM}:{RELEASE}");
    shop.kubectl(&["create", "clusterrolebinding", "reviews", "--clusterrole=reviews", &account]).await;
    shop.kubectl(&["create", "serviceaccount", "viewer"]).await;
    shop.kubectl(&["create", "serviceaccount", "stranger"]).await;
    shop.kubectl(&["create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=shop:viewer"])
        .await;
    let viewer = shop.kubectl(&["create", "token", "viewer"]).await;
    let stranger = shop.kubectl(&["create", "token", "stranger"]).await;
    let page = replica(shop, "poolbudget-tokens", &[("POOLBUDGET_PAGE_AUTHORIZE", "true")]).await;
    // Answers are believed for a minute, also those from before the rights were known everywhere.
    eventually(SETTLES, "the viewer sees his namespace", async || {
        let (code, all) = get(page, "/api/budgets", Some(viewer.trim())).await?;
        if code == 200 && names(&all) == [SHOP] { Ok(()) } else { Err(all.to_string()) }
    })
    .await;
    assert_eq!(get(page, "/api/budgets/shop/main", Some(viewer.trim())).await.unwrap().0, 200);
    let (code, all) = get(page, "/api/budgets", Some(stranger.trim())).await.unwrap();
    assert_eq!((code, names(&all).len()), (200, 0));
    assert_eq!(get(page, "/api/budgets/shop/main", Some(stranger.trim())).await.unwrap().0, 404);
    for token in [None, Some("nobody's")] {
        assert_eq!(get(page, "/api/budgets", token).await.unwrap().0, 401, "{token:?}");
    }
}

//! The page as it is shipped, in front of fixed clusters, for a browser that tests it.
//!
//! In: a port, the name of a state, and the token that opens it, if it is not open to all. Out: the page on 127.0.0.1. A line on standard input that names another state brings
//! the cluster to it.

#![expect(clippy::indexing_slicing, reason = "a JSON value may be indexed by any name")]

mod states;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use poolbudget::api::BudgetKey;
use poolbudget::commands::explain_pods;
use poolbudget::page::access::{Access, Judge};
use poolbudget::page::row::Row;
use poolbudget::page::source::{Change, Hall, Opened, Source};
use poolbudget::page::{self, Settings};
use poolbudget::telemetry::metrics::Metrics;
use states::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A cluster that is in one state at a time.
struct Stage(watch::Receiver<Arc<State>>);

impl Source for Stage {
    fn budgets(&self) -> BoxStream<'static, Change> {
        let states = stream::unfold((self.0.clone(), true), |(mut states, first)| async move {
            if !first && states.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let state = Arc::clone(&states.borrow_and_update());
            Some((stream::iter(listed(&state)), (states, false)))
        });
        states.flatten().boxed()
    }

    fn budget(&self, key: BudgetKey) -> BoxFuture<'_, Result<Option<Opened>, String>> {
        let state = Arc::clone(&self.0.borrow());
        async move {
            let Some(budget) = state.budget(&key) else { return Ok(None) };
            Ok(Some(Opened { budget, around: Ok(state.observed(&key.namespace)) }))
        }
        .boxed()
    }
}

/// Knows one token, whose user may get budgets in the namespace shop.
struct OnlyShop(String);

impl Judge for OnlyShop {
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<UserInfo>, String>> {
        async move { Ok((token == self.0).then(UserInfo::default)) }.boxed()
    }

    fn may(&self, _: UserInfo, namespace: Option<String>) -> BoxFuture<'_, Result<bool, String>> {
        async move { Ok(namespace.as_deref() == Some("shop")) }.boxed()
    }
}

fn listed(state: &State) -> Vec<Change> {
    let budgets = state.budgets().map(|budget| Ok(Event::InitApply(budget)));
    [Ok(Event::Init)].into_iter().chain(budgets).chain([Ok(Event::InitDone)]).collect()
}

/// Lets the board remember an hour that never was: the line of each budget leads to what it is now.
async fn remember(hall: Arc<Hall>, state: Arc<State>) {
    hall.look();
    while !hall.board().is_worth_a_look() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows: Vec<_> = state.budgets().filter_map(|budget| Row::of(&budget)).collect();
    let mut board = hall.board();
    for step in 0..119_i64 {
        for (key, row) in &rows {
            let wave = [0, 2, 2, 1, 3, 1, 0][usize::try_from(step / 17).unwrap_or(0) % 7];
            let committed = (row.committed - wave * (1 + row.committed / 12)).max(0);
            board.put(key.clone(), Row { committed, ..row.clone() });
        }
        board.beat();
    }
    rows.into_iter().for_each(|(key, row)| board.put(key, row));
    board.beat();
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().context("page PORT STATE")?.parse()?;
    let named =
        |name: &str| states::named(name, Timestamp::now()).with_context(|| format!("no state {name}"));
    let first = Arc::new(named(&args.next().context("page PORT STATE")?)?);
    let (states, receiver) = watch::channel(Arc::clone(&first));
    let hall = Arc::new(Hall::new(Box::new(Stage(receiver)), explain_pods, Timestamp::now));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let access = args.next().map(|token| Access::new(Box::new(OnlyShop(token))));
    let settings = Settings { address, hosts: Vec::new(), access };
    tokio::spawn(remember(Arc::clone(&hall), first));
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Some(state) = states::named(line.trim(), Timestamp::now()) {
                states.send_replace(Arc::new(state));
            }
        }
        // Whoever started it is gone.
        std::process::exit(0);
    });
    page::serve(hall, settings, Metrics::default(), CancellationToken::new()).await?;
    Ok(())
}

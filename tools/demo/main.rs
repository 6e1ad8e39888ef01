//! The main job on a real control plane: from `helm install`, a budget and one label to pods that carry the right
//! sizes, by themselves, on every scale event. `make demo` builds what it needs and runs it.
//!
//! In: the programs of `make cluster-tools` and the operator (`POOLBUDGET_BINARY`). Out: the story on standard output,
//! and the exit code: 0 when the sum was never over and everything settled, 1 when not, 130 when interrupted
//! before that was known. On a terminal it then stays up until Ctrl-C. Nothing outlives it.

mod screen;
mod shop;
mod story;
mod terminal;

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use screen::Tone;
use shop::{Shop, USABLE, in_words};
use terminal::Terminal;

/// When `make demo` began, in seconds since 1970, so that what it had to build counts.
const ORDERED: &str = "POOLBUDGET_DEMO_ORDERED";

const INTERRUPTED: u8 = 130;

/// Whether the sum was kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Kept,
    Broken,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let began = Instant::now();
    let mut terminal = Terminal::open();
    let (mut shop, verdict) = match until_interrupted(perform(&mut terminal, began)).await {
        Ok(Some(Ok(told))) => told,
        Ok(Some(Err(error))) | Err(error) => return fail(&mut terminal, &error),
        Ok(None) => {
            farewell(&mut terminal, "interrupted");
            return ExitCode::from(INTERRUPTED);
        }
    };
    if terminal.is_watched() {
        let stayed = until_interrupted(story::stay(&mut shop, &mut terminal)).await;
        if let Ok(Some(Err(error))) | Err(error) = stayed {
            return fail(&mut terminal, &error);
        }
        drop(shop);
        farewell(&mut terminal, "ended");
    }
    if verdict == Verdict::Kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stderr, reason = "an error belongs there")]
fn fail(terminal: &mut Terminal, error: &anyhow::Error) -> ExitCode {
    // What was last shown helps to understand what follows.
    terminal.keep();
    eprintln!("demo: {error:#}");
    ExitCode::FAILURE
}

/// Everything is gone by now.
fn farewell(terminal: &mut Terminal, why: &str) {
    terminal.keep();
    // Nobody may be left to read it.
    let _ = terminal.print(&[format!("{why}: everything is torn down")]);
}

async fn perform(terminal: &mut Terminal, began: Instant) -> Result<(Shop, Verdict)> {
    // The commands name files as a user in the project's folder does.
    env::set_current_dir(env!("CARGO_MANIFEST_DIR")).context("go to the project's folder")?;
    let programs = "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok";
    let mut shop = story::announce(terminal, programs, Shop::open()).await?;
    let helm = "helm install poolbudget charts/poolbudget -n poolbudget-system --set image.repository=…";
    terminal.print(&[String::new(), format!("$ {helm}")])?;
    story::announce(terminal, "poolbudget and its policies", shop.install()).await?;
    if let Err(error) = story::tell(&mut shop, terminal).await {
        let log = shop.operator_log().unwrap_or_default();
        return Err(anyhow!("{error:#}\nthe end of the operator's log:\n{log}"));
    }
    let verdict = judge(&shop, terminal, began).await?;
    if terminal.is_watched() {
        invite(&shop, terminal)?;
    }
    Ok((shop, verdict))
}

/// Prints what the recorder saw.
async fn judge(shop: &Shop, terminal: &mut Terminal, began: Instant) -> Result<Verdict> {
    let wrongs = shop.wrongs().await;
    let page = terminal.page();
    let highest =
        format!("Highest sum that the independent recorder ever saw: {} of {USABLE}", shop.highest());
    let mut lines = vec![String::new()];
    if wrongs.is_empty() {
        lines.push(page.paint(Tone::Good, &format!("{highest}. Never over.")));
    } else {
        lines.push(page.paint(Tone::Bad, &format!("{highest}. WRONG:")));
        lines.extend(wrongs.iter().flat_map(|wrong| page.wrap(wrong)));
    }
    if let Some(granted) = shop.first_grant() {
        let alone = granted.saturating_duration_since(began);
        lines.push(format!("First granted pod: {} after the start of the demo.", in_words(alone)));
        lines.extend(before(began).map(|earlier| {
            let all = in_words(earlier + alone);
            format!("Since `make demo` was typed, what had to be built included: {all}.")
        }));
    }
    terminal.print(&lines)?;
    Ok(if wrongs.is_empty() { Verdict::Kept } else { Verdict::Broken })
}

/// How long before then `make demo` began.
fn before(began: Instant) -> Option<Duration> {
    let ordered: f64 = env::var(ORDERED).ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    now.checked_sub(Duration::try_from_secs_f64(ordered).ok()?)?.checked_sub(began.elapsed())
}

/// Says how to go on.
fn invite(shop: &Shop, terminal: &mut Terminal) -> io::Result<()> {
    let mut lines =
        vec![String::new(), "It stays up until Ctrl-C. In another terminal:".to_owned(), String::new()];
    lines.extend(shop.way_in().iter().map(|line| format!("  {line}")));
    lines.push("  kubectl get dbcb,pods".to_owned());
    lines.push("  kubectl scale deployment api --replicas=3".to_owned());
    lines.push(String::new());
    terminal.print(&lines)
}

/// Does the work, unless somebody ends it first: then there is no answer, and what the work had made is gone.
async fn until_interrupted<T>(work: impl Future<Output = T>) -> Result<Option<T>> {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .context("listen for signals")?;
    let interrupted = futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv())));
    Ok(tokio::select! {
        biased;
        _ = interrupted => None,
        done = work => Some(done),
    })
}

//! The steps of the demo: an application is put under a budget, scaled, rolled out and scaled too far.
//!
//! In: a terminal. Out: what a user would type and what comes of it, and the verdict of the recorder. A step that
//! does not come to its end in time is an error that says what it waited for.

use std::time::Duration;

use anyhow::{Result, bail};
use poolbudget::api::conditions::ConditionType;
use tokio::time::{Instant, sleep};

use super::screen::Tone;
use super::shop::{Moment, Shop, USABLE, in_words};
use super::terminal::Terminal;

/// How long a step may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Between two looks.
const TICK: Duration = Duration::from_millis(100);

/// What is typed, and what has to come of it.
struct Step {
    title: &'static str,
    commands: &'static [&'static str],
    until: Goal,
}

/// What a step waits for, with the replicas that are wanted.
#[derive(Clone, Copy)]
enum Goal {
    /// They all run; nobody governs them.
    Running(i32),
    /// They all run with their grants.
    Settled(i32),
    /// Those that fit run with their grants, and the budget says why the others do not.
    Standing(i32),
}

const STEPS: &[Step] = &[
    Step {
        title: "As it is: 2 pods of pool_size 5 + max_overflow 10, where the plan allows 15",
        commands: &["kubectl apply -f examples/shop.yaml"],
        until: Goal::Running(2),
    },
    Step {
        title: "A budget (2 of the 15 kept free) and a label: pods with sizes that fit",
        commands: &[
            "kubectl apply -f examples/free-tier.yaml",
            "kubectl label deployment api poolbudget.dev/budget=main",
        ],
        until: Goal::Settled(2),
    },
    Step {
        title: "More replicas: smaller sizes",
        commands: &["kubectl scale deployment api --replicas=6"],
        until: Goal::Settled(6),
    },
    Step {
        title: "A new image, while the budget is nearly full",
        commands: &["kubectl set image deployment api api=python:3.14-slim"],
        until: Goal::Settled(6),
    },
    Step {
        title: "Too many replicas: what fits runs, the rest waits, and the budget says why",
        commands: &["kubectl scale deployment api --replicas=20"],
        until: Goal::Standing(20),
    },
    Step {
        title: "Fewer replicas: running pods keep their sizes, later ones get more",
        commands: &["kubectl scale deployment api --replicas=4"],
        until: Goal::Settled(4),
    },
];

/// Tells the whole story.
pub async fn tell(shop: &mut Shop, terminal: &mut Terminal) -> Result<()> {
    for step in STEPS {
        play(step, shop, terminal).await?;
    }
    Ok(())
}

/// Shows what is being done until it is done, then how long it took.
pub async fn announce<T>(
    terminal: &mut Terminal,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let began = Instant::now();
    terminal.show(vec![format!("{what} …")])?;
    let done = work.await?;
    terminal.print(&[format!("{what}: {}", in_words(began.elapsed()))])?;
    Ok(done)
}

async fn play(step: &Step, shop: &mut Shop, terminal: &mut Terminal) -> Result<()> {
    let page = terminal.page();
    let mut head = vec![String::new(), page.paint(Tone::Strong, step.title)];
    head.extend(step.commands.iter().map(|command| format!("$ {command}")));
    terminal.print(&head)?;
    let began = Instant::now();
    for command in step.commands {
        shop.run(command).await?;
    }
    let moment = watch(step.until, shop, terminal, began).await?;
    let mut lines = page.draw(&moment.scene);
    lines.push(String::new());
    if let Goal::Standing(_) = step.until {
        for condition in [ConditionType::Feasible.name(), ConditionType::Settled.name()]
            .into_iter()
            .filter_map(|kind| moment.condition(kind))
        {
            let said = format!("{}={}: {}", condition.type_, condition.status, condition.message);
            lines.extend(page.wrap(&said));
        }
    }
    let took = in_words(began.elapsed());
    let done = match step.until {
        Goal::Running(_) => format!("  all running after {took}"),
        Goal::Settled(_) => format!("  settled after {took}; {}", on_the_way(shop, began)),
        Goal::Standing(_) => format!("  as far as it goes after {took}; {}", on_the_way(shop, began)),
    };
    lines.push(page.paint(Tone::Faint, &done));
    terminal.print(&lines)?;
    Ok(())
}

fn on_the_way(shop: &Shop, began: Instant) -> String {
    format!("highest sum on the way: {} of {USABLE}", shop.highest_since(began))
}

/// Looks again and again until the goal is reached.
async fn watch(goal: Goal, shop: &mut Shop, terminal: &mut Terminal, began: Instant) -> Result<Moment> {
    loop {
        let moment = shop.look().await?;
        let Err(missing) = goal.is_reached(&moment) else { return Ok(moment) };
        if began.elapsed() >= DEADLINE {
            bail!("not within {DEADLINE:?}: {missing}");
        }
        show(&moment, &format!("{}: {missing}", in_words(began.elapsed())), terminal)?;
        sleep(TICK).await;
    }
}

/// Draws a moment that passes.
fn show(moment: &Moment, caption: &str, terminal: &mut Terminal) -> Result<()> {
    let canvas = terminal.canvas();
    let caption = canvas.wrap(caption);
    let rest = canvas.lower_by(caption.len() + 1);
    let mut lines = rest.draw(&moment.scene);
    lines.push(String::new());
    lines.extend(caption.iter().map(|line| canvas.paint(Tone::Faint, line)));
    terminal.show(lines)?;
    Ok(())
}

/// Shows what happens, for as long as it is not dropped.
pub async fn stay(shop: &mut Shop, terminal: &mut Terminal) -> Result<()> {
    loop {
        let moment = shop.look().await?;
        let said = moment
            .condition(ConditionType::Settled.name())
            .map_or("", |condition| condition.message.as_str());
        show(&moment, said, terminal)?;
        sleep(TICK).await;
    }
}

impl Goal {
    fn is_reached(self, moment: &Moment) -> Result<(), String> {
        match self {
            Self::Running(replicas) => moment.complete(replicas),
            Self::Settled(replicas) => moment.settled(replicas),
            Self::Standing(replicas) => moment.stands(replicas),
        }
    }
}

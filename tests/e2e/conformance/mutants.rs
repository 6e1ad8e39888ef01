//! The comparison can fail: a model that errs in one rule, or a recording with one wrong number, is found out.

use std::collections::HashSet;

use testkit::model::IntOrPercent;
use testkit::model::deployment::Strategy;
use testkit::model::deployment::{Deployment, Write};

use super::judge::judge;
use super::recording::Recording;
use super::script::{Class, Script, Step, edit, percent, pods, roll_out, scale};
use super::twin::Pass;
use super::{assert_conforms, faithful, recordings};

type Runs<'a> = &'a dyn Fn(u32) -> bool;

/// A pass over a Deployment that was changed before; what it wants and what its sets are stays as it was.
fn pass_over(changed: Deployment, deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    let mut passed = changed;
    let writes = passed.sync(runs);
    deployment.sets = passed.sets;
    writes
}

fn rounded(deployment: &mut Deployment, runs: Runs<'_>, hundredths: u32) -> Vec<Write> {
    let mut changed = deployment.clone();
    if let Strategy::RollingUpdate { max_surge: IntOrPercent::Percent(percent), max_unavailable } =
        deployment.strategy
    {
        let max_surge = IntOrPercent::Int((percent * deployment.replicas + hundredths) / 100);
        changed.strategy = Strategy::RollingUpdate { max_surge, max_unavailable };
    }
    pass_over(changed, deployment, runs)
}

fn surge_rounded_down(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    rounded(deployment, runs, 0)
}

fn surge_rounded_up(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    rounded(deployment, runs, 99)
}

fn without_proportions(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    let mut changed = deployment.clone();
    for set in &mut changed.sets {
        set.desired = i64::from(deployment.replicas);
    }
    pass_over(changed, deployment, runs)
}

fn without_looking_for_leaving_pods(deployment: &mut Deployment, _: Runs<'_>) -> Vec<Write> {
    deployment.sync(|_| false)
}

fn with_the_youngest_for_the_oldest(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    let mut changed = deployment.clone();
    for set in &mut changed.sets {
        set.born = 1_000 - set.born.min(1_000);
    }
    let writes = pass_over(changed, deployment, runs);
    for set in &mut deployment.sets {
        set.born = 1_000 - set.born;
    }
    writes
}

fn without_pauses(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    pass_over(Deployment { paused: false, ..deployment.clone() }, deployment, runs)
}

fn without_unready_pods(deployment: &mut Deployment, runs: Runs<'_>) -> Vec<Write> {
    let mut changed = deployment.clone();
    for set in &mut changed.sets {
        set.available = set.pods;
    }
    pass_over(changed, deployment, runs)
}

fn scripts() -> Vec<Script> {
    let script = |name: &str, replicas, strategy, steps: Vec<Step>| Script {
        name: name.to_owned(),
        replicas,
        strategy,
        steps,
    };
    let paused = edit().paused(true).into();
    vec![
        script("rolls", 5, percent(25, 25), vec![Step::Ready(0, 5), roll_out(1), Step::Ready(1, 1)]),
        script("scaled", 4, pods(2, 0), vec![Step::Ready(0, 4), roll_out(1), scale(9)]),
        script("recreated", 2, Strategy::Recreate, vec![Step::Ready(0, 2), roll_out(1), Step::Release]),
        script("equal", 4, pods(4, 0), vec![Step::Ready(0, 4), roll_out(1), scale(3)]),
        script("paused", 2, pods(1, 0), vec![Step::Ready(0, 2), paused, roll_out(1)]),
        script("lost", 2, pods(1, 0), vec![Step::Ready(0, 2), roll_out(1), Step::Delete(0, Class::Ready)]),
    ]
}

/// The scripts in which a model is found out.
fn found_out(recordings: &[Recording], pass: Pass) -> HashSet<&str> {
    let differs = |recording: &&Recording| judge(recording, pass).is_err();
    recordings.iter().filter(differs).map(|recording| recording.script.name.as_str()).collect()
}

#[tokio::test]
async fn a_model_that_errs_in_one_rule_is_found_out() {
    let recordings = recordings("mutants", scripts()).await;
    assert_conforms(&recordings);
    let found = |pass: Pass| found_out(&recordings, pass);
    assert!(found(surge_rounded_down).contains("rolls"));
    assert!(found(surge_rounded_up).is_empty(), "that is how it is rounded");
    assert!(found(without_proportions).contains("scaled"));
    assert!(found(without_looking_for_leaving_pods).contains("recreated"));
    assert!(found(with_the_youngest_for_the_oldest).contains("equal"));
    assert!(found(without_pauses).contains("paused"));
    assert!(found(without_unready_pods).contains("rolls"));
}

#[tokio::test]
async fn a_recording_with_one_wrong_number_is_found_out() {
    let recordings = recordings("forged", vec![scripts().swap_remove(0)]).await;
    let [recording] = &recordings[..] else { panic!("one script") };
    judge(recording, faithful).unwrap();
    let forge = |change: fn(&mut Recording)| {
        let mut forged = recording.clone();
        change(&mut forged);
        judge(&forged, faithful).unwrap_err()
    };
    let size = forge(|it| it.acts[2].versions[0].spec.replicas += 1);
    assert!(size.contains("step 2 differs: t1 was told 3"), "{size}");
    let note = forge(|it| it.acts[2].versions[0].spec.most += 1);
    assert!(note.contains("step 2 differs: t1 was told 2 (desired 5, max 8"), "{note}");
    let pods = forge(|it| {
        it.acts[2].rest.pods.get_mut(&0).unwrap().insert(Class::Sick, 1);
    });
    assert!(pods.contains("step 2 differs: t0 reports"), "{pods}");
    let size_at_rest = forge(|it| it.acts[2].rest.sets[0].spec.replicas += 1);
    assert!(size_at_rest.contains("step 2 differs: it rests at"), "{size_at_rest}");
}

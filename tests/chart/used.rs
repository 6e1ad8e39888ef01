//! RBAC held against use: what the operator and the release job did while `make e2e` ran, against what they may do.
//!
//! What they were refused fails the test in which it happens. Here is the other direction: a right that nobody used.

use std::collections::BTreeSet;
use std::{env, fs};

use serde_json::Value;
use testkit::rights::COLLECTED;

use crate::render::{Rendered, render};

/// What need not be seen, and why it is given all the same.
const UNSEEN: [(&str, &str); 1] = [(
    "ClusterRole poolbudget: list rollouts.argoproj.io",
    "API servers without streams are asked for lists, and the tests have Rollouts where there are streams",
)];

/// Each verb on each resource that a role of the chart gives, as `tests/support/src/rights.rs` writes it.
fn granted(rendered: &Rendered, kind: &str) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    // The roles of users are bound to nobody.
    let bound = |role: &&Value| {
        let name = &role["metadata"]["name"];
        let binding = if kind == "Role" { "RoleBinding" } else { "ClusterRoleBinding" };
        rendered.of_kind(binding).any(|binding| binding["roleRef"]["name"] == *name)
    };
    for role in rendered.of_kind(kind).filter(bound) {
        let name = role["metadata"]["name"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let all = |key: &str| rule[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
            for (group, resource, verb) in all("apiGroups")
                .flat_map(|group| all("resources").map(move |resource| (group, resource)))
                .flat_map(|(group, resource)| all("verbs").map(move |verb| (group, resource, verb)))
            {
                let (resource, sub) =
                    resource.split_once('/').map_or((resource, String::new()), |(r, s)| (r, format!("/{s}")));
                let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                rights.insert(format!("{kind} {name}: {verb} {resource}{group}{sub}"));
            }
        }
    }
    rights
}

#[test]
#[ignore = "`make e2e` runs it after the tests that use the rights"]
fn every_right_that_the_chart_gives_was_used_on_a_real_control_plane() {
    let folder =
        env::var(COLLECTED).unwrap_or_else(|_| panic!("{COLLECTED} names the folder of what was used"));
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let used: BTreeSet<String> = files
        .flat_map(|file| {
            fs::read_to_string(file.unwrap().path()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let ways = [r#"admission.mode="policy""#, r#"admission.mode="webhook""#];
    let granted: BTreeSet<String> = ways
        .into_iter()
        .map(|way| render(&[way]))
        .flat_map(|rendered| granted(&rendered, "ClusterRole").into_iter().chain(granted(&rendered, "Role")))
        .collect();
    let unused: Vec<&String> =
        granted.difference(&used).filter(|right| !UNSEEN.iter().any(|(known, _)| known == right)).collect();
    assert!(unused.is_empty(), "take these out of the chart, or use them in a test of e2e: {unused:#?}");
    for (known, why) in UNSEEN {
        assert!(granted.contains(known), "{known} ({why}) is not given");
    }
}

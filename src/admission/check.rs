//! The check: a bad label or annotation is refused with a sentence that says what is allowed.
//!
//! In: the rules of `profile::rules`, here in CEL. Out: two policies with the same rules, one on workloads (on their
//! template, into which the mirror has already copied the workload's label and annotations), one on new pods (for
//! templates that did not come from a workload write, such as those of unknown kinds).
//!
//! A workload is judged when a judged part changes: one that was bad before keeps its scale-downs, its finalizers and
//! its image updates.

pub(super) mod native;

use super::cel;
use super::gate;
use super::policy::{Action, Named, PLAIN, Policy, Reason, Rule};
use super::workload;
use crate::api::{keys, names, pool_status};
use crate::profile::rules::{self, Rule as Stated};

/// The name of the policy on workloads and of its binding.
pub const WORKLOADS_NAME: &str = "check-workloads.poolbudget.dev";

/// The name of the policy on pods and of its binding.
pub const PODS_NAME: &str = "check-pods.poolbudget.dev";

/// The allowed form of an object's name; a label value may also contain capitals and underscores.
const OBJECT_NAME: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// The policy on workloads.
#[must_use]
pub fn workloads() -> Policy {
    let template = &workload::template("object");
    Policy {
        name: WORKLOADS_NAME,
        purpose: "Refuses a workload with a poolbudget.dev label or annotation that makes no sense.",
        requests: workload::workloads(),
        conditions: vec![
            Named::new("governed-or-meant-to-be", governed_or_meant_to_be()),
            something_to_judge(template, &unknown("object"), cel::TEMPLATE),
            Named::new("judged-parts-change", judged_parts_change()),
        ],
        variables: variables(template, unknown("object"), cel::TEMPLATE),
        action: Action::Refuse(Reason::Invalid, rules()),
        ..PLAIN
    }
}

/// The policy on pods.
#[must_use]
pub fn pods() -> Policy {
    Policy {
        name: PODS_NAME,
        purpose: "Refuses a pod with a poolbudget.dev label or annotation that makes no sense.",
        requests: workload::pods(),
        labelled_only: true,
        conditions: vec![
            something_to_judge("object", &cel::unknown("object.metadata"), cel::POD),
            no_mirror_pod(),
        ],
        variables: variables("object", cel::unknown("object.metadata"), cel::POD),
        action: Action::Refuse(Reason::Invalid, rules()),
        ..PLAIN
    }
}

/// Unknown keys of ours on a workload and in its template.
fn unknown(workload: &str) -> String {
    let template = format!("{}.?metadata", workload::template(workload));
    format!("({}\n  + {})", cel::unknown(&format!("{workload}.metadata")), cel::unknown(&template))
}

/// The author of a workload who misspells the label meant it to be under a budget. An object made by a controller only
/// repeats what its owner says, and the author of the owner was told.
fn governed_or_meant_to_be() -> String {
    let template = format!("{}.?metadata", workload::template("object"));
    format!(
        "{}\n|| (!object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false))\n\
         \x20 && ({}\n    + {}).size() > 0)",
        cel::governed(&template),
        cel::unknown_labels("object.metadata"),
        cel::unknown_labels(&template),
    )
}

/// Most pods have the label, one container and nothing else: this one test is cheaper than evaluating every rule.
fn something_to_judge(template: &str, unknown: &str, most_env: usize) -> Named {
    Named::new(
        "something-to-judge",
        format!(
            "({unknown}).size() > 0\n\
             || !{in_bounds}\n\
             || !{template}.metadata.labels[{}].matches(r'{OBJECT_NAME}')\n\
             || {} != ''\n\
             || ({} + {}).size() > 1\n\
             || {}.exists(k, k in {})",
            cel::text(names::BUDGET),
            cel::node(template),
            cel::container_names(&format!("{template}.spec")),
            cel::init_container_names(&format!("{template}.spec")),
            cel::list(&names::APP_ANNOTATIONS),
            cel::annotations(&format!("{template}.metadata")),
            in_bounds = in_bounds(template, most_env),
        ),
    )
}

fn in_bounds(template: &str, most_env: usize) -> String {
    let annotations = cel::annotations(&format!("{template}.?metadata"));
    cel::in_bounds(&format!("{template}.spec"), &annotations, most_env)
}

/// A mirror pod runs on its node whether we admit it or not, so we had better see and count it. Anybody can write the
/// annotation, but only nodes are nodes (and the API server lets nodes create no other pods).
fn no_mirror_pod() -> Named {
    Named::new(
        "no-mirror-pod",
        format!(
            "!({} in {} && 'system:nodes' in request.userInfo.?groups.orValue([]))",
            cel::text(names::MIRROR_POD),
            cel::annotations("object.metadata"),
        ),
    )
}

fn judged_parts_change() -> String {
    let key = cel::text(names::BUDGET);
    let [now, before] = ["object", "oldObject"].map(workload::template);
    let differ = |part: &dyn Fn(&str) -> String| format!("{} != {}", part(&now), part(&before));
    // A workload that takes the template of another object has no template to look at.
    // What is too much to look at is not compared either: then only whether it was so before counts.
    let [few, were_few] = [&now, &before].map(|template| in_bounds(template, cel::TEMPLATE));
    format!(
        "oldObject == null\n|| {}\n\
         || {now}.?spec.hasValue() != {before}.?spec.hasValue()\n\
         || ({now}.?spec.hasValue() && (!({few} && {were_few}) ? {few} != {were_few} : (\n\
         {}\n|| {}.exists(k, {})\n|| {}\n|| {}\n|| {})))",
        unknown_are_new(),
        differ(&|template| format!("{template}.?metadata.?labels[?{key}]")),
        cel::list(&[&names::APP_ANNOTATIONS[..], &[names::DEFAULT_CONTAINER]].concat()),
        differ(&|template| format!("{template}.?metadata.?annotations[?k]")),
        differ(&|template| cel::containers_and_env(&format!("{template}.spec"))),
        differ(&|template| cel::init_containers_and_env(&format!("{template}.spec"))),
        differ(&|template| cel::node(template)),
    )
}

/// Whether there are unknown keys that were not there before. Both lists are put into one outer list, so that each is
/// computed once.
fn unknown_are_new() -> String {
    format!(
        "[[{}, {}]].exists(u, u[0].size() > {most} || u[1].size() > {most} ? u[0].size() > u[1].size()\n\
         \x20 : u[0].exists(k, !(k in u[1])))",
        unknown("object"),
        unknown("oldObject"),
        most = keys::MOST,
    )
}

fn variables(template: &str, unknown: String, most_env: usize) -> Vec<Named> {
    let annotations = "variables.annotations";
    vec![
        Named::new("unknown", unknown),
        Named::new(
            "budget",
            format!("{template}.?metadata.?labels[?{}].orValue('')", cel::text(names::BUDGET)),
        ),
        Named::new("node", cel::node(template)),
        Named::new("annotations", cel::annotations(&format!("{template}.metadata"))),
        Named::new("few", cel::few(&format!("{template}.spec"), most_env)),
        Named::new("env", cel::env_entries(&format!("{template}.spec"))),
        Named::new("long", cel::long(annotations)),
        Named::new("profile", cel::profile(annotations)),
        Named::new("containers", cel::container_names(&format!("{template}.spec"))),
        Named::new(
            "all",
            format!("variables.containers + {}", cel::init_container_names(&format!("{template}.spec"))),
        ),
        Named::new("named", cel::named_containers(annotations, "variables.containers")),
        Named::new("processes", processes()),
        Named::new("sizes", sizes(annotations)),
        Named::new("others", others(template)),
    ]
}

/// The variables that get the size or the overflow.
fn sizes(annotations: &str) -> String {
    format!("({}).filter(e, !e[1].startsWith('=')).map(e, e[0])", gate::entries(annotations))
}

/// Containers that set one of these variables although another container is taken for the app.
fn others(template: &str) -> String {
    let spec = format!("{template}.spec");
    let setting = |containers: &str| {
        format!(
            "{containers}.filter(c, !(c.name in variables.named)\n\
             \x20   && c.?env.orValue([]).exists(e, e.name in variables.sizes)).map(c, c.name)"
        )
    };
    format!(
        "{} in variables.annotations || variables.all.size() < 2 ? []\n\
         \x20 : {}\n\
         \x20   + {}",
        cel::text(names::CONTAINER),
        setting(&format!("({spec}.containers == null ? [] : {spec}.containers)")),
        setting(&format!("{spec}.?initContainers.orValue([])")),
    )
}

/// The processes by container, as pairs of name and number; empty where one number applies to all.
fn processes() -> String {
    let key = cel::text(names::PROCESSES);
    format!(
        "variables.annotations[?{key}].orValue('').contains('=')\n\
         \x20 ? variables.annotations[{key}].split(',').map(p, p.split('=')) : []"
    )
}

fn rules() -> Vec<Rule> {
    let rule = |rule: Stated| Rule {
        holds: holds(rule),
        allowed: rule.allowed(),
        found: found(rule),
        found_first: rule.found_first(),
    };
    Stated::ALL.map(rule).into()
}

fn holds(rule: Stated) -> String {
    let absent = |key: &str| format!("!({} in variables.annotations)", cel::text(key));
    let value = |key: &str| format!("variables.annotations[{}]", cel::text(key));
    let of = |profiles: Vec<&str>| format!("variables.profile in {}", cel::list(&profiles));
    match rule {
        Stated::Known => "variables.unknown.size() == 0".to_owned(),
        Stated::Many => "variables.few".to_owned(),
        Stated::Long => "variables.long.size() == 0".to_owned(),
        Stated::Budget => {
            format!("variables.budget.size() <= 253 && variables.budget.matches(r'{OBJECT_NAME}')")
        }
        Stated::NoNode => "variables.node == ''".to_owned(),
        Stated::Processes => are_processes(),
        Stated::ProcessesOf => format!(
            "variables.processes.size() > {}\n\
             \x20 || variables.processes.all(p, p[0] in variables.named && variables.processes.exists_one(q, q[0] == p[0]))",
            names::MAX_CONTAINERS
        ),
        Stated::Count(key, most) => format!("{}\n  || ({})", absent(key), is_count(&value(key), most)),
        Stated::Containers => format!(
            "variables.named.size() > 0 && variables.named.size() <= {}\n\
             \x20 && variables.named.all(n, n in variables.all && variables.named.exists_one(m, m == n))",
            names::MAX_CONTAINERS
        ),
        Stated::Taken => "variables.others.size() == 0".to_owned(),
        Stated::Profile => of(rules::all_profiles()),
        Stated::Bounded => format!("!({})", of(rules::unbounded())),
        Stated::OwnNamesTogether
        | Stated::OwnOverflowName
        | Stated::OwnSizeNameNeeded
        | Stated::OwnSizeName
        | Stated::OwnNamesValid
        | Stated::OwnNamesDiffer => cel::own_name_rule(rule, "variables.annotations"),
        Stated::SizeCounts => {
            format!("{} || {}", absent(names::CONNECTIONS_PER_PROCESS), of(rules::counted(|_| true)))
        }
        Stated::SizeNeeded => {
            format!(
                "!{} || !({})",
                absent(names::CONNECTIONS_PER_PROCESS),
                of(rules::counted(|default| default.is_none()))
            )
        }
        Stated::PrePing => format!(
            "{} || {} in ['true', 'false']",
            absent(names::POOL_PRE_PING),
            value(names::POOL_PRE_PING)
        ),
        Stated::PoolStatus => format!(
            "{} || {}.matches(r'{}')",
            absent(names::POOL_STATUS),
            value(names::POOL_STATUS),
            pool_status::PATTERN
        ),
        Stated::Companion(place) => {
            format!("{} || {}", absent(rules::companion_key(place)), of(rules::companions(place)))
        }
    }
}

fn found(rule: Stated) -> String {
    let quoted =
        |key: &str| format!("\"'\" + variables.annotations[?{}].orValue('') + \"'\"", cel::text(key));
    let says = |key: &str| format!("'it says ' + {}", quoted(key));
    let profile = || "'the profile is ' + \"'\" + variables.profile + \"'\"".to_owned();
    let (size, overflow) = (names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV);
    match rule {
        Stated::Known => "'unknown label or annotation ' + variables.unknown.min()".to_owned(),
        Stated::Many => format!(
            "'there are ' + (variables.all.size() > {} ? string(variables.all.size()) + ' containers'\n\
             \x20 : string(variables.env) + ' env entries')",
            names::MAX_ALL_CONTAINERS
        ),
        Stated::Long => {
            "variables.long.map(k, k + ' has ' + string(variables.annotations[k].size())).join(', ')"
                .to_owned()
        }
        Stated::Budget => "'it says ' + \"'\" + variables.budget + \"'\"".to_owned(),
        Stated::NoNode => "'it says ' + \"'\" + variables.node + \"'\"".to_owned(),
        Stated::Processes => says(names::PROCESSES),
        Stated::ProcessesOf => {
            format!("{} + ', the containers are ' + variables.named.join(', ')", says(names::PROCESSES))
        }
        Stated::Count(key, _) => says(key),
        Stated::Containers => {
            format!("{} + ', the containers are ' + variables.all.join(', ')", says(names::CONTAINER))
        }
        Stated::Taken => {
            "variables.others.join(' and ') + (variables.others.size() > 1 ? ' set ' : ' sets ')\n\
             \x20 + variables.sizes.join(' or ') + ', but only ' + variables.named.join('') + ' is counted'"
                .to_owned()
        }
        Stated::Profile | Stated::Bounded => says(names::PROFILE),
        Stated::OwnNamesTogether => {
            let key = cel::text(size);
            format!(
                "'only ' + ({key} in variables.annotations ? {key} : {}) + ' is there'",
                cel::text(overflow)
            )
        }
        Stated::OwnNamesValid => format!("'they say ' + {} + ' and ' + {}", quoted(size), quoted(overflow)),
        Stated::OwnNamesDiffer => format!("'both say ' + {}", quoted(size)),
        Stated::SizeNeeded => "'it is not there'".to_owned(),
        Stated::PrePing => says(names::POOL_PRE_PING),
        Stated::PoolStatus => says(names::POOL_STATUS),
        Stated::OwnOverflowName
        | Stated::OwnSizeNameNeeded
        | Stated::OwnSizeName
        | Stated::SizeCounts
        | Stated::Companion(_) => profile(),
    }
}

fn is_count(value: &str, most: u32) -> String {
    format!("{value}.matches(r'^[1-9][0-9]{{0,5}}$') && int({value}) <= {most}")
}

/// A number, or names with numbers; the pairs are counted before they are looked at, because there may be many.
fn are_processes() -> String {
    let key = cel::text(names::PROCESSES);
    let value = format!("variables.annotations[{key}]");
    format!(
        "!({key} in variables.annotations)\n\
         \x20 || (variables.processes.size() == 0 ? {each}\n\
         \x20   : variables.processes.size() <= {containers}\n\
         \x20     && variables.processes.all(p, p.size() == 2 && p[0].matches(r'^[a-z0-9-]{{1,63}}$')\n\
         \x20       && {of}))",
        each = is_count(&value, names::MAX_PROCESSES),
        containers = names::MAX_CONTAINERS,
        of = is_count("p[1]", names::MAX_PROCESSES),
    )
}

//! The gate: a labelled pod is created with the scheduling gate and with env that reads its grant late.
//!
//! In: the table of `profile`. Out: the policy on pod CREATE. It is stateless and sends no requests. It must not fail
//! where the check has something to explain: validating policies run after mutating ones. So a pod with an unknown
//! container, a bad env name or too much to look at is gated, its env is left alone, and the check refuses it.
//! `native` is the same in Rust, and `tests/admission/gate.yaml` is the table of cases of both.
//!
//! It is idempotent: the API server may invoke it again after a sidecar injector. So it adds what a container does not set
//! itself (companions, the name of its connections) only where no entry of that name is there yet.

pub(super) mod native;

use super::cel;
use super::policy::{Action, Named, PLAIN, Policy};
use super::workload;
use crate::api::names;
use crate::profile::rules::Rule;
use crate::profile::{self, Gets};

/// The name of the policy and of its binding.
pub const NAME: &str = "gate.poolbudget.dev";

/// The field of a pod that its connections are named after.
const POD_NAME: &str = "metadata.name";

/// Literal values that are remembered: printable and short enough for an annotation. The variables hold numbers; any
/// other value is of no use.
const REMEMBERED_VALUE: &str = r"^[^\x00-\x1f\x7f]{1,128}$";

/// The policy.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        name: NAME,
        purpose: "Gives each pod with a budget label a scheduling gate, and environment variables that read the \
                  pool size it will be granted.",
        requests: workload::pods(),
        labelled_only: true,
        variables: variables(),
        action: Action::Patch(patch()),
        ..PLAIN
    }
}

fn variables() -> Vec<Named> {
    let annotations = "variables.annotations";
    vec![
        Named::new("annotations", cel::annotations("object.metadata")),
        // A pod that is created on a node cannot have a gate (the API server answers 422): the check refuses it.
        Named::new("bound", format!("{} != ''", cel::node("object"))),
        Named::new("inBounds", cel::in_bounds("object.spec", annotations, cel::POD)),
        Named::new("gates", "object.spec.?schedulingGates.orValue([])"),
        Named::new("profile", cel::profile(annotations)),
        Named::new("containers", cel::container_names("object.spec")),
        Named::new("inits", cel::init_container_names("object.spec")),
        Named::new("named", cel::named_containers(annotations, "variables.containers")),
        Named::new("entries", entries(annotations)),
        Named::new("companions", companions(annotations)),
        Named::new("targets", targets()),
        Named::new("replaced", replaced()),
    ]
}

/// The bound variables, each with the grant annotation that it reads, or with `=` and a text; none where the check will
/// refuse something.
pub(super) fn entries(annotations: &str) -> String {
    let (size, overflow) = (cel::text(names::POOL_SIZE_ENV), cel::text(names::MAX_OVERFLOW_ENV));
    let sound =
        Rule::OWN_NAMES.map(|rule| format!("({})", cel::own_name_rule(rule, annotations))).join("\n&& ");
    let written = profile::ALL.iter().filter(|profile| profile.written().is_some());
    let table = written.map(|profile| {
        let entries: Vec<String> =
            profile.variables().map(|(env, gets)| cel::list(&[env, &source(gets)])).collect();
        format!("  {}: [{}]", cel::text(profile.name), entries.join(", "))
    });
    format!(
        "({sound}\n? {{{table}}}[?variables.profile].orValue([]) : [])\n\
         .map(e, [\n\
         \x20 e[1] == {gets_size} ? string({annotations}[?{size}].orValue(e[0]))\n\
         \x20 : e[1] == {gets_overflow} ? string({annotations}[?{overflow}].orValue(e[0])) : e[0], e[1]])",
        table = table.collect::<Vec<_>>().join(",\n").trim_start(),
        gets_size = cel::text(names::POOL_SIZE),
        gets_overflow = cel::text(names::MAX_OVERFLOW),
    )
}

fn source(gets: Gets) -> String {
    match gets {
        Gets::PoolSize => names::POOL_SIZE.to_owned(),
        Gets::MaxOverflow => names::MAX_OVERFLOW.to_owned(),
        Gets::Text(text) => format!("={text}"),
    }
}

/// Variables that are set together with the size unless a container sets them itself, each with its text.
fn companions(annotations: &str) -> String {
    let written = profile::ALL.iter().filter_map(|profile| Some((profile.name, profile.written()?)));
    let table = written.filter(|(_, written)| written.companions.iter().any(Option::is_some));
    let table = table.map(|(name, written)| {
        let pairs = names::COMPANIONS.iter().zip(written.companions);
        let entries: Vec<String> = pairs.filter_map(|(key, env)| Some(cel::list(&[env?, key]))).collect();
        format!("  {}: [{}]", cel::text(name), entries.join(", "))
    });
    format!(
        "{{{}}}[?variables.profile].orValue([])\n\
         \x20 .filter(e, e[1] in {annotations}).map(e, [e[0], string({annotations}[e[1]])])",
        table.collect::<Vec<_>>().join(",\n").trim_start(),
    )
}

/// The containers that are bound. If there are too many, the check refuses the pod.
fn targets() -> String {
    format!(
        "variables.bound || !variables.inBounds\n\
         \x20 || variables.entries.size() == 0 || variables.named.size() > {} ? []\n\
         \x20 : ({} + {})\n\
         \x20   .filter(c, c.name in variables.named)",
        names::MAX_CONTAINERS,
        cel::containers("object.spec"),
        cel::init_containers("object.spec"),
    )
}

/// The literal values that the entries replace, as members of a JSON object. Of entries with the same name the last one
/// counts, as it does for the kubelet. Where several containers are bound, each key is prefixed with its container.
fn replaced() -> String {
    let same = "c.?env.orValue([]).filter(e, e.name == n[0])";
    let last = format!("{same}[{same}.size() - 1].?value.orValue('')");
    format!(
        r#"variables.targets.map(c, variables.entries
  .filter(n, {same}.size() > 0)
  .filter(n, '=' + {last} != n[1] && {last}.matches(r'{REMEMBERED_VALUE}'))
  .map(n, '"' + (variables.named.size() > 1 ? c.name + '/' : '') + n[0] + '":"'
    + {last}.replace('\\', '\\\\').replace('"', '\\"') + '"').join(','))
  .filter(members, members != '')"#
    )
}

fn patch() -> String {
    [add_gate(), drop_grants(), remember_replaced(), bind_env()].map(|part| format!("({part})")).join("\n+ ")
}

fn add_gate() -> String {
    let gate = cel::text(names::GATE);
    format!(
        "variables.bound || variables.gates.exists(g, g.name == {gate}) ? []\n\
         \x20 : variables.gates.size() == 0\n\
         \x20   ? [JSONPatch{{op: 'add', path: '/spec/schedulingGates', value: [{{'name': {gate}}}]}}]\n\
         \x20   : [JSONPatch{{op: 'add', path: '/spec/schedulingGates/-', value: {{'name': {gate}}}}}]"
    )
}

/// A template may contain grant annotations that were copied from a running pod. Only the operator gives grants.
fn drop_grants() -> String {
    format!(
        "{}.filter(k, k in variables.annotations)\n\
         \x20 .map(k, JSONPatch{{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey(k)}})",
        cel::list(&names::GRANT_ANNOTATIONS),
    )
}

/// Leaves the annotation alone when nothing was replaced, so that a second run keeps what the first wrote.
fn remember_replaced() -> String {
    format!(
        "variables.replaced.size() == 0 ? []\n\
         \x20 : (has(object.metadata.annotations) ? []\n\
         \x20     : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{}}}}])\n\
         \x20   + [JSONPatch{{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey({}),\n\
         \x20       value: '{{' + variables.replaced.join(',') + '}}'}}]",
        cel::text(names::REPLACED_ENV),
    )
}

/// The entries come first in the list, so that `$(DB_POOL_SIZE)` in a later entry still resolves. `dyn` because all
/// values of a CEL map have one type, and ours holds a string and a map.
fn bind_env() -> String {
    format!(
        "variables.targets.map(c, JSONPatch{{op: 'add',\n\
     \x20   path: (c.name in variables.containers\n\
     \x20     ? '/spec/containers/' + string(variables.containers.indexOf(c.name))\n\
     \x20     : '/spec/initContainers/' + string(variables.inits.indexOf(c.name))) + '/env',\n\
     \x20   value: dyn(variables.entries.map(e, e[1].startsWith('=')\n\
     \x20       ? {{'name': dyn(e[0]), 'value': dyn(e[1].substring(1))}}\n\
     \x20       : {{'name': dyn(e[0]),\n\
     \x20          'valueFrom': dyn({{'fieldRef': {{'fieldPath': \"metadata.annotations['\" + e[1] + \"']\"}}}})}}))\n\
     \x20     + dyn(variables.companions.filter(o, !c.?env.orValue([]).exists(e, e.name == o[0]))\n\
     \x20       .map(o, {{'name': dyn(o[0]), 'value': dyn(o[1])}}))\n\
     \x20     + dyn({named})\n\
     \x20     + dyn(c.?env.orValue([]).filter(e, !variables.entries.exists(n, n[0] == e.name)))}})",
        named = name_connections(),
    )
}

/// A container's connections have the name of its pod, unless it names them itself. What `envFrom` brings cannot be seen,
/// and an entry would win over it.
fn name_connections() -> String {
    let name = cel::text(names::APP_NAME_ENV);
    format!(
        "c.?envFrom.orValue([]).size() > 0 || variables.entries.exists(n, n[0] == {name})\n\
         \x20       || c.?env.orValue([]).exists(e, e.name == {name})\n\
         \x20       ? [] : [{{'name': dyn({name}), 'valueFrom': dyn({{'fieldRef': {{'fieldPath': '{POD_NAME}'}}}})}}]"
    )
}

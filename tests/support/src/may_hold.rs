//! What one pod may hold at most, from its JSON alone and by arithmetic of its own.
//!
//! In: a pod as the API server stores it, however odd. Out: a number of connections; [`UNLIMITED`] where none can be given.
//! What is not known counts as the most that it could be.
//! Forbidden here: the operator's code and its tables. Nothing is copied from there either: a mistake in what ships must
//! not be made here too. What an app opens is written down anew from its documentation, or from trials.

use serde_json::Value;

/// No number bounds it.
pub const UNLIMITED: u64 = u64::MAX;

/// What a variable comes to for an app that reads it with Python's `int`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// The app opens what it does without the variable, or does not start.
    Default,
    Number(i128),
    /// Decided elsewhere.
    Anything,
}

/// How an app makes a pool of its env.
struct Stack {
    /// The variables of its size and of its overflow, where it has one, each with what it is when unset and when 0.
    size: (&'static str, u64, u64),
    overflow: Option<(&'static str, u64, u64)>,
    /// What a number below 0 opens.
    negative: u64,
    /// Pools of each engine.
    pools: u64,
}

/// The stacks that the generators write, and that have variables; by their own word or by trial (docs/profiles.md).
fn stack(profile: &str) -> Option<Stack> {
    let sqlalchemy = |size, overflow, pools| Stack {
        size: (size, 5, UNLIMITED),
        overflow: Some((overflow, 10, 0)),
        negative: UNLIMITED,
        pools,
    };
    match profile {
        "SQLAlchemy" => Some(sqlalchemy("DB_POOL_SIZE", "DB_MAX_OVERFLOW", 1)),
        "Airflow" => Some(sqlalchemy(
            "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
            2,
        )),
        "MLflow" => Some(Stack {
            size: ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", 5, 5),
            overflow: Some(("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", 10, 10)),
            negative: UNLIMITED,
            pools: 1,
        }),
        // A pool that is said to have fewer than none is full before it opens anything, and the app does not start.
        "n8n" => {
            Some(Stack { size: ("DB_POSTGRESDB_POOL_SIZE", 2, 10), overflow: None, negative: 0, pools: 1 })
        }
        _ => None,
    }
}

/// What `pod` may hold now.
pub fn may_hold(pod: &Value) -> u64 {
    if waits(pod) || ended(pod) {
        return 0;
    }
    let profile = match &pod["metadata"]["annotations"]["poolbudget.dev/profile"] {
        Value::String(profile) => profile.as_str(),
        _ => "SQLAlchemy",
    };
    let size = |default: u64| match &pod["metadata"]["annotations"]["poolbudget.dev/connections-per-process"]
    {
        Value::Null => default,
        _ => stated(pod, "connections-per-process"),
    };
    let stack = stack(profile);
    let variables: Vec<String> = stack.iter().flat_map(|stack| variables(pod, stack)).collect();
    let one = |container: &Value| match (profile, &stack) {
        (_, Some(stack)) => one_pool(pod, container, stack).saturating_mul(stack.pools),
        ("Superset", None) => size(15),
        // What such an app opens, its annotation says; no variable does.
        ("Prisma" | "Counted", None) => size(UNLIMITED),
        _ => UNLIMITED,
    };
    at_once(pod, &variables, one).saturating_mul(stated(pod, "engines"))
}

/// The most that its containers open together: those that stay, or one that runs first beside the sidecars before it.
fn at_once(pod: &Value, variables: &[String], one: impl Fn(&Value) -> u64) -> u64 {
    let all = |key: &str| pod["spec"][key].as_array().cloned().unwrap_or_default();
    let (init, regular) = (all("initContainers"), all("containers"));
    let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
    let mut wanted: Vec<String> = match pod["metadata"]["annotations"]["poolbudget.dev/container"].as_str() {
        Some(list) => list.split(',').map(ToOwned::to_owned).collect(),
        // None of the names that the generators write is a proxy's. Who has a variable of the pool has one, too.
        None => {
            let has = |container: &&Value| {
                let env = container["env"].as_array().into_iter().flatten();
                // No API server stores a variable without a name.
                env.filter_map(|entry| entry["name"].as_str().filter(|name| !name.is_empty()))
                    .any(|name| variables.iter().any(|variable| variable == name))
            };
            let usual = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
            let first = regular.iter().find(|container| container["name"] == *usual).or(regular.first());
            let first = first.map(name);
            let others =
                init.iter().chain(&regular).filter(has).map(name).filter(|name| Some(name) != first.as_ref());
            let mut wanted: Vec<String> = first.iter().cloned().chain(others).collect();
            wanted.sort();
            wanted.dedup();
            wanted
        }
    };
    if wanted.is_empty() {
        wanted.push(String::new());
    }
    let bill = |container: &Value, first: bool| {
        one(container).saturating_mul(processes(pod, &name(container), container, first))
    };
    let (mut most, mut staying) = (0, 0_u64);
    for container in init.iter().filter(|container| wanted.contains(&name(container))) {
        if container["restartPolicy"] == "Always" {
            staying = staying.saturating_add(bill(container, false));
        } else {
            most = staying.saturating_add(bill(container, true)).max(most);
        }
    }
    for name_wanted in &wanted {
        let own = match regular.iter().find(|container| name(container) == *name_wanted) {
            Some(container) => bill(container, false),
            None if init.iter().any(|container| name(container) == *name_wanted) => 0,
            // It may be any of them.
            None => {
                let every = || init.iter().chain(&regular);
                let any = every().map(&one).max().unwrap_or_else(|| one(&Value::Null));
                let processes = every().map(|container| processes(pod, name_wanted, container, false)).max();
                any.saturating_mul(processes.unwrap_or_else(|| processes_of_none(pod, name_wanted)))
            }
        };
        staying = staying.saturating_add(own);
    }
    staying.max(most)
}

/// Processes of a container: its own number, the one for all that stay, or what its command says.
fn processes(pod: &Value, name: &str, container: &Value, first: bool) -> u64 {
    let text = pod["metadata"]["annotations"]["poolbudget.dev/processes"].as_str();
    match text {
        None => in_command(container),
        Some(text) if !text.contains('=') => {
            if first {
                1
            } else {
                counted(text)
            }
        }
        Some(text) => {
            let own = text.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            own.map_or_else(|| in_command(container), counted)
        }
    }
}

fn processes_of_none(pod: &Value, name: &str) -> u64 {
    processes(pod, name, &Value::Null, false)
}

/// What the command says, in the few forms that the generators write: a server that starts the words, or a shell text, with
/// its number behind one flag.
fn in_command(container: &Value) -> u64 {
    let words = |key: &str| container[key].as_array().cloned().unwrap_or_default();
    let all = [words("command"), words("args")].concat();
    let mut words: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
    if let ["sh", "-c", text, ..] = words[..] {
        words = text.split(' ').collect();
    }
    if let ["exec", ..] = words[..] {
        words.remove(0);
    }
    let flag = match words.first() {
        Some(&"gunicorn") => "-w",
        Some(&"uvicorn") => "--workers",
        _ => return 1,
    };
    let last = words.windows(2).rev().find(|pair| pair[0] == flag);
    last.and_then(|pair| pair[1].parse::<u64>().ok()).map_or(1, |n| n.max(1))
}

/// Whether it stands behind the gate, where nothing runs.
pub fn waits(pod: &Value) -> bool {
    let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array);
    gates.is_some_and(|gates| gates.iter().any(|gate| gate["name"] == "poolbudget.dev/connections"))
}

/// Whether nothing of it runs any more: it is on no node and does not get onto one, or its kubelet rejected it, or it is
/// called over, by others than the garbage collector, and each of its containers is told to have ended.
pub fn ended(pod: &Value) -> bool {
    let status = &pod["status"];
    let over = status["phase"] == "Succeeded" || status["phase"] == "Failed";
    if pod["spec"]["nodeName"].is_null() {
        return over || !pod["metadata"]["deletionTimestamp"].is_null();
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let rejected = status["phase"] == "Failed"
        && status["message"].as_str().is_some_and(|message| message.starts_with("Pod was rejected: "));
    let told = |reports: &str, containers: &str, least: bool| {
        let reports = list(&status[reports]);
        list(&pod["spec"][containers]).iter().all(|container| {
            let mut own = reports.iter().filter(|report| report["name"] == container["name"]).peekable();
            (own.peek().is_some() || !least) && own.all(|report| report["state"]["running"].is_null())
        })
    };
    let conditions = list(&status["conditions"]);
    let collected = conditions.iter().any(|condition| condition["reason"] == "DeletionByPodGC");
    let nothing_runs = told("initContainerStatuses", "initContainers", false)
        && told("containerStatuses", "containers", true);
    let silent =
        ["initContainerStatuses", "containerStatuses"].iter().all(|key| list(&status[key]).is_empty());
    (rejected && silent) || (over && nothing_runs && !collected)
}

/// A count that an annotation states; any number where nobody can tell.
fn stated(pod: &Value, key: &str) -> u64 {
    match &pod["metadata"]["annotations"][format!("poolbudget.dev/{key}")] {
        Value::Null => 1,
        Value::String(text) => counted(text),
        _ => UNLIMITED,
    }
}

fn counted(text: &str) -> u64 {
    match python_int(text) {
        Some(count) if count >= 1 => u64::try_from(count).unwrap_or(UNLIMITED),
        _ => UNLIMITED,
    }
}

/// What a variable is called in this pod.
fn own_name(pod: &Value, stack: &Stack, key: &str, default: &str) -> String {
    let own = pod["metadata"]["annotations"][format!("poolbudget.dev/{key}")].as_str();
    // A product reads what it reads, whatever an annotation says.
    own.filter(|_| default.starts_with("DB_") && stack.overflow.is_some()).unwrap_or(default).to_owned()
}

/// The variables of the pool.
fn variables(pod: &Value, stack: &Stack) -> Vec<String> {
    let overflow = stack.overflow.map(|(overflow, ..)| own_name(pod, stack, "max-overflow-env", overflow));
    std::iter::once(own_name(pod, stack, "pool-size-env", stack.size.0)).chain(overflow).collect()
}

/// What one engine opens: all that is negative has no bound.
fn one_pool(pod: &Value, container: &Value, stack: &Stack) -> u64 {
    let opens = |name: String, default: u64, zero: u64| match variable(pod, container, &name) {
        Reads::Default => default,
        Reads::Number(0) => zero,
        Reads::Number(number) if number > 0 => u64::try_from(number).unwrap_or(UNLIMITED),
        Reads::Number(_) => stack.negative,
        Reads::Anything => UNLIMITED,
    };
    let (size, default, zero) = stack.size;
    let size = opens(own_name(pod, stack, "pool-size-env", size), default, zero);
    let overflow = stack.overflow.map(|(overflow, default, zero)| {
        opens(own_name(pod, stack, "max-overflow-env", overflow), default, zero)
    });
    size.saturating_add(overflow.unwrap_or(0))
}

/// As the kubelet resolves it: the last entry of the name, its value before its source, else what envFrom brings.
fn variable(pod: &Value, container: &Value, name: &str) -> Reads {
    let entries = container["env"].as_array().into_iter().flatten();
    let Some(entry) = entries.rev().find(|entry| entry["name"] == name) else {
        // What is no object brings nothing.
        let mut sources =
            container["envFrom"].as_array().into_iter().flatten().filter(|source| source.is_object());
        let may_bring = |source: &Value| name.starts_with(source["prefix"].as_str().unwrap_or_default());
        return if sources.any(may_bring) { Reads::Anything } else { Reads::Default };
    };
    let value = entry["value"].as_str().unwrap_or_default();
    if !value.is_empty() || entry["valueFrom"].is_null() {
        // Another variable may stand in for a part of it.
        return if value.contains("$(") { Reads::Anything } else { reads(value) };
    }
    let path = entry["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap_or_default();
    for map in ["annotations", "labels"] {
        let key = path.strip_prefix(&format!("metadata.{map}['")).and_then(|rest| rest.strip_suffix("']"));
        if let Some(key) = key {
            return reads(pod["metadata"][map][key].as_str().unwrap_or_default());
        }
    }
    Reads::Anything
}

fn reads(text: &str) -> Reads {
    python_int(text).map_or(Reads::Default, Reads::Number)
}

/// `int(text)`: white space around it, a sign, digits of any script, single underscores between them.
pub fn python_int(text: &str) -> Option<i128> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let groups: Vec<&str> = digits.split('_').collect();
    if groups.iter().any(|group| group.is_empty()) {
        return None;
    }
    let mut number = 0_i128;
    for digit in groups.concat().chars() {
        number = number.saturating_mul(10).saturating_add(i128::from(decimal(digit)?));
    }
    Some(if negative { -number } else { number })
}

/// The decimal digits of the scripts that the generators write in.
fn decimal(digit: char) -> Option<u32> {
    let zeros = ['0', '\u{660}', '\u{966}', '\u{ff10}'];
    zeros.iter().find_map(|zero| u32::from(digit).checked_sub(u32::from(*zero)).filter(|value| *value < 10))
}

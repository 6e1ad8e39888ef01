//! What the images of profiles run by default, and what variables mean if the program is not known.
//!
//! In: a profile, words that are arguments of the image's entrypoint, variables. Out: [`Found`].

use super::count::{arguments, by_flag, by_variable, count};
use super::programs::{self, ANY, ANY_ARGUMENTS};
use super::reach::Reached;
use super::word::{Value, Variables, Word};
use super::{Found, Profile};

/// What the image of a product runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    /// One process.
    One,
    /// A program of the table, which gets the arguments.
    Program(&'static str),
    /// The value of the first of these variables that is set, or else one.
    Variables(&'static [&'static str]),
    /// Dify: its variable `MODE` says what it runs.
    Dify,
    /// Anything.
    Any,
}

fn product(profile: Option<&Profile>) -> Product {
    match profile.map(|profile| profile.name) {
        Some("Airflow") => Product::Program("airflow"),
        Some("Odoo") => Product::Program("odoo"),
        Some("Dify") => Product::Dify,
        Some("OpenWebUI") => Product::Variables(&["UVICORN_WORKERS"]),
        Some("Superset") => Product::Variables(&["SERVER_WORKER_AMOUNT"]),
        Some("Directus") => Product::Variables(&["PM2_INSTANCES"]),
        Some("MLflow") => Product::Variables(&["MLFLOW_WORKERS"]),
        Some("Rails" | "Outline") => Product::Variables(&["WEB_CONCURRENCY"]),
        Some(
            "n8n" | "Keycloak" | "HikariCP" | "Ecto" | "Go" | "Grafana" | "Temporal" | "GoTrue" | "PostgREST"
            | "Storage" | "Metabase" | "Hasura" | "Quarkus" | "Concourse" | "Inngest" | "Mattermost"
            | "Harbor" | "Zitadel" | "Gitea" | "PgBouncer",
        ) => Product::One,
        _ => Product::Any,
    }
}

/// Whether one pool serves all processes of a pod.
pub(super) fn is_shared(profile: Option<&Profile>) -> bool {
    profile.is_some_and(|profile| profile.name == "LiteLLM")
}

/// Whether the first argument is a verb of the image's program, although another program has that name too.
pub(super) fn is_verb(profile: Option<&Profile>, words: &[Word]) -> bool {
    product(profile) == Product::Program("airflow") && words.first().is_some_and(|word| word.text == "celery")
}

/// What an image runs with these arguments.
pub(super) fn of_image(profile: Option<&Profile>, words: &[Word], variables: &Variables<'_>) -> Found {
    let image = || Found::unknown("the image's entrypoint decides".to_owned()).in_quiet();
    match product(profile) {
        Product::Program(name) => {
            let has = |verb: &str| words.iter().any(|word| word.text == verb);
            programs::named(name, has).map_or_else(image, |program| count(program, name, words, variables))
        }
        Product::Any => by_flag("--workers", words, "…").unwrap_or_else(|| any(variables, image())),
        product => of(product, variables, image()),
    }
}

/// What a command runs that is not a program of the table.
pub(super) fn of_command(profile: Option<&Profile>, reached: &Reached, variables: &Variables<'_>) -> Found {
    let unknown = reached
        .stranger()
        .unwrap_or_else(|| Found::unknown("its command runs no known program".to_owned()).in_quiet());
    match product(profile) {
        Product::Program(_) | Product::Any => any(variables, unknown),
        product => of(product, variables, unknown),
    }
}

/// What several of them run at the same time.
pub(super) fn beside(profile: Option<&Profile>, found: Found, variables: &Variables<'_>) -> Found {
    match product(profile) {
        Product::Program(_) | Product::Any => any(variables, found.clone()).or(found),
        product => of(product, variables, found),
    }
}

fn of(product: Product, variables: &Variables<'_>, unknown: Found) -> Found {
    match product {
        Product::One => Found::by_itself(1, "its profile"),
        Product::Variables(names) => names.iter().find_map(|name| said(name, variables)).unwrap_or(unknown),
        Product::Dify => dify(variables),
        Product::Program(_) | Product::Any => any(variables, unknown),
    }
}

/// What a variable states; none if it states nothing.
fn said(name: &str, variables: &Variables<'_>) -> Option<Found> {
    match variables(name) {
        Value::Text(text) if !text.trim().is_empty() => Some(by_variable(name, text)),
        Value::Elsewhere => Some(Found::unknown(format!("{name} is set elsewhere"))),
        Value::Text(_) | Value::Unset | Value::Perhaps => None,
    }
}

/// One process, unless ConfigMaps or Secrets in an envFrom may set more.
fn one(name: &str, variables: &Variables<'_>, by: &str) -> Found {
    match variables(name) {
        Value::Perhaps => Found::unknown(format!("envFrom may set {name}")).in_quiet(),
        _ => Found::by_itself(1, by),
    }
}

/// The largest number in any of the variables that programs read.
fn any(variables: &Variables<'_>, unknown: Found) -> Found {
    let by_arguments = match variables(ANY_ARGUMENTS) {
        Value::Text(text) => arguments(&["-w", "--workers"], ANY_ARGUMENTS, text),
        Value::Elsewhere => Some(Found::unknown(format!("{ANY_ARGUMENTS} is set elsewhere"))),
        Value::Unset | Value::Perhaps => None,
    };
    let all = by_arguments.into_iter().chain(ANY.iter().filter_map(|name| said(name, variables)));
    all.reduce(|most, found| if found.processes > most.processes { found } else { most }).unwrap_or(unknown)
}

/// As the entrypoint of its image does. Its workers are threads of one process unless configured otherwise; the pod
/// does not always show that, so they count as processes.
fn dify(variables: &Variables<'_>) -> Found {
    let mode = match variables("MODE") {
        Value::Text(text) => text,
        _ => "",
    };
    let first = |names: &[&str]| names.iter().find_map(|name| said(name, variables));
    match mode {
        "beat" | "migration" | "job" => Found::by_itself(1, &format!("MODE={mode}")),
        "worker" => {
            let scales = matches!(variables("CELERY_AUTO_SCALE"), Value::Text(text) if text.eq_ignore_ascii_case("true"));
            let cpus = || Found::unknown("CELERY_AUTO_SCALE runs as many as the node has CPUs".to_owned());
            let one = || one("CELERY_WORKER_AMOUNT", variables, "MODE=worker");
            match first(&["CELERY_WORKER_CONCURRENCY"]) {
                Some(found) => found,
                None if scales => first(&["CELERY_MAX_WORKERS"]).unwrap_or_else(cpus),
                None => first(&["CELERY_WORKER_AMOUNT"]).unwrap_or_else(one),
            }
        }
        _ => first(&["SERVER_WORKER_AMOUNT"])
            .unwrap_or_else(|| one("SERVER_WORKER_AMOUNT", variables, "the image of Dify")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ALL;

    #[test]
    fn a_product_is_a_profile() {
        let known =
            ALL.iter().filter(|profile| product(Some(profile)) != Product::Any || is_shared(Some(profile)));
        let libraries = ["SQLAlchemy", "node-postgres", "Single", "Counted", "Prisma", "NullPool"];
        // Their images run different things, or the user builds them.
        let others = ["Strapi", "Mastodon", "Chatwoot", "Chatwoot-Sidekiq", "Zammad"];
        let others = [&libraries[..], &others].concat();
        assert_eq!(known.count() + others.len(), ALL.len());
    }
}

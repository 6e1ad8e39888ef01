//! Variables of another profile on an app that names none: its granted ones would go unread.
//!
//! In: annotations, a container with its environment. Out: the variable, the profiles that read it, and the sentence
//! about them. Forbidden here: assuming which profile is meant. Names only say what an app probably is.

use super::env::Environment;
use super::template::shortened;
use crate::api::names;
use crate::profile::stated::Stated;
use crate::profile::{ALL, Gets, Profile};

/// The most profiles that are named.
const TOLD: usize = 3;

/// The most characters of the name of a container.
const QUOTED: usize = 80;

/// A variable that the default profile does not read.
pub(super) struct Unread<'a> {
    variable: &'a str,
    /// The profiles that do.
    pub(super) profiles: Vec<&'static Profile>,
}

/// The variable of a container that the fewest other profiles read; none if the container has those of its own profile.
pub(super) fn found<'a>(stated: &Stated<'_>, environment: Environment<'a>) -> Option<Unread<'a>> {
    let says = |key| stated.says(key).is_some();
    if [names::PROFILE, names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV].into_iter().any(says) {
        return None;
    }
    let own = stated.profile()?;
    let granted = |(name, gets): (&str, Gets)| match gets {
        Gets::PoolSize => environment.reads(name, names::POOL_SIZE),
        Gets::MaxOverflow => environment.reads(name, names::MAX_OVERFLOW),
        Gets::Text(_) => false,
    };
    // What the gate or `inject` put there says nothing about the app.
    if own.variables().any(|variable| environment.is_set(variable.0) && !granted(variable)) {
        return None;
    }
    let entries = environment.container.env.iter();
    let unread = entries.filter_map(|entry| {
        let profiles: Vec<_> =
            ALL.iter().copied().filter(|profile| profile.is_sized_by(&entry.name)).collect();
        let told = !profiles.is_empty() && environment.is_set(&entry.name);
        told.then_some(Unread { variable: &entry.name, profiles })
    });
    unread.min_by_key(|unread| unread.profiles.len())
}

impl Unread<'_> {
    /// The sentence for it.
    pub(super) fn sentence(&self, container: &str) -> String {
        let container = shortened(container, QUOTED);
        let named: Vec<&str> = self.profiles.iter().take(TOLD).map(|profile| profile.name).collect();
        let (variable, key) = (self.variable, names::PROFILE);
        match named.as_slice() {
            [only] => format!(
                "container {container} sets {variable}, which the profile {only} reads: set the annotation {key} to {only}"
            ),
            several => {
                let more = if self.profiles.len() > TOLD { " and others" } else { "" };
                format!(
                    "container {container} sets {variable}, which the profiles {}{more} read: set the annotation {key} to \
                     the right one",
                    several.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::env::Container;
    use super::super::template::AppFacts;
    use super::*;

    fn of(annotations: &Value, env: &Value) -> AppFacts {
        let containers: Vec<Container> =
            serde_json::from_value(json!([{"name": "app", "env": env}])).expect("containers");
        let annotations = serde_json::from_value(annotations.clone()).expect("annotations");
        AppFacts::read(&None, &annotations, &[], &containers)
    }

    fn env(name: &str, value: &str) -> Value {
        json!([{"name": name, "value": value}])
    }

    #[test]
    fn a_variable_of_another_profile_is_told_where_none_is_named() {
        let sentence = |profile: &str, variable: &str| {
            format!(
                "container app sets {variable}, which the profile {profile} reads: set the annotation \
                 poolbudget.dev/profile to {profile}"
            )
        };
        for (profile, variable) in [
            ("HikariCP", "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE"),
            ("HikariCP", "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE"),
            ("Keycloak", "KC_DB_POOL_MAX_SIZE"),
            ("Grafana", "GF_DATABASE_MAX_OPEN_CONN"),
            ("Airflow", "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW"),
        ] {
            let facts = of(&json!({}), &env(variable, "30"));
            assert_eq!(facts.unread, Some(sentence(profile, variable)));
            assert_eq!(of(&json!({names::PROFILE: profile}), &env(variable, "30")).unread, None);
        }
    }

    #[test]
    fn every_variable_that_sizes_a_profile_is_told() {
        for profile in ALL.iter().filter(|profile| profile.name != names::DEFAULT_PROFILE) {
            let sizes =
                profile.bounds().filter(|(name, gets)| !name.is_empty() && !matches!(gets, Gets::Text(_)));
            for (variable, _) in sizes {
                let unread = of(&json!({}), &env(variable, "30")).unread.expect(variable);
                assert!(unread.contains(variable) && unread.contains(profile.name), "{unread}");
                assert!(unread.len() < 300, "{unread}");
            }
        }
    }

    #[test]
    fn a_name_that_several_profiles_read_names_them() {
        let unread = of(&json!({}), &env("RAILS_MAX_THREADS", "30")).unread;
        assert_eq!(
            unread.as_deref(),
            Some(
                "container app sets RAILS_MAX_THREADS, which the profiles Rails, Chatwoot read: set the annotation \
                 poolbudget.dev/profile to the right one"
            )
        );
    }

    #[test]
    fn an_app_that_sets_variables_of_its_own_profile_is_what_it_says() {
        let both = json!([{"name": "DB_POOL_SIZE", "value": "3"}, {"name": "POOL_SIZE", "value": "3"}]);
        assert_eq!(of(&json!({}), &both).unread, None);
        let injected = json!([
            {"name": "DB_POOL_SIZE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['poolbudget.dev/pool-size']"}}},
            {"name": "KC_DB_POOL_MAX_SIZE", "value": "30"}]);
        assert!(of(&json!({}), &injected).unread.is_some(), "what the gate put there is not the app's");
        assert_eq!(of(&json!({names::POOL_SIZE_ENV: "POOL_SIZE"}), &env("POOL_SIZE", "3")).unread, None);
        assert_eq!(of(&json!({}), &env("KC_DB_POOL_MAX_SIZE", "")).unread, None);
        assert_eq!(of(&json!({}), &env("OTHER", "3")).unread, None);
    }

    #[test]
    fn what_the_other_variable_allows_counts_without_a_grant() {
        let own =
            |value: &str| of(&json!({}), &env("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", value)).own.get();
        assert_eq!((own("30"), own("2")), (30, 15), "or what the default allows");
        assert_eq!(of(&json!({}), &env("GF_DATABASE_MAX_OPEN_CONN", "0")).own.get(), u64::MAX);
    }
}

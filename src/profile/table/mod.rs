//! The profiles, in the order in which they are documented.
//!
//! Plain data. `source` says where a figure was read and in which version, or that it was tried against PostgreSQL; a
//! figure that was not tried is [`Reads::NotTried`], which counts as unlimited. `read` is the day of that. The entries
//! are in one file per language family.

mod go;
mod jvm;
mod node;
mod other;
mod python;
mod ruby;

use super::OwnNames::{Fixed, May, Must};
use super::Reads::{Connections, Fails, NotTried, Unlimited};
use super::{Knob, Overrides, OwnNames, Pool, Profile, Reads, Sizing, Switch, Written};
use crate::budget::split::Knobs;

pub use python::SQLALCHEMY;

/// Every profile, starting with the one that applies without an annotation.
pub const ALL: &[&Profile] = &[
    &SQLALCHEMY,
    &python::AIRFLOW,
    &python::DIFY,
    &python::OPEN_WEBUI,
    &python::MLFLOW,
    &python::LITELLM,
    &node::N8N,
    &node::NODE_POSTGRES,
    &jvm::KEYCLOAK,
    &jvm::HIKARI,
    &jvm::QUARKUS,
    &ruby::RAILS,
    &ruby::MASTODON,
    &ruby::CHATWOOT,
    &ruby::CHATWOOT_SIDEKIQ,
    &other::ECTO,
    &go::GO,
    &go::GRAFANA,
    &go::TEMPORAL,
    &go::CONCOURSE,
    &go::INNGEST,
    &go::MATTERMOST,
    &go::HARBOR,
    &go::ZITADEL,
    &go::GITEA,
    &go::GOTRUE,
    &other::POSTGREST,
    &node::STORAGE,
    &node::OUTLINE,
    &node::DIRECTUS,
    &node::STRAPI,
    &jvm::METABASE,
    &other::HASURA,
    &other::PGBOUNCER,
    &other::SINGLE,
    &other::COUNTED,
    &python::SUPERSET,
    &python::ODOO,
    &ruby::ZAMMAD,
    &node::PRISMA,
    &python::NULL_POOL,
];

/// The values that most entries share: one pool per process, which starts at one connection and has nothing beside it.
const PLAIN: Profile = Profile {
    name: "",
    sizing: Sizing::Unbounded,
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: Overrides::NONE,
    processes: "",
    eager: false,
    note: "",
    source: "",
    read: "",
};

const NO_COMPANIONS: [Option<&str>; 3] = [None, None, None];

/// A pool with a size and an overflow.
const fn two_knobs(size: Knob, overflow: Knob) -> Pool {
    Pool { size, overflow: Some(overflow), also: &[], floors: &[] }
}

/// A pool with one bound.
const fn one_knob(size: Knob) -> Pool {
    Pool { size, overflow: None, also: &[], floors: &[] }
}

/// A variable of which only the default is known.
const fn untried(env: &'static str, unset: Reads) -> Knob {
    Knob { env, formerly: None, unset, zero: NotTried, negative: NotTried, junk: NotTried }
}

/// A variable that must be a number above 0, or its app does not start.
const fn strict(env: &'static str, unset: Reads) -> Knob {
    Knob { env, formerly: None, unset, zero: Fails, negative: Fails, junk: Fails }
}

/// A variable for Go's `database/sql`: 0 and less mean no bound.
const fn go(env: &'static str, unset: Reads) -> Knob {
    Knob { env, formerly: None, unset, zero: Unlimited, negative: Unlimited, junk: NotTried }
}

/// An app that reads one bound, and nothing else that matters.
const fn one_bound(pools: &'static [Pool], names: OwnNames) -> Sizing {
    Sizing::Written(Written { knobs: Knobs::ONE, pools, switches: &[], names, companions: NO_COMPANIONS })
}

/// A pool with one bound, and numbers that must not exceed it.
const fn floored(size: Knob, floors: &'static [&'static str]) -> Pool {
    Pool { size, overflow: None, also: &[], floors }
}

/// Options that would override the variables.
const fn options(options: &'static [&'static str]) -> Overrides {
    Overrides { files: &[], variables: &[], options }
}

/// An app that reads a size and an overflow.
const fn queue_pool(pools: &'static [Pool], companions: [Option<&'static str>; 3]) -> Sizing {
    Sizing::Written(Written { knobs: Knobs::BOTH, pools, switches: &[], names: Fixed, companions })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::names;

    #[test]
    fn every_profile_has_a_name_of_its_own_and_the_default_stands_first() {
        let unique: BTreeSet<&str> = ALL.iter().map(|profile| profile.name).collect();
        assert_eq!(unique.len(), ALL.len());
        assert_eq!(ALL[0].name, names::DEFAULT_PROFILE);
        assert!(std::ptr::eq(ALL[0], &raw const SQLALCHEMY));
    }

    #[test]
    fn no_profile_needs_nothing_or_more_than_it_takes_when_nobody_tells_it_anything() {
        for profile in ALL {
            assert!(profile.smallest >= 1, "{}", profile.name);
            for pool in profile.written().map_or(&[] as &[Pool], |written| written.pools) {
                let unset = [Some(&pool.size), pool.overflow.as_ref()];
                let unset = unset.into_iter().flatten().map(|knob| match knob.unset {
                    Connections(n) => n,
                    Unlimited | NotTried | Fails => u32::MAX,
                });
                assert!(profile.smallest <= unset.fold(0, u32::saturating_add), "{}", profile.name);
            }
        }
    }

    #[test]
    fn every_profile_says_where_and_on_which_day_it_was_read() {
        for profile in ALL {
            assert!(!profile.name.is_empty() && !profile.source.is_empty(), "{}", profile.name);
            let date: Vec<&str> = profile.read.split('-').collect();
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let sound =
                date.iter().map(|part| part.len()).eq([4, 2, 2]) && date.iter().all(|part| digits(part));
            assert!(sound, "{}: {}", profile.name, profile.read);
        }
    }

    #[test]
    fn a_name_that_a_variable_had_before_is_bound_by_nothing_that_would_count_it_twice() {
        for profile in ALL {
            for pool in profile.written().map_or(&[] as &[Pool], |written| written.pools) {
                let bounds = [Some(&pool.size), pool.overflow.as_ref()];
                let former = bounds.into_iter().flatten().filter_map(|knob| knob.formerly);
                assert!(former.into_iter().all(|old| !pool.also.contains(&old)), "{}", profile.name);
            }
        }
    }

    #[test]
    fn a_profile_binds_no_variable_twice() {
        for profile in ALL {
            let names: Vec<&str> = profile.variables().map(|(name, _)| name).collect();
            let unique: BTreeSet<&&str> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{}", profile.name);
        }
    }

    #[test]
    fn a_variable_without_a_name_is_one_that_an_annotation_has_to_name() {
        for profile in ALL {
            let unnamed = profile.variables().any(|(name, _)| name.is_empty());
            assert_eq!(unnamed, profile.own_names() == Must, "{}", profile.name);
        }
    }

    #[test]
    fn own_names_go_to_profiles_with_one_pool_and_no_other_variable() {
        for profile in ALL.iter().filter(|profile| profile.own_names() != Fixed) {
            let expected = if profile.has_both() { 2 } else { 1 };
            assert_eq!(profile.variables().count(), expected, "{}", profile.name);
        }
    }

    #[test]
    fn an_overflow_stands_exactly_where_both_can_be_told() {
        for profile in ALL {
            let pools = profile.written().map_or(&[] as &[Pool], |written| written.pools);
            assert!(
                pools.iter().all(|pool| pool.overflow.is_some() == profile.has_both()),
                "{}",
                profile.name
            );
        }
    }
}

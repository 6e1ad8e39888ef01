//! The clients of a pooler, as the metrics of a Supabase project tell them.
//!
//! In: a page, and the pooler that is meant. Out: the [`Activity`], or none if the page has no such series. Forbidden here:
//! the wire, a doubt.
//!
//! Names and labels: `metrics.md` of `supabase/supabase-grafana` at 8bfe3f12, and for the shared pooler
//! `lib/supavisor/monitoring/tenant.ex` of `supabase/supavisor` at 03e5cc56. The shared pooler keeps the last number of a
//! client that has gone for up to an hour, so that its sum is never too small and may be too large.

use std::collections::BTreeMap;

use super::super::{Activity, GROUPS, Group, MOST};
use super::activity::shortened;
use crate::exposition::{Sample, samples};

/// Where the page is.
pub const PATH: &str = "/customer/v1/privileged/metrics";
/// The most groups that are held while a page is read.
const HELD: usize = 4096;

/// A pooler of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Supavisor, in this mode.
    Shared(&'static str),
    /// `PgBouncer`.
    Dedicated,
}

impl Pooler {
    /// Whether a sample counts clients of it.
    fn counts(self, sample: &Sample<'_>) -> bool {
        match self {
            Self::Shared(mode) => {
                sample.name == "supavisor_connections_active" && label(sample, "mode") == Some(mode)
            }
            Self::Dedicated => matches!(
                sample.name,
                "pgbouncer_pools_client_active_connections" | "pgbouncer_pools_client_waiting_connections"
            ),
        }
    }

    /// Whether a sample shows that the page counts clients of such a pooler at all: without one, it says nothing of them.
    fn is_known_by(self, sample: &Sample<'_>) -> bool {
        sample.name
            == match self {
                Self::Shared(_) => "supavisor_connections_active",
                Self::Dedicated => "pgbouncer_pools_client_active_connections",
            }
    }
}

/// The clients of a pooler. Those of Supabase's own services are left out: each service has a pool of its own.
pub fn read(page: &str, pooler: Pooler) -> Option<Activity> {
    let mut known = false;
    let mut groups: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut others = 0_u32;
    for sample in samples(page) {
        known |= pooler.is_known_by(&sample);
        if !pooler.counts(&sample) {
            continue;
        }
        let user = label(&sample, "user").unwrap_or_default();
        let open = count(sample.value)?;
        if open == 0 || is_service(user) {
            continue;
        }
        let application = label(&sample, "app_name").unwrap_or_default();
        let key = (shortened(application.to_owned()), shortened(user.to_owned()));
        if groups.len() < HELD || groups.contains_key(&key) {
            let of = groups.entry(key).or_default();
            *of = of.saturating_add(open);
        } else {
            others = others.saturating_add(open);
        }
    }
    known.then(|| activity(groups, others))
}

fn activity(groups: BTreeMap<(String, String), u32>, others: u32) -> Activity {
    let groups = groups.into_iter().map(|((application, user), open)| Group {
        application,
        user,
        address: None,
        open: open.min(MOST),
        busy: None,
    });
    let mut groups: Vec<Group> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.open));
    let rest = groups.split_off(groups.len().min(GROUPS));
    let others = rest.iter().fold(others, |sum, group| sum.saturating_add(group.open)).min(MOST);
    Activity { groups, others }
}

/// Whether a role is one of Supabase's own services, or of the pooler's console.
fn is_service(user: &str) -> bool {
    user.starts_with("supabase_") || matches!(user, "authenticator" | "pgbouncer")
}

fn label<'a>(sample: &Sample<'a>, name: &str) -> Option<&'a str> {
    sample.labels().find_map(|(label, value)| (label == name).then_some(value))
}

/// A whole number of connections; none for every other value, which makes the page one that is not understood.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and a million")]
fn count(value: f64) -> Option<u32> {
    let is_count = value.fract() == 0.0 && (0.0..=f64::from(MOST)).contains(&value);
    is_count.then_some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("recorded/metrics.txt");

    fn groups(page: &str, pooler: Pooler) -> Option<Vec<(String, String, u32)>> {
        let activity = read(page, pooler)?;
        assert_eq!(activity.others, 0);
        let of = |group: Group| (group.application, group.user, group.open);
        Some(activity.groups.into_iter().map(of).collect())
    }

    fn of(application: &str, user: &str, open: u32) -> (String, String, u32) {
        (application.to_owned(), user.to_owned(), open)
    }

    #[test]
    fn clients_of_one_mode_are_summed_over_nodes_and_databases_and_services_are_left_out() {
        let session = groups(PAGE, Pooler::Shared("session"));
        assert_eq!(
            session,
            Some(vec![of("", "postgres", 9), of("api-7d4b9c-x2x7k", "postgres", 3), of("", "reports", 1)])
        );
        assert_eq!(groups(PAGE, Pooler::Shared("transaction")), Some(vec![of("", "postgres", 41)]));
    }

    #[test]
    fn clients_of_the_dedicated_pooler_wait_or_are_served() {
        assert_eq!(groups(PAGE, Pooler::Dedicated), Some(vec![of("", "postgres", 14), of("", "app", 2)]));
    }

    #[test]
    fn a_page_without_the_pooler_says_nothing_and_one_without_clients_says_none() {
        for page in ["", "<html>", "{}", "up 1\n", "supavisor_connections_active{mode=\"session\"} x"] {
            assert_eq!(read(page, Pooler::Shared("session")), None, "{page}");
            assert_eq!(read(page, Pooler::Dedicated), None, "{page}");
        }
        let other = "supavisor_connections_active{mode=\"transaction\",user=\"a\"} 3\n";
        assert_eq!(read(other, Pooler::Shared("session")), Some(Activity::default()));
        let console =
            "pgbouncer_pools_client_active_connections{database=\"pgbouncer\",user=\"pgbouncer\"} 1\n";
        assert_eq!(read(console, Pooler::Dedicated), Some(Activity::default()));
    }

    #[test]
    fn a_number_that_is_no_count_makes_the_page_one_that_is_not_understood() {
        for value in ["-1", "1.5", "NaN", "+Inf", "1000001", "1e300"] {
            let page = format!("supavisor_connections_active{{mode=\"session\",user=\"a\"}} {value}\n");
            assert_eq!(read(&page, Pooler::Shared("session")), None, "{value}");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_list_is_counted() {
        let line = |n: usize| {
            format!("supavisor_connections_active{{mode=\"session\",user=\"u{n}\"}} 2 1764316800000\n")
        };
        let page: String = (0..HELD + 10).map(line).collect();
        let activity = read(&page, Pooler::Shared("session")).unwrap();
        assert_eq!(activity.groups.len(), GROUPS);
        let all = u32::try_from(2 * (HELD + 10)).unwrap();
        assert_eq!(activity.groups.iter().map(|group| group.open).sum::<u32>() + activity.others, all);
    }

    #[test]
    fn names_are_cut_and_the_sum_of_one_group_is_bounded() {
        let line =
            format!("supavisor_connections_active{{mode=\"session\",user=\"{}\"}} {MOST}\n", "ü".repeat(90));
        let activity = read(&line.repeat(5000), Pooler::Shared("session")).unwrap();
        let [group] = &activity.groups[..] else { panic!("{activity:?}") };
        assert_eq!((group.user.len(), group.open), (62, MOST));
    }
}

//! Apps in Ruby.
//!
//! Plain data, by the rules of [`super`].

use super::{Connections, Fails, Knob, May, NotTried, Overrides, Profile, Unlimited, one_bound, one_knob};

pub(super) static RAILS: Profile = Profile {
    name: "Rails",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "RAILS_MAX_THREADS",
            formerly: None,
            unset: Connections(5),
            zero: Fails,
            negative: Unlimited,
            junk: NotTried,
        })],
        May,
    ),
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: Overrides::NONE,
    processes: "`WEB_CONCURRENCY` (Puma workers), Sidekiq processes; `engines` is the number of databases",
    eager: false,
    note: "The variable of the generated `database.yml` sets Puma's threads as well, so each has its connection.",
    source: "rails 2a2db1e8 (8.1), `hash_config.rb`",
    read: "2026-11-21",
};

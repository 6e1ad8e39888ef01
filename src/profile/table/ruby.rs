//! Apps in Ruby.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fails, Fixed, Knob, May, NotTried, PLAIN, Profile, Sizing, Unlimited, floored, one_bound,
    one_knob,
};

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
    processes: "`WEB_CONCURRENCY` (Puma workers), Sidekiq processes; `engines` is the number of databases",
    note: "The variable of the generated `database.yml` sets Puma's threads as well, so each has its connection.",
    source: "rails 2a2db1e8 (8.1), `hash_config.rb`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static MASTODON: Profile = Profile {
    name: "Mastodon",
    sizing: one_bound(
        &[floored(
            Knob {
                env: "DB_POOL",
                formerly: Some("MAX_THREADS"),
                unset: Connections(10),
                zero: Connections(10),
                negative: Unlimited,
                junk: NotTried,
            },
            &["MAX_THREADS", "MIN_THREADS"],
        )],
        Fixed,
    ),
    processes: "`WEB_CONCURRENCY` of a web pod, 2 where it is not set; 1 of Sidekiq and of streaming",
    note: "Web, Sidekiq and streaming are workloads of their own, and each reads the same variable (without it: 10 \
           in streaming, as many as threads elsewhere). Puma's threads are set to the same, so each has its \
           connection; those of Sidekiq are told by `sidekiq -c`: with more than the pool has they wait.",
    source: "mastodon/mastodon 0f2e8476, `config/database.yml`, 04c259a8, `config/puma.rb`, 0eca55c2, \
             `streaming/database.js`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static CHATWOOT: Profile = Profile {
    name: "Chatwoot",
    sizing: one_bound(
        &[floored(
            Knob {
                env: "RAILS_MAX_THREADS",
                formerly: None,
                unset: Connections(5),
                zero: Fails,
                negative: Unlimited,
                junk: NotTried,
            },
            &["RAILS_MIN_THREADS"],
        )],
        Fixed,
    ),
    processes: "1: its Puma runs in one process",
    note: "Its web pods; for Sidekiq there is a profile of its own. Threads and connections are set to the same.",
    source: "chatwoot/chatwoot 03f6ca8d, `config/database.yml`, 0122c49f, `config/puma.rb`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static CHATWOOT_SIDEKIQ: Profile = Profile {
    name: "Chatwoot-Sidekiq",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "SIDEKIQ_CONCURRENCY",
            formerly: None,
            unset: Connections(10),
            zero: Fails,
            negative: Unlimited,
            junk: NotTried,
        })],
        Fixed,
    ),
    processes: "Sidekiq processes",
    note: "Its worker pods. Threads and connections are set to the same.",
    source: "chatwoot/chatwoot 03f6ca8d, `config/database.yml`, 079666bd, `config/sidekiq.yml`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static ZAMMAD: Profile = Profile {
    name: "Zammad",
    sizing: Sizing::Counted { default: Some(50) },
    processes: "the server (`ZAMMAD_WEB_CONCURRENCY` more of it), or the scheduler and the workers that its \
                variables ask for, or the websocket server",
    note: "The bound is `pool` in the database's URL, which `POSTGRESQL_OPTIONS` ends (`?pool=50`), or in \
           `config/database.yml`; set `connections-per-process` to the same number.",
    source: "zammad/zammad 42fbb2b8, `config/database/database.yml`; zammad/zammad-documentation 008d631b, \
             `appendix/environment-variables.rst`; not run",
    read: "2026-11-27",
    ..PLAIN
};

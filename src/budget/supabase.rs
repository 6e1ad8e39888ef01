//! What Supabase allows, by compute size and connection path: data with its source and date.
//!
//! In: a compute size or plan. Out: the published numbers. It does not choose which number binds (`limit` does).
//! Taken on 2026-11-21 from the public repositories of Supabase:
//! `max_connections` and pooler clients from `supabase/supabase` `apps/docs/content/guides/platform/compute-and-disk.mdx`
//! at 213bd158, pool sizes from `POOLING_OPTIMIZATIONS` in `apps/studio/components/interfaces/Settings/Database/`
//! `ConnectionPooling/ConnectionPooling.constants.ts` at 10b6de9b. Sizes above 16XL are not published.

use std::fmt;

use super::amount::Connections;

/// The day on which the table was taken from its sources.
pub const TABLE_DATE: &str = "2026-11-21";

/// Connections that Postgres keeps for superusers on every compute size: its own default, which
/// `supabase/postgres` leaves alone (`ansible/files/postgresql_config/postgresql.conf.j2` at 7db7e1a9).
pub const SUPERUSER_RESERVED: Connections = Connections::new(3);

/// A compute size that a project can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compute {
    /// The size of the Free plan.
    Nano,
    /// The size that Pro and Team include; the same connection numbers as Nano.
    Micro,
    /// `ci_small`.
    Small,
    /// `ci_medium`.
    Medium,
    /// `ci_large`.
    Large,
    /// `ci_xlarge`.
    Xl,
    /// `ci_2xlarge`.
    Xl2,
    /// `ci_4xlarge`.
    Xl4,
    /// `ci_8xlarge`.
    Xl8,
    /// `ci_12xlarge`.
    Xl12,
    /// `ci_16xlarge`.
    Xl16,
}

/// A plan with a compute size included. Enterprise is not among them: it includes no fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Runs on Nano.
    Free,
    /// Includes Micro; any size can be bought.
    Pro,
    /// Includes Micro; any size can be bought.
    Team,
}

/// The path on which the app reaches the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// Supavisor in session mode (`*.pooler.supabase.com:5432`): each client pins a backend.
    Session,
    /// Supavisor in transaction mode (`*.pooler.supabase.com:6543`): clients share the backends.
    Transaction,
    /// Straight to Postgres (`db.*.supabase.co:5432`).
    Direct,
    /// The project's own `PgBouncer` (`db.*.supabase.co:6543`), on paid plans.
    Dedicated,
}

/// The published numbers of one compute size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// `max_connections` of Postgres.
    pub max_connections: Connections,
    /// Clients that a pooler accepts in transaction mode, for each pool.
    pub max_clients: Connections,
    /// Default pool size: the backends of a pool, and so the clients in session mode.
    pub pool_size: Connections,
}

impl Compute {
    /// Every size, smallest first.
    pub const ALL: [Self; 11] = [
        Self::Nano,
        Self::Micro,
        Self::Small,
        Self::Medium,
        Self::Large,
        Self::Xl,
        Self::Xl2,
        Self::Xl4,
        Self::Xl8,
        Self::Xl12,
        Self::Xl16,
    ];

    /// The name in the dashboard and in the resource.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nano => "Nano",
            Self::Micro => "Micro",
            Self::Small => "Small",
            Self::Medium => "Medium",
            Self::Large => "Large",
            Self::Xl => "XL",
            Self::Xl2 => "2XL",
            Self::Xl4 => "4XL",
            Self::Xl8 => "8XL",
            Self::Xl12 => "12XL",
            Self::Xl16 => "16XL",
        }
    }

    /// The size of that exact name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The table.
    #[must_use]
    pub const fn numbers(self) -> Numbers {
        match self {
            Self::Nano | Self::Micro => Numbers::of(60, 200, 15),
            Self::Small => Numbers::of(90, 400, 15),
            Self::Medium => Numbers::of(120, 600, 15),
            Self::Large => Numbers::of(160, 800, 20),
            Self::Xl => Numbers::of(240, 1_000, 20),
            Self::Xl2 => Numbers::of(380, 1_500, 25),
            Self::Xl4 => Numbers::of(480, 3_000, 32),
            Self::Xl8 => Numbers::of(490, 6_000, 64),
            Self::Xl12 => Numbers::of(500, 9_000, 96),
            Self::Xl16 => Numbers::of(500, 12_000, 128),
        }
    }
}

impl Numbers {
    const fn of(max_connections: u64, max_clients: u64, pool_size: u64) -> Self {
        Self {
            max_connections: Connections::new(max_connections),
            max_clients: Connections::new(max_clients),
            pool_size: Connections::new(pool_size),
        }
    }

    /// Connections that Postgres gives to ordinary roles.
    #[must_use]
    pub const fn ordinary(self) -> Connections {
        self.max_connections.minus(SUPERUSER_RESERVED)
    }
}

impl Plan {
    /// Every plan that includes a compute size.
    pub const ALL: [Self; 3] = [Self::Free, Self::Pro, Self::Team];

    /// The compute size that the plan includes. A project may have bought a larger one; then the
    /// budget names the compute size itself.
    #[must_use]
    pub const fn included(self) -> Compute {
        match self {
            Self::Free => Compute::Nano,
            Self::Pro | Self::Team => Compute::Micro,
        }
    }

    /// The name in the resource.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "Free",
            Self::Pro => "Pro",
            Self::Team => "Team",
        }
    }

    /// The plan of that exact name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}

impl Connection {
    /// Every path.
    pub const ALL: [Self; 4] = [Self::Session, Self::Transaction, Self::Direct, Self::Dedicated];

    /// The name in the resource.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "Session",
            Self::Transaction => "Transaction",
            Self::Direct => "Direct",
            Self::Dedicated => "Dedicated",
        }
    }

    /// The path of that exact name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The path's name in a sentence.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Session => "session mode",
            Self::Transaction => "transaction mode",
            Self::Direct => "direct connection",
            Self::Dedicated => "dedicated pooler",
        }
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_published_numbers_of_every_compute_size() {
        let published = [
            ("Nano", 60, 57, 200, 15),
            ("Micro", 60, 57, 200, 15),
            ("Small", 90, 87, 400, 15),
            ("Medium", 120, 117, 600, 15),
            ("Large", 160, 157, 800, 20),
            ("XL", 240, 237, 1_000, 20),
            ("2XL", 380, 377, 1_500, 25),
            ("4XL", 480, 477, 3_000, 32),
            ("8XL", 490, 487, 6_000, 64),
            ("12XL", 500, 497, 9_000, 96),
            ("16XL", 500, 497, 12_000, 128),
        ];
        let table = Compute::ALL.map(|c| {
            let n = c.numbers();
            let row = [n.max_connections, n.ordinary(), n.max_clients, n.pool_size].map(Connections::get);
            (c.name(), row[0], row[1], row[2], row[3])
        });
        assert_eq!(table, published);
    }

    #[test]
    fn a_plan_means_the_compute_size_it_includes() {
        let included = Plan::ALL.map(|p| (p.name(), p.included()));
        assert_eq!(included, [("Free", Compute::Nano), ("Pro", Compute::Micro), ("Team", Compute::Micro)]);
    }

    #[test]
    fn every_name_reads_back_and_enterprise_is_no_plan() {
        for compute in Compute::ALL {
            assert_eq!(Compute::named(&compute.to_string()), Some(compute));
        }
        for plan in Plan::ALL {
            assert_eq!(Plan::named(&plan.to_string()), Some(plan));
        }
        for connection in Connection::ALL {
            assert_eq!(Connection::named(&connection.to_string()), Some(connection));
        }
        assert_eq!(Plan::named("Enterprise"), None);
        assert_eq!(Compute::named("nano"), None);
    }
}

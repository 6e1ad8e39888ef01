//! Profiles: which environment variables an app reads its pool from, and what they mean to it.
//!
//! In: what the annotations of a pod say. Out: entries of the [`table`], the env entries that bind a pod to its grant,
//! and the sentence for what makes no sense. Forbidden here: Kubernetes objects, and any decision about sizes.
//!
//! | file | what it is |
//! |---|---|
//! | `table/` | one entry for each profile, plain data with its source, in a file for each family |
//! | `stated` | the annotations of a pod, read as the gate reads them |
//! | `rules` | what they must keep, with the sentence of the check |
//! | `proxies` | containers that are put beside an app, by name |
//! | `page` | the table as the page `docs/profiles.md` |
//! | `workers` | how many processes a container runs, as far as the pod shows it |
//!
//! The admission policies are made from these: their CEL is a twin of `stated` and `rules`, and one table of cases in
//! `tests/admission` holds for both.

pub mod page;
pub mod proxies;
pub mod rules;
pub mod stated;
pub mod table;
pub mod workers;

use crate::budget::amount::Connections;
use crate::budget::split::Knobs;

pub use table::{ALL, SQLALCHEMY};

/// What one kind of app makes of its environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// As the annotation writes it.
    pub name: &'static str,
    /// Who sets the size of its pools.
    pub sizing: Sizing,
    /// Pools of this size that each process opens for each engine it is said to have.
    pub engines: u32,
    /// The fewest connections of one pool with which it starts and works, whatever else there is room for; at least 1.
    pub smallest: u32,
    /// Connections that each process opens beside its pools, whatever it is told: listeners, holders of locks, pools of a
    /// size that nothing sets.
    pub extra: u32,
    /// What would win over its variables.
    pub overrides: Overrides,
    /// What is to be counted as `processes` (and `engines`, where that is not plain).
    pub processes: &'static str,
    /// Whether it opens all its connections when it starts.
    pub eager: bool,
    /// What else its user should know.
    pub note: &'static str,
    /// Where this was read, or that it was run.
    pub source: &'static str,
    /// On which day that was.
    pub read: &'static str,
}

/// What wins over the variables of a profile: where one of these is there, they bind nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Overrides {
    /// Files that it reads instead, where a volume brings them.
    pub files: &'static [&'static str],
    /// Variables that name such a file.
    pub variables: &'static [&'static str],
    /// Options of its command, without the dashes before them.
    pub options: &'static [&'static str],
}

impl Overrides {
    /// Nothing does, as far as is known.
    pub const NONE: Self = Self { files: &[], variables: &[], options: &[] };

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty() && self.variables.is_empty() && self.options.is_empty()
    }
}

/// Who sets the size of a pool.
#[derive(Debug, PartialEq, Eq)]
pub enum Sizing {
    /// The grant, by environment variables.
    Written(Written),
    /// Nobody from outside: the pod is counted at what the annotation `size` states, or at this.
    Counted {
        /// Connections of one process that says nothing; none where that depends on the machine.
        default: Option<u32>,
    },
    /// Nobody: each checkout is a connection of its own.
    Unbounded,
}

/// The variables that a grant is read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// What can be told.
    pub knobs: Knobs,
    /// The pools, each with variables of its own.
    pub pools: &'static [Pool],
    /// Variables that the others have no effect without.
    pub switches: &'static [Switch],
    /// Whether annotations may name the variables.
    pub names: OwnNames,
    /// The variables of `names::COMPANIONS`, in that order.
    pub companions: [Option<&'static str>; 3],
}

/// One pool of a process.
#[derive(Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its bound, or what it keeps where there is an overflow as well.
    pub size: Knob,
    /// What it opens on top.
    pub overflow: Option<Knob>,
    /// Other spellings of `size`, which get the same.
    pub also: &'static [&'static str],
    /// Numbers that must not stand above `size`, and get the same: how many it opens at first, and how many it keeps.
    pub floors: &'static [&'static str],
}

/// One variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Knob {
    /// Its name; empty where an annotation has to name it.
    pub env: &'static str,
    /// A name that it had before, and that some versions still read where this one is not set.
    pub formerly: Option<&'static str>,
    /// What the app does without it.
    pub unset: Reads,
    /// What 0 means.
    pub zero: Reads,
    /// What numbers below 0 mean.
    pub negative: Reads,
    /// What a text without any digit means.
    pub junk: Reads,
}

/// A variable that has to stand at a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub env: &'static str,
    /// What it is set to.
    pub value: &'static str,
    /// Whether it stands at that when nobody sets it.
    pub by_default: bool,
}

/// What an app makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// So many connections.
    Connections(u32),
    /// No bound.
    Unlimited,
    /// It does not start, or never gets a connection.
    Fails,
    /// Nobody has tried: counted as unlimited.
    NotTried,
}

/// Whether annotations may name the variables of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnNames {
    /// No: it is a product, with fixed names.
    Fixed,
    /// They may: it is a library, and the names are its usual ones.
    May,
    /// They must: it is a library without usual names.
    Must,
}

impl Profile {
    /// The profile of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|profile| profile.name == name)
    }

    /// The variables that its grant is read from, where there are any.
    #[must_use]
    pub const fn written(&self) -> Option<&Written> {
        match &self.sizing {
            Sizing::Written(written) => Some(written),
            Sizing::Counted { .. } | Sizing::Unbounded => None,
        }
    }

    /// What its pools can be told. Where that is nothing, a grant is one number all the same.
    #[must_use]
    pub const fn knobs(&self) -> Knobs {
        match &self.sizing {
            Sizing::Written(written) => written.knobs,
            Sizing::Counted { .. } | Sizing::Unbounded => Knobs::ONE,
        }
    }

    /// The fewest connections of one pool with which it starts and works, an overflow that it cannot do without included.
    #[must_use]
    pub const fn least(&self) -> Connections {
        let (smallest, least) = (Connections::new(self.smallest as u64), self.knobs().least());
        if smallest.get() > least.get() { smallest } else { least }
    }

    /// Pools of one size that each process opens for each engine that it is said to have.
    #[must_use]
    pub fn pools(&self) -> u32 {
        let kinds = self.pool_kinds().len().max(1);
        self.engines.saturating_mul(u32::try_from(kinds).unwrap_or(u32::MAX))
    }

    /// Whether both variables of the pool have names of their own, so that both must be named or none.
    #[must_use]
    pub fn has_both(&self) -> bool {
        self.written().is_some_and(|written| matches!(written.knobs, Knobs::Both { .. }))
    }

    /// Whether annotations may name its variables.
    #[must_use]
    pub fn own_names(&self) -> OwnNames {
        self.written().map_or(OwnNames::Fixed, |written| written.names)
    }

    /// Each variable, and the grant annotation or text that it gets: the grant's before the switches.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, Gets)> {
        let switches = self.written().map_or_else(Default::default, |written| written.switches);
        self.pool_kinds()
            .iter()
            .flat_map(Pool::variables)
            .chain(switches.iter().map(|switch| (switch.env, Gets::Text(switch.value))))
    }

    /// Those of the variables without which nothing bounds it.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, Gets)> {
        let pools = self.pool_kinds();
        self.variables().filter(|(env, _)| !pools.iter().any(|pool| pool.floors.contains(env)))
    }

    /// Whether this variable sizes one of its pools.
    #[must_use]
    pub fn is_sized_by(&self, variable: &str) -> bool {
        let sizes = |pool: &Pool| {
            let knobs = std::iter::once(&pool.size).chain(&pool.overflow).map(|knob| knob.env);
            knobs.chain(pool.also.iter().copied()).any(|name| name == variable)
        };
        !variable.is_empty() && self.pool_kinds().iter().any(sizes)
    }

    fn pool_kinds(&self) -> &'static [Pool] {
        self.written().map_or_else(Default::default, |written| written.pools)
    }
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gets {
    /// The annotation `names::POOL_SIZE`.
    PoolSize,
    /// The annotation `names::MAX_OVERFLOW`.
    MaxOverflow,
    /// It is always this.
    Text(&'static str),
}

impl Pool {
    fn variables(&'static self) -> impl Iterator<Item = (&'static str, Gets)> {
        let size = std::iter::once((self.size.env, Gets::PoolSize));
        let same = self.also.iter().chain(self.floors).map(|env| (*env, Gets::PoolSize));
        let overflow = self.overflow.iter().map(|knob| (knob.env, Gets::MaxOverflow));
        size.chain(same).chain(overflow)
    }
}

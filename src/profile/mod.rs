//! Profiles: from which environment variables an app reads its pool, and what their values mean to it.
//!
//! In: what the annotations of a pod state. Out: entries of the [`table`], the env entries that bind a pod to its
//! grant, and a sentence for each invalid statement. Forbidden here: Kubernetes objects, and any decision about sizes.
//!
//! | file | what it is |
//! |---|---|
//! | `table/` | one entry for each profile, plain data with its source, in a file for each family |
//! | `stated` | the annotations of a pod, read as the gate reads them |
//! | `rules` | what the annotations must satisfy, with the sentences of the check |
//! | `proxies` | containers that are put beside an app, by name |
//! | `page` | the table as the page `docs/profiles.md` |
//! | `workers` | how many processes a container runs, as far as the pod shows it |
//!
//! The admission policies are built from these: their CEL is a twin of `stated` and `rules`, and one table of cases in
//! `tests/admission` checks both.

pub mod page;
pub mod proxies;
pub mod rules;
pub mod stated;
pub mod table;
pub mod workers;

use crate::budget::amount::Connections;
use crate::budget::split::Knobs;

pub use table::{ALL, SQLALCHEMY};

/// How one kind of app reads its environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name that the annotation uses.
    pub name: &'static str,
    /// What sets the size of its pools.
    pub sizing: Sizing,
    /// Pools of this size that each process opens per engine stated in the annotation.
    pub engines: u32,
    /// The fewest connections of one pool with which it starts and works, however much room there is; at least 1.
    pub smallest: u32,
    /// Connections that each process opens beside its pools, whatever the variables say: listeners, lock holders, pools
    /// of a fixed size.
    pub extra: u32,
    /// What would override its variables.
    pub overrides: Overrides,
    /// What counts as `processes` (and `engines`, if that is not obvious).
    pub processes: &'static str,
    /// Whether it opens all its connections at start.
    pub eager: bool,
    /// What else its user should know.
    pub note: &'static str,
    /// Where this was read, or that it was tried.
    pub source: &'static str,
    /// The day of that.
    pub read: &'static str,
}

/// What overrides the variables of a profile: if one of these is present, the variables limit nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Overrides {
    /// Files that it reads instead, if a volume brings them.
    pub files: &'static [&'static str],
    /// Variables that name such a file.
    pub variables: &'static [&'static str],
    /// Options of its command, without the leading dashes.
    pub options: &'static [&'static str],
}

impl Overrides {
    /// Nothing overrides them, as far as is known.
    pub const NONE: Self = Self { files: &[], variables: &[], options: &[] };

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty() && self.variables.is_empty() && self.options.is_empty()
    }
}

/// What sets the size of a pool.
#[derive(Debug, PartialEq, Eq)]
pub enum Sizing {
    /// The grant, by environment variables.
    Written(Written),
    /// Nothing outside the app: the pod counts with what the annotation `connections-per-process` states, or with this default.
    Counted {
        /// Connections of one process without settings; none if that depends on the machine.
        default: Option<u32>,
    },
    /// Nothing: each checkout opens its own connection.
    Unbounded,
}

/// The variables that a grant is read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The settings that it has.
    pub knobs: Knobs,
    /// The pools, each with variables of its own.
    pub pools: &'static [Pool],
    /// Variables without which the others have no effect.
    pub switches: &'static [Switch],
    /// Whether annotations may name the variables.
    pub names: OwnNames,
    /// The variables of `names::COMPANIONS`, in that order.
    pub companions: [Option<&'static str>; 3],
}

/// One pool of a process.
#[derive(Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its bound, or the part that it keeps if there is an overflow too.
    pub size: Knob,
    /// What it opens in addition.
    pub overflow: Option<Knob>,
    /// Other spellings of `size`, which get the same value.
    pub also: &'static [&'static str],
    /// Numbers that must not exceed `size`, and get the same value: how many it opens at first, and how many it keeps.
    pub floors: &'static [&'static str],
}

/// One variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Knob {
    /// Its name; empty if an annotation has to name it.
    pub env: &'static str,
    /// A former name, which some versions still read if this one is not set.
    pub formerly: Option<&'static str>,
    /// What the app does without it.
    pub unset: Reads,
    /// What 0 means.
    pub zero: Reads,
    /// What numbers below 0 mean.
    pub negative: Reads,
    /// What a text without a digit means.
    pub junk: Reads,
}

/// A variable that must have a certain value.
#[derive(Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub env: &'static str,
    /// What it is set to.
    pub value: &'static str,
    /// Whether it has that value by default.
    pub by_default: bool,
}

/// How an app reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// This many connections.
    Connections(u32),
    /// No bound.
    Unlimited,
    /// It does not start, or never gets a connection.
    Fails,
    /// Not tried: counted as unlimited.
    NotTried,
}

/// Whether annotations may name the variables of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnNames {
    /// No: it is a product, with fixed names.
    Fixed,
    /// They may: it is a library, and these are its usual names.
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

    /// The variables that its grant is read from, if any.
    #[must_use]
    pub const fn written(&self) -> Option<&Written> {
        match &self.sizing {
            Sizing::Written(written) => Some(written),
            Sizing::Counted { .. } | Sizing::Unbounded => None,
        }
    }

    /// The settings of its pools. If there are none, a grant is still one number.
    #[must_use]
    pub const fn knobs(&self) -> Knobs {
        match &self.sizing {
            Sizing::Written(written) => written.knobs,
            Sizing::Counted { .. } | Sizing::Unbounded => Knobs::ONE,
        }
    }

    /// The fewest connections of one pool with which it starts and works, including an overflow that it needs.
    #[must_use]
    pub const fn least(&self) -> Connections {
        let (smallest, least) = (Connections::new(self.smallest as u64), self.knobs().least());
        if smallest.get() > least.get() { smallest } else { least }
    }

    /// Pools of one size that each process opens per engine stated in the annotation.
    #[must_use]
    pub fn pools(&self) -> u32 {
        let kinds = self.pool_kinds().len().max(1);
        self.engines.saturating_mul(u32::try_from(kinds).unwrap_or(u32::MAX))
    }

    /// Whether the pool has two variables, so that annotations must name both or none.
    #[must_use]
    pub fn has_both(&self) -> bool {
        self.written().is_some_and(|written| matches!(written.knobs, Knobs::Both { .. }))
    }

    /// Whether annotations may name its variables.
    #[must_use]
    pub fn own_names(&self) -> OwnNames {
        self.written().map_or(OwnNames::Fixed, |written| written.names)
    }

    /// Each variable, and the grant annotation or text that it gets: the grant's variables come before the switches.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, Gets)> {
        let switches = self.written().map_or_else(Default::default, |written| written.switches);
        self.pool_kinds()
            .iter()
            .flat_map(Pool::variables)
            .chain(switches.iter().map(|switch| (switch.env, Gets::Text(switch.value))))
    }

    /// The variables that are needed to bound the app.
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
    /// A constant.
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

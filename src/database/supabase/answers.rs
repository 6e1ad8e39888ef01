//! The answers of Supabase's Management API, to numbers.
//!
//! In: a body. Out: what it says of a limit, or a [`Doubt`]. A body is foreign: it may be anything. A member that is not
//! used is not looked at; one that is used has to be what it should be, once. Forbidden here: the wire.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{Allowed, Class, Doubt, believed};
use crate::budget::supabase::{Compute, SUPERUSER_RESERVED, TABLE_DATE};

/// The most entries of a list. Supavisor keeps at most 50 pools for a project.
const ENTRIES: usize = 256;
/// The most members of an object.
const MEMBERS: usize = 256;
/// The longest name of a compute size that is repeated in a sentence.
const NAME: usize = 40;
/// Where a number comes from that the API gave.
const SAID: &str = "Supabase Management API";

/// A number, what it is, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    connections: u32,
    what: String,
    from: String,
}

impl Stated {
    fn said(connections: u32, what: String) -> Self {
        Self { connections, what, from: SAID.to_owned() }
    }

    /// The number.
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// As the limit.
    pub fn allowed(self) -> Allowed {
        Allowed { connections: self.connections, source: format!("{} ({})", self.what, self.from) }
    }

    /// As `max_connections` of Postgres: what is left of it to ordinary roles.
    pub fn ordinary(self) -> Result<Self, Doubt> {
        let reserved = u32::try_from(SUPERUSER_RESERVED.get()).unwrap_or(u32::MAX);
        let Some(left) = self.connections.checked_sub(reserved).filter(|left| *left > 0) else {
            let sentence = format!(
                "{}, of which {reserved} are for superusers, leaves none: raise it in the project, or state \
                 limit.connections",
                self.what
            );
            return Err(Doubt::new(Class::NotUnderstood, sentence));
        };
        let what = format!("{} − {reserved} for superusers", self.what);
        Ok(Self { connections: left, what, from: self.from })
    }

    /// As what Postgres lets in: the smaller of it and of a pool.
    pub fn or_smaller(self, pool: Self) -> Self {
        if pool.connections <= self.connections {
            return pool;
        }
        let what = format!("{}, less than the pool size {}", self.what, pool.connections);
        Self { what, ..self }
    }
}

/// Which number of a compute size or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// The backends of a pool, which are the clients in session mode.
    PoolSize,
    /// The clients of a pool that shares its backends.
    Clients,
    /// `max_connections`.
    Backends,
}

impl Number {
    /// How a sentence names it.
    const fn name(self) -> &'static str {
        match self {
            Self::PoolSize => "pool size",
            Self::Clients => "max_client_conn",
            Self::Backends => "max_connections",
        }
    }

    /// Its member in an answer about a pooler or Postgres.
    const fn member(self) -> &'static str {
        match self {
            Self::PoolSize => "default_pool_size",
            Self::Clients => "max_client_conn",
            Self::Backends => "max_connections",
        }
    }

    /// Its member in what a compute size is described by, which has no pool size.
    const fn described(self) -> Option<&'static str> {
        match self {
            Self::PoolSize => None,
            Self::Clients => Some("connections_pooler"),
            Self::Backends => Some("connections_direct"),
        }
    }

    /// What the table has.
    const fn of(self, compute: Compute) -> u64 {
        let numbers = compute.numbers();
        match self {
            Self::PoolSize => numbers.pool_size.get(),
            Self::Clients => numbers.max_clients.get(),
            Self::Backends => numbers.max_connections.get(),
        }
    }
}

/// What the pools of a project's own database say of one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    least: Option<u32>,
    /// Whether a pool names another number than the least.
    differ: bool,
    count: usize,
    /// How many pools leave it to the default.
    default: usize,
}

impl Pools {
    /// One pool.
    pub fn one(number: Option<u32>) -> Self {
        let mut pools = Self::default();
        pools.add(number);
        pools
    }

    fn add(&mut self, number: Option<u32>) {
        self.count = self.count.saturating_add(1);
        let Some(number) = number else {
            self.default = self.default.saturating_add(1);
            return;
        };
        self.differ |= self.least.is_some_and(|least| least != number);
        self.least = Some(self.least.map_or(number, |least| least.min(number)));
    }

    /// Whether any leaves it to the default.
    pub const fn has_default(self) -> bool {
        self.default > 0
    }

    /// The number that is set, if one is: the smallest of those that are.
    pub fn set(self, number: Number) -> Option<Stated> {
        let connections = self.least?;
        let name = number.name();
        let what = if self.differ {
            format!("{name} {connections}, the smallest of {} pools", self.count)
        } else {
            format!("{name} {connections} of the pooler")
        };
        Some(Stated::said(connections, what))
    }
}

/// The answer of `config/database/pooler`: a list with an entry for each database and pool.
pub fn pools(body: &[u8], number: Number) -> Result<Pools, Doubt> {
    const ABOUT: &str = "the pooler";
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| no_json(ABOUT, body, "list"))?;
    if entries.len() > ENTRIES {
        return Err(not_understood(ABOUT, &format!("it has more than {ENTRIES} entries")));
    }
    let mut pools = Pools::default();
    for entry in entries {
        let entry = Members::read(entry.get().as_bytes(), ABOUT)?;
        let Some(Some(kind)) = entry.text("database_type") else {
            return Err(not_understood(ABOUT, "an entry has no database_type"));
        };
        // A replica has limits of its own.
        if kind != "PRIMARY" {
            continue;
        }
        let member = number.member();
        let set = entry.number(member).ok_or_else(|| not_understood(ABOUT, &format!("{member} is missing")));
        pools.add(set??);
    }
    if pools.count == 0 { Err(no_pool()) } else { Ok(pools) }
}

/// The doubt about a list without a pool.
pub fn no_pool() -> Doubt {
    not_understood("the pooler", "it has no entry for the database itself (database_type PRIMARY)")
}

/// The answer of `config/database/pgbouncer`: how many clients the project's own pooler lets in, if it says so.
pub fn pgbouncer(body: &[u8]) -> Result<Option<u32>, Doubt> {
    let answer = Members::read(body, "the dedicated pooler")?;
    answer.number(Number::Clients.member()).unwrap_or(Ok(None))
}

/// The answer of `config/database/postgres`: `max_connections`, if it was set by hand.
pub fn postgres(body: &[u8]) -> Result<Option<Stated>, Doubt> {
    let answer = Members::read(body, "the settings of Postgres")?;
    let set = answer.number(Number::Backends.member()).unwrap_or(Ok(None))?;
    Ok(set.map(|connections| Stated::said(connections, format!("max_connections {connections}"))))
}

/// What a project runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// The size, if the table has it.
    compute: Option<Compute>,
    /// How a sentence names it.
    name: String,
    /// What the API itself says of it.
    clients: Option<u32>,
    backends: Option<u32>,
}

impl Size {
    /// A number of this size: what the API says of it, or else the table.
    pub fn number(&self, number: Number) -> Result<Stated, Doubt> {
        let said = match number {
            Number::PoolSize => None,
            Number::Clients => self.clients,
            Number::Backends => self.backends,
        };
        let name = number.name();
        if let Some(connections) = said {
            return Ok(Stated::said(connections, format!("{name} {connections} of {}", self.name)));
        }
        let unknown = || {
            let sentence = format!(
                "the project runs on {}, of which Supabase names no {name}: state limit.connections",
                self.name
            );
            Doubt::new(Class::NotUnderstood, sentence)
        };
        let connections = u32::try_from(number.of(self.compute.ok_or_else(unknown)?)).unwrap_or(u32::MAX);
        let what = format!("{name} {connections} of {}", self.name);
        let from = format!("Supabase's table of {TABLE_DATE}; the API names no {name} of its own");
        Ok(Stated { connections, what, from })
    }
}

/// The answer of `billing/addons`: the compute size that was bought, or else one that is included.
pub fn size(body: &[u8]) -> Result<Size, Doubt> {
    const ABOUT: &str = "add-ons";
    let answer = Members::read(body, ABOUT)?;
    let missing = || not_understood(ABOUT, "selected_addons is no list");
    let selected = answer.0.get("selected_addons").ok_or_else(missing)?;
    let selected: Vec<&RawValue> = serde_json::from_str(selected.get()).map_err(|_| missing())?;
    if selected.len() > ENTRIES {
        return Err(not_understood(ABOUT, &format!("it has more than {ENTRIES} entries")));
    }
    let mut found = None;
    for entry in selected {
        let entry = Members::read(entry.get().as_bytes(), ABOUT)?;
        let Some(Some(kind)) = entry.text("type") else {
            return Err(not_understood(ABOUT, "an entry has no type"));
        };
        if kind != "compute_instance" {
            continue;
        }
        let unnamed = || not_understood(ABOUT, "the compute size has no id");
        let variant = entry.0.get("variant").ok_or_else(unnamed)?;
        let variant = Members::read(variant.get().as_bytes(), ABOUT)?;
        let Some(Some(id)) = variant.text("id") else { return Err(unnamed()) };
        if found.replace(bought(&id, &variant)).is_some() {
            return Err(not_understood(ABOUT, "it has two compute sizes"));
        }
    }
    // Neither the Free plan's size nor the one that paid plans include has to be bought; their numbers are the same.
    let included = || Size {
        compute: Some(Compute::Micro),
        name: "Nano or Micro".to_owned(),
        clients: None,
        backends: None,
    };
    Ok(found.unwrap_or_else(included))
}

fn bought(id: &str, variant: &Members<'_>) -> Size {
    let described = variant.0.get("meta").and_then(|meta| Members::read(meta.get().as_bytes(), "").ok());
    // No schema promises these: what cannot be believed says nothing.
    let said = |number: Number| described.as_ref()?.number(number.described()?)?.ok().flatten();
    let compute = compute(id);
    let is_name = |id: &str| {
        (1..=NAME).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let name = match compute {
        Some(compute) => compute.name(),
        None if is_name(id) => id,
        None => "a compute size of a strange name",
    };
    Size { compute, name: name.to_owned(), clients: said(Number::Clients), backends: said(Number::Backends) }
}

/// The compute size of that id.
fn compute(id: &str) -> Option<Compute> {
    Some(match id {
        "ci_nano" => Compute::Nano,
        "ci_micro" => Compute::Micro,
        "ci_small" => Compute::Small,
        "ci_medium" => Compute::Medium,
        "ci_large" => Compute::Large,
        "ci_xlarge" => Compute::Xl,
        "ci_2xlarge" => Compute::Xl2,
        "ci_4xlarge" => Compute::Xl4,
        "ci_8xlarge" => Compute::Xl8,
        "ci_12xlarge" => Compute::Xl12,
        "ci_16xlarge" => Compute::Xl16,
        _ => return None,
    })
}

/// The members of an object, each as it is written.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    fn read(body: &'a [u8], about: &str) -> Result<Self, Doubt> {
        serde_json::from_slice(body).map_err(|_| no_json(about, body, "object"))
    }

    /// A text; the inner none is what is no text.
    fn text(&self, member: &str) -> Option<Option<String>> {
        self.0.get(member).map(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A number, if the member is there; none if it is null.
    fn number(&self, member: &str) -> Option<Result<Option<u32>, Doubt>> {
        let raw = self.0.get(member)?;
        let none = |_| {
            let sentence =
                format!("Supabase gave {member} as what is no whole number: state limit.connections");
            Doubt::new(Class::NotUnderstood, sentence)
        };
        let number = serde_json::from_str::<Option<i64>>(raw.get()).map_err(none);
        Some(number.and_then(|number| number.map(|number| believed(member, number)).transpose()))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((member, value)) = map.next_entry::<String, &'de RawValue>()? {
                    // Which of two would be meant nobody can say.
                    if members.insert(member, value).is_some() || members.len() > MEMBERS {
                        return Err(A::Error::custom("a member twice, or too many"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn no_json(about: &str, body: &[u8], expected: &str) -> Doubt {
    if body.trim_ascii_start().starts_with(b"<") {
        let sentence =
            format!("asked about {about}, the API answered with a page: a proxy or a portal answers for it");
        return Doubt::new(Class::NotUnderstood, sentence);
    }
    not_understood(about, &format!("it is no whole JSON {expected}, or has a member twice"))
}

fn not_understood(about: &str, why: &str) -> Doubt {
    let sentence =
        format!("the answer of Supabase about {about} is not understood: {why}: state limit.connections");
    Doubt::new(Class::NotUnderstood, sentence)
}

#[cfg(test)]
mod tests;

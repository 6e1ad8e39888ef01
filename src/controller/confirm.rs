//! What the status says of readings: which limit is in force, whether the database confirms it, and what is open there.
//!
//! In: a view, with what was read. Out: `status.limit`, `status.database`, the conditions `LimitConfirmed` and
//! `OutsideClients`. Forbidden here: reading.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::view::View;
use super::wait::connections;
use crate::api::conditions::{ConditionReason as Reason, ConditionType, Finding, Status};
use crate::api::{ClientStatus, DatabaseStatus, DbConnectionBudgetSpec, LimitStatus};
use crate::budget::amount::Connections;
use crate::cluster::reading::{LimitRecord, Open, Source, Use};
use crate::cluster::spec;
use crate::cluster::template::shortened;
use crate::database::{Class, Group};

/// How long the status keeps the time of a reading that changed nothing.
const RENEWED: SignedDuration = SignedDuration::from_hours(1);
/// The most characters of a name that a server gave.
const QUOTED: usize = 63;
/// How many clients a condition names.
const NAMED: usize = 3;

/// The limit in force, where it comes from, and when it was last read.
#[must_use]
pub fn limit(view: &View, old: Option<&LimitStatus>) -> Option<LimitStatus> {
    let limit = view.limit.as_ref()?;
    let new = LimitStatus {
        connections: limit.connections.wide(),
        source: limit.source.clone(),
        read_from: view.reads.as_ref().map(ToString::to_string),
        read_at: None,
    };
    let same = old.filter(|old| LimitStatus { read_at: None, ..(*old).clone() } == new);
    let before = same.and_then(|old| old.read_at.clone());
    let newest = view.reading.as_ref().and_then(|reading| reading.newest.as_ref()).map(|(_, at)| *at);
    let read_at = match (before, newest.filter(|_| new.read_from.is_some())) {
        (Some(before), Some(newest)) if newest.duration_since(before.0) >= RENEWED => Some(Time(newest)),
        (Some(before), _) => Some(before),
        (None, newest) => newest.map(Time),
    };
    Some(LimitStatus { read_at, ..new })
}

/// Whether the budget is accepted as long as nothing was read: not known while that may change by itself.
#[must_use]
pub fn unread(reading: Option<&LimitRecord>) -> Status {
    match reading.and_then(|reading| reading.doubt.as_ref()).map(|doubt| doubt.class) {
        None | Some(Class::Unreachable) => Status::Unknown,
        Some(Class::Forbidden | Class::SecretInvalid | Class::Refused | Class::NotUnderstood) => {
            Status::False
        }
    }
}

/// The condition `LimitConfirmed`.
#[must_use]
pub fn limit_confirmed(view: &View, spec: &DbConnectionBudgetSpec) -> Finding {
    let of = |status: Status, reason, message: String| {
        Finding::new(ConditionType::LimitConfirmed, status, reason, message)
    };
    let Some((source, used)) = Source::of(spec) else {
        let message = "the limit comes from the spec, and nothing says where to compare it: set limit.verify, or let \
                       poolbudget read it with limit.postgres.secretRef or limit.supabase.project";
        return of(Status::Unknown, Reason::NotChecked, message.to_owned());
    };
    let reading = view.reading.as_ref();
    if let Some(doubt) = reading.and_then(|reading| reading.doubt.as_ref()) {
        let message = format!("{}{}", doubt.sentence, what_holds(view, used));
        return of(Status::Unknown, reason(doubt.class), message);
    }
    let Some((allowed, _)) = reading.and_then(|reading| reading.newest.as_ref()) else {
        let message = format!("{source} was not read yet{}", what_holds(view, used));
        return of(Status::Unknown, Reason::LimitNotRead, message);
    };
    let now = Connections::new(allowed.connections.into());
    let mut told = format!("the database allows {} ({})", connections(now), allowed.source);
    if let Some(doubt) = reading.and_then(|reading| reading.unseen.as_ref()) {
        let _ = write!(told, "; which connections are open was not read: {doubt}");
    }
    match used {
        Use::Limit => {
            let mut message = told;
            let in_force = view.limit.as_ref().map(|limit| limit.connections);
            if let Some(in_force) = in_force.filter(|in_force| in_force.plus(source.takes()) < now) {
                let _ = write!(message, "; {in_force} stays in force until the next reading says so too");
            }
            of(Status::True, Reason::Read, message)
        }
        Use::Comparison => {
            let Ok(stated) = spec::stated(spec) else {
                return of(Status::Unknown, Reason::NotAccepted, told);
            };
            let stated = stated.connections;
            let (status, reason, rest) = if stated == now {
                (Status::True, Reason::Confirmed, ", as the spec states".to_owned())
            } else if stated > now {
                let rest = format!(
                    ", and the spec states {stated}: lower the limit, or raise that of the database; until then \
                     connections may be refused"
                );
                (Status::False, Reason::StatedTooHigh, rest)
            } else {
                let rest = format!(
                    ", and the spec states {stated}, which is in force: raise it if this budget may use the rest"
                );
                (Status::False, Reason::StatedTooLow, rest)
            };
            of(status, reason, told + &rest)
        }
    }
}

/// Which limit holds although nothing could be read.
fn what_holds(view: &View, used: Use) -> String {
    match (&view.limit, used) {
        (Some(limit), Use::Limit) => format!("; {} stays in force, as last read", limit.connections),
        (Some(_), Use::Comparison) => "; the limit of the spec is in force".to_owned(),
        (None, _) => String::new(),
    }
}

const fn reason(class: Class) -> Reason {
    match class {
        Class::Forbidden => Reason::Forbidden,
        Class::SecretInvalid => Reason::SecretInvalid,
        Class::Unreachable => Reason::Unreachable,
        Class::Refused => Reason::Refused,
        Class::NotUnderstood => Reason::NotUnderstood,
    }
}

/// What is open on the server.
#[must_use]
pub fn database(view: &View) -> Option<DatabaseStatus> {
    let open = view.reading.as_ref()?.open.as_ref()?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some(DatabaseStatus {
        open: number(open.all),
        busy: open.busy.map(number),
        pods: number(open.pods.values().sum()),
        outside: number(outside(view, open)),
        clients: open.clients.iter().map(client).collect(),
    })
}

fn client(group: &Group) -> ClientStatus {
    ClientStatus {
        application: shortened(&group.application, QUOTED),
        user: shortened(&group.user, QUOTED),
        address: group.address.map(|address| address.to_string()),
        connections: group.open.into(),
    }
}

/// The connections that must be of others: those that are not known to be of pods, less what the pods that were never
/// told apart may hold.
fn outside(view: &View, open: &Open) -> u64 {
    let pods = view.scene.pods.iter().filter(|pod| pod.bound && !pod.gated && !open.told.contains(&pod.uid));
    let may_hold: Connections = pods.map(|pod| pod.held()).sum();
    let before_label: Connections = view.workloads().map(|one| one.of.unadopted.connections).sum();
    open.unknown().saturating_sub(may_hold.plus(before_label).get())
}

/// The condition `OutsideClients`; none if the server does not say what is open.
#[must_use]
pub fn outside_clients(view: &View, spec: &DbConnectionBudgetSpec) -> Option<Finding> {
    let open = view.reading.as_ref()?.open.as_ref()?;
    let (outside, reserved) = (outside(view, open), u64::from(spec.reserved));
    let of = |status: Status, reason, message| {
        Some(Finding::new(ConditionType::OutsideClients, status, reason, message))
    };
    if outside <= reserved {
        let message =
            format!("clients outside of this budget hold no more than the {reserved} that it reserves");
        return of(Status::False, Reason::WithinReserved, message);
    }
    let names: Vec<String> = open.clients.iter().take(NAMED).map(named).collect();
    let message = format!(
        "at least {} are open outside of this budget, and it reserves {reserved}: set reserved to {outside}, or end them. \
         The largest clients that are no pods of it: {}",
        connections(Connections::new(outside)),
        names.join(", ")
    );
    of(Status::True, Reason::MoreThanReserved, message)
}

/// A client, by what is known of it.
fn named(group: &Group) -> String {
    let Group { application, user, address, open, .. } = group;
    let mut name = match (application.is_empty(), user.is_empty()) {
        (false, false) => format!("{} of role {}", shortened(application, QUOTED), shortened(user, QUOTED)),
        (false, true) => shortened(application, QUOTED),
        (true, false) => format!("role {}", shortened(user, QUOTED)),
        (true, true) => "a client without a name".to_owned(),
    };
    if let Some(address) = address {
        let _ = write!(name, " from {address}");
    }
    format!("{name} ({open})")
}

//! A budget as a picture: its limit, how much of it is committed, and the share of each workload.
//!
//! In: a budget's name, spec and status. Out: lines of text. Forbidden here: computing any number.

use crate::api::{DbConnectionBudgetStatus, Mode, WorkloadStatus};
use crate::commands::render::{Align, Bar, Cell, Paint, Table, Tone};
use crate::commands::slots;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares<'a> {
    /// The name to show for the budget.
    pub(super) name: &'a str,
    /// spec.reserved.
    pub(super) reserved: u32,
    /// Whether an operator keeps the numbers current: otherwise nobody knows which workloads have the label by now.
    pub(super) answered: bool,
    /// The numbers.
    pub(super) status: &'a DbConnectionBudgetStatus,
}

impl Shares<'_> {
    /// The head line, the bar and the table.
    pub(super) fn render(self, paint: Paint) -> String {
        let mut text = self.head(paint);
        let whole = |n: i64| u64::try_from(n).unwrap_or(0);
        let bar = Bar { taken: whole(self.status.committed), whole: whole(self.status.usable) };
        text.push_str(&bar.render(paint));
        if self.status.pods.waiting > 0 {
            let waiting = format!("  {}", waits(self.status.pods.waiting));
            text.push_str(&paint.text(Tone::Warn, &waiting));
        }
        text.push('\n');
        if !self.status.workloads.is_empty() {
            text.push_str(&self.table().render(paint));
        } else if self.answered {
            text.push_str("no workload has its label yet\n");
        }
        text
    }

    fn head(self, paint: Paint) -> String {
        let source = self.status.limit.as_ref().map_or("limit not known", |limit| &limit.source);
        let name = paint.text(Tone::Strong, self.name);
        let mode = match self.status.ledger.mode {
            Mode::Gate => String::new(),
            mode => format!("   mode {mode:?}"),
        };
        let open = self.status.database.as_ref().map(|database| {
            let outside = match database.outside {
                0 => String::new(),
                outside => format!(", {outside} of them outside"),
            };
            format!("   open {}{outside}", database.open)
        });
        let open = open.unwrap_or_default();
        format!(
            "{name}   {source}   reserved {}   usable {}{open}{mode}\n",
            self.reserved, self.status.usable
        )
    }

    fn table(self) -> Table {
        let mut table = Table::new(&[&slots::COLUMNS[..], &[("WAITING", Align::Right)]].concat());
        for workload in &self.status.workloads {
            table.row(row(workload));
        }
        table
    }
}

fn row(workload: &WorkloadStatus) -> [Cell; 7] {
    let replicas = if workload.ceiling > workload.replicas {
        format!("{} (max {})", workload.replicas, workload.ceiling)
    } else {
        workload.replicas.to_string()
    };
    let whole = |pods: i32| u64::try_from(pods).unwrap_or(0);
    let most = workload.ceiling.max(workload.replicas);
    let slots = slots::slots(workload.kind, whole(workload.slots), whole(most));
    let waiting = match workload.waiting {
        0 => "-".into(),
        waiting => Cell::toned(waiting.to_string(), Tone::Warn),
    };
    [
        format!("{}/{}", workload.kind, workload.name).into(),
        replicas.into(),
        slots.into(),
        format!("{}+{}", workload.pool_size, workload.max_overflow).into(),
        workload.per_pod.to_string().into(),
        workload.committed.to_string().into(),
        waiting,
    ]
}

fn waits(pods: i32) -> String {
    if pods == 1 { "1 pod waits".to_owned() } else { format!("{pods} pods wait") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DatabaseStatus, LimitStatus, PodCounts};

    fn workload(name: &str, replicas: i32, ceiling: i32, waiting: i32) -> WorkloadStatus {
        WorkloadStatus {
            name: name.to_owned(),
            replicas,
            ceiling,
            slots: ceiling,
            pool_size: 1,
            max_overflow: 1,
            per_pod: 2,
            committed: 2 * i64::from(replicas - waiting),
            waiting,
            ..WorkloadStatus::default()
        }
    }

    fn drawn(answered: bool, waiting: i32, workloads: Vec<WorkloadStatus>) -> String {
        let limit =
            LimitStatus { connections: 15, source: "set in spec.limit".to_owned(), ..LimitStatus::default() };
        let status = DbConnectionBudgetStatus {
            limit: Some(limit),
            usable: 13,
            committed: workloads.iter().map(|w| w.committed).sum(),
            pods: PodCounts { waiting, ..PodCounts::default() },
            workloads,
            ..DbConnectionBudgetStatus::default()
        };
        Shares { name: "main", reserved: 2, answered, status: &status }.render(Paint::PLAIN)
    }

    #[test]
    fn a_budget_is_drawn_with_a_line_for_each_workload() {
        assert_eq!(
            drawn(true, 1, vec![workload("api", 4, 4, 1), workload("web", 1, 2, 0)]),
            "main   set in spec.limit   reserved 2   usable 13\n\
             ███████████████████████████░░░░░░░░░░░░░░░░░  8 of 13  1 pod waits\n\
             WORKLOAD        REPLICAS   SLOTS  PER PROCESS  PER POD  HOLDS  WAITING\n\
             Deployment/api  4          4      1+1                2      6        1\n\
             Deployment/web  1 (max 2)  2      1+1                2      2        -\n"
        );
    }

    #[test]
    fn what_is_open_stands_beside_what_may_be() {
        let database = DatabaseStatus { open: 9, outside: 2, ..DatabaseStatus::default() };
        let status =
            DbConnectionBudgetStatus { database: Some(database), ..DbConnectionBudgetStatus::default() };
        let drawn =
            Shares { name: "main", reserved: 1, answered: true, status: &status }.render(Paint::PLAIN);
        assert!(
            drawn.starts_with("main   limit not known   reserved 1   usable 0   open 9, 2 of them outside\n"),
            "{drawn}"
        );
    }

    #[test]
    fn a_budget_that_nobody_uses_says_so() {
        assert_eq!(drawn(true, 0, Vec::new()).lines().last(), Some("no workload has its label yet"));
    }

    #[test]
    fn where_nobody_keeps_it_true_it_is_not_said_that_nobody_uses_it() {
        assert_eq!(drawn(false, 0, Vec::new()).lines().count(), 2);
    }
}

//! Whom the chaos happens to: three budgets in two namespaces, with two Deployments each.
//!
//! Out: their manifests, and the state in which all of them fit and have to settle. Each Deployment is of another
//! kind: with and without an autoscaler, rollouts with and without a surge pod, quick and slow to drain.

use std::fmt;

use serde_json::{Value, json};
use testkit::objects::{self, BUDGET_LABEL, Workload, deployment};

/// One budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its limit, before anybody edits it.
    pub limit: u32,
    /// What is reserved of that.
    pub reserved: u32,
}

/// One Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shop {
    /// Its budget.
    pub budget: &'static Budget,
    /// Its name.
    pub name: &'static str,
    /// Its replicas at the beginning and in the end.
    pub replicas: u32,
    /// The bounds of its autoscaler, if it has one.
    pub autoscaler: Option<(u32, u32)>,
    /// maxSurge and maxUnavailable, as numbers or percentages.
    pub rolling: (&'static str, &'static str),
    /// How long its pods drain, in milliseconds.
    pub drain: u32,
}

/// The budgets.
pub static BUDGETS: [Budget; 3] = [
    Budget { namespace: "shop", name: "main", limit: 24, reserved: 2 },
    Budget { namespace: "shop", name: "reports", limit: 14, reserved: 1 },
    Budget { namespace: "blog", name: "main", limit: 15, reserved: 2 },
];

const MAIN: &Budget = &BUDGETS[0];
const REPORTS: &Budget = &BUDGETS[1];
const BLOG: &Budget = &BUDGETS[2];

/// The Deployments, two for each budget.
pub static SHOPS: [Shop; 6] = [
    shop(MAIN, "api", 3, Some((2, 6)), ("25%", "25%"), 2_000),
    shop(MAIN, "web", 2, None, ("1", "0"), 500),
    shop(REPORTS, "feed", 2, None, ("0", "1"), 4_000),
    shop(REPORTS, "export", 2, None, ("25%", "25%"), 9_000),
    shop(BLOG, "site", 2, Some((1, 5)), ("1", "0"), 1_000),
    shop(BLOG, "admin", 1, None, ("50%", "50%"), 3_000),
];

const fn shop(
    budget: &'static Budget,
    name: &'static str,
    replicas: u32,
    autoscaler: Option<(u32, u32)>,
    rolling: (&'static str, &'static str),
    drain: u32,
) -> Shop {
    Shop { budget, name, replicas, autoscaler, rolling, drain }
}

/// The seconds that containers get to end: what a vanished pod is held against the operator for.
const GRACE: u32 = 10;

impl Budget {
    /// The spec in which everything fits, complete, so that it takes back every edit.
    pub fn spec(&self) -> Value {
        json!({
            "limit": {"connections": self.limit, "postgres": null},
            "reserved": self.reserved,
            "sizing": {"basis": "Ceiling", "surge": "Minimal", "overflowRatio": 2},
            "evictionPolicy": "Allowed",
            "workloads": [],
        })
    }

    fn manifest(&self) -> String {
        objects::budget(
            self.namespace,
            self.name,
            &json!({
                "limit": {"connections": self.limit}, "reserved": self.reserved,
            }),
        )
    }
}

impl Shop {
    /// The Deployment as it is before its adoption: with sizes of its own and without the label.
    pub fn manifest(&self) -> Workload {
        let number = |text: &str| text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number));
        deployment(self.budget.namespace, self.name)
            .replicas(self.replicas)
            .rolling(number(self.rolling.0), number(self.rolling.1))
            .env("DB_POOL_SIZE", "1")
            .env("DB_MAX_OVERFLOW", "1")
            .grace_seconds(GRACE)
            .drains_in_ms(self.drain)
    }
}

/// Everything that is there at the beginning.
pub fn manifests() -> String {
    let mut all: Vec<String> = BUDGETS.iter().map(Budget::manifest).collect();
    for (place, shop) in SHOPS.iter().enumerate() {
        let workload = shop.manifest();
        let born = is_born_adopted(place);
        let workload = if born { workload.label(BUDGET_LABEL, shop.budget.name) } else { workload };
        all.push(workload.to_string());
        if let Some((min, max)) = shop.autoscaler {
            all.push(objects::autoscaler(shop.budget.namespace, shop.name, min, max));
        }
    }
    objects::documents(&all)
}

/// Those that are to be adopted while they run.
pub fn unadopted() -> impl Iterator<Item = &'static Shop> {
    SHOPS.iter().enumerate().filter(|(place, _)| !is_born_adopted(*place)).map(|(_, shop)| shop)
}

/// One of each budget's two.
const fn is_born_adopted(place: usize) -> bool {
    place.is_multiple_of(2)
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.budget.namespace, self.name)
    }
}

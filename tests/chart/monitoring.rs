//! What the chart makes for a monitoring system: nothing that was not asked for.

use serde_json::{Value, json};

use crate::render::{Rendered, chart, render};

const ALL: [&str; 4] = [
    "metrics.serviceMonitor.enabled=true",
    "metrics.podMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
];

fn file(name: &str) -> String {
    std::fs::read_to_string(chart().join("files").join(name)).unwrap()
}

fn kinds(rendered: &Rendered) -> Vec<&str> {
    rendered.objects().iter().filter_map(|object| object["kind"].as_str()).collect()
}

#[test]
fn nothing_is_made_for_a_monitoring_system_unless_it_is_asked_for() {
    let (without, with) = (render(&[]), render(&ALL));
    let (without, with) = (kinds(&without), kinds(&with));
    assert!(!without.contains(&"ConfigMap") && !without.iter().any(|kind| kind.ends_with("Monitor")));
    assert_eq!(with.len(), without.len() + ALL.len());
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"] {
        assert_eq!(with.iter().filter(|found| **found == kind).count(), 1, "{kind}");
    }
}

#[test]
fn monitors_find_the_operator_alone_and_keep_the_namespace_of_the_budget() {
    let rendered = render(&ALL);
    let port = rendered.named("Service", "poolbudget")["spec"]["ports"][0]["name"].clone();
    for (kind, endpoints) in [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")] {
        let spec = &rendered.only(kind)["spec"];
        let endpoint = json!([{"port": port, "path": "/metrics", "interval": "30s", "honorLabels": true}]);
        assert_eq!(spec[endpoints], endpoint, "{kind}");
        assert_eq!(spec["namespaceSelector"], json!({"matchNames": ["there"]}), "{kind}");
        let chosen = spec["selector"]["matchLabels"].as_object().unwrap();
        let labels = match kind {
            "ServiceMonitor" => &rendered.named("Service", "poolbudget")["metadata"]["labels"],
            _ => &rendered.only("Deployment")["spec"]["template"]["metadata"]["labels"],
        };
        for (key, value) in chosen {
            assert_eq!(&labels[key], value, "{kind}: {key}");
        }
    }
}

#[test]
fn the_rule_is_the_file_of_the_alerts_and_says_where_the_runbooks_are() {
    let alerts: Value = serde_yaml::from_str(&file("alerts.yaml")).unwrap();
    assert_eq!(render(&ALL).only("PrometheusRule")["spec"], alerts);
    let url = r#"metrics.prometheusRule.runbookUrl="https://wiki.test/poolbudget/""#;
    let rendered = render(&[ALL[2], url]);
    let groups = rendered.only("PrometheusRule")["spec"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let annotations = &rule["annotations"];
        let page = annotations["runbook"].as_str().unwrap().rsplit('/').next().unwrap();
        assert_eq!(annotations["runbook_url"], format!("https://wiki.test/poolbudget/{page}"));
    }
}

#[test]
fn the_dashboard_is_the_file_and_bears_the_label_that_grafana_looks_for() {
    let rendered = render(&ALL);
    let map = rendered.only("ConfigMap");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = map["data"]["poolbudget.json"].as_str().unwrap();
    let [made, kept]: [Value; 2] =
        [text, &file("dashboard.json")].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(made, kept);
}

#[test]
fn labels_of_the_users_own_reach_what_is_made_for_monitoring() {
    let settings = ["serviceMonitor", "podMonitor", "prometheusRule", "dashboard"]
        .map(|part| format!(r#"metrics.{part}.labels={{"release":"prometheus"}}"#));
    let settings: Vec<&str> = ALL.into_iter().chain(settings.iter().map(String::as_str)).collect();
    let rendered = render(&settings);
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"] {
        assert_eq!(rendered.only(kind)["metadata"]["labels"]["release"], "prometheus", "{kind}");
    }
}

/// Panels lie beside each other, each is explained, and each has a number of its own.
#[test]
fn the_dashboard_is_well_formed() {
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    for (n, panel) in panels.iter().enumerate() {
        let [x, y, w, h] = place(panel);
        assert!(x + w <= 24, "{}", panel["title"]);
        for other in &panels[n + 1..] {
            assert_ne!(panel["id"], other["id"]);
            let [ox, oy, ow, oh] = place(other);
            let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
            assert!(apart, "{} lies over {}", panel["title"], other["title"]);
        }
        let explained = panel["description"].as_str().is_some_and(|text| text.ends_with('.'));
        assert!(panel["type"] == "row" || explained, "{}", panel["title"]);
    }
}

//! Runs helm on the chart and finds objects in what it renders.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::tools::{Tools, Version};

pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/poolbudget")
}

/// What helm prints, or what it complains about.
pub(crate) fn helm(arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(Tools::find(Version::Current).program("helm")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// An image, which the chart does not choose.
pub(crate) const IMAGE: [&str; 2] = ["--set-json", r#"image.repository="registry.test/poolbudget""#];

/// The text of the chart as release `test` in namespace `there`, with an image and with more flags for helm.
pub(crate) fn template(flags: &[&str]) -> Result<String, String> {
    template_as_it_is(&[&IMAGE, flags].concat())
}

/// The same without an image.
pub(crate) fn template_as_it_is(flags: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut arguments = vec!["template", "test", chart.to_str().unwrap(), "--namespace", "there"];
    arguments.extend_from_slice(flags);
    helm(&arguments)
}

/// The rendered objects.
pub(crate) struct Rendered(Vec<Value>);

/// Renders the chart with `--set-json` for each of these.
pub(crate) fn render(settings: &[&str]) -> Rendered {
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set-json", setting]).collect();
    let text = template(&flags).unwrap();
    Rendered(serde_yaml::from_multiple(&text).unwrap())
}

/// The same for a cluster of this version.
pub(crate) fn render_for(version: &str, settings: &[&str]) -> Rendered {
    let mut flags = vec!["--kube-version", version];
    flags.extend(settings.iter().flat_map(|setting| ["--set-json", setting]));
    Rendered(serde_yaml::from_multiple(&template(&flags).unwrap()).unwrap())
}

impl Rendered {
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only object of a kind.
    pub(crate) fn only(&self, kind: &str) -> &Value {
        let found: Vec<&Value> = self.of_kind(kind).collect();
        assert_eq!(found.len(), 1, "objects of kind {kind}");
        found[0]
    }

    /// The object of this kind and name.
    pub(crate) fn named(&self, kind: &str, name: &str) -> &Value {
        let found = self.of_kind(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    pub(crate) fn objects(&self) -> &[Value] {
        &self.0
    }

    /// The pod specs of the operator and of the release job.
    pub(crate) fn pod_specs(&self) -> [&Value; 2] {
        ["Deployment", "Job"].map(|kind| &self.only(kind)["spec"]["template"]["spec"])
    }
}

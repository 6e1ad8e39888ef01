//! Output for programs: `-o json` and `-o yaml`.
//!
//! In: a value. Out: its text.

use clap::{Args, ValueEnum};
use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};

use super::render;

/// The flag with which a command is asked for output that programs can read.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct OutputArgs {
    /// Print machine-readable output
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl OutputArgs {
    pub(super) fn is_asked_for(self) -> bool {
        self.output.is_some()
    }

    /// Prints a value in the requested form.
    pub(super) fn put(self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = match self.output {
            Some(Format::Yaml) => serde_yaml::to_string(value)?,
            Some(Format::Json) | None => serde_json::to_string_pretty(value)? + "\n",
        };
        Ok(render::put(&text)?)
    }
}

/// Objects as kubectl prints them: the one that was requested by name, or a list.
pub(super) fn list_of<'a, K>(objects: impl Iterator<Item = &'a K>, single: bool) -> anyhow::Result<Value>
where
    K: Resource<DynamicType = ()> + Serialize + 'a,
{
    let mut items: Vec<Value> = objects.map(serde_json::to_value).collect::<Result<_, _>>()?;
    Ok(if single && items.len() == 1 {
        items.remove(0)
    } else {
        json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
    })
}

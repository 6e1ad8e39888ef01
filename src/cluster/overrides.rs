//! What wins over the variables of a profile in a container: a file, an option of its command.
//!
//! In: the overrides of a profile, a container with its environment. Out: what was found, and the sentence about it.
//! Forbidden here: reading what an option or a file says. If it is there, the variables bind nothing.

use super::env::{Container, Environment};
use super::template::shortened;
use crate::api::names;
use crate::profile::workers::Value;
use crate::profile::{Overrides, Profile};

/// Variables from which a Java virtual machine or its start scripts take options.
const OPTIONS: [&str; 4] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS", "JAVA_OPTS_APPEND"];

/// The most characters that are quoted of what was found.
const QUOTED: usize = 120;

/// What overrules the variables; none if nothing is found.
pub(super) fn found(overrides: &Overrides, environment: Environment<'_>) -> Option<String> {
    if overrides.is_empty() {
        return None;
    }
    let container = environment.container;
    let file = || {
        overrides
            .files
            .iter()
            .find(|file| container.volume_mounts.iter().any(|m| brings(&m.mount_path, file)))
    };
    let variable = || overrides.variables.iter().find(|name| environment.is_set(name));
    let file = file().map(|file| format!("it has a volume at {file}"));
    let variable = || variable().map(|name| format!("it sets {name}"));
    file.or_else(variable).or_else(|| {
        let word = option(overrides, container, environment)?;
        Some(format!("its command says {}", shortened(word, QUOTED)))
    })
}

/// The sentence for what was found.
pub(super) fn sentence(profile: &Profile, container: &str, what: &str) -> String {
    let bounds: Vec<&str> = profile.bounds().map(|(name, _)| name).filter(|name| !name.is_empty()).collect();
    format!(
        "container {}: {what}, which wins over {}; remove it, or use the profile Counted with {}",
        shortened(container, QUOTED),
        bounds.join(" and "),
        names::CONNECTIONS_PER_PROCESS
    )
}

/// Whether a volume at this path provides this file, as the file itself or as a directory above it.
fn brings(mount: &str, file: &str) -> bool {
    let mount = mount.trim_end_matches('/');
    file.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first word that is one of the options.
fn option<'a>(
    overrides: &Overrides,
    container: &'a Container,
    environment: Environment<'a>,
) -> Option<&'a str> {
    let texts = container.command.list.iter().chain(&container.args.list).map(String::as_str);
    let by_variable = OPTIONS.iter().filter_map(|name| match environment.value(name) {
        Value::Text(text) => Some(text),
        _ => None,
    });
    let apart = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ';' | '&' | '|');
    let mut words = texts.chain(by_variable).flat_map(move |text| text.split(apart));
    words.find(|word| overrides.options.iter().any(|option| is_option(word, option)))
}

/// Whether a word is an option, with its value or without it, however it is spelled.
fn is_option(word: &str, option: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
    };
    let name = word.split('=').next().unwrap_or_default();
    let name = name.strip_prefix("-D").unwrap_or(name);
    name.len() <= 2 * option.len() && plain(name) == plain(option)
}

//! Where manifests come from: files, folders, standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// File name extensions of manifests.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A text and its name in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path, or `stdin`.
    pub origin: String,
    /// The whole text.
    pub text: String,
}

/// Reads each path: `-` is standard input, a folder means all manifests in it and below it, by name.
///
/// # Errors
/// When a path cannot be read, or is a Helm chart, whose files are not manifests before they are rendered.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
            sources.push(source("stdin".to_owned(), bytes)?);
        } else if path.is_dir() {
            read_folder(path, &mut sources)?;
        } else {
            sources.push(read_file(path)?);
        }
    }
    Ok(sources)
}

fn read_folder(folder: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    if folder.join("Chart.yaml").is_file() {
        let folder = folder.display();
        bail!("{folder} is a Helm chart; render it first: helm template {folder} | poolbudget plan -f -");
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.with_context(|| format!("cannot read the folder {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Hidden folders (.git, .github) hold no manifests. A link to a folder could lead in a circle.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_folder(&path, sources)?;
        } else if is_manifest(&path) && path.is_file() {
            sources.push(read_file(&path)?);
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    source(path.display().to_string(), bytes)
}

fn source(origin: String, bytes: Vec<u8>) -> anyhow::Result<Source> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { origin, text }),
        Err(_) => bail!("{origin} is not UTF-8 text: save it as UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(folder: &Path) -> Vec<String> {
        let sources = read(&[folder.to_owned()]).expect("sources");
        let relative = |source: &Source| source.origin.replace(&format!("{}/", folder.display()), "");
        sources.iter().map(relative).collect()
    }

    #[test]
    fn a_folder_stands_for_the_manifests_in_it_and_under_it_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["b.yml", "a.yaml", "deep/er/c.json", "README.md", ".github/w.yaml", "noextension"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "kind: A").expect("a file");
        }
        assert_eq!(origins(folder.path()), ["a.yaml", "b.yml", "deep/er/c.json"]);
    }

    #[test]
    fn a_chart_is_to_be_rendered_first() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Chart.yaml"), "name: a").expect("a file");
        let error = read(&[folder.path().to_owned()]).expect_err("a chart").to_string();
        assert!(error.contains("render it first: helm template"), "{error}");
    }

    #[test]
    fn what_is_not_there_or_no_text_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        let error = read(std::slice::from_ref(&path)).expect_err("missing").to_string();
        assert!(error.starts_with("cannot read ") && error.ends_with("a.yaml"), "{error}");
        fs::write(&path, [0xff, 0xfe]).expect("a file");
        let error = read(&[path]).expect_err("no text").to_string();
        assert!(error.ends_with("a.yaml is not UTF-8 text: save it as UTF-8"), "{error}");
    }
}

//! The layers of docs/architecture.md: which module may use which, no circle among the files of the controller,
//! and no copy of a module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a module may use of the others.
#[derive(Debug)]
struct Module {
    files: String,
    may_use: Option<BTreeSet<String>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words in backticks of a text.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The table of modules.
fn modules() -> BTreeMap<String, Module> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, table) = page.split_once("| module | files | what it is | may use |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, files, _, may_use] = cells[..] else { panic!("{row}") };
        let may_use = (may_use != "everything").then(|| quoted(may_use));
        (name.trim_matches('`').to_owned(), Module { files: files.to_owned(), may_use })
    })
    .collect()
}

/// The code in a folder, without what is built there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let entries = entries.map(|entry| entry.path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

/// The code of a file without its tests, which may use what they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let code = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The first names of all paths that begin with this prefix, of a list in braces too.
fn named_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let word =
        |rest: &str| -> String { rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_');
        let rest = &text[at + prefix.len()..];
        if !whole {
            continue;
        }
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ if c.is_whitespace() => {}
                        _ if depth == 0 && start => {
                            names.insert(word(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

#[test]
fn no_module_uses_another_one_that_the_table_of_the_architecture_does_not_allow() {
    let modules = modules();
    let folders: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(modules.keys().cloned().collect::<BTreeSet<_>>(), folders);
    let mut wrong = Vec::new();
    for (name, module) in &modules {
        let Some(may_use) = &module.may_use else { continue };
        for file in files(&root().join("src").join(name)).iter().filter(|file| !is_test(file)) {
            let used = named_after(&code(file), "crate::");
            let others = used.iter().filter(|used| *used != name && !may_use.contains(*used));
            wrong.extend(others.map(|used| format!("{} uses {used}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_of_the_architecture_names_every_file_of_the_modules_that_decide() {
    for (name, module) in
        modules().iter().filter(|(name, _)| ["budget", "cluster", "controller"].contains(&name.as_str()))
    {
        for file in fs::read_dir(root().join("src").join(name)).unwrap() {
            let stem = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            let named =
                module.files.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == stem);
            assert!(named || stem == "mod" || stem == "snapshots", "{name}: {stem} is not in the table");
        }
    }
}

#[test]
fn the_stages_of_the_controller_know_each_other_in_one_direction_alone() {
    let folder = root().join("src/controller");
    let uses: BTreeMap<String, BTreeSet<String>> = files(&folder)
        .iter()
        .filter(|file| !is_test(file))
        .map(|file| {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let code = code(file);
            let used = ["super::", "crate::controller::"].map(|prefix| named_after(&code, prefix));
            let used = used.into_iter().flatten().collect();
            (stem, used)
        })
        .collect();
    let mut done = BTreeSet::new();
    while done.len() < uses.len() {
        let known = |file: &String| uses.contains_key(file);
        let next: Vec<&String> = uses
            .iter()
            .filter(|(file, used)| {
                !done.contains(*file)
                    && used.iter().filter(|used| known(used)).all(|used| done.contains(used))
            })
            .map(|(file, _)| file)
            .collect();
        let left: Vec<&String> = uses.keys().filter(|file| !done.contains(*file)).collect();
        assert!(!next.is_empty(), "a circle among {left:?}");
        let next: Vec<String> = next.into_iter().cloned().collect();
        done.extend(next);
    }
}

#[test]
fn no_target_takes_in_a_module_of_which_it_leaves_out_a_part() {
    let pardon = ["allow(dead", "_code"].concat();
    let pardoned: Vec<PathBuf> = ["benches", "src", "tests", "tools"]
        .iter()
        .flat_map(|folder| files(&root().join(folder)))
        .filter(|file| fs::read_to_string(file).unwrap().contains(&pardon))
        .collect();
    assert!(pardoned.is_empty(), "what several need belongs into testkit or the simulation: {pardoned:#?}");
}

#[test]
fn paths_are_found_alone_in_lists_and_in_the_midst_of_code() {
    let code = "use crate::api::{Mode, names};\nuse crate::{budget::{plan, fill}, cluster};\nfn f() -> crate::profile::Profile { \
                self.crate_name(other::crate::no) }";
    let expected = ["api", "budget", "cluster", "profile"].map(ToOwned::to_owned);
    assert_eq!(named_after(code, "crate::"), BTreeSet::from(expected));
}

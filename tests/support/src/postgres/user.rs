//! The user who runs the servers: they refuse to run as root.
//!
//! In: a program that root would start. Out: the same program, started as an ordinary user, with its own files.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::place;

/// The user of the servers if this process runs as root.
#[derive(Debug, Clone, Copy)]
struct Ordinary {
    user: u32,
    group: u32,
}

/// A program and its arguments, run by a user who may run servers, and ended when its parent ends.
pub fn command(program: &Path, args: Vec<OsString>) -> Result<(PathBuf, Vec<OsString>)> {
    let setpriv = place::on_path("setpriv").context("there is no setpriv (Debian: util-linux)")?;
    // A change of user clears the parent-death signal, so this sets it again. SIGQUIT is PostgreSQL's immediate
    // shutdown, and ends any other program.
    let mut words: Vec<OsString> = vec!["--pdeathsig=QUIT".into()];
    if let Some(Ordinary { user, group }) = ordinary()? {
        words.extend([format!("--reuid={user}").into(), format!("--regid={group}").into()]);
        words.push("--clear-groups".into());
    }
    words.extend(["--".into(), program.into()]);
    words.extend(args);
    Ok((setpriv, words))
}

/// Creates a folder that belongs to the servers' user, inside one that this user may enter.
pub fn folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    if let Some(Ordinary { user, group }) = ordinary()? {
        // Others may pass through it, but not list it.
        fs::set_permissions(parent, Permissions::from_mode(0o711))?;
        chown(&path, Some(user), Some(group)).with_context(|| format!("give {} away", path.display()))?;
    }
    Ok(path)
}

/// Whether the servers' user can get at a program in this folder: root builds in folders that nobody else may enter.
pub fn may_enter(folder: &Path) -> Result<bool> {
    const BY_OTHERS: u32 = 0o001;
    if ordinary()?.is_none() {
        return Ok(true);
    }
    for above in folder.ancestors() {
        let known = fs::metadata(above).with_context(|| format!("look at {}", above.display()))?;
        if known.mode() & BY_OTHERS == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ordinary() -> Result<Option<Ordinary>> {
    let me = fs::metadata("/proc/self").context("ask who this process belongs to")?.uid();
    if me != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("read the users")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| entry(&users, name));
    found.map(Some).context("root may not run servers, and there is neither postgres nor nobody")
}

fn entry(users: &str, name: &str) -> Option<Ordinary> {
    let fields: Vec<&str> = users
        .lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields.first() == Some(&name))?;
    Some(Ordinary { user: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
}

//! One child process: its log is in a file, and it never outlives its owner.
//!
//! Children are killed when their handle is dropped (also in a panicking test), and by the kernel if this process dies
//! in any other way. The kernel ties that to the *thread* that created the child, and tests run on threads that end: so
//! one thread, which never ends, creates all children.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::time::{Instant, sleep};

/// What to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name in messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing is inherited.
    pub env: BTreeMap<String, OsString>,
    /// Where its output goes; a restarted process appends.
    pub log: PathBuf,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts it.
    pub fn start(spec: &Spec) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&spec.log)
            .with_context(|| format!("open {}", spec.log.display()))?;
        let child =
            spawn(command(spec, log)?).with_context(|| format!("start {}", spec.program.display()))?;
        Ok(Self { name: spec.name.clone(), log: spec.log.clone(), child })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// An error with the end of its log if it no longer runs.
    pub fn expect_running(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status}; the end of its log:\n{}", self.name, self.log_end())
            }
        }
    }

    /// SIGKILL, for its own children too; it is gone when this returns.
    pub fn kill(&mut self) -> Result<()> {
        let what = || format!("kill {}", self.name);
        // After the wait, its process id may belong to another process.
        if self.child.try_wait().with_context(what)?.is_none() {
            send(&self.child, Whom::Group, libc::SIGKILL).with_context(what)?;
            self.child.wait().with_context(what)?;
        }
        Ok(())
    }

    /// SIGTERM; [`Process::wait`] returns how it ended.
    pub fn terminate(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            send(&self.child, Whom::Itself, libc::SIGTERM)
                .with_context(|| format!("terminate {}", self.name))?;
        }
        Ok(())
    }

    /// SIGQUIT; blocks the thread until it has ended, but not longer than `deadline`.
    pub fn quit(&mut self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        if self.ended()?.is_none() {
            send(&self.child, Whom::Itself, libc::SIGQUIT)
                .with_context(|| format!("tell {} to quit", self.name))?;
        }
        while self.ended()?.is_none() {
            if Instant::now() >= end {
                bail!("{} still runs after {deadline:?}", self.name);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until it has ended by itself, but not longer than `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("{} still runs after {deadline:?}; the end of its log:\n{}", self.name, self.log_end());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        log_end(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The last lines of a log file, for messages.
pub fn log_end(path: &Path) -> String {
    const LINES: usize = 40;
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_else(|error| format!("({} cannot be read: {error})", path.display()));
    let lines: Vec<&str> = text.lines().collect();
    let end: Vec<String> = lines.iter().rev().take(LINES).rev().map(|line| format!("  | {line}")).collect();
    if end.is_empty() { "  | (empty)".to_owned() } else { end.join("\n") }
}

fn command(spec: &Spec, log: File) -> Result<Command> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).env_clear().envs(&spec.env).stdin(Stdio::null());
    command.stdout(log.try_clone().context("share the log")?).stderr(log);
    // Its own process group: Ctrl-C on the terminal reaches only this process, which then ends its children. And a
    // child that creates processes can be ended together with them.
    command.process_group(0);
    Ok(command)
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Creates the child on the one thread that outlives every test.
fn spawn(command: Command) -> Result<Child> {
    static MAKER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let maker = MAKER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(bind_to_this_process(&mut command).spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, child) = mpsc::channel();
    let sender = maker.lock().unwrap_or_else(PoisonError::into_inner).clone();
    sender.send((command, answer)).map_err(|_| anyhow!("the thread that makes children is gone"))?;
    Ok(child.recv()??)
}

/// Asks the kernel to kill the child when the calling thread ends.
#[expect(unsafe_code, reason = "the standard library has no other way to act between fork and exec")]
fn bind_to_this_process(command: &mut Command) -> &mut Command {
    let parent = std::process::id();
    // SAFETY: the closure runs between fork and exec and only makes system calls, which are safe there.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before this request: then the signal would never come.
            if libc::getppid().cast_unsigned() != parent {
                return Err(io::Error::other("the parent is gone"));
            }
            Ok(())
        })
    }
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// The child alone.
    Itself,
    /// The child and all processes that it has created.
    Group,
}

#[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
fn send(child: &Child, whom: Whom, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let target = if whom == Whom::Group { -pid } else { pid };
    // SAFETY: kill has no memory to get wrong, and the pid is ours until the child is waited for.
    match unsafe { libc::kill(target, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

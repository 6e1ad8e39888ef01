//! How programs read their arguments and variables: how many processes of an app they run.
//!
//! Plain data; `special` has what a row cannot express. Tried on 2026-11-27: gunicorn 27.0.1, uvicorn 0.54.0,
//! fastapi-cli 0.0.34, hypercorn 0.18.0, granian 2.8.9, celery 5.7.0. Read: puma 00f5061f; the others in their
//! documentation.

/// A program that runs an app.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// The names of its executable, and of its module for `python -m`.
    pub names: &'static [&'static str],
    /// One of these words has to follow; if empty, any may.
    pub verbs: &'static [&'static str],
    /// The flags that state the number, with it behind them or in the same word. The last flag counts.
    pub flags: &'static [&'static str],
    /// A variable with more arguments, which come before those of the command.
    pub arguments: Option<&'static str>,
    /// The variables that state the number if no flag does; the first one with a value counts.
    pub variables: &'static [&'static str],
    /// Flags for a configuration file that may state the number.
    pub files: &'static [&'static str],
    /// Flags that make it one process.
    pub single: &'static [&'static str],
    /// Flags and verbs that send it to the background, besides those common to all programs.
    pub detaches: &'static [&'static str],
    /// Values that mean the node's number of CPUs. Otherwise 0 means no worker besides the one process.
    pub cpus: &'static [&'static str],
    /// How many there are if nothing states it.
    pub otherwise: Otherwise,
    /// What a row cannot express.
    pub special: Special,
}

/// How many processes there are if nothing states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// This many.
    Number(u32),
    /// As many as the node has CPUs.
    Cpus,
    /// A file in the image states it.
    File,
    /// Its version decides.
    Version,
}

/// What a row cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// Nothing.
    Nothing,
    /// `--autoscale` has the largest number, `-P` the kind of pool, and `-B` adds a process.
    Celery,
    /// This many for each node that it starts.
    CeleryMulti,
    /// Workers, two for cron and one for long polling; with 0 workers everything is one process.
    Odoo,
    /// With a LocalExecutor, its own tasks are processes.
    LocalExecutor,
}

const PLAIN: Program = Program {
    names: &[],
    verbs: &[],
    flags: &[],
    arguments: None,
    variables: &[],
    files: &[],
    single: &[],
    detaches: &[],
    cpus: &[],
    otherwise: Otherwise::Number(1),
    special: Special::Nothing,
};

/// Flags with which programs go to the background.
pub const DETACHES: [&str; 6] = ["-D", "--daemon", "--daemonize", "--daemonize2", "--detach", "--background"];

const PM2_STARTS: &[&str] =
    &["start", "startOrRestart", "startOrReload", "startOrGracefulReload", "resurrect"];

/// All known programs. If several rows have the name, the first one with a matching verb counts.
pub static ALL: &[Program] = &[
    Program {
        names: &["gunicorn", "gunicorn3"],
        flags: &["-w", "--workers"],
        arguments: Some("GUNICORN_CMD_ARGS"),
        variables: &["WEB_CONCURRENCY"],
        files: &["-c", "--config"],
        ..PLAIN
    },
    Program {
        names: &["uvicorn"],
        flags: &["--workers"],
        variables: &["UVICORN_WORKERS", "WEB_CONCURRENCY"],
        single: &["--reload"],
        ..PLAIN
    },
    Program {
        names: &["fastapi", "fastapi_cli"],
        verbs: &["run"],
        flags: &["--workers"],
        variables: &["WEB_CONCURRENCY"],
        single: &["--reload"],
        ..PLAIN
    },
    Program { names: &["fastapi", "fastapi_cli"], verbs: &["dev"], ..PLAIN },
    Program { names: &["hypercorn"], flags: &["-w", "--workers"], files: &["-c", "--config"], ..PLAIN },
    Program { names: &["granian"], flags: &["--workers"], variables: &["GRANIAN_WORKERS"], ..PLAIN },
    Program {
        names: &["uwsgi", "uwsgi-core", "pyuwsgi"],
        cpus: &["auto"],
        flags: &["-p", "--processes", "--workers"],
        variables: &["UWSGI_PROCESSES", "UWSGI_WORKERS"],
        detaches: &["-d"],
        files: &["--ini", "--yaml", "--yml", "--json", "--xml", "-x", "--emperor"],
        ..PLAIN
    },
    Program { names: &["daphne", "waitress-serve", "flower"], ..PLAIN },
    Program {
        names: &["celery"],
        verbs: &["multi"],
        detaches: &["multi"],
        otherwise: Otherwise::Cpus,
        special: Special::CeleryMulti,
        ..PLAIN
    },
    Program {
        names: &["celery"],
        verbs: &["worker"],
        flags: &["-c", "--concurrency"],
        variables: &["CELERY_WORKER_CONCURRENCY"],
        cpus: &["0"],
        otherwise: Otherwise::Cpus,
        special: Special::Celery,
        ..PLAIN
    },
    Program { names: &["celery"], verbs: &["beat", "flower", "events"], ..PLAIN },
    Program { names: &["dramatiq"], flags: &["-p", "--processes"], otherwise: Otherwise::Cpus, ..PLAIN },
    Program {
        names: &["taskiq"],
        verbs: &["worker"],
        flags: &["-w", "--workers"],
        otherwise: Otherwise::Number(2),
        ..PLAIN
    },
    Program { names: &["rq", "arq"], verbs: &["worker"], ..PLAIN },
    Program { names: &["rq"], verbs: &["worker-pool"], flags: &["-n", "--num-workers"], ..PLAIN },
    Program {
        names: &["puma"],
        cpus: &["auto"],
        flags: &["-w", "--workers"],
        variables: &["WEB_CONCURRENCY"],
        files: &["-C", "--config"],
        detaches: &["-d"],
        otherwise: Otherwise::File,
        ..PLAIN
    },
    Program {
        names: &["rails"],
        cpus: &["auto"],
        verbs: &["server", "s"],
        detaches: &["-d"],
        variables: &["WEB_CONCURRENCY"],
        otherwise: Otherwise::File,
        ..PLAIN
    },
    Program {
        names: &["unicorn", "unicorn_rails"],
        cpus: &["auto"],
        variables: &["WEB_CONCURRENCY"],
        files: &["-c", "--config-file"],
        otherwise: Otherwise::File,
        ..PLAIN
    },
    Program {
        names: &["passenger"],
        verbs: &["start"],
        detaches: &["-d"],
        flags: &["--max-pool-size"],
        variables: &["PASSENGER_MAX_POOL_SIZE"],
        otherwise: Otherwise::Number(6),
        ..PLAIN
    },
    Program { names: &["sidekiq"], detaches: &["-d"], ..PLAIN },
    Program { names: &["sidekiqswarm"], variables: &["SIDEKIQ_COUNT"], otherwise: Otherwise::Cpus, ..PLAIN },
    Program {
        names: &["pm2"],
        verbs: PM2_STARTS,
        flags: &["-i", "--instances"],
        cpus: &["max", "0", "-1"],
        files: &["--config"],
        detaches: PM2_STARTS,
        ..PLAIN
    },
    Program {
        names: &["pm2-runtime", "pm2-docker"],
        flags: &["-i", "--instances"],
        cpus: &["max", "0", "-1"],
        files: &["--config"],
        ..PLAIN
    },
    Program {
        names: &["mlflow"],
        verbs: &["server", "ui"],
        flags: &["-w", "--workers"],
        variables: &["MLFLOW_WORKERS"],
        otherwise: Otherwise::Number(4),
        ..PLAIN
    },
    Program {
        names: &["litellm"],
        flags: &["--num_workers"],
        variables: &["NUM_WORKERS"],
        otherwise: Otherwise::Version,
        ..PLAIN
    },
    Program {
        names: &["langflow"],
        verbs: &["run"],
        flags: &["--workers"],
        variables: &["LANGFLOW_WORKERS"],
        ..PLAIN
    },
    // The image of Superset starts its server with this; its default number differs between versions.
    Program {
        names: &["run-server.sh"],
        variables: &["SERVER_WORKER_AMOUNT"],
        otherwise: Otherwise::Version,
        ..PLAIN
    },
    Program {
        names: &["odoo", "odoo-bin", "openerp-server"],
        flags: &["--workers"],
        otherwise: Otherwise::File,
        special: Special::Odoo,
        ..PLAIN
    },
    Program {
        names: &["airflow"],
        verbs: &["worker"],
        flags: &["-c", "--concurrency"],
        variables: &["AIRFLOW__CELERY__WORKER_CONCURRENCY"],
        cpus: &["0"],
        otherwise: Otherwise::Number(16),
        special: Special::Celery,
        ..PLAIN
    },
    Program {
        names: &["airflow"],
        verbs: &["api-server"],
        flags: &["-w", "--workers"],
        variables: &["AIRFLOW__API__WORKERS"],
        ..PLAIN
    },
    Program {
        names: &["airflow"],
        verbs: &["webserver"],
        flags: &["-w", "--workers"],
        variables: &["AIRFLOW__WEBSERVER__WORKERS"],
        otherwise: Otherwise::Number(4),
        ..PLAIN
    },
    Program { names: &["airflow"], verbs: &["scheduler"], special: Special::LocalExecutor, ..PLAIN },
    Program { names: &["airflow"], verbs: &["triggerer", "dag-processor"], ..PLAIN },
    // They start what their own file lists.
    Program {
        names: &[
            "supervisord",
            "circusd",
            "honcho",
            "foreman",
            "overmind",
            "hivemind",
            "s6-svscan",
            "runsvdir",
        ],
        otherwise: Otherwise::File,
        ..PLAIN
    },
];

/// For unknown programs: if one of these is set, it is meant for the program in the image.
pub const ANY: [&str; 7] = [
    "WEB_CONCURRENCY",
    "UVICORN_WORKERS",
    "GUNICORN_WORKERS",
    "GRANIAN_WORKERS",
    "UWSGI_PROCESSES",
    "UWSGI_WORKERS",
    "CELERY_WORKER_CONCURRENCY",
];

/// The variable with arguments for an unknown program.
pub const ANY_ARGUMENTS: &str = "GUNICORN_CMD_ARGS";

/// The program of this name, with one of its verbs among the words after it.
#[must_use]
pub fn named(name: &str, mut has: impl FnMut(&str) -> bool) -> Option<&'static Program> {
    let verb = |program: &Program, has: &mut dyn FnMut(&str) -> bool| {
        program.verbs.is_empty() || program.verbs.iter().any(|verb| has(verb))
    };
    ALL.iter().find(|program| program.names.contains(&name) && verb(program, &mut has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_its_verb_is_no_program() {
        assert!(named("celery", |word| word == "worker").is_some_and(|p| p.special == Special::Celery));
        assert!(named("celery", |word| word == "beat").is_some_and(|p| p.flags.is_empty()));
        assert_eq!(named("celery", |_| false), None);
        assert_eq!(named("mlflow", |word| word == "gc"), None);
        assert!(named("gunicorn", |_| false).is_some());
        assert_eq!(named("node", |_| true), None);
    }
}

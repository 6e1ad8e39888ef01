//! What containers run: commands as people write them, with the number that the real program gets.

use serde_json::{Value as Json, json};

use super::*;

fn variables<'e>(env: &'e Json) -> impl Fn(&str) -> Value<'e> + 'e {
    move |name| match &env[name] {
        Json::Null if env["*"] == true => Value::Perhaps,
        Json::Null => Value::Unset,
        Json::String(text) => Value::Text(text),
        _ => Value::Elsewhere,
    }
}

fn strings(words: &Json) -> Vec<String> {
    words.as_array().into_iter().flatten().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// `env` maps names to values; `false` is a value from elsewhere, and `"*": true` is an envFrom.
fn of(profile: &str, command: &Json, args: &Json, env: &Json) -> Found {
    let (command, args, variables) = (strings(command), strings(args), variables(env));
    let run = Run { command: &command, args: &args, cut: false, variables: &variables };
    find(Profile::named(profile), &run)
}

/// `4`, or `1?` if there may be more, or `1??` if that is also reported unasked.
fn short(found: &Found) -> String {
    let doubt = match &found.unknown {
        None => "",
        Some(unknown) if unknown.told => "??",
        Some(_) => "?",
    };
    format!("{}{doubt}", found.processes)
}

fn holds(cases: &[(&str, Json, &str)]) {
    for (line, env, expected) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        let found = of("SQLAlchemy", &json!(words), &json!([]), env);
        assert_eq!(short(&found), *expected, "{line} {env}: {found:?}");
    }
}

pub(super) fn holds_in_shell(cases: &[(&str, Json, &str)]) {
    for (text, env, expected) in cases {
        let found = of("SQLAlchemy", &json!(["/bin/sh", "-c", text]), &json!([]), env);
        assert_eq!(short(&found), *expected, "{text} {env}: {found:?}");
    }
}

#[test]
fn gunicorn_goes_by_its_flag_then_by_its_arguments_in_the_env_then_by_web_concurrency() {
    let none = || json!({});
    holds(&[
        ("gunicorn -w 4 app:app", none(), "4"),
        ("gunicorn -w4 app:app", none(), "4"),
        ("gunicorn -w=4 app:app", none(), "4"),
        ("gunicorn app:app --workers=4", none(), "4"),
        ("gunicorn app:app --workers 4", none(), "4"),
        ("gunicorn -w 2 -w 7 app:app", none(), "7"),
        ("gunicorn app:app", none(), "1"),
        ("gunicorn -w 0 app:app", none(), "1"),
        ("gunicorn app:app", json!({"WEB_CONCURRENCY": "4"}), "4"),
        (
            "gunicorn app:app",
            json!({"WEB_CONCURRENCY": "4", "GUNICORN_CMD_ARGS": "--bind :80 --workers=5"}),
            "5",
        ),
        ("gunicorn -w 2 app:app", json!({"WEB_CONCURRENCY": "4", "GUNICORN_CMD_ARGS": "-w 5"}), "2"),
        ("gunicorn -w 9 -k uvicorn.workers.UvicornWorker app:main", json!({"WEB_CONCURRENCY": "9"}), "9"),
        ("gunicorn -c gunicorn.conf.py app:app", none(), "1??"),
        ("gunicorn -c gunicorn.conf.py -w 3 app:app", none(), "3"),
        ("gunicorn -c conf.py app:app", json!({"WEB_CONCURRENCY": "4"}), "4??"),
        ("gunicorn -c conf.py -w 2 app:app", json!({"WEB_CONCURRENCY": "4"}), "2"),
        ("gunicorn -c conf.py app:app", json!({"GUNICORN_CMD_ARGS": "-w 4"}), "4"),
        ("gunicorn app:app", json!({"GUNICORN_CMD_ARGS": "--config conf.py"}), "1??"),
        ("gunicorn app:app", json!({"WEB_CONCURRENCY": false}), "1??"),
        ("gunicorn app:app", json!({"*": true}), "1??"),
        ("gunicorn -w 4 app:app", json!({"*": true}), "4"),
        ("gunicorn -w $WORKERS app:app", json!({"WORKERS": "4"}), "1??"),
        ("gunicorn -w $(WORKERS) app:app", json!({"WORKERS": "4"}), "4"),
        ("gunicorn -w $(WORKERS) app:app", json!({"WORKERS": false}), "1??"),
        ("gunicorn -w 99999999999999999999 app:app", none(), "4294967295"),
    ]);
}

#[test]
fn other_servers_go_by_their_own_flags_and_variables() {
    let none = || json!({});
    holds(&[
        ("uvicorn app:app --workers 4", none(), "4"),
        ("uvicorn app:app", json!({"WEB_CONCURRENCY": "7"}), "7"),
        ("uvicorn app:app", json!({"UVICORN_WORKERS": "4", "WEB_CONCURRENCY": "7"}), "4"),
        ("uvicorn app:app --workers 2", json!({"UVICORN_WORKERS": "4", "WEB_CONCURRENCY": "7"}), "2"),
        ("uvicorn app:app --workers 4 --reload", none(), "1"),
        ("fastapi run --workers 4 app/main.py", none(), "4"),
        ("fastapi run app/main.py", json!({"WEB_CONCURRENCY": "3"}), "3"),
        ("fastapi dev app/main.py", json!({"WEB_CONCURRENCY": "3"}), "1"),
        ("hypercorn -w 4 app:app", json!({"WEB_CONCURRENCY": "9"}), "4"),
        ("hypercorn app:app", json!({"WEB_CONCURRENCY": "9"}), "1"),
        ("hypercorn -c file:conf.toml app:app", none(), "1??"),
        ("granian --workers 4 app:app", none(), "4"),
        ("granian app:app", json!({"GRANIAN_WORKERS": "3"}), "3"),
        ("uwsgi --http :80 --processes 4 --threads 2", none(), "4"),
        ("uwsgi -p 4 --pidfile x", none(), "4"),
        ("uwsgi --ini uwsgi.ini", none(), "1??"),
        ("uwsgi uwsgi.ini", json!({"UWSGI_PROCESSES": "6"}), "6"),
        ("puma -w 3 -t 5", none(), "3"),
        ("puma -w 0", none(), "1"),
        ("puma -C config/puma.rb", json!({"WEB_CONCURRENCY": "2"}), "2"),
        ("puma -C config/puma.rb", json!({"WEB_CONCURRENCY": "auto"}), "1??"),
        ("puma", none(), "1??"),
        ("bundle exec rails server -b 0.0.0.0", json!({"WEB_CONCURRENCY": "2"}), "2"),
        ("bin/rails s", none(), "1??"),
        ("bundle exec unicorn -c unicorn.rb", none(), "1??"),
        ("bundle exec sidekiq -c 25", json!({"WEB_CONCURRENCY": "2"}), "1"),
        ("sidekiqswarm", json!({"SIDEKIQ_COUNT": "4"}), "4"),
        ("pm2-runtime start app.js -i 4", none(), "4"),
        ("pm2-runtime -i max app.js", none(), "1??"),
        ("pm2-runtime -i 0 app.js", none(), "1??"),
        ("pm2-runtime ecosystem.config.js", none(), "1??"),
        ("pm2-runtime app.js", none(), "1"),
        ("mlflow server --host 0.0.0.0", none(), "4"),
        ("mlflow server -w 2", none(), "2"),
        ("mlflow db upgrade x", none(), "1?"),
        ("supervisord -n", none(), "1??"),
        ("litellm --num_workers 8", none(), "8"),
        ("odoo --workers=4", none(), "7"),
        ("odoo --workers 4 --max-cron-threads 1", none(), "6"),
        ("odoo --workers 0", none(), "1"),
        ("odoo -c /etc/odoo.conf", none(), "1??"),
    ]);
}

#[test]
fn celery_goes_by_its_pool() {
    let none = || json!({});
    holds(&[
        ("celery -A app worker -c 4", none(), "4"),
        ("celery -A app worker -c4 -l info", none(), "4"),
        ("celery -A app worker --concurrency=4", none(), "4"),
        ("celery worker -A app", none(), "1??"),
        ("celery -A app worker", json!({"CELERY_WORKER_CONCURRENCY": "6"}), "6"),
        ("celery -A app worker", json!({"WEB_CONCURRENCY": "6"}), "1??"),
        ("celery -A app worker --autoscale=10,3", none(), "10"),
        ("celery -A app worker --autoscale 3,10 -c 20", none(), "10"),
        ("celery -A app worker -P gevent -c 100", none(), "1"),
        ("celery -A app worker --pool=threads -c 8", none(), "1"),
        ("celery -A app worker --pool=prefork -c 8", none(), "8"),
        ("celery -A app worker -c 4 -B", none(), "5"),
        ("celery -A app worker -c 0", none(), "1??"),
        ("celery -A app beat", json!({"WEB_CONCURRENCY": "6"}), "1"),
        ("python -m celery -A app worker -c 3", none(), "3"),
        ("dramatiq app -p 4 -t 8", none(), "4"),
        ("dramatiq app", none(), "1??"),
        ("rq worker high low", none(), "1"),
    ]);
}

#[test]
fn a_program_is_found_behind_wrappers_and_interpreters() {
    let none = || json!({});
    holds(&[
        ("/usr/local/bin/gunicorn -w 4 app", none(), "4"),
        ("python -m gunicorn -w 4 app", none(), "4"),
        ("python -mgunicorn -w 4 app", none(), "4"),
        ("python3 -um gunicorn -w 4 app", none(), "4"),
        ("python3 -Imgunicorn -w 4 app", none(), "4"),
        ("python3.12 -u -X dev -m uvicorn app:app --workers 4", none(), "4"),
        ("python /venv/bin/gunicorn -w 4 app", none(), "4"),
        ("python -m debugpy --listen 5678 -m uvicorn app --workers 4", none(), "4"),
        ("poetry run gunicorn -w 4 app", none(), "4"),
        ("uv run --no-sync uvicorn app:app --workers 4", none(), "4"),
        ("pipenv run python -m gunicorn -w 4 app", none(), "4"),
        ("opentelemetry-instrument --traces_exporter console gunicorn -w 4 app", none(), "4"),
        ("ddtrace-run gunicorn -w 4 app", none(), "4"),
        ("newrelic-admin run-program gunicorn -w 4 app", none(), "4"),
        ("tini -- gunicorn -w 4 app", none(), "4"),
        ("tini -g -- poetry run gunicorn -w 4 app", none(), "4"),
        ("dumb-init gunicorn -w 4 app", none(), "4"),
        ("env WEB_CONCURRENCY=3 gunicorn app", json!({"WEB_CONCURRENCY": "9"}), "3"),
        ("gosu celery celery -A app worker -c 4", none(), "4"),
        ("su-exec app:app gunicorn -w 4 app", none(), "4"),
        ("timeout -s KILL 30 gunicorn -w 4 app", none(), "4"),
        ("./wait-for-it.sh db:5432 -- gunicorn -w 4 app", none(), "4"),
        ("/docker-entrypoint.sh gunicorn -w 4 app", none(), "4"),
        ("bash /start.sh gunicorn -w 4 app", none(), "4"),
        ("bundle exec puma -w 4", none(), "4"),
    ]);
}

#[test]
fn only_a_word_in_the_place_of_a_command_is_a_program() {
    let none = || json!({});
    holds(&[
        ("echo gunicorn -w 4", none(), "1?"),
        ("python manage.py gunicorn -w 4", none(), "1?"),
        ("node server.js --workers 4", none(), "1?"),
        ("grep gunicorn -w 4", none(), "1?"),
        ("celery --workers 4", none(), "1?"),
        ("./run.sh", none(), "1??"),
        ("bash run.sh", none(), "1??"),
        ("python app.py", none(), "1?"),
        ("python app.py", json!({"WEB_CONCURRENCY": "4"}), "4"),
        ("./run.sh", json!({"WEB_CONCURRENCY": "4"}), "4"),
        ("./run.sh", json!({"WEB_CONCURRENCY": false}), "1??"),
        ("python app.py", json!({"*": true}), "1?"),
    ]);
}

#[test]
fn a_shell_text_is_read_as_the_shell_reads_it() {
    let none = || json!({});
    holds_in_shell(&[
        ("exec gunicorn -w 4 app", none(), "4"),
        ("gunicorn --workers=\"4\" 'app:create()'", none(), "4"),
        ("alembic upgrade head && exec gunicorn -w 4 app", none(), "4"),
        ("set -e; cd /app\nWEB_CONCURRENCY=3 exec gunicorn app", none(), "3"),
        ("export WEB_CONCURRENCY=3; gunicorn app", none(), "3"),
        ("gunicorn -w ${WEB_CONCURRENCY:-4} app", none(), "4"),
        ("gunicorn -w ${WORKERS:-4} app", json!({"WORKERS": "6"}), "6"),
        ("gunicorn -w ${WORKERS:-4} app", json!({"*": true}), "4??"),
        ("gunicorn -w $WORKERS app", none(), "1??"),
        ("gunicorn -w $WORKERS app", json!({"WORKERS": "6"}), "6"),
        ("gunicorn -w $(nproc) app", none(), "1??"),
        ("gunicorn -w $((2 * $(nproc) + 1)) app", none(), "1??"),
        ("gunicorn $OPTS app", json!({"OPTS": "--bind :80 -w 4"}), "4"),
        ("celery -A a worker -c 4 & gunicorn -w 2 app", none(), "6"),
        ("celery -A a worker -c 4 & celery -A a beat & gunicorn -w 2 app & wait", none(), "7"),
        ("if [ -n \"$X\" ]; then gunicorn -w 2 app; else gunicorn -w 5 app; fi", none(), "5"),
        ("for i in 1 2 3; do celery -A a worker -c 2 & done; wait", none(), "2??"),
        ("gunicorn -w 4 app 2>&1 | tee log", none(), "4"),
        ("# gunicorn -w 9\ngunicorn -w 4 app", none(), "4"),
        ("echo 'gunicorn -w 9'; uvicorn app", none(), "1"),
        ("bash -lc 'exec gunicorn -w 4 app'", none(), "4"),
        ("su app -c 'gunicorn -w 4 app'", none(), "4"),
        (". /venv/bin/activate && gunicorn -w 4 app", none(), "4"),
        (". ./bootstrap.sh; /usr/bin/run-server.sh", json!({"SERVER_WORKER_AMOUNT": "5"}), "5"),
        (". ./bootstrap.sh; /usr/bin/run-server.sh", none(), "1??"),
        ("./migrate.sh && node server.js", none(), "1??"),
    ]);
    let found = of(
        "SQLAlchemy",
        &json!(["/bin/bash", "-euo", "pipefail", "-c"]),
        &json!(["exec \"$@\"", "--", "gunicorn", "-w", "4"]),
        &json!({}),
    );
    assert_eq!(short(&found), "4");
    let named = json!(["sh", "-c", "exec \"$0\" \"$@\"", "gunicorn", "-w", "4", "app"]);
    assert_eq!(short(&of("SQLAlchemy", &named, &json!([]), &none())), "4");
    holds_in_shell(&[
        ("set -- -w 4; exec gunicorn \"$@\" app", none(), "4"),
        ("set -- x -w 4; shift; exec gunicorn \"$@\" app", none(), "4"),
        ("set -- gunicorn -w 4; exec $@", none(), "4"),
    ]);
}

#[test]
fn a_compound_in_the_background_adds_to_what_follows() {
    let compounds = [
        "(cd x && gunicorn -w 4 a)",
        "{ gunicorn -w 4 a; }",
        "{ gunicorn -w 4 a; } > log 2>&1",
        "((gunicorn -w 4 a))",
        "if true; then gunicorn -w 4 a; fi",
        "if true; then { gunicorn -w 4 a; }; else gunicorn -w 3 b; fi",
        "while true; do gunicorn -w 4 a; done",
        "until false; do (gunicorn -w 4 a); done",
        "for i in 1; do gunicorn -w 4 a; done",
        "case $X in web) gunicorn -w 4 a;; (x|y) uvicorn b;; esac",
        "true && gunicorn -w 4 a || uvicorn b",
        "gunicorn -w 4 a && uvicorn b",
        "f() { gunicorn -w 4 a; }; f",
        "f()\n{\n gunicorn -w 4 a\n}\nf",
        "f() ( gunicorn -w 4 a ); f",
        "function f { gunicorn -w 4 a; }; true && f",
        "function f() { gunicorn -w 4 a; }; (f)",
        "f() { exec \"$@\"; }; f gunicorn -w 4 a",
    ];
    for compound in compounds {
        for (text, expected) in [
            (format!("{compound} & gunicorn -w 2 b"), "6"),
            (format!("{compound} & uvicorn c & gunicorn -w 2 b"), "7"),
            (format!("({compound} & gunicorn -w 2 b)"), "6"),
            (format!("({compound}) | gunicorn -w 2 b"), "6"),
            (format!("{compound}; gunicorn -w 2 b"), "4"),
            (format!("({compound} &); gunicorn -w 2 b"), "6"),
            (format!("sh -c '{}&'; gunicorn -w 2 b", compound.replace('\'', "")), "6"),
        ] {
            holds_in_shell(&[(text.as_str(), json!({}), expected)]);
        }
    }
    let none = || json!({});
    holds_in_shell(&[
        ("f() { gunicorn -w 4 a & }; f; gunicorn -w 2 b", none(), "6"),
        ("sh -c '(gunicorn -w 4 a)' & gunicorn -w 2 b", none(), "6"),
        ("f() { gunicorn -w 4 a; }; f & f & wait", none(), "8"),
        ("for i in 1 2; do (gunicorn -w 4 a) & done; wait", none(), "4??"),
        ("f() { gunicorn -w 4 a; }; while true; do f & done", none(), "4??"),
        ("gunicorn -w 4 a; celery -A p worker", none(), "4??"),
    ]);
}

#[test]
fn a_program_that_goes_to_the_background_by_itself_adds_to_what_follows() {
    for (text, expected) in [
        ("gunicorn --daemon -w 4 a; celery -A p worker -c 2", "6"),
        ("gunicorn -D -w 4 a && celery -A p worker -c 2", "6"),
        ("GUNICORN_CMD_ARGS='-D -w 4' gunicorn a; gunicorn -w 2 b", "6"),
        ("exec gunicorn -D -w 4 a", "4"),
        ("celery -A p worker -c 4 --detach; gunicorn -w 2 a", "6"),
        ("celery -A p beat --detach; gunicorn -w 2 a", "3"),
        ("celery multi start 2 -A p -c 2; gunicorn -w 2 a", "6"),
        ("celery multi start w1 worker -A p -c 2; gunicorn -w 2 a", "6"),
        ("celery multi start w1 w2 --app=p -c:w1 9; gunicorn -w 2 a", "3??"),
        ("pm2 start a.js -i 4; pm2 start b.js -i 2; pm2 logs", "6"),
        ("pm2 start a.js -i max && gunicorn -w 2 a", "3??"),
        ("uwsgi -p 3 --daemonize log; gunicorn -w 2 app", "5"),
        ("uwsgi -p 3 --daemonize=log; gunicorn -w 2 app", "5"),
        ("uwsgi -p 3 -d log; gunicorn -w 2 app", "5"),
        ("airflow webserver -D -w 2; airflow triggerer", "3"),
        ("setsid -f gunicorn -w 4 a; gunicorn -w 2 b", "6"),
        ("start-stop-daemon -S --background --exec /bin/gunicorn -- -w 4 a; gunicorn -w 2 b", "6"),
        ("daemonize -p x /bin/gunicorn -w 4 a; gunicorn -w 2 b", "6"),
        ("nohup gunicorn -w 4 a & gunicorn -w 2 b", "6"),
        ("nohup gunicorn -w 4 a; gunicorn -w 2 b", "4"),
        ("f() { gunicorn -D -w 4 a; }; f; gunicorn -w 2 b", "6"),
        ("sh -c 'gunicorn -D -w 4 a'; gunicorn -w 2 b", "6"),
        ("for i in 1 2; do gunicorn -D -w 4 a; done", "4??"),
    ] {
        holds_in_shell(&[(text, json!({}), expected)]);
    }
}

#[test]
fn without_a_command_the_entrypoint_of_the_image_decides() {
    let none = || json!({});
    let cases = [
        ("SQLAlchemy", json!([]), none(), "1?"),
        ("SQLAlchemy", json!([]), json!({"WEB_CONCURRENCY": "4"}), "4"),
        ("SQLAlchemy", json!([]), json!({"GUNICORN_CMD_ARGS": "-w 4"}), "4"),
        ("SQLAlchemy", json!([]), json!({"WEB_CONCURRENCY": "2", "UVICORN_WORKERS": "4"}), "4"),
        ("SQLAlchemy", json!([]), json!({"WEB_CONCURRENCY": false}), "1??"),
        ("SQLAlchemy", json!([]), json!({"*": true}), "1?"),
        ("SQLAlchemy", json!(["gunicorn", "-w", "4"]), none(), "4"),
        ("SQLAlchemy", json!(["--host=0.0.0.0", "--workers=2"]), none(), "2"),
        ("SQLAlchemy", json!(["web"]), none(), "1?"),
        (
            "Airflow",
            json!(["bash", "-c", "exec airflow celery worker"]),
            json!({"AIRFLOW__CELERY__WORKER_CONCURRENCY": "8"}),
            "8",
        ),
        ("Airflow", json!(["celery", "worker"]), none(), "16"),
        ("Airflow", json!(["api-server"]), json!({"AIRFLOW__API__WORKERS": "3"}), "3"),
        ("Airflow", json!(["scheduler"]), json!({"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}), "33"),
        (
            "Airflow",
            json!(["scheduler"]),
            json!({"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__PARALLELISM": "8"}),
            "9",
        ),
        ("Airflow", json!(["scheduler"]), json!({"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}), "1"),
        ("Airflow", json!(["scheduler"]), none(), "1?"),
        ("Dify", json!([]), none(), "1"),
        (
            "Dify",
            json!([]),
            json!({"MODE": "api", "SERVER_WORKER_AMOUNT": "4", "CELERY_WORKER_AMOUNT": "9"}),
            "4",
        ),
        (
            "Dify",
            json!([]),
            json!({"MODE": "worker", "SERVER_WORKER_AMOUNT": "4", "CELERY_WORKER_AMOUNT": "9"}),
            "9",
        ),
        ("Dify", json!([]), json!({"MODE": "worker", "CELERY_AUTO_SCALE": "true"}), "1??"),
        ("Dify", json!([]), json!({"MODE": "beat", "CELERY_WORKER_AMOUNT": "9"}), "1"),
        ("OpenWebUI", json!([]), json!({"UVICORN_WORKERS": "4"}), "4"),
        ("Directus", json!([]), json!({"PM2_INSTANCES": "3"}), "3"),
        ("Directus", json!([]), json!({"PM2_INSTANCES": "0"}), "1??"),
        ("Directus", json!([]), json!({"PM2_INSTANCES": "-1"}), "1??"),
        ("OpenWebUI", json!([]), none(), "1?"),
        ("LiteLLM", json!(["--num_workers", "8"]), json!({"NUM_WORKERS": "8"}), "1"),
        ("Odoo", json!(["--workers=4"]), none(), "7"),
        ("Odoo", json!(["odoo", "--workers=4"]), none(), "7"),
        ("Rails", json!([]), json!({"WEB_CONCURRENCY": "3"}), "3"),
        ("Go", json!([]), json!({"WEB_CONCURRENCY": "3"}), "1"),
        ("Keycloak", json!(["start"]), none(), "1"),
        ("MLflow", json!([]), json!({"MLFLOW_WORKERS": "3"}), "3"),
    ];
    for (profile, args, env, expected) in cases {
        let found = of(profile, &json!([]), &args, &env);
        assert_eq!(short(&found), expected, "{profile} {args} {env}: {found:?}");
    }
}

#[test]
fn it_is_said_where_the_number_comes_from() {
    let said = |line: &str, env: Json| {
        let words: Vec<&str> = line.split(' ').collect();
        let found = of("SQLAlchemy", &json!(words), &json!([]), &env);
        found.unknown.map_or(found.by, |unknown| unknown.why)
    };
    let cases = [
        ("gunicorn -w 4 app", json!({}), "`gunicorn -w 4`"),
        ("gunicorn --workers=4 app", json!({}), "`gunicorn --workers=4`"),
        ("gunicorn app", json!({"WEB_CONCURRENCY": "4"}), "WEB_CONCURRENCY=4"),
        ("gunicorn app", json!({"GUNICORN_CMD_ARGS": "-w 4"}), "GUNICORN_CMD_ARGS=-w 4"),
        (
            "gunicorn app",
            json!({}),
            "`gunicorn` by itself, unless a gunicorn.conf.py in the image says otherwise",
        ),
        ("uvicorn app", json!({}), "`uvicorn` by itself"),
        ("uvicorn --reload app", json!({}), "`uvicorn --reload`"),
        ("celery -A a worker", json!({}), "`celery worker` runs as many as the node has CPUs"),
        ("gunicorn app", json!({"*": true}), "`gunicorn` reads GUNICORN_CMD_ARGS, which envFrom may set"),
        (
            "gunicorn -w $(nproc) app",
            json!({}),
            "the number in `gunicorn -w $(nproc)` is not known before it runs",
        ),
        ("gunicorn -w 3.0 app", json!({}), "3.0 in `gunicorn -w 3.0` is not a whole number"),
        ("gunicorn -w four app", json!({}), "four in `gunicorn -w four` is not a whole number"),
        ("gunicorn -w auto app", json!({}), "auto in `gunicorn -w auto` is not a whole number"),
        ("gunicorn -w -1 app", json!({}), "-1 in `gunicorn -w -1` is below 0"),
        ("gunicorn app -w=-1", json!({}), "-1 in `gunicorn -w=-1` is below 0"),
        ("uvicorn app --workers -3", json!({}), "-3 in `uvicorn --workers -3` is below 0"),
        ("gunicorn app", json!({"WEB_CONCURRENCY": "-1"}), "-1 in WEB_CONCURRENCY=-1 is below 0"),
        ("celery -A a worker -c -2", json!({}), "-2 in `celery -c -2` is below 0"),
        ("celery -A a worker -c 0", json!({}), "`celery -c 0` runs as many as the node has CPUs"),
        ("pm2-runtime app.js -i -1", json!({}), "`pm2-runtime -i -1` runs as many as the node has CPUs"),
        ("pm2-runtime app.js -i max", json!({}), "`pm2-runtime -i max` runs as many as the node has CPUs"),
        (
            "puma",
            json!({"WEB_CONCURRENCY": "auto"}),
            "WEB_CONCURRENCY=auto runs as many as the node has CPUs",
        ),
        (
            "airflow scheduler",
            json!({}),
            "the executor is not visible here; with LocalExecutor each task is a process",
        ),
        ("./run.sh", json!({}), "the script `run.sh` decides"),
        ("celery -A a worker -c 4 -B", json!({}), "`celery -c 4` and `celery -B`"),
        ("parallel -j4 celery -A a worker -c 2", json!({}), "`celery -c 2` up to 4 times by `parallel`"),
        ("parallel celery -A a worker -c 2", json!({}), "how often `parallel` starts it is not known"),
    ];
    for (line, env, expected) in cases {
        assert_eq!(said(line, env), expected, "{line}");
    }
    let text = "f(){ g; g; }; g(){ gunicorn -w 2 a & }; f; f; celery -A a worker -c 3";
    let several = of("SQLAlchemy", &json!(["sh", "-c", text]), &json!([]), &json!({}));
    assert_eq!(several.by, "`celery -c 3` and `gunicorn -w 2`, several times");
    let long = said(&format!("gunicorn -w {}", "x`".repeat(10_000)), json!({}));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn a_command_that_nobody_writes_is_refused_and_not_read_in_part() {
    let cut = find(None, &Run { command: &[], args: &[], cut: true, variables: &|_| Value::Unset });
    let text = "$X ".repeat(20_000);
    let long = of("SQLAlchemy", &json!(["sh", "-c", text]), &json!([]), &json!({"X": "x".repeat(4_000)}));
    assert!(
        cut.unknown.is_some_and(|unknown| unknown.refused)
            && long.unknown.is_some_and(|unknown| unknown.refused)
    );
    let refused = |command: Json, env: Json| {
        let found = of("SQLAlchemy", &command, &json!([]), &env);
        assert!(found.unknown.is_some_and(|unknown| unknown.refused), "{command} {env}");
    };
    refused(json!(vec!["exec"; 1_000]), json!({}));
    refused(json!(["python", "-m"].repeat(500)), json!({}));
    refused(json!(["sh", "-c", "eval \"$X\""]), json!({"X": "eval \"$X\";".repeat(300)}));
    refused(json!(["sh", "-c", "sh -c \"$X\""]), json!({"X": "sh -c \"$X\";".repeat(300)}));
    refused(json!(["sh", "-c", "X=x".to_owned() + &"; X=$X$X".repeat(40)]), json!({}));
    let long = format!("exec {}", "celery ".repeat(9_000));
    assert_eq!(of("SQLAlchemy", &json!(["sh", "-c", long]), &json!([]), &json!({})).processes, 1);
}

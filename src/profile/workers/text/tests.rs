//! What runs at the same time in shell texts: functions, substitutions, programs that start a command several times.

use serde_json::json;

use super::super::tests::holds_in_shell;

fn hold(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        holds_in_shell(&[(text, json!({}), expected)]);
    }
}

#[test]
fn a_function_runs_where_it_is_called_wherever_it_is_defined() {
    hold(&[
        (
            "main(){ web; worker; wait; }; web(){ gunicorn -w 4 a & }; worker(){ celery -A a worker -c 3 & }; main",
            "7",
        ),
        ("g(){ f; f; }; f(){ gunicorn -w 2 a & }; g; wait", "4"),
        ("f0(){ f1; f1; };f1(){ f2; f2; };f2(){ f3; f3; };f3(){ gunicorn -w 2 a & }; f0; wait", "16"),
        (
            "main(){ eval 'web & worker &'; }; web(){ gunicorn -w 4 a; }; worker(){ celery -A a worker -c 3; }; main",
            "7",
        ),
        ("main(){ web(){ gunicorn -w 4 a & }; web; web; }; main", "8"),
        ("f(){ gunicorn -w 2 a & }; f(){ gunicorn -w 4 a & }; f; f", "8"),
        ("web(){ gunicorn -w 4 a; }; run(){ \"$@\" & }; run web; run celery -A a worker -c 3; wait", "7"),
        ("run(){ celery -A a worker -c 3 & exec \"$@\"; }; run gunicorn -w 4 a", "8?"),
        ("web(){ gunicorn -w 4 a; }; export -f web; bash -c web & celery -A a worker -c 3", "7"),
        ("web(){ gunicorn -w 4 a; }; trap web USR1; celery -A a worker -c 3", "7"),
        (
            "function web\n{\n gunicorn -w 4 a\n}\nfunction worker\n{\n celery -A a worker -c 3\n}\nweb &\nworker",
            "7",
        ),
        ("usage(){ echo usage; exit 1; }; log(){ echo $1; }; log x; exec gunicorn -w 4 a", "4"),
        ("gunicorn(){ command gunicorn -w 8 \"$@\"; }; gunicorn a", "8"),
    ]);
}

#[test]
fn a_function_that_calls_itself_is_not_known() {
    hold(&[
        ("f(){ gunicorn -w 2 a & f; }; f", "3??"),
        ("f(){ g & }; g(){ gunicorn -w 2 a & f; }; f", "3??"),
        (":(){ :|:& };: ; gunicorn -w 4 a", "6??"),
    ]);
}

#[test]
fn many_functions_are_looked_at_once_each() {
    let began = std::time::Instant::now();
    let chain: String = (0..12).map(|n| format!("f{n}(){{ f{m}; f{m}; }};", m = n + 1)).collect();
    hold(&[(format!("{chain} f12(){{ gunicorn a & }}; f0").as_str(), "4096")]);
    let wide: String = (0..1_500).map(|n| format!("f{n}(){{ gunicorn a & }}; f{n};")).collect();
    hold(&[(wide.as_str(), "1500")]);
    let nested = format!("{}gunicorn -w 2 a &{}", "f(){ ".repeat(2_000), " }; f".repeat(2_000));
    let found = super::super::find(
        None,
        &super::super::Run {
            command: &["sh".into(), "-c".into(), nested],
            args: &[],
            cut: false,
            variables: &|_| super::super::Value::Unset,
        },
    );
    assert!(found.unknown.is_some(), "{found:?}");
    let sets = format!("f(){{ {} }}; {}", "gunicorn -w $N a; ".repeat(1_500), "N=1; ".repeat(5_000));
    hold(&[(sets.as_str(), "1??")]);
    let brackets = format!("{}gunicorn a", "$(x) ".repeat(5_000));
    hold(&[(brackets.as_str(), "1?")]);
    let documents = "cat <<A\nx\nA\n".repeat(2_000) + "gunicorn -w 4 a";
    hold(&[(documents.as_str(), "4")]);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn what_runs_later_sees_what_is_set_later() {
    let none = || json!({});
    holds_in_shell(&[
        ("N=2; web(){ gunicorn -w $N a & }; N=9; web", none(), "9??"),
        ("web(){ gunicorn -w ${N:-2} a & }; N=9; web", none(), "9"),
        ("web(){ gunicorn -w ${N:-2} a & }; N=9 web", none(), "9"),
        ("web(){ gunicorn -w $N a & }; N=9; web", json!({"N": "2"}), "9??"),
        (
            "web(){ local N=4; gunicorn -w $N a & }; worker(){ local N=3; celery -A a worker -c $N & }; web; worker",
            none(),
            "7",
        ),
        ("web(){ gunicorn a & }; export WEB_CONCURRENCY=9; web", json!({"WEB_CONCURRENCY": "2"}), "1??"),
        ("export WEB_CONCURRENCY=4; gunicorn a & export WEB_CONCURRENCY=1; gunicorn b", none(), "5"),
        ("gunicorn a & export WEB_CONCURRENCY=1; gunicorn b", json!({"WEB_CONCURRENCY": "4"}), "5"),
        ("N=1; while true; do gunicorn -w $N a; N=4; done", none(), "4??"),
        ("N=1; for N in 9; do gunicorn -w $N a; done", none(), "1??"),
        ("N=1; read -r N < x; gunicorn -w $N a", none(), "1??"),
        ("N=1; let N=9; gunicorn -w $N a", none(), "1??"),
        ("N=1; N+=2; gunicorn -w $N a", none(), "1??"),
        ("N=1; ((N+=2)); gunicorn -w $N a", none(), "1??"),
        ("N=1; ((++N)); gunicorn -w $N a", none(), "1??"),
        ("N=1; ((N++)); gunicorn -w $N a", none(), "1??"),
        ("N=1; printf -v N 9; gunicorn -w $N a", none(), "1??"),
        ("read WEB_CONCURRENCY < x; gunicorn a", none(), "1??"),
        ("read -r N < x; gunicorn -w ${N:-2} a", json!({"N": "2"}), "1??"),
    ]);
}

#[test]
fn what_stands_within_a_command_runs_too() {
    hold(&[
        ("exec 3< <(gunicorn -w 4 a); celery -A a worker -c 3", "7"),
        ("tmux new -d 'gunicorn -w 4 a'; celery -A a worker -c 3", "7"),
        ("coproc gunicorn -w 4 a; celery -A a worker -c 3", "7"),
        ("coproc W { cd x; gunicorn -w 4 a; }; celery -A a worker -c 3", "7"),
        ("coproc W (gunicorn -w 4 a); celery -A a worker -c 3", "7"),
        ("coproc { gunicorn -w 4 a; }; celery -A a worker -c 3", "7"),
        ("gunicorn -w 4 a > >(celery -A a worker -c 3)", "7"),
        ("gunicorn -w 4 a 2> >(tee log >&2)", "4"),
        ("tee >(celery -A a worker -c 3) < <(gunicorn -w 4 a)", "7"),
        ("x=$(gunicorn -w 4 a & echo $!); celery -A a worker -c 3", "7"),
        ("x=`gunicorn -w 4 a & echo $!`; celery -A a worker -c 3", "7"),
        ("sh <<EOF\ngunicorn -w 4 a &\ncelery -A a worker -c 3\nEOF", "7"),
        ("sh <<'EOF' &\ngunicorn -w 4 a\nEOF\ncelery -A a worker -c 3", "7"),
        ("cat <<-EOF > x\n\tdon't\n\tEOF\ngunicorn -w 4 a & celery -A a worker -c 3", "7"),
        ("(cat <<EOF\n:))\nEOF\ngunicorn -w 4 a) & celery -A a worker -c 3", "7"),
        ("cat <<< 'x' & gunicorn -w 4 a", "4"),
        ("case $1 in web|api) gunicorn -w 4 a;; (x) celery -A a worker -c 3;; *) exec \"$@\";; esac", "4"),
    ]);
}

#[test]
fn what_starts_a_command_several_times_multiplies_it() {
    hold(&[
        ("parallel -j4 celery -A a worker -c 2 ::: a b c d", "8"),
        ("parallel -j 4 'celery -A a worker -c 2' ::: a b c d", "8"),
        ("parallel celery -A a worker -c 2 ::: a b c d", "2??"),
        ("parallel ::: 'celery -A a worker -c 2' 'gunicorn -w 4 a'", "6??"),
        ("seq 4 | xargs -P4 -I{} celery -A a worker -c 2", "8"),
        ("seq 4 | xargs --max-procs=4 sh -c 'gunicorn -w 2 a'", "8"),
        ("seq 4 | xargs -P0 -I{} celery -A a worker -c 2", "2??"),
        ("seq 4 | xargs celery -A a worker -c 2", "2"),
        ("concurrently 'celery -A a worker -c 2' 'gunicorn -w 4 a'", "6??"),
        ("for i in 1 2 3; do gunicorn -w 2 a & done; wait", "2??"),
        ("while sleep 1; do gunicorn -w 2 a & done", "2??"),
        ("until false; do gunicorn -w 2 a & done", "2??"),
        ("while sleep 1; do gunicorn -w 2 a; done", "2"),
    ]);
}

#[test]
fn a_program_that_is_not_known_counts_where_others_run_at_that_time() {
    hold(&[
        ("python worker.py & gunicorn -w 4 a", "5?"),
        ("gunicorn -w 4 a & python worker.py", "5?"),
        ("{ cd x; python worker.py; } & gunicorn -w 4 a", "5?"),
        ("./worker.sh & gunicorn -w 4 a", "5??"),
        ("$CMD & gunicorn -w 4 a", "5?"),
        ("echo 'celery -A a worker -c 9' | sh & gunicorn -w 2 a", "3??"),
        ("python a.py & python b.py & wait", "2?"),
        ("python manage.py migrate && gunicorn -w 4 a", "4"),
        ("./migrate.sh; gunicorn -w 4 a", "4"),
        ("tail -f log & nginx & gunicorn -w 4 a", "4"),
    ]);
    holds_in_shell(&[("python a.py & python b.py", json!({"WEB_CONCURRENCY": "4"}), "4?")]);
}

#[test]
fn whoever_runs_a_command_runs_it_as_well_in_one_word() {
    for runs in [
        "su app -c 'gunicorn -w 4 a'",
        "su - app -s /bin/sh -c 'gunicorn -w 4 a'",
        "su app --command='gunicorn -w 4 a'",
        "su -lc 'gunicorn -w 4 a' app",
        "runuser -u app -- gunicorn -w 4 a",
        "runuser app -c 'exec gunicorn -w 4 a'",
        "gosu app gunicorn -w 4 a",
        "sudo -u app gunicorn -w 4 a",
        "sudo -u app sh -c 'gunicorn -w 4 a'",
        "env -S 'gunicorn -w 4 a'",
        "env -i -S 'gunicorn -w 4 a'",
        "timeout 5 gunicorn -w 4 a",
        "time gunicorn -w 4 a",
        "nohup gunicorn -w 4 a",
        "command gunicorn -w 4 a",
        "exec gunicorn -w 4 a",
        "eval 'gunicorn -w 4 a'",
        "eval gunicorn -w 4 a",
        "bash -c 'gunicorn -w 4 a'",
        "flock x -c 'gunicorn -w 4 a'",
        "watchfiles 'gunicorn -w 4 a'",
        "watch -n1 gunicorn -w 4 a",
        "chpst -u app gunicorn -w 4 a",
        "busybox sh -c 'gunicorn -w 4 a'",
        "find . -exec gunicorn -w 4 a +",
        "! gunicorn -w 4 a",
    ] {
        hold(&[(runs, "4"), (&format!("{runs} & celery -A p worker -c 3"), "7")]);
        hold(&[(&format!("f(){{ {runs} & }}; f; celery -A p worker -c 3"), "7")]);
    }
}

//! The words of shell texts.

use super::super::word::Value;
use super::*;

fn variables(name: &str) -> Value<'static> {
    match name {
        "N" => Value::Text("4"),
        "OPTIONS" => Value::Text("-w 4  -k gevent"),
        "EMPTY" => Value::Text(""),
        "SECRET" => Value::Elsewhere,
        "MAY" => Value::Perhaps,
        _ => Value::Unset,
    }
}

/// The commands of some steps, without those of texts within the text.
fn only(steps: Vec<Step>) -> Vec<Command> {
    let command = |step| if let Step::Run(command) = step { Some(command) } else { None };
    steps.into_iter().filter_map(command).filter(|command| !command.substituted).collect()
}

/// The words of each command; words that are not sure are in brackets.
fn words(text: &str) -> Vec<String> {
    let positional = [Word::known("sh"), Word::known("one"), Word::known("two 2")];
    let show = |word: &Word| if word.sure { word.text.clone() } else { format!("<{}>", word.text) };
    let line = |command: Command| command.words.iter().map(show).collect::<Vec<_>>().join("|");
    only(commands(text, &variables, &positional).expect("few words").0).into_iter().map(line).collect()
}

#[test]
fn a_text_is_parted_into_commands_and_words() {
    let cases: [(&str, &[&str]); 13] = [
        ("exec gunicorn -w 4", &["exec|gunicorn|-w|4"]),
        ("a && b || c; d & e | f\ng", &["a", "b", "c", "d", "e", "f", "g"]),
        ("a \\\n  -w 4", &["a|-w|4"]),
        ("'a b' \"c d\" e\\ f ''", &["a b|c d|e f|"]),
        ("a # b; c", &["a"]),
        ("a#b", &["a#b"]),
        ("a > log 2>&1 b", &["a|b"]),
        ("a 2>/dev/null -w 4 &> x", &["a|-w|4"]),
        ("(a; b)", &["a", "b"]),
        ("if x; then a -w 4; else b; fi", &["x", "a|-w|4", "b"]),
        ("while true; do a; done", &["true", "a"]),
        ("A=1 B=2 a C=3", &["a|C=3"]),
        ("\"if\" a", &["if|a"]),
    ];
    for (text, expected) in cases {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn variables_say_what_the_pod_says_of_them() {
    let cases = [
        ("a $N ${N} \"$N\" '$N' \\$N", "a|4|4|4|$N|$N"),
        ("a $OPTIONS \"$OPTIONS\"", "a|-w|4|-k|gevent|-w 4  -k gevent"),
        ("a --w=$N", "a|--w=4"),
        ("a $EMPTY \"$EMPTY\" b", "a||b"),
        ("a $X $SECRET $MAY", "a|<$X>|<$SECRET>|<$MAY>"),
        ("a ${X:-3} ${N:-3} ${EMPTY:-3} ${EMPTY-3} b", "a|3|4|3|b"),
        ("a ${MAY:-3} ${SECRET:-3}", "a|<3>|<3>"),
        ("a ${X:-${N}} ${X:-$Y}", "a|4|<$Y>"),
        ("a ${N%x} ${#N} ${X:?no}", "a|<${N%x}>|<${#N}>|<${X:?no}>"),
        ("a $(nproc) `nproc` $((2 * 3))", "a|<$(nproc)>|<`nproc`>|<$((2 * 3))>"),
        ("exec \"$0\" \"$@\"", "exec|sh|one|two 2"),
        ("a $1 $2 $3", "a|one|two|2|<$3>"),
        ("a $", "a|$"),
    ];
    for (text, expected) in cases {
        assert_eq!(words(text), [expected], "{text}");
    }
}

#[test]
fn what_a_text_sets_holds_for_what_follows() {
    assert_eq!(words("N=7; a $N"), ["a|7"]);
    assert_eq!(words("export N=7 M=8 && a $N $M"), ["a|7|8"]);
    assert_eq!(words("N=$(nproc); a $N"), ["a|<$(nproc)>"]);
    assert_eq!(words("N=7 a $N"), ["a|4"], "what stands before a command is for that one");
    assert_eq!(words("if x; then N=7; fi; a $N")[1], "a|<7>", "it may not have run");
    let own = only(commands("N=7 M='8 9' a", &variables, &[]).expect("few words").0);
    assert_eq!(own[0].sets["M"], Word::known("8 9"));
}

#[test]
fn it_is_known_what_runs_beside_the_next_and_what_may_run_often() {
    let text = "a & b | c && d; for i in 1 2; do e & done; f";
    let found = only(commands(text, &variables, &[]).expect("few words").0);
    let seen: Vec<_> = found.iter().map(|c| (c.words[0].text.as_str(), c.beside, c.looped)).collect();
    let expected = [
        ("a", true, false),
        ("b", true, false),
        ("c", false, false),
        ("d", false, false),
        ("for", false, true),
        ("e", true, true),
        ("f", false, false),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn no_text_is_too_odd() {
    for text in [
        "'",
        "\"",
        "`",
        "$",
        "${",
        "$(",
        "${:-",
        "\\",
        "a 2>",
        "((((",
        "f() f() {",
        "function function {",
        "set --; shift 99999999999999999999; shift 9; shift; $1",
        "if for case ( { done } fi & )",
        "))))",
        "&&&&",
        "${a:-${b:-${c:-${d:-${e:-${f}}}}}}",
    ] {
        let _ = commands(text, &variables, &[]);
    }
    let deep = "${A:-".repeat(10_000);
    let _ = commands(&deep, &variables, &[]);
    let _ = commands(&format!("{}{}", "$(".repeat(20_000), ")".repeat(30_000)), &variables, &[]);
    let long = "x".repeat(4_000);
    let variables = |_: &str| Value::Text(&long);
    assert_eq!(commands(&"$X ".repeat(20_000), &variables, &[]), None);
}

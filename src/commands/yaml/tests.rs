//! What a change of the value does to texts of all manners.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Unfit, rewrite};

fn parse(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

fn changed(text: &str, change: impl FnOnce(&mut Value)) -> Result<String, Unfit> {
    let old = parse(text).expect("a value");
    let mut new = old.clone();
    change(&mut new);
    rewrite(text, &old, &new, parse)
}

fn lines(text: &str, change: impl FnOnce(&mut Value)) -> String {
    changed(text, change).expect("it can be written")
}

#[test]
fn a_key_comes_after_the_last_of_its_mapping_and_comments_stay() {
    let text = "# head\na: # of a\n  b: 1 # one\n\n  # between\n  c: two   # two\n\n# tail\nd: 4\n";
    assert_eq!(
        lines(text, |value| value["a"]["e"] = json!({"f": "g"})),
        "# head\na: # of a\n  b: 1 # one\n\n  # between\n  c: two   # two\n  e:\n    f: g\n\n# tail\nd: 4\n"
    );
}

#[test]
fn new_lines_are_indented_as_the_document_is() {
    let four = "a:\n    b:\n        - c: 1\n";
    assert_eq!(
        lines(four, |value| value["a"]["d"] = json!({"e": [{"f": 1, "g": {"h": 2}}, "i"]})),
        "a:\n    b:\n        - c: 1\n    d:\n        e:\n            - f: 1\n              g:\n                  h: 2\n            - i\n"
    );
    let flush = "a:\n  b:\n  - c: 1\n";
    assert_eq!(
        lines(flush, |value| value["a"]["d"] = json!([{"f": 1}])),
        "a:\n  b:\n  - c: 1\n  d:\n  - f: 1\n"
    );
}

#[test]
fn items_come_and_go_by_whole_lines() {
    let text = "env:\n# of A\n- name: A\n  value: x\n# of B\n- name: B\n  value: y\nz: 1\n";
    assert_eq!(
        lines(text, |value| value["env"] = json!([{"name": "Q"}, {"name": "A", "value": "x"}])),
        "env:\n- name: Q\n# of A\n- name: A\n  value: x\n# of B\nz: 1\n"
    );
    assert_eq!(
        lines(text, |value| value["env"].as_array_mut().expect("a list").push(json!("last"))),
        "env:\n# of A\n- name: A\n  value: x\n# of B\n- name: B\n  value: y\n- last\nz: 1\n"
    );
}

#[test]
fn an_item_of_the_same_name_is_changed_where_it_stands() {
    let text = "env:\n- value: '5' # was five\n  name: A\n- name: B\n  value: '6'\n";
    let new = json!([{"name": "A", "from": {"b": 1}}, {"name": "B", "value": "7"}]);
    assert_eq!(
        lines(text, |value| value["env"] = new),
        "env:\n- name: A\n  from:\n    b: 1\n- name: B\n  value: '7'\n".replace("'7'", "\"7\"")
    );
}

#[test]
fn brackets_stay_brackets() {
    let text = "a: {b: 1, c: [x]} # c\nd: [{name: y}]\n";
    assert_eq!(
        lines(text, |value| {
            value["a"]["e.f/g"] = json!("h's");
            value["a"]["c"] = json!(["w", "x", 5]);
            value["d"][0]["p"] = json!({"o": "1"});
        }),
        "a: {b: 1, c: [w, x, 5], e.f/g: \"h's\"} # c\nd: [{name: y, p: {o: \"1\"}}]\n"
    );
    assert_eq!(lines("a: {b: 1, c: 2}\n", |value| value["a"] = json!({"c": 2})), "a: {c: 2}\n");
    assert_eq!(lines("a: {b: 1, c: 2}\n", |value| value["a"] = json!({"b": 1})), "a: {b: 1}\n");
    assert_eq!(lines("a: {b: 1, c: 2}\n", |value| value["a"] = json!({"b": 1, "d": 3})), "a: {b: 1, d: 3}\n");
    assert_eq!(lines("a: [1, 2, 3]\n", |value| value["a"] = json!([2])), "a: [2]\n");
}

#[test]
fn json_stays_json_on_one_line_and_on_many() {
    assert_eq!(
        lines(r#"{"a": {"b": 1}}"#, |value| value["a"]["c"] = json!([true])),
        r#"{"a": {"b": 1, "c": [true]}}"#
    );
    let many = "{\n\t\"a\": {\n\t\t\"b\": [\n\t\t\t1\n\t\t]\n\t}\n}\n";
    let result = lines(many, |value| {
        value["a"]["c"] = json!("x");
        value["a"]["b"] = json!([0, 1]);
    });
    assert_eq!(serde_json::from_str::<Value>(&result).expect("JSON"), json!({"a": {"b": [0, 1], "c": "x"}}));
    assert_eq!(result.lines().count(), many.lines().count() + 2);
}

#[test]
fn what_is_empty_is_filled_below_its_key() {
    for (empty, kept) in
        [("a: {} # c\nb: 1\n", " # c"), ("a: # c\nb: 1\n", " # c"), ("a:\nb: 1\n", ""), ("a: []\nb: 1\n", "")]
    {
        let filled = changed(empty, |value| value["a"] = json!({"k": "v"}));
        assert_eq!(filled, Ok(format!("a:{kept}\n  k: v\nb: 1\n")), "{empty}");
    }
    assert_eq!(
        lines("a: {b: {}, c: []}\n", |value| value["a"]["b"] = json!({"d": 1})),
        "a: {b: {d: 1}, c: []}\n"
    );
}

#[test]
fn what_is_emptied_stays_as_empty_brackets() {
    assert_eq!(lines("a:\n  # gone\n  b: 1\nc: 2\n", |value| value["a"] = json!({})), "a: {}\nc: 2\n");
    assert_eq!(lines("a: {b: 1}\n", |value| value["a"] = json!({})), "a: {}\n");
    assert_eq!(lines("a:\n- 1\n", |value| value["a"] = json!([])), "a: []\n");
}

#[test]
fn a_text_without_a_last_line_end_gets_none() {
    assert_eq!(lines("a:\n  b: 1", |value| value["a"]["c"] = json!(2)), "a:\n  b: 1\n  c: 2");
}

#[test]
fn line_ends_are_those_of_the_document() {
    assert_eq!(
        lines("a:\r\n  b: 1\r\nc: 2\r\n", |value| value["a"]["d"] = json!({"e": 3})),
        "a:\r\n  b: 1\r\n  d:\r\n    e: 3\r\nc: 2\r\n"
    );
}

#[test]
fn blocks_of_text_stay_whole() {
    let text = "a:\n  b: |\n    x: 1\n    - y\n\nc: 2\n";
    assert_eq!(
        lines(text, |value| value["a"]["d"] = json!(1)),
        "a:\n  b: |\n    x: 1\n    - y\n  d: 1\n\nc: 2\n"
    );
}

#[test]
fn blocks_of_text_may_be_items_and_may_be_replaced() {
    let text = "a:\n- |- # | of one\n\n  one\n- >2\n    two\n";
    assert_eq!(
        lines(text, |value| value["a"].as_array_mut().expect("a list").insert(0, json!("first"))),
        "a:\n- first\n- |- # | of one\n\n  one\n- >2\n    two\n"
    );
    assert_eq!(lines("a: |\n  b\n  c\nd: 1\n", |value| value["a"] = json!("e")), "a: e\nd: 1\n");
}

#[test]
fn a_text_that_could_be_read_as_something_else_is_quoted() {
    for odd in [
        "no", "y", "1", "1_000", "null", "", "a: b", "# c", "- d", "a\nb", "'", "\"", "{", "*x", "é", "0x1f",
        "~",
    ] {
        let result = lines("a:\n  b: 1\n", |value| value["a"]["c"] = json!({odd: odd, "in": [odd]}));
        assert_eq!(parse(&result), Some(json!({"a": {"b": 1, "c": {odd: odd, "in": [odd]}}})), "{result}");
        let result = lines("a: {b: 1}\n", |value| value["a"]["c"] = json!({odd: odd}));
        assert_eq!(parse(&result), Some(json!({"a": {"b": 1, "c": {odd: odd}}})), "{result}");
    }
}

#[test]
fn nodes_that_stand_for_others_are_not_changed() {
    let text = "a: &x {b: 1}\nc: *x\n";
    assert_eq!(changed(text, |value| value["a"]["d"] = json!(2)), Err(Unfit));
    assert_eq!(changed("a: &x {b: 1}\nc: {<<: *x, e: 1}\n", |value| value["c"]["d"] = json!(2)), Err(Unfit));
    assert_eq!(
        lines("a: &x {b: 1}\nc: *x\ne: {}\n", |value| value["e"] = json!({"f": 1})),
        "a: &x {b: 1}\nc: *x\ne:\n  f: 1\n"
    );
}

#[test]
fn the_same_value_leaves_the_same_text() {
    let text = "a : {  b: 1 }  # c\r\n\r\n";
    assert_eq!(changed(text, |_| {}), Ok(text.to_owned()));
}

fn leaf() -> impl Strategy<Value = Value> {
    let texts = ["x", "no", "1", "", "a: b", "# c", "- d", "two\nlines\n", "é", "{", "'"];
    prop_oneof![
        (0..3_i64).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
    ]
}

/// Mappings and lists in each other, none of them empty.
fn tree() -> impl Strategy<Value = Value> {
    let inner = leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            prop::collection::btree_map("[a-e]", inner, 1..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[a-e]", inner, 1..4).prop_map(|map| json!(map))
}

/// The same value with something more in each mapping, and something first in each list of a mapping.
fn grown(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<String, Value> =
                fields.iter().map(|(key, value)| (key.clone(), grown(value))).collect();
            for list in fields.values_mut().filter_map(Value::as_array_mut) {
                list.insert(0, json!({"name": "first", "more": ["x"]}));
            }
            fields.insert("z".into(), json!({"y": [{"x": "w"}]}));
            fields.into()
        }
        Value::Array(items) => items.clone().into(),
        leaf => leaf.clone(),
    }
}

fn is_within<'a>(mut part: impl Iterator<Item = &'a str>, mut whole: impl Iterator<Item = &'a str>) -> bool {
    part.all(|line| whole.any(|other| other == line))
}

proptest! {
    #[test]
    fn what_is_added_to_a_block_takes_no_line_away(old in tree()) {
        let (text, new) = (serde_yaml::to_string(&old).expect("YAML"), grown(&old));
        let result = rewrite(&text, &old, &new, parse);
        prop_assert!(result.is_ok(), "{text}");
        prop_assert!(is_within(text.lines(), result.expect("it can be written").lines()), "{text}");
    }

    #[test]
    fn what_is_added_to_json_leaves_json(old in tree(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&old).expect("JSON") } else { old.to_string() };
        let new = grown(&old);
        let result = rewrite(&text, &old, &new, parse).expect("it can be written");
        prop_assert_eq!(serde_json::from_str::<Value>(&result).expect("JSON"), new);
    }

    #[test]
    fn any_change_is_written_rightly_or_not_at_all(old in tree(), new in tree(), json in any::<bool>()) {
        let text = if json { old.to_string() } else { serde_yaml::to_string(&old).expect("YAML") };
        if let Ok(result) = rewrite(&text, &old, &new, parse) {
            prop_assert_eq!(parse(&result), Some(new));
        }
    }
}

use super::*;
use crate::api::SecretKeyRef;
use crate::database::Allowed;

fn key(name: &str) -> BudgetKey {
    BudgetKey::new("shop", name)
}

fn server(secret: &str) -> Source {
    Source::Postgres { secret: SecretKeyRef { name: secret.to_owned(), key: "url".to_owned() }, ca: None }
}

fn allows(connections: u32) -> Result<Reading, Doubt> {
    Ok(Reading { allowed: Allowed { connections, source: "max_connections".to_owned() }, activity: None })
}

fn schedule(source: &Source) -> (Schedule, Instant) {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.census(now, HashMap::from([(key("main"), source.clone())]));
    (schedule, now)
}

/// How long after this answer the budget is due again.
fn again(
    schedule: &mut Schedule,
    source: &Source,
    answer: &Result<Reading, Doubt>,
    now: Instant,
) -> Duration {
    assert!(schedule.next(now).is_some(), "it is due");
    schedule.answered(&key("main"), source, answer, now);
    schedule.budgets[&key("main")].due.duration_since(now)
}

fn about(wait: Duration) -> std::ops::RangeInclusive<Duration> {
    wait * 8 / 10..=wait * 12 / 10
}

#[tokio::test]
async fn a_budget_is_read_at_once_then_soon_again_and_then_every_two_minutes() {
    let source = server("db");
    let (mut schedule, mut now) = schedule(&source);
    for (number, wait) in
        [(97, SOON), (97, SERVER), (97, SERVER), (120, SOON), (120, SERVER), (40, SOON), (40, SERVER)]
    {
        let wait_for = again(&mut schedule, &source, &allows(number), now);
        assert!(about(wait).contains(&wait_for), "{number}: {wait_for:?} is not about {wait:?}");
        now += wait_for;
    }
}

#[tokio::test]
async fn doubts_double_the_wait_up_to_the_period() {
    let source = server("db");
    let (mut schedule, mut now) = schedule(&source);
    let silent = Err(Doubt::new(Class::Unreachable, "no answer"));
    for seconds in [15, 30, 60, 120, 120, 120] {
        let wait = again(&mut schedule, &source, &silent, now);
        assert!(about(Duration::from_secs(seconds)).contains(&wait), "{wait:?} is not about {seconds} s");
        now += wait;
    }
    for class in [Class::Forbidden, Class::SecretInvalid] {
        let wait = again(&mut schedule, &source, &Err(Doubt::new(class, "no")), now);
        assert!(wait <= MENDED * 12 / 10, "a right that was given is noticed soon: {wait:?}");
        now += wait;
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it_up_to_an_hour() {
    let source = server("db");
    for (asked, least) in [(600, 600), (86_400, 3_600)] {
        let (mut schedule, now) = schedule(&source);
        let pause = Some(Duration::from_secs(asked));
        let doubt = Doubt { pause, ..Doubt::new(Class::Refused, "too many requests") };
        let wait = again(&mut schedule, &source, &Err(doubt), now);
        assert!((least..=PAUSE.as_secs() * 12 / 10).contains(&wait.as_secs()), "{wait:?}");
    }
}

#[tokio::test]
async fn one_budget_is_read_once_at_a_time_and_anew_when_it_reads_from_elsewhere() {
    let (old, new) = (server("db"), server("other"));
    let (mut schedule, now) = schedule(&old);
    assert!(schedule.next(now).is_some());
    assert!(schedule.next(now + PAUSE).is_none(), "it is being read");
    schedule.census(now, HashMap::from([(key("main"), new.clone())]));
    let due = schedule.next(now);
    assert_eq!(due.map(|(_, source)| source), Some(new));
    assert_eq!(schedule.answered(&key("main"), &old, &allows(97), now), None);
    assert!(schedule.budgets[&key("main")].running, "the answer of the old source ends nothing");
    schedule.census(now, HashMap::new());
    assert!(schedule.next(now + PAUSE).is_none(), "it is gone");
}

#[tokio::test]
async fn a_namespace_has_two_readings_at_a_time_and_others_are_not_kept_waiting() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let many = (0..100).map(|n| (key(&format!("b{n}")), server("db")));
    let other = BudgetKey::new("bank", "main");
    schedule.census(now - PAUSE, many.clone().collect());
    schedule.census(now, many.chain([(other.clone(), server("db"))]).collect());
    let begun: Vec<BudgetKey> = std::iter::from_fn(|| schedule.next(now)).map(|(key, _)| key).collect();
    assert_eq!(begun.len(), OF_NAMESPACE + 1);
    assert_eq!(begun.get(1), Some(&other), "whose namespace has none comes first");
}

#[tokio::test]
async fn a_doubt_is_logged_when_it_comes_and_when_it_becomes_another_one() {
    let source = server("db");
    let (mut schedule, mut now) = schedule(&source);
    let mut told = |answer: Result<Reading, Doubt>| {
        now += PAUSE;
        assert!(schedule.next(now).is_some(), "it is due");
        schedule.answered(&key("main"), &source, &answer, now)
    };
    let doubt = |class| Err(Doubt::new(class, "no"));
    assert_eq!(told(doubt(Class::Forbidden)), Some(true));
    assert_eq!(told(doubt(Class::Forbidden)), Some(false));
    assert_eq!(told(doubt(Class::Unreachable)), Some(true));
    assert_eq!(told(allows(97)), Some(false));
    assert_eq!(told(doubt(Class::Unreachable)), Some(true));
}

#[tokio::test]
async fn whoever_is_due_longest_comes_first() {
    let mut schedule = Schedule::default();
    let now = Instant::now();
    let found = |names: &[&str]| names.iter().map(|name| (key(name), server("db"))).collect();
    schedule.census(now, found(&["late"]));
    schedule.census(now - SOON, found(&["late", "early"]));
    let order: Vec<String> = std::iter::from_fn(|| schedule.next(now)).map(|(key, _)| key.name).collect();
    assert_eq!(order, ["early", "late"]);
}

//! The promise, by the word of the servers: what they refuse, and what they hold.

use testkit::postgres::side::Outcome;
use testkit::postgres::story::Story;
use testkit::postgres::told::Told;
use testkit::postgres::way::{DIRECT, SESSION, Way};

async fn told(way: &'static Way) -> Told {
    let mut story = Story::open(way).await.unwrap();
    story.tell(|_, _| Ok(())).await.unwrap()
}

/// Nobody was refused anything, nothing failed, and every pod worked.
fn assert_unharmed(side: &Outcome, allowed: u64) {
    let lives = || side.lives.iter();
    let refused: Vec<_> = lives().flat_map(|life| &life.refused).collect();
    assert_eq!(refused, Vec::<&_>::new());
    assert_eq!(side.refused, 0);
    let failed: Vec<_> = lives().flat_map(|life| &life.failed).collect();
    assert_eq!(failed, Vec::<&_>::new());
    assert!(side.peak() <= allowed, "{} of {allowed}", side.peak());
    for life in lives() {
        // One that was told to go before it served has nothing to show.
        assert!(life.queries > 0 || life.ready.is_none(), "a pod that never worked: {life:?}");
        assert_ne!(life.size, ("5".to_owned(), "10".to_owned()), "{life:?}");
    }
    let (ready, all) = side.ready;
    assert_eq!(ready, all);
}

fn judge(told: &Told) {
    assert_eq!(told.faults, Vec::<String>::new());
    let allowed = told.way.allowed();
    assert_unharmed(&told.with, allowed);
    // At no moment did the server hold more than was granted, but for what it was about to close.
    assert!(told.above_grants() <= told.way.reserved, "{} above the grants", told.above_grants());
    assert!(told.with.peak() > allowed / 2, "too little load to show anything: {}", told.with.peak());
    // The same load without it: the limit is hard, and it is met.
    assert!(told.without.refused > 0, "nothing was refused");
    assert!(!told.without.refusals().is_empty(), "no application was refused");
    assert_eq!(told.without.peak(), allowed);
}

#[tokio::test]
async fn a_postgresql_refuses_none_of_the_pods_that_were_granted_their_connections() {
    judge(&told(&DIRECT).await);
}

#[tokio::test]
async fn a_session_pooler_refuses_none_of_the_pods_that_were_granted_their_connections() {
    judge(&told(&SESSION).await);
}

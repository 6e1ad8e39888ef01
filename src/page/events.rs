//! What one viewer is told: everything at first, and then what changed, at most once a second.
//!
//! In: a viewer. Out: server-sent events. A viewer who reads slowly gets fewer and larger ones, never a queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::access::{Refused, Visible};
use super::server::Desk;

/// The least time between two events.
const PACE: Duration = Duration::from_secs(1);
/// The longest silence: a comment tells the browser, and all proxies between, that the connection stands.
const SILENCE: Duration = Duration::from_secs(10);

/// A viewer who is told what changes.
pub struct Viewer {
    desk: Arc<Desk>,
    token: Option<String>,
    /// Held as long as he looks.
    _seat: OwnedSemaphorePermit,
    told: Option<(u64, Visible)>,
    last: Instant,
    pace: Interval,
    ended: bool,
}

impl Viewer {
    /// One who was told nothing yet.
    #[must_use]
    pub fn new(desk: Arc<Desk>, token: Option<String>, seat: OwnedSemaphorePermit) -> Self {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { desk, token, _seat: seat, told: None, last: Instant::now(), pace, ended: false }
    }

    /// The next text; none when it is over.
    pub async fn next(&mut self) -> Option<String> {
        while !self.ended {
            let stop = self.desk.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = self.pace.tick() => {}
            }
            self.desk.hall.look();
            if let Some(text) = self.news().await {
                self.last = Instant::now();
                return Some(text);
            }
            if self.last.elapsed() >= SILENCE {
                self.last = Instant::now();
                return Some(": still here\n\n".to_owned());
            }
        }
        None
    }

    async fn news(&mut self) -> Option<String> {
        let namespaces = {
            let board = self.desk.hall.board();
            board.is_worth_a_look().then(|| board.namespaces())?
        };
        let visible = match self.desk.visible(self.token.as_deref(), &namespaces).await {
            Ok(visible) => visible,
            Err(why) => return Some(self.farewell(&why)),
        };
        let board = self.desk.hall.board();
        let (version, may) = (board.version(), |namespace: &str| visible.includes(namespace));
        let news = match &self.told {
            Some((told, before)) if *before == visible && *told == version => return None,
            Some((told, before)) if *before == visible => board.since(*told, may),
            _ => board.all(may),
        };
        drop(board);
        self.told = Some((version, visible));
        serde_json::to_string(&news).ok().map(|news| event("budgets", &news))
    }

    /// The last text for a viewer who is shown nothing more.
    fn farewell(&mut self, why: &Refused) -> String {
        self.ended = true;
        match why {
            Refused::Stranger => event("refused", "\"the token is not valid any more\""),
            Refused::Unknown(why) => event("refused", &serde_json::Value::from(why.as_str()).to_string()),
        }
    }
}

/// JSON has no line ends, so one line is enough.
fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

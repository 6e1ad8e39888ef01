//! Faults that last: what happens to requests and watches meanwhile.

use std::collections::VecDeque;

use super::api::Request;
use super::clock;

/// A kind of request that the operator sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    ReadBudget,
    WriteStatus,
    PatchPod,
}

/// When a process dies at one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it sends it.
    Before,
    /// After it has sent it: the write is executed, and nobody waits for the answer.
    After,
}

/// How long each fault lasts, and how bad it is.
#[derive(Default)]
pub struct Weather {
    pub storm: (i64, u32),
    pub outage: i64,
    pub lag: (i64, u32),
    pub slow: i64,
    /// For each [`Call`], until when it takes how many milliseconds to arrive.
    pub delays: [(i64, i64); 3],
    /// The coming writes at which their sender dies, in order.
    pub fatal: VecDeque<(u32, Moment)>,
}

impl Weather {
    /// How long a request takes to arrive, if its kind is slow at present.
    pub(crate) fn delay(&self, request: &Request) -> Option<i64> {
        let call = match request {
            Request::Budget(_) => Call::ReadBudget,
            Request::Status(..) => Call::WriteStatus,
            Request::Grant { .. } | Request::Fence { .. } => Call::PatchPod,
            Request::Pods(_)
            | Request::Pod(_)
            | Request::Node(_)
            | Request::Nodes
            | Request::Evict { .. }
            | Request::Delete { .. }
            | Request::Retire(_) => {
                return None;
            }
        };
        let (until, delay) = self.delays[call as usize];
        (until > clock::now()).then_some(delay)
    }

    /// Counts a request. Some if its sender dies of it.
    pub(crate) fn fate(&mut self, request: &Request) -> Option<Moment> {
        let (left, moment) = self.fatal.front_mut().filter(|_| request.writes())?;
        *left = left.saturating_sub(1);
        let moment = *moment;
        if *left > 0 {
            return None;
        }
        self.fatal.pop_front();
        Some(moment)
    }
}

//! Faults that last: what becomes of requests and watches while they do.

use std::collections::VecDeque;

use super::api::Request;
use super::clock;

/// A sort of request that the operator sends.
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
    /// When it has sent it: the write is carried out, and nobody waits for the answer.
    After,
}

/// Until when which fault lasts, and how bad it is.
#[derive(Default)]
pub struct Weather {
    pub storm: (i64, u32),
    pub outage: i64,
    pub lag: (i64, u32),
    pub slow: i64,
    /// For each [`Call`], until when it takes how many milliseconds to arrive.
    pub delays: [(i64, i64); 3],
    /// At which of the writes to come their sender dies, one after the other.
    pub fatal: VecDeque<(u32, Moment)>,
}

impl Weather {
    /// How long a request takes to arrive, if it is one of those that take long now.
    pub(crate) fn delay(&self, request: &Request) -> Option<i64> {
        let call = match request {
            Request::Budget(_) => Call::ReadBudget,
            Request::Status(..) => Call::WriteStatus,
            Request::Grant { .. } | Request::Fence { .. } => Call::PatchPod,
            Request::Pods(_)
            | Request::Pod(_)
            | Request::Node(_)
            | Request::Evict { .. }
            | Request::Delete { .. }
            | Request::Retire(_) => {
                return None;
            }
        };
        let (until, delay) = self.delays[call as usize];
        (until > clock::now()).then_some(delay)
    }

    /// Takes note of a request. Some when its sender dies of it.
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

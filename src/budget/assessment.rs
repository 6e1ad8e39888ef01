//! One workload of a decision: what its pods hold, and what they are entitled to.
//!
//! In: the sums and the shares of one workload. Out: an [`Assessment`], which grants, reclaiming and every report read.

use super::amount::Pods;
use super::ledger::{Standing, Unadopted};
use super::plan::Share;

/// One workload, assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// At how many replicas it was last fully rolled out (`b`).
    pub baseline: Pods,
    /// Its pods from before the label.
    pub unadopted: Unadopted,
    /// What its pods hold.
    pub standing: Standing,
    /// Sizes and slots for its waiting pods.
    pub share: Share,
    /// Sizes and slots if no pod had escaped: a pod within these is never ended because of another pod's escape.
    pub rightful: Share,
}

impl Assessment {
    /// The baseline, at most the slots: where not even the pods of the baseline fit, a pod beyond the slots would be
    /// granted only to be ended again.
    #[must_use]
    pub fn entitled(&self) -> Pods {
        self.baseline.min(self.share.slots)
    }

    /// What its pods are measured against: its share if no pod had escaped. Sizes do not always grow with what there is
    /// to share, so a pod that the other plan has just granted must not count as too large by this one.
    #[must_use]
    pub fn measure(&self) -> Share {
        Share {
            size: self.share.size.max(self.rightful.size),
            bill: self.share.bill.max(self.rightful.bill),
            slots: self.share.slots.max(self.rightful.slots),
            ..self.rightful
        }
    }

    /// The pods of the baseline that are not ended while too few are ready.
    #[must_use]
    pub fn protected(&self) -> Pods {
        self.baseline.min(self.measure().slots)
    }
}

//! The controllers of Jobs and CronJobs, and the garbage collector that finds the pods of deleted Jobs.

use testkit::model::job::{self, Change, Job};

use super::clock;
use super::cluster::{Cluster, Work};
use super::controllers::instant;
use super::pods::{Pod, Role};
use super::workload::{Maker, Runs};

/// How many finished Jobs a CronJob keeps.
const HISTORY: usize = 3;

impl Cluster {
    /// One pass over a Job.
    pub(super) fn sync_job(&mut self, app: usize) -> Option<i64> {
        let Maker::Job(job) = self.apps[app].maker.clone() else { return None };
        self.collect(app, |pod| pod.template != job.template.id);
        let (passed, wait) = self.pass(app, job);
        let before = if let Maker::Job(job) = &mut self.apps[app].maker {
            Some(std::mem::replace(job, passed.clone()))
        } else {
            None
        };
        if before.is_some_and(|before| differs(&before, &passed)) {
            self.touch_workload(app);
        }
        wait
    }

    /// One pass over a Job of a CronJob.
    pub(super) fn sync_run(&mut self, app: usize, template: u32) -> Option<i64> {
        let Maker::CronJob(Runs { jobs, .. }) = &self.apps[app].maker else { return None };
        let Some(place) = jobs.iter().position(|job| job.template.id == template) else {
            self.collect(app, |pod| pod.template == template);
            return None;
        };
        let before = jobs[place].clone();
        let (passed, wait) = self.pass(app, before.clone());
        let differs = differs(&before, &passed);
        if passed.finished != before.finished {
            self.work.push(Work::Workload(app));
        }
        if let Maker::CronJob(Runs { jobs, .. }) = &mut self.apps[app].maker {
            jobs[place] = passed;
        }
        if differs {
            self.touch_part(app, template);
        }
        wait
    }

    /// Applies what a pass decided for a Job; its pods are created and deleted.
    fn pass(&mut self, app: usize, mut job: Job) -> (Job, Option<i64>) {
        let template = job.template.id;
        let own = self.own_pods(app, template).map(|pod| {
            let ended = pod.end.filter(|_| pod.finished);
            let (uid, bound) = (pod.id, pod.node.is_some());
            (pod.id, job::Pod { uid, bound, ready: pod.ready, terminating: pod.deleting, ended })
        });
        let (ids, pods): (Vec<u32>, Vec<job::Pod>) = own.unzip();
        match job.sync(&pods, instant(clock::now())) {
            Change::Nothing => {}
            Change::Create(count) => (0..count).for_each(|_| self.create_pod(app, template, Role::Task)),
            Change::Delete(places) => places.into_iter().for_each(|place| self.begin_deletion(ids[place])),
            Change::Wait(delay) => {
                return (job, Some(i64::try_from(delay.as_millis()).expect("soon") + 1));
            }
        }
        (job, None)
    }

    /// Deletes pods whose Job no longer exists.
    fn collect(&mut self, app: usize, orphaned: impl Fn(&Pod) -> bool) {
        let orphans: Vec<u32> = self.pods_of(app).filter(|pod| orphaned(pod)).map(|pod| pod.id).collect();
        orphans.into_iter().for_each(|id| self.begin_deletion(id));
    }

    /// One pass over a CronJob.
    pub(super) fn sync_cron_job(&mut self, app: usize) -> Option<i64> {
        let facts = self.facts(self.apps[app].template().id);
        let Maker::CronJob(Runs { cron, pattern, jobs }) = &mut self.apps[app].maker else { return None };
        let runs = |id: u32| jobs.iter().any(|job| job.template.id == id && job.finished.is_none());
        let pass = cron.sync(runs, instant(clock::now()));
        let finished = jobs.iter().filter(|job| job.finished.is_some()).map(|job| job.template.id);
        let old: Vec<u32> = finished.clone().take(finished.count().saturating_sub(HISTORY)).collect();
        let next = pattern.clone();
        for gone in pass.replaced.into_iter().chain(old) {
            self.remove_run(app, gone);
        }
        if pass.begins {
            let template = self.new_template(facts);
            if let Maker::CronJob(Runs { cron, jobs, .. }) = &mut self.apps[app].maker {
                cron.active.push(template.id);
                jobs.push(Job { template, ..next });
            }
            self.touch_part(app, template.id);
            self.work.push(Work::Part(app, template.id));
        }
        Some(i64::try_from(pass.next.as_millis()).expect("soon") + 1)
    }
}

/// Whether two states of a Job differ in what anything reads of it.
fn differs(a: &Job, b: &Job) -> bool {
    (a.active, a.succeeded, a.failing, a.finished) != (b.active, b.succeeded, b.failing, b.finished)
}

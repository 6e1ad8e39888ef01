//! The annotations of a pod and what they mean: which containers open connections, with which env entries.
//!
//! In: annotations, and the names of the containers. Out: what the gate writes. Every function here has a twin in CEL
//! in `admission::cel` and `admission::gate`: change both together; `tests/admission/gate.yaml` checks both.

use std::collections::{BTreeMap, BTreeSet};

use super::proxies::is_proxy;
use super::rules::Rule;
use super::{Gets, OwnNames, Profile};
use crate::api::names;

/// Annotations.
pub type Notes = BTreeMap<String, String>;

/// What a pod or a pod template states.
#[derive(Clone, Debug)]
pub struct Stated<'a> {
    /// The budget that its label names.
    pub budget: &'a str,
    /// Its annotations.
    pub notes: &'a Notes,
    /// Its containers, by name.
    pub regular: Vec<&'a str>,
    /// Its init containers, by name.
    pub init: Vec<&'a str>,
    /// The node that it names; empty if none.
    pub node: &'a str,
    /// Unknown keys with our prefix among its labels and annotations.
    pub unknown: Vec<&'a str>,
    /// The entries of their env, as pairs of container name and variable name.
    pub sets: Vec<(&'a str, &'a str)>,
    /// Whether it is a pod, to which others may have added something, or a pod template.
    pub is_pod: bool,
}

/// An env entry that binds a container to its grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The variable.
    pub name: &'a str,
    /// Where its value comes from.
    pub gets: Gets,
}

/// Processes, as the annotation writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processes<'a> {
    /// One number for every container that keeps running.
    Each(&'a str),
    /// A number for each of some containers; it says nothing about the others.
    Of(Vec<(&'a str, &'a str)>),
}

impl<'a> Stated<'a> {
    /// What an annotation says.
    #[must_use]
    pub fn says(&self, key: &str) -> Option<&'a str> {
        self.notes.get(key).map(String::as_str)
    }

    /// Whether it is small enough for every rule to check.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        [Rule::Many, Rule::Long].iter().all(|rule| rule.broken(self).is_none())
    }

    /// Its profile, if there is one of that name.
    #[must_use]
    pub fn profile(&self) -> Option<&'static Profile> {
        Profile::named(self.says(names::PROFILE).unwrap_or(names::DEFAULT_PROFILE))
    }

    /// The containers that open connections, as the annotation names them, whether they exist or not.
    #[must_use]
    pub fn containers(&self) -> Vec<&'a str> {
        match self.says(names::CONTAINER) {
            Some(list) => list.split(',').collect(),
            None => self.taken().into_iter().collect(),
        }
    }

    /// The container taken for the app if no annotation of ours names one: kubectl's default, else the first that is
    /// not a known proxy, else the first.
    #[must_use]
    pub fn taken(&self) -> Option<&'a str> {
        let by_kubectl = self.says(names::DEFAULT_CONTAINER).filter(|name| self.regular.contains(name));
        let no_proxy = || self.regular.iter().copied().find(|name| !is_proxy(name));
        by_kubectl.or_else(no_proxy).or_else(|| self.regular.first().copied())
    }

    /// The variables that get the size, or the overflow.
    #[must_use]
    pub fn sizes(&self) -> Vec<&'a str> {
        let variables = self.profile().into_iter().flat_map(Profile::variables);
        let sizes = variables.filter(|(_, gets)| !matches!(gets, Gets::Text(_)));
        sizes.map(|(usual, gets)| self.variable(usual, gets)).filter(|name| !name.is_empty()).collect()
    }

    /// Containers that set one of these although another one is taken for the app: they probably have a pool too.
    #[must_use]
    pub fn others(&self) -> Vec<&'a str> {
        if self.says(names::CONTAINER).is_some() {
            return Vec::new();
        }
        let (taken, sizes) = (self.taken(), self.sizes());
        let setting = self.sets.iter().filter(|(_, variable)| sizes.contains(variable));
        let setting: BTreeSet<&str> = setting.map(|(container, _)| *container).collect();
        let all = self.regular.iter().chain(&self.init).copied();
        all.filter(|name| setting.contains(name) && Some(*name) != taken).collect()
    }

    /// Its processes; none if the annotation is missing.
    #[must_use]
    pub fn processes(&self) -> Option<Processes<'a>> {
        let text = self.says(names::PROCESSES)?;
        let pair = |part: &'a str| part.split_once('=').unwrap_or((part, ""));
        Some(if text.contains('=') {
            Processes::Of(text.split(',').map(pair).collect())
        } else {
            Processes::Each(text)
        })
    }

    /// The variable that gets the size, or the overflow: the name from the annotation, if the profile allows one.
    #[must_use]
    pub fn variable(&self, usual: &'static str, gets: Gets) -> &'a str {
        let key = match gets {
            _ if self.profile().is_none_or(|profile| profile.own_names() == OwnNames::Fixed) => return usual,
            Gets::PoolSize => names::POOL_SIZE_ENV,
            Gets::MaxOverflow => names::MAX_OVERFLOW_ENV,
            Gets::Text(_) => return usual,
        };
        self.says(key).unwrap_or(usual)
    }

    /// The entries that come first in the env of each of its containers; none if the check reports something.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry<'a>> {
        let sound = Rule::OWN_NAMES.iter().all(|rule| rule.broken(self).is_none());
        let profile = self.profile().filter(|_| sound);
        let variables = profile.into_iter().flat_map(Profile::variables);
        variables.map(|(usual, gets)| Entry { name: self.variable(usual, gets), gets }).collect()
    }

    /// Variables that are set besides the size, unless the container sets them itself.
    #[must_use]
    pub fn companions(&self) -> Vec<(&'static str, &'a str)> {
        let written = self.profile().and_then(Profile::written);
        let variables = written.into_iter().flat_map(|written| written.companions);
        names::COMPANIONS
            .iter()
            .zip(variables)
            .filter_map(|(key, env)| Some((env?, self.says(key)?)))
            .collect()
    }

    /// The first rule that it breaks, as a sentence.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        Rule::ALL.iter().find_map(|rule| rule.sentence(self))
    }
}

//! From `linux.seccomp` to what becomes of each system call number of an architecture.
//!
//! Where rules meet, the order is libseccomp's, because profiles are written against it: a rule without conditions beats
//! those with; of several without, the first counts; those with conditions are tried higher arguments first, equality
//! before "less" before "greater", narrower values first, and the first that matches decides.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use super::arch::{ARM_PRIVATE, Architecture, IPC, SOCKETCALL};
use super::{SeccompError, action, action_name};
use crate::spec::oci::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

/// A system call has six arguments (syscall(2)).
const ARGUMENTS: usize = 6;

/// The rules of `linux.seccomp`, by the names of the calls.
pub(super) struct Profile<'a> {
    /// SECCOMP_RET_* for calls without a matching rule.
    pub default: u32,
    /// Every call that it names has an entry, also where it says no more than the default.
    calls: HashMap<&'a str, Vec<Rule>>,
}

/// What becomes of calls of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same whatever the arguments are: SECCOMP_RET_*.
    Always(u32),
    /// The first rule that matches decides, else the profile's default.
    When(Vec<Rule>),
}

/// An action under conditions, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// SECCOMP_RET_*.
    pub action: u32,
    /// At most one an argument, by argument.
    pub conditions: Vec<Condition>,
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// How it is compared.
    pub operator: LinuxSeccompOperator,
    /// The bits that are compared: all but for SCMP_CMP_MASKED_EQ.
    pub mask: u64,
    /// What it is compared with.
    pub value: u64,
}

impl<'a> Profile<'a> {
    /// Reads the rules; those that say what the default says anyway are left out, as runc leaves them out.
    pub(super) fn new(seccomp: &'a LinuxSeccomp) -> Result<Self, SeccompError> {
        let default = action(seccomp.default_action(), seccomp.default_errno_ret(), || "defaultErrnoRet".to_string())?;
        let mut calls: HashMap<&str, Vec<Rule>> = HashMap::new();
        for (index, call) in seccomp.syscalls().iter().flatten().enumerate() {
            if call.names().is_empty() {
                return Err(SeccompError::NoNames { index });
            }
            let rules = rules(index, call)?;
            for name in call.names() {
                let others = rules.iter().filter(|rule| rule.action != default);
                calls.entry(name).or_default().extend(others.cloned());
            }
        }
        for (name, rules) in &mut calls {
            contradiction(name, rules)?;
        }
        Ok(Profile { default, calls })
    }

    /// The numbers of an architecture that have a verdict of their own, and the highest number that the profile names;
    /// ARM's private calls, far above the others, do not count as such.
    pub(super) fn verdicts(&self, architecture: &Architecture) -> (Vec<(u32, Verdict)>, Option<u32>) {
        let mut rules: Vec<(u32, Cow<'_, [Rule]>)> = Vec::new();
        let mut newest = None;
        (architecture.calls)(&mut |name, number| {
            let Some(own) = self.calls.get(name) else { return };
            if !(architecture.short == "arm" && number >= ARM_PRIVATE) {
                newest = newest.max(Some(number));
            }
            if !own.is_empty() {
                rules.push((number, Cow::Borrowed(own)));
            }
        });
        if let Some((socketcall, ipc)) = architecture.multiplexed {
            let sockets = SOCKETCALL.iter().zip(1..).map(|(name, value)| (socketcall, *name, value));
            let ipcs = IPC.iter().map(|(name, value)| (ipc, *name, *value));
            for (number, name, value) in sockets.chain(ipcs) {
                let carried = self.calls.get(name).into_iter().flatten().map(|rule| rule.carried_as(value));
                // Nothing to say of a call must not give its carrier an entry.
                let carried: Vec<_> = carried.collect();
                if !carried.is_empty() {
                    rules.push((number, Cow::Owned(carried)));
                }
            }
        }
        // Stable: of one number, what came first stays first.
        rules.sort_by_key(|(number, _)| *number);
        let of_one_number = rules.chunk_by(|(one, _), (other, _)| one == other);
        let verdicts = of_one_number.map(|entries| {
            let all = match entries {
                [(_, only)] => Cow::Borrowed(only.as_ref()),
                several => Cow::Owned(several.iter().flat_map(|(_, rules)| rules.iter().cloned()).collect()),
            };
            (entries[0].0, verdict(all, architecture.wide))
        });
        (verdicts.collect(), newest)
    }
}

/// The rules of one entry: one, or as many as it has conditions where two are about the same argument. runc keeps that
/// for the profiles of its early days, which meant "or".
fn rules(index: usize, call: &LinuxSyscall) -> Result<Vec<Rule>, SeccompError> {
    let action = action(call.action(), call.errno_ret(), || format!("syscalls[{index}].errnoRet"))?;
    let mut conditions = Vec::new();
    for (at, arg) in call.args().iter().flatten().enumerate() {
        if arg.index() >= ARGUMENTS {
            return Err(SeccompError::Argument { index, at, argument: arg.index() });
        }
        conditions.push(Condition::new(arg));
    }
    let repeated = |at: usize| conditions[..at].iter().any(|earlier| earlier.argument == conditions[at].argument);
    if (0..conditions.len()).any(repeated) {
        return Ok(conditions.into_iter().map(|one| Rule { action, conditions: vec![one] }).collect());
    }
    conditions.sort_by_key(|condition| condition.argument);
    Ok(vec![Rule { action, conditions }])
}

impl Condition {
    fn new(arg: &LinuxSeccompArg) -> Self {
        let (argument, operator) = (arg.index() as u8, arg.op());
        match operator {
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                let mask = arg.value();
                Condition { argument, operator, mask, value: arg.value_two().unwrap_or(0) & mask }
            }
            _ => Condition { argument, operator, mask: u64::MAX, value: arg.value() },
        }
    }

    /// Where in libseccomp's order it stands, smallest first.
    fn order(&self) -> impl Ord + use<> {
        use LinuxSeccompOperator::*;
        let (rank, value) = match self.operator {
            ScmpCmpEq | ScmpCmpNe | ScmpCmpMaskedEq => (0, u64::MAX - self.value),
            ScmpCmpLt | ScmpCmpLe => (1, self.value),
            ScmpCmpGt | ScmpCmpGe => (2, u64::MAX - self.value),
        };
        (Reverse(self.argument), rank, value)
    }
}

impl Rule {
    /// The rule for a call that travels in another one, whose first argument says which: what it asks of its own first
    /// argument cannot be seen there.
    fn carried_as(&self, value: u64) -> Rule {
        let which = Condition { argument: 0, operator: LinuxSeccompOperator::ScmpCmpEq, mask: u64::MAX, value };
        let others = self.conditions.iter().filter(|condition| condition.argument != 0);
        Rule { action: self.action, conditions: std::iter::once(which).chain(others.copied()).collect() }
    }

    fn order(&self, other: &Rule) -> Ordering {
        let pairs = self.conditions.iter().zip(&other.conditions);
        let unequal = pairs.map(|(a, b)| a.order().cmp(&b.order())).find(|order| order.is_ne());
        unequal.unwrap_or_else(|| self.conditions.len().cmp(&other.conditions.len()))
    }
}

/// Two rules that ask the same of a call and do not answer the same.
fn contradiction(name: &str, rules: &[Rule]) -> Result<(), SeccompError> {
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.conditions.is_empty()) {
        let against = |earlier: &&Rule| earlier.conditions == rule.conditions && earlier.action != rule.action;
        if let Some(earlier) = rules[..index].iter().find(against) {
            let (first, second) = (action_name(earlier.action), action_name(rule.action));
            return Err(SeccompError::Contradiction { name: name.to_string(), first, second });
        }
    }
    Ok(())
}

fn verdict(rules: Cow<'_, [Rule]>, wide: bool) -> Verdict {
    // Nearly every rule of a profile is this one: nothing is to be copied or sorted for it.
    if let Some(first) = rules.first().filter(|rule| rule.conditions.is_empty()) {
        return Verdict::Always(first.action);
    }
    let mut rules = rules.into_owned();
    for condition in rules.iter_mut().flat_map(|rule| &mut rule.conditions).filter(|_| !wide) {
        condition.mask &= u64::from(u32::MAX);
        condition.value &= u64::from(u32::MAX);
    }
    for rule in &mut rules {
        // No bits to compare: it always holds.
        rule.conditions.retain(|condition| condition.mask != 0);
    }
    match rules.iter().find(|rule| rule.conditions.is_empty()) {
        Some(always) => Verdict::Always(always.action),
        None => {
            rules.sort_by(Rule::order);
            rules.dedup_by(|later, earlier| later.conditions == earlier.conditions);
            Verdict::When(rules)
        }
    }
}

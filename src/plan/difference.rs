//! What differs between two plans: the steps that only one of them has, in order.

use super::step::Plan;
use super::story::Line;

/// A step that only one of two plans has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The first has it.
    Gone(Line),
    /// The second has it.
    New(Line),
}

/// The shortest list of steps to take out of `first` and put in to get `second`. Steps are the same where they say the
/// same: a number or a place in config.json that has only moved is no difference.
pub fn difference(first: &Plan, second: &Plan) -> Vec<Change> {
    let (first, second) = (first.story(), second.story());
    let common = common_lengths(&first, &second);
    let (mut at, mut to) = (0, 0);
    let mut changes = Vec::new();
    while at < first.len() || to < second.len() {
        if at < first.len() && to < second.len() && same(&first[at], &second[to]) {
            (at, to) = (at + 1, to + 1);
        } else if to == second.len() || (at < first.len() && common[at + 1][to] >= common[at][to + 1]) {
            changes.push(Change::Gone(first[at].clone()));
            at += 1;
        } else {
            changes.push(Change::New(second[to].clone()));
            to += 1;
        }
    }
    changes
}

fn same(one: &Line, other: &Line) -> bool {
    one.lane == other.lane && one.sentence == other.sentence
}

/// `[i][j]`: how many steps the rest of the first from `i` on and the rest of the second from `j` on have in common.
fn common_lengths(first: &[Line], second: &[Line]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; second.len() + 1]; first.len() + 1];
    for at in (0..first.len()).rev() {
        for to in (0..second.len()).rev() {
            common[at][to] = match same(&first[at], &second[to]) {
                true => common[at + 1][to + 1] + 1,
                false => common[at + 1][to].max(common[at][to + 1]),
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::tests::plan;

    fn told(changes: &[Change]) -> Vec<String> {
        let one = |change: &Change| match change {
            Change::Gone(line) => format!("- {} {}", line.number, line.sentence),
            Change::New(line) => format!("+ {} {}", line.number, line.sentence),
        };
        changes.iter().map(one).collect()
    }

    #[test]
    fn a_plan_does_not_differ_from_itself() {
        assert_eq!(difference(&plan(|_| {}), &plan(|_| {})), []);
    }

    #[test]
    fn what_has_only_moved_is_no_difference() {
        let without_shm = plan(|config| drop(config["mounts"].as_array_mut().expect("a list").remove(3)));
        let changes = difference(&plan(|_| {}), &without_shm);
        assert_eq!(told(&changes).len(), 1, "{changes:?}");
        assert!(told(&changes)[0].contains("mount tmpfs on /dev/shm"), "{changes:?}");
    }

    #[test]
    fn another_value_is_one_step_less_and_one_more() {
        let limit = |bytes: i64| plan(|config| config["linux"]["resources"]["memory"] = json!({"limit": bytes}));
        let path = "/sys/fs/cgroup/glassbox-web/memory.max";
        let expected = [format!("- 3 write \"1000000\" into {path}"), format!("+ 3 write \"2000000\" into {path}")];
        assert_eq!(told(&difference(&limit(1_000_000), &limit(2_000_000))), expected);
    }
}

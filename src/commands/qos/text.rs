//! The answer for people: the class and why, then the tree of cgroups, each file with its value, the field that it came
//! from and the formula. Made to be read at 80 columns.

use std::collections::BTreeSet;

use unicode_width::UnicodeWidthStr;

use crate::cgroup::Write;
use crate::commands::output::Screen;
use crate::kube::levels::{Level, Rank, Setting};
use crate::kube::v1;

use super::Answer;

/// A valid pod; `with_v1` adds cgroup v1's spelling to each file.
pub(super) fn answer(answer: &Answer, setting: &Setting, with_v1: bool, screen: Screen) -> String {
    let mut page = Page { text: String::new(), screen, with_v1 };
    let placed = &answer.placed;
    let pod = &placed.pod;
    page.line("", &page.bold(&format!("{}/{} is {}.", pod.namespace, pod.name, placed.verdict.class.name())));
    for reason in &placed.verdict.because {
        page.wrapped("- ", "  ", reason);
    }
    page.text.push('\n');
    let fact = |name: &str| setting.node.capacity.get(name).map(ToString::to_string).unwrap_or_default();
    let node = format!(
        "Node: {}, cpu {}, memory {}. Driver {}, runtime {}. Rules of Kubernetes 1.36.",
        setting.node.source,
        fact("cpu"),
        fact("memory"),
        setting.driver.name(),
        setting.cri.name()
    );
    page.wrapped("", "", &node);
    for (index, level) in placed.levels.iter().enumerate() {
        let siblings_follow = placed.levels[index + 1..].iter().any(|later| depth(later) == depth(level));
        let below_qos = placed.levels[..index].iter().any(|above| depth(above) == 1);
        let directory = answer.directories.get(index).map(|path| path.display().to_string());
        page.level(level, siblings_follow, below_qos, directory.as_deref());
    }
    if !placed.warnings.is_empty() {
        page.text.push_str("\nNote:\n");
    }
    for warning in &placed.warnings {
        page.wrapped("- ", "  ", warning);
    }
    page.text
}

fn depth(level: &Level) -> usize {
    match level.rank {
        Rank::Kubepods => 0,
        Rank::Qos => 1,
        Rank::Pod => 2,
        Rank::Sandbox | Rank::Container => 3,
    }
}

struct Page {
    text: String,
    screen: Screen,
    with_v1: bool,
}

impl Page {
    fn bold(&self, text: &str) -> String {
        if self.screen.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
    }

    fn dim(&self, text: &str) -> String {
        if self.screen.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_string() }
    }

    fn line(&mut self, margin: &str, text: &str) {
        let line = format!("{margin}{text}");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn wrapped(&mut self, first: &str, margin: &str, text: &str) {
        for (index, line) in wrap(text, self.screen.width.saturating_sub(margin.width())).into_iter().enumerate() {
            self.line(if index == 0 { first } else { margin }, &line);
        }
    }

    /// One cgroup: its title and path behind the branch of the tree, then its files.
    fn level(&mut self, level: &Level, siblings_follow: bool, below_qos: bool, directory: Option<&str>) {
        let steps = depth(level).saturating_sub(usize::from(!below_qos && depth(level) > 1));
        let (branch, margin, gap) = match steps {
            0 => (String::new(), String::new(), String::new()),
            steps => {
                let indent = "   ".repeat(steps - 1);
                let (branch, rail) = if siblings_follow { ("├─ ", "│  ") } else { ("└─ ", "   ") };
                (format!("{indent}{branch}"), format!("{indent}{rail}"), format!("{indent}│"))
            }
        };
        self.line(&gap, "");
        let title = match level.rank {
            Rank::Kubepods => "kubepods, all pods of the node".to_string(),
            Rank::Qos => format!("QoS class {}", level.name),
            Rank::Pod => format!("pod {}", level.name),
            Rank::Sandbox => "sandbox, the pause process that holds the pod's namespaces".to_string(),
            Rank::Container if level.kind == "init" => format!("init container {}", level.name),
            Rank::Container if level.kind == "sidecar" => format!("sidecar {}", level.name),
            Rank::Container => format!("container {}", level.name),
        };
        self.line(&branch, &self.bold(&title));
        self.path(&margin, directory.unwrap_or(&level.path));
        for group in alike(&level.files) {
            let first = group[0];
            let title = if group.len() > 1 { "hugetlb.*.max".to_string() } else { first.file.clone() };
            self.line(&margin, &self.bold(&format!("{title} = {}", first.value)));
            self.because(&margin, &first.because);
            if group.len() > 1 {
                let sizes: BTreeSet<&str> = group.iter().filter_map(|write| write.file.split('.').nth(1)).collect();
                let sizes: Vec<&str> = sizes.into_iter().collect();
                self.because(&margin, &format!("for pages of {}, .max and .rsvd.max", sizes.join(" and ")));
            } else if self.with_v1 {
                self.old_spelling(&margin, level, first);
            }
        }
        for write in &level.unwritten {
            self.line(&margin, &self.dim(&format!("{} stays {}", write.file, write.value)));
            self.because(&margin, &write.because);
        }
        if let Some(score) = &level.oom {
            self.line(&margin, &self.bold(&format!("oom_score_adj = {}", score.value)));
            self.because(&margin, &score.because);
        }
    }

    fn old_spelling(&mut self, margin: &str, level: &Level, write: &Write) {
        let old = v1::spellings(level, write);
        let words: Vec<String> = old.iter().map(|(file, value)| format!("{file} = {value}")).collect();
        let text = if words.is_empty() { "nothing".to_string() } else { words.join(", ") };
        self.because(margin, &format!("in cgroup v1 {text}"));
    }

    /// A path breaks behind its slashes only, so that no name is torn.
    fn path(&mut self, margin: &str, path: &str) {
        let room = self.screen.width.saturating_sub(margin.width());
        let mut line = String::new();
        for part in path.split_inclusive('/') {
            if !line.is_empty() && line.width() + part.width() > room {
                self.line(margin, &self.dim(&line));
                line.clear();
            }
            line.push_str(part);
        }
        self.line(margin, &self.dim(&line));
    }

    /// Where the value came from, then each step of the sum on a line of its own.
    fn because(&mut self, margin: &str, because: &str) {
        let margin = format!("{margin}    ");
        let room = self.screen.width.saturating_sub(margin.width());
        for line in steps(because, room) {
            self.line(&margin, &line);
        }
    }
}

/// The files one by one, but huge pages of all sizes together where they are alike.
fn alike(files: &[Write]) -> Vec<Vec<&Write>> {
    let mut groups: Vec<Vec<&Write>> = Vec::new();
    for write in files {
        match groups.last_mut() {
            Some(group)
                if write.file.starts_with("hugetlb.")
                    && group[0].file.starts_with("hugetlb.")
                    && (&group[0].value, &group[0].because) == (&write.value, &write.because) =>
            {
                group.push(write)
            }
            _ => groups.push(vec![write]),
        }
    }
    groups
}

/// A reason in lines of at most `room` columns: one line where it fits, else where the value came from and each step of
/// the sum on lines of their own.
pub fn steps(because: &str, room: usize) -> Vec<String> {
    if because.width() <= room {
        return vec![because.to_string()];
    }
    let (origin, sum) = because.split_once(": ").unwrap_or((because, ""));
    let steps = origin.split("; ").chain(sum.split("; ")).filter(|step| !step.is_empty());
    steps.flat_map(|step| wrap(step, room)).collect()
}

/// Breaks text at spaces into lines of at most `room` columns; a longer word stands alone.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("the list starts with one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_count_columns() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("unbreakable a", 4), ["unbreakable", "a"]);
        assert_eq!(wrap("容器 容器", 5), ["容器", "容器"]);
    }
}

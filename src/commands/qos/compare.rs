//! Two or three pods side by side: one line a file, one column a pod.

use unicode_width::UnicodeWidthStr;

use crate::kube::Placed;
use crate::kube::levels::{Level, Rank};

use crate::commands::output::Screen;

/// Columns of the first column, which names the file.
const LABEL: usize = 19;

/// The table; lines whose values differ are marked.
pub fn table(pods: &[(String, Placed)], screen: Screen) -> String {
    let mut table = Table { text: String::new(), screen, columns: pods.len() };
    table.row("", "", &pods.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>());
    let classes: Vec<String> = pods.iter().map(|(_, placed)| placed.verdict.class.name().to_string()).collect();
    table.row(mark(&classes), "QoS class", &classes);
    for rank in [Rank::Kubepods, Rank::Qos, Rank::Pod, Rank::Sandbox] {
        let levels: Vec<Option<&Level>> =
            pods.iter().map(|(_, placed)| placed.levels.iter().find(|level| level.rank == rank)).collect();
        table.level(rank.word(), &levels);
    }
    let containers = |placed: &Placed| placed.levels.iter().filter(|level| level.rank == Rank::Container).count();
    let most = pods.iter().map(|(_, placed)| containers(placed)).max().unwrap_or(0);
    for index in 0..most {
        let levels: Vec<Option<&Level>> = pods
            .iter()
            .map(|(_, placed)| placed.levels.iter().filter(|level| level.rank == Rank::Container).nth(index))
            .collect();
        table.level("container", &levels);
    }
    table.text.push_str("\n* the pods differ;  - the file keeps the kernel's own value, or the level is not there\n");
    table.text
}

fn mark(values: &[String]) -> &'static str {
    if values.windows(2).all(|pair| pair[0] == pair[1]) { "" } else { "*" }
}

struct Table {
    text: String,
    screen: Screen,
    columns: usize,
}

impl Table {
    /// A level's heading and its files, in the order in which they first appear; huge pages are left out, as they are
    /// many and seldom limited.
    fn level(&mut self, title: &str, levels: &[Option<&Level>]) {
        self.text.push('\n');
        let name = |level: &Level| format!("{} {}", level.kind, level.name);
        let names = levels.iter().map(|level| level.map_or_else(|| "-".to_string(), name)).collect::<Vec<_>>();
        self.row("", title, &names);
        let mut files: Vec<&str> = Vec::new();
        for write in levels.iter().flatten().flat_map(|level| &level.files) {
            if !files.contains(&write.file.as_str()) && !write.file.starts_with("hugetlb.") {
                files.push(&write.file);
            }
        }
        for file in files {
            let value = |level: &Level| {
                level
                    .files
                    .iter()
                    .find(|write| write.file == file)
                    .map_or_else(|| "-".to_string(), |write| write.value.clone())
            };
            self.values(file, levels, value);
        }
        if levels.iter().flatten().any(|level| level.oom.is_some()) {
            let score =
                |level: &Level| level.oom.as_ref().map_or_else(|| "-".to_string(), |score| score.value.to_string());
            self.values("oom_score_adj", levels, score);
        }
    }

    fn values(&mut self, label: &str, levels: &[Option<&Level>], value: impl Fn(&Level) -> String) {
        let values: Vec<String> = levels.iter().map(|level| level.map_or_else(|| "-".to_string(), &value)).collect();
        self.row(mark(&values), label, &values);
    }

    fn row(&mut self, mark: &str, label: &str, cells: &[String]) {
        let room = self.screen.width.saturating_sub(LABEL + 2) / self.columns.max(1);
        let mut line = format!("{mark:<2}{label:<LABEL$}");
        for cell in cells {
            let cell = fit(cell, room.saturating_sub(1));
            line.push_str(&cell);
            line.push_str(&" ".repeat(room.saturating_sub(cell.width())));
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// Cuts a cell that is too wide, and shows that it did.
fn fit(cell: &str, room: usize) -> String {
    if cell.width() <= room {
        return cell.to_string();
    }
    let mut kept = String::new();
    for c in cell.chars() {
        if kept.width() + c.to_string().width() + 1 > room {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_cell_is_cut_by_columns() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("容器容器", 5), "容器…");
    }
}

//! The comparison of two processes as lines: what differs in two columns, what is the same in one line a section.

use super::compare::{Row, Section, Verdict};
use super::text::{count, pad, printable, wrap};

const NAME: usize = 16;
const VERDICT: usize = 9;

/// The lines. With `all`, rows that are the same have lines of their own too.
pub fn lines(rows: &[Row], left: &str, right: &str, width: usize, all: bool) -> Vec<String> {
    let column = width.saturating_sub(2 + NAME + VERDICT + 2) / 2;
    let table = Table { column };
    let mut lines = Vec::new();
    table.row(["", ""], left, right, &mut lines);
    for section in rows.chunk_by(|one, next| one.section == next.section) {
        lines.push(section[0].section.word().to_uppercase());
        for row in section.iter().filter(|row| all || row.verdict != Verdict::Same) {
            table.row([&row.name, row.verdict.word()], &row.left, &row.right, &mut lines);
        }
        let same: Vec<_> =
            section.iter().filter(|row| !all && row.verdict == Verdict::Same).map(|row| row.name.as_str()).collect();
        if !same.is_empty() {
            let room = width.saturating_sub(2 + NAME);
            for (index, line) in wrap(&same.join(", "), room).into_iter().enumerate() {
                lines.push(format!("  {}{line}", pad(if index == 0 { "the same" } else { "" }, NAME)));
            }
        }
    }
    lines.push(String::new());
    lines.extend(wrap(&summary(rows), width));
    lines
}

fn summary(rows: &[Row]) -> String {
    let of = |verdict: Verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let namespaces = |verdict: Verdict| {
        let found = rows.iter().filter(move |row| row.section == Section::Namespaces && row.verdict == verdict);
        found.map(|row| row.name.as_str()).collect::<Vec<_>>()
    };
    let shared = match namespaces(Verdict::Same).as_slice() {
        [] if !namespaces(Verdict::Unknown).is_empty() => "Which namespaces they share is not shown".to_string(),
        [] => "They share no namespace".to_string(),
        [one] => format!("They share the namespace {one}"),
        several => format!("They share the namespaces {}", several.join(", ")),
    };
    let unknown = match of(Verdict::Unknown) {
        0 => String::new(),
        number => format!(" {} could not be read of both.", count(number, "thing", "things")),
    };
    format!("{} of {} things differ. {shared}.{unknown}", of(Verdict::Differs), rows.len())
}

struct Table {
    column: usize,
}

impl Table {
    /// Cells break inside their columns.
    fn row(&self, [name, verdict]: [&str; 2], left: &str, right: &str, lines: &mut Vec<String>) {
        let left = wrap(&printable(left), self.column);
        let right = wrap(&printable(right), self.column);
        for index in 0..left.len().max(right.len()) {
            let cell = |cells: &[String]| pad(cells.get(index).map_or("", String::as_str), self.column);
            let (name, verdict) = if index == 0 { (name, verdict) } else { ("", "") };
            let line = format!("  {}{}{}  {}", pad(name, NAME), pad(verdict, VERDICT), cell(&left), cell(&right));
            lines.push(line.trim_end().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::view::compare::compare;
    use crate::view::samples;

    #[test]
    fn the_host_beside_a_container() {
        let (host, container) = samples::pair();
        let rows = compare(&host, &container);
        let text = lines(&rows, "host: process 1 (systemd)", "container web: process 600 (sh)", 80, false);
        insta::assert_snapshot!(text.join("\n"), @r"
                                   host: process 1 (systemd)  container web: process
                                                              600 (sh)
        PROCESS
          command         differs  /sbin/init                 sh -c sleep 60
          pid here        differs  1                          600
          the same        pid inside
        NAMESPACES
          mnt             differs  101                        201
          pid             differs  102                        202
          net             differs  103                        203
          ipc             differs  104                        204
          uts             differs  105                        205
          cgroup          differs  107                        207
          the same        user, time
        CGROUP
          path            differs  /init.scope                /glassbox-web
          memory.max      differs  no such file               67108864 (64.0M)
          the same        cpu.max, pids.max
        VIEW
          host name       differs  debian                     容器
          root            differs  ext4 /dev/vda1, writable   /srv/web/rootfs of ext4
                                                              /dev/vda1, read-only
          mounts          differs  2                          1
          network links   differs  eth0 lo                    lo
          the same        clock offsets
        USERS
          group id map    unknown  ? ENOENT                   ? ENOENT
          the same        user id, group id, more groups, user id map
        POWERS
          effective       differs  all 41                     3: kill net_bind_service
                                                              audit_write
          permitted       differs  all 41                     3: kill net_bind_service
                                                              audit_write
          bounding        differs  all 41                     3: kill net_bind_service
                                                              audit_write
          no_new_privs    differs  no                         yes
          the same        inheritable, ambient, seccomp, LSM label, oom_score_adj
        LIMITS
          open files      differs  1024, at most 524288       1024
          the same        processes

        19 of 36 things differ. They share the namespaces user, time. 1 thing could not
        be read of both.
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let (host, container) = samples::pair();
        let rows = compare(&host, &container);
        for all in [false, true] {
            for line in lines(&rows, "host", "容器", 80, all) {
                assert!(line.width() <= 80, "{line}");
            }
        }
        let same = lines(&compare(&host, &host), "host", "host", 80, true).join("\n");
        assert!(!same.contains("differs") && same.contains("same"), "{same}");
    }
}

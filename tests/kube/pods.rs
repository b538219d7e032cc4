//! The tables of pods.

use super::case;

const TABLES: [(&str, &str); 8] = [
    ("classes", include_str!("pods/classes.txt")),
    ("cpu", include_str!("pods/cpu.txt")),
    ("memory", include_str!("pods/memory.txt")),
    ("init", include_str!("pods/init.txt")),
    ("podlevel", include_str!("pods/podlevel.txt")),
    ("oom", include_str!("pods/oom.txt")),
    ("node", include_str!("pods/node.txt")),
    ("invalid", include_str!("pods/invalid.txt")),
];

#[test]
fn every_pod_of_the_tables_becomes_what_is_written() {
    let mut wrong = String::new();
    for (name, table) in TABLES {
        for case in case::read(table) {
            let outcome = case.outcome();
            if outcome != case.expected {
                let lines = |lines: &[String]| lines.iter().map(|line| format!("\n    = {line}")).collect::<String>();
                wrong.push_str(&format!(
                    "{name}: {}\n  expected:{}\n  found:{}\n",
                    case.title,
                    lines(&case.expected),
                    lines(&outcome)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_tables_are_large_enough_and_know_every_trap() {
    let titles: Vec<String> = TABLES.iter().flat_map(|(_, table)| case::read(table)).map(|case| case.title).collect();
    assert!(titles.len() >= 150, "{} pods", titles.len());
    // Trap 11 is about restarts, which have no cgroup value.
    for trap in 1..=10 {
        let start = format!("trap {trap}:");
        assert!(titles.iter().any(|title| title.starts_with(&start)), "no case of trap {trap}");
    }
}

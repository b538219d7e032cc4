//! The project's own rules, as tests: who may import whom, where unsafe code may stand, how long a file may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of ours each module may import. `commands`, `main` and `lib` may import everything and stand in no row.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("spec", &[]),
    ("error", &[]),
    ("cgroup", &["sys", "spec"]),
    ("kube", &["cgroup::Write"]),
    ("plan", &["spec", "cgroup::resources", "cgroup::scope"]),
    ("runtime", &["plan", "spec", "cgroup", "sys", "net"]),
    ("image", &["sys"]),
    ("net", &["sys"]),
    ("pod", &["kube", "runtime", "net", "image", "cgroup", "spec"]),
    ("view", &["cgroup", "sys", "spec"]),
    ("lab", &["sys"]),
    ("cli", &["commands"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a source directory is readable") {
        let path = entry.expect("a directory entry is readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The source files with their path below `src` and their text up to the tests.
fn sources() -> BTreeMap<String, String> {
    let src = root().join("src");
    rust_files(&src)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_string();
            (name, code)
        })
        .collect()
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Every `crate::a::b` path that a text names, as `a::b` (braces opened one level).
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let names = list.split('}').next().unwrap_or_default();
                found.extend(names.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()));
            } else {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
                found.push(rest[..end].trim_end_matches("::").to_string());
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let module = module_of(&file).to_string();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["commands", "main", "runtime_main", "lib", "vm"].contains(&module.as_str()),
                "{file}: no row in MAY_IMPORT"
            );
            continue;
        };
        for import in imports(&code) {
            let own = import == module || import.starts_with(&format!("{module}::"));
            let fits = allowed.iter().any(|allowed| {
                import == *allowed || import.starts_with(&format!("{allowed}::")) || format!("{import}::") == *allowed
            });
            if !own && !fits {
                wrong.push(format!("{file}: {module} may not import crate::{import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    let offenders: Vec<_> = sources()
        .into_iter()
        .filter(|(file, _)| module_of(file) != "sys")
        .filter(|(_, code)| code.lines().any(|line| !line.trim_start().starts_with("//") && has_word(line, "unsafe")))
        .map(|(file, _)| file)
        .collect();
    assert!(offenders.is_empty(), "unsafe outside src/sys: {offenders:?}");
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|found| found == word)
}

#[test]
fn pure_modules_do_not_touch_the_machine() {
    let banned = [
        "std::fs",
        "std::process",
        "std::net",
        "std::env",
        "std::time::Instant",
        "SystemTime",
        "rustix::",
        "nix::",
        "libc::",
    ];
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let pure = ["spec", "plan", "kube"].contains(&module_of(&file))
            || file == "cgroup/resources.rs"
            || file.starts_with("cgroup/scope/");
        if pure {
            wrong.extend(banned.iter().filter(|name| code.contains(*name)).map(|name| format!("{file}: {name}")));
        }
    }
    assert!(wrong.is_empty(), "pure modules that touch the machine:\n{}", wrong.join("\n"));
}

#[test]
fn only_commands_print() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let prints = ["println!", "eprintln!", "print!(", "eprint!(", "io::stdout()", "io::stderr()"];
        // A descriptor (`stdio::stdout()`) that a container's bytes are carried to is no printing of ours.
        let code = code.replace("stdio::std", "");
        if module_of(&file) != "commands" {
            wrong.extend(prints.iter().filter(|name| code.contains(*name)).map(|name| format!("{file}: {name}")));
        }
    }
    assert!(wrong.is_empty(), "prints outside commands:\n{}", wrong.join("\n"));
}

#[test]
fn a_file_is_one_idea_and_says_which() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let lines = code.lines().count();
        if lines > 400 {
            wrong.push(format!("{file}: {lines} lines without its tests, at most 400"));
        }
        if !code.starts_with("//!") {
            wrong.push(format!("{file}: does not open with //!"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_is_switched_off() {
    let needle = concat!("#[", "ignore");
    let offenders: Vec<_> = rust_files(&root().join("src"))
        .into_iter()
        .chain(rust_files(&root().join("tests")))
        .filter(|path| fs::read_to_string(path).expect("source is UTF-8").contains(needle))
        .collect();
    assert!(offenders.is_empty(), "tests that never run: {offenders:?}");
}

#[test]
fn a_test_of_the_vm_takes_the_machine_and_so_fails_anywhere_else() {
    let mut wrong = Vec::new();
    let paths = ["tests/vm", "tests/engines"].map(|directory| rust_files(&root().join(directory)));
    for path in paths.concat() {
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        for test in text.split("#[test]\n").skip(1) {
            let body = test.split("\n}\n").next().unwrap_or(test);
            if !body.contains("machine()") {
                wrong.push(format!("{}: {}", path.display(), body.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "tests that would change the machine they are started on:\n{}", wrong.join("\n"));
}

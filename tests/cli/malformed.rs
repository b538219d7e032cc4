//! A config.json that is none: whatever it is, it ends in one error, soon, and in little memory.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// What a run may use. The time is the processor's, so that a busy machine changes nothing; the memory is address space.
const SECONDS: u32 = 1;
const KIB: u32 = 256 << 10;

/// A config with every field that glassbox knows.
const GOOD: &str = include_str!("everything.json");

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs `glassbox ARGUMENTS` held to its limits; what it says on stderr.
fn refused(arguments: &str, directory: &Path, what: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_glassbox");
    let line = format!("ulimit -t {SECONDS}; ulimit -v {KIB}; exec {binary} {arguments}");
    let output = Command::new("sh").args(["-c", &line]).current_dir(directory).output().expect("sh");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.signal(), None, "{what}: {arguments}: {told}");
    assert!([1, 255].contains(&output.status.code().expect("it ended")), "{what}: {arguments}: {told}");
    assert!(output.stdout.is_empty() && told.starts_with("error: "), "{what}: {arguments}: {told}");
    assert!(told.len() < 6000 && !told.contains("panicked"), "{what}: {arguments}: {} bytes: {told:.300}", told.len());
    assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{what}: {arguments}: {told:?}");
    told
}

/// Every verb that reads a config.json refuses this one, and says `words`.
fn config(text: &[u8], what: &str, words: &str) {
    let directory = scratch();
    fs::create_dir(directory.path().join("rootfs")).expect("ours");
    fs::write(directory.path().join("config.json"), text).expect("ours");
    for verb in ["explain", "--root state create x", "--root state run x"] {
        let told = refused(verb, directory.path(), what);
        assert!(told.contains(words), "{what}: {words:?} is missing from {told}");
    }
    assert!(!directory.path().join("state").exists(), "{what}: nothing is made");
}

#[test]
fn a_text_that_ends_too_early_is_refused() {
    for part in 0..8 {
        config(&GOOD.as_bytes()[..GOOD.len() * part / 8], "cut", "config.json is not valid JSON");
    }
}

#[test]
fn depth_is_refused_and_no_stack_overflows() {
    for (open, what) in [("[", "lists"), ("{\"a\":", "objects"), ("{\"annotations\":[{\"a\":", "both")] {
        config(open.repeat(200_000).as_bytes(), what, "recursion limit");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_however_it_is_written() {
    for (text, name) in [
        (r#"{"ociVersion": "1.2.1", "ociVersion": "1.2.1"}"#, "ociVersion"),
        (r#"{"process": {"cwd": "/", "cwd": "/"}}"#, "cwd"),
        (r#"{"root": 1, "\u0072oot": 2}"#, "root"),
        (r#"{"unknown": {"a": 1, "a": 1}}"#, "a"),
    ] {
        config(text.as_bytes(), text, &format!("{name:?} stands twice in one object"));
    }
}

#[test]
fn numbers_that_no_field_holds_are_refused_with_the_field() {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from} is there");
        GOOD.replacen(from, to, 1)
    };
    for number in [
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        "1.5",
        "1e3",
        "-9223372036854775809",
        "null",
        "\"0\"",
    ] {
        config(with("\"uid\": 0", &format!("\"uid\": {number}")).as_bytes(), number, "process.user.uid");
    }
    let digits = "9".repeat(100_000);
    for number in ["1e999", "-1e999", digits.as_str()] {
        config(with("\"uid\": 0", &format!("\"uid\": {number}")).as_bytes(), number, "number out of range");
    }
    for (from, to, field) in [
        ("\"limit\": 67108864", "\"limit\": 9223372036854775808", "linux.resources.memory.limit"),
        ("\"quota\": 50000", "\"quota\": 9223372036854775808", "linux.resources.cpu.quota"),
        ("\"shares\": 512", "\"shares\": -1", "linux.resources.cpu.shares"),
        ("\"nice\": 5", "\"nice\": 1000", "process.scheduler.nice"),
        ("\"timeout\": 5", "\"timeout\": -5", "hooks.prestart[0].timeout"),
        ("\"initial\": \"0-3,7\"", "\"initial\": \"0-4294967295\"", "process.execCPUAffinity.initial"),
        ("\"final\": \"0\"", "\"final\": \"5-18446744073709551615\"", "process.execCPUAffinity.final"),
    ] {
        config(with(from, to).as_bytes(), to, field);
    }
}

#[test]
fn a_nul_is_refused_raw_and_written() {
    config(GOOD.replacen("\"sh\"", "\"s\0h\"", 1).as_bytes(), "raw", "config.json is not valid JSON");
    for (from, field) in [
        ("\"sh\"", "process.args[0]"),
        ("\"cwd\": \"/work\"", "process.cwd"),
        ("\"hostname\": \"fuzz\"", "hostname"),
        ("\"domainname\": \"example\"", "domainname"),
        ("\"/proc/kcore\"", "linux.maskedPaths[0]"),
        ("\"/proc/sys\"", "linux.readonlyPaths[0]"),
        ("\"/dev/fuse\"", "linux.devices[0].path"),
        ("\"/fuzz/one\"", "linux.cgroupsPath"),
        ("\"/bin/a\"", "hooks.prestart[0].path"),
        ("\"web\"", "process.apparmorProfile"),
        ("\"/srv\"", "mounts[5].source"),
        ("\"/run/agent.sock\"", "linux.seccomp.listenerPath"),
    ] {
        let nul = format!("{}\\u0000\"", &from[..from.len() - 1]);
        assert!(GOOD.contains(from), "{from}");
        config(GOOD.replacen(from, &nul, 1).as_bytes(), from, field);
    }
}

#[test]
fn what_is_no_text_is_refused() {
    config(b"\xff\xfe\x00{", "UTF-16", "is not UTF-8 text");
    config(b"{\"hostname\": \"\xc3\x28\"}", "broken UTF-8", "is not UTF-8 text");
    config(br#"{"hostname": "\ud800"}"#, "a lone surrogate", "config.json is not valid JSON");
    config("\u{feff}{}".as_bytes(), "a byte order mark", "config.json is not valid JSON");
    // Random bytes, the same ones each time: xorshift64* from the seed.
    for seed in 1..20_u64 {
        let mut state = seed;
        let bytes: Vec<u8> = (0..seed * 500)
            .map(|_| {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
            })
            .collect();
        config(&bytes, &format!("seed {seed}"), "config.json");
    }
}

#[test]
fn size_is_refused_before_it_is_read_and_in_what_is_read() {
    let string = |bytes: usize| format!(r#"{{"ociVersion": "{}"}}"#, "x".repeat(bytes));
    config(string(15 << 20).as_bytes(), "a text of 15 MiB", "ociVersion");
    config(format!("[{}0]", "0,".repeat(7 << 20)).as_bytes(), "seven million numbers", "more than 500000 values");
    config(format!("[{}{{}}]", "{},".repeat(5 << 20)).as_bytes(), "five million objects", "more than 500000 values");
    config(format!("{}1", " ".repeat(15 << 20)).as_bytes(), "spaces", "config.json");
    // A gigabyte: a hole in the file, which reads as NUL bytes within a text.
    let directory = scratch();
    let path = directory.path().join("config.json");
    fs::write(&path, "{\"hostname\": \"").expect("ours");
    File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 30)).expect("a hole");
    for arguments in ["explain", "--root state create x", "--root state run x"] {
        assert!(refused(arguments, directory.path(), "a gigabyte").contains("1073741824 bytes"));
    }
    for arguments in ["--root state exec --process config.json x", "--root state update --resources config.json x"] {
        let told = refused(arguments, directory.path(), "a gigabyte");
        assert!(told.contains("more than 16777216 bytes"), "{told}");
    }
    for special in ["/dev/zero", "/dev/null", "/"] {
        fs::remove_file(&path).expect("ours");
        std::os::unix::fs::symlink(special, &path).expect("ours");
        assert!(refused("explain", directory.path(), special).contains("is no regular file"));
    }
}

//! `linux.seccomp` to a filter program that the kernel would take: the checks are those of bpf_check_classic and
//! seccomp_check_filter (net/core/filter.c, kernel/seccomp.c).
#![no_main]

use glassbox::plan::{InitStep, seccomp};
use glassbox::spec::Config;
use glassbox_fuzz::{Bytes, change};
use serde_json::{Value, json};

const NAMES: [&str; 24] = [
    "read", "write", "open", "clone", "clone3", "mkdir", "personality", "socket", "ioctl", "futex", "unshare", "mount", "umount2",
    "prctl", "setns", "bpf", "execve", "chown32", "_llseek", "arm_fadvise64_64", "nosuchcall", "getpid", "futex_wait", "cachestat",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let rules: Vec<Value> = (0..bytes.byte() % 24).map(|_| rule(&mut bytes)).collect();
    let architectures: Vec<&str> = seccomp::architectures().filter(|_| bytes.byte() % 3 == 0).collect();
    let mut profile = json!({
        "defaultAction": bytes.choose(&seccomp::ACTIONS), "architectures": architectures, "syscalls": rules,
    });
    if bytes.byte() % 2 == 0 {
        profile["listenerPath"] = "/run/agent.sock".into();
    }
    if bytes.byte() % 8 == 0 {
        change(&mut profile, &mut bytes);
    }
    let mut config = glassbox::spec::template();
    config["linux"]["seccomp"] = profile;
    let Ok(config) = Config::parse(&config.to_string()) else { return };
    let Ok(Some(step)) = seccomp::step(&config.spec) else { return };
    let InitStep::LoadSeccomp { program, .. } = step.step else { panic!("another step") };
    check(&program.instructions);
    assert!(program.listing().count() > 0 && !program.default_sentence().is_empty());
});

fn rule(bytes: &mut Bytes) -> Value {
    let names: Vec<&str> = (0..1 + bytes.byte() % 5).map(|_| *bytes.choose(&NAMES)).collect();
    let args: Vec<Value> = (0..bytes.byte() % 4)
        .map(|_| {
            json!({ "index": bytes.byte() % 7, "value": bytes.number(), "valueTwo": bytes.number(), "op": bytes.choose(&seccomp::OPERATORS) })
        })
        .collect();
    let mut rule = json!({ "names": names, "action": bytes.choose(&seccomp::ACTIONS), "args": args });
    if bytes.byte() % 4 == 0 {
        rule["errnoRet"] = bytes.short().into();
    }
    rule
}

fn check(code: &[[u8; 8]]) {
    assert!((1..=4096).contains(&code.len()), "{} instructions", code.len());
    for (at, instruction) in code.iter().enumerate() {
        let [low, high, if_true, if_false, k @ ..] = *instruction;
        let (op, k) = (u16::from_le_bytes([low, high]), u32::from_le_bytes(k));
        let within = |skip: u32| assert!(at + 1 + (skip as usize) < code.len(), "a jump out of the program at {at}");
        match op {
            // BPF_LD | BPF_W | BPF_ABS: into struct seccomp_data alone.
            0x20 => assert!(k < 64 && k % 4 == 0, "a load from {k} at {at}"),
            0x06 => {}
            0x05 => within(k),
            _ if op & 7 == 5 => [if_true, if_false].into_iter().for_each(|skip| within(skip.into())),
            // BPF_ALU: what masked comparisons need.
            0x54 => {}
            _ => panic!("the instruction {op:#x} at {at}"),
        }
    }
    assert_eq!(code.last().map(|last| last[0]), Some(0x06), "a program ends with a return");
}

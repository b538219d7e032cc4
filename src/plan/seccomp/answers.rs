//! Programs are judged by what they answer: an interpreter of the kernel's classic BPF machine runs them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;

fn compile(profile: &Value) -> Result<Program, SeccompError> {
    Program::new(&serde_json::from_value(profile.clone()).expect("a profile of the right types"))
}

fn program(profile: &Value) -> Program {
    compile(profile).expect("a program")
}

/// What the kernel would do with a program: an answer, from nothing but its documentation.
fn run(program: &Program, arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (index, arg) in args.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&arg.to_le_bytes());
    }
    let (mut accumulator, mut next) = (0_u32, 0_usize);
    loop {
        let bytes = program.instructions[next];
        let code = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let operand = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let branch = |taken: bool| usize::from(if taken { bytes[2] } else { bytes[3] });
        next += 1;
        match code {
            0x20 => {
                let at = operand as usize;
                assert!(at.is_multiple_of(4) && at < 64, "the kernel takes aligned words of struct seccomp_data alone");
                accumulator = u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"));
            }
            0x05 => next += operand as usize,
            0x15 => next += branch(accumulator == operand),
            0x25 => next += branch(accumulator > operand),
            0x35 => next += branch(accumulator >= operand),
            0x54 => accumulator &= operand,
            0x06 => return operand,
            code => panic!("the kernel knows no instruction {code:#x} in a filter"),
        }
    }
}

fn answer(profile: &Value, number: u32, args: [u64; 6]) -> u32 {
    run(&program(profile), X86_64, number, args)
}

/// One call of x86_64, which no other rule is about: getpid.
const GETPID: u32 = 39;

fn with_args(args: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": args}]})
}

#[test]
fn every_action_is_the_kernels() {
    let actions = [
        ("SCMP_ACT_KILL", 0),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
        ("SCMP_ACT_TRAP", 0x0003_0000),
        ("SCMP_ACT_ERRNO", 0x0005_0001),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", 0x7fff_0000),
        ("SCMP_ACT_NOTIFY", 0x7fc0_0000),
    ];
    for (name, expected) in actions {
        let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2,
            "syscalls": [{"names": ["getpid"], "action": name}]});
        assert_eq!(answer(&profile, GETPID, [0; 6]), expected, "{name}");
        assert_eq!(answer(&profile, GETPID - 1, [0; 6]), 0x0005_0002, "the default beside {name}");
    }
    let mut known: Vec<_> = actions.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(known, ACTIONS);
}

#[test]
fn every_operator_compares_64_bits() {
    let around =
        |value: u64| [value.wrapping_sub(1), value, value.wrapping_add(1), value ^ (1 << 32), value << 32, !value];
    for value in [0, 7, u64::from(u32::MAX), 1 << 32, (5 << 32) | 9, 1 << 63, u64::MAX] {
        for argument in [0, 5] {
            for (name, holds) in [
                ("SCMP_CMP_NE", (|a, b| a != b) as fn(u64, u64) -> bool),
                ("SCMP_CMP_LT", |a, b| a < b),
                ("SCMP_CMP_LE", |a, b| a <= b),
                ("SCMP_CMP_EQ", |a, b| a == b),
                ("SCMP_CMP_GE", |a, b| a >= b),
                ("SCMP_CMP_GT", |a, b| a > b),
            ] {
                let profile = with_args(json!([{"index": argument, "value": value, "op": name}]));
                for given in around(value) {
                    let mut args = [3; 6];
                    args[argument] = given;
                    let expected = if holds(given, value) { 0x0005_0005 } else { ALLOW };
                    assert_eq!(answer(&profile, GETPID, args), expected, "{given:#x} {name} {value:#x}");
                }
            }
        }
    }
    let masked = with_args(
        json!([{"index": 1, "value": 0xff00_0000_00ff_u64, "valueTwo": 0x1200_0000_0034_u64, "op": "SCMP_CMP_MASKED_EQ"}]),
    );
    assert_eq!(answer(&masked, GETPID, [0, 0x1_12ab_cdef_0034, 0, 0, 0, 0]), 0x0005_0005);
    assert_eq!(answer(&masked, GETPID, [0, 0x1_12ab_cdef_0035, 0, 0, 0, 0]), ALLOW);
    assert_eq!(answer(&masked, GETPID, [0, 0x1_13ab_cdef_0034, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn conditions_are_and_rules_are_or_and_a_repeated_argument_is_or() {
    let two = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 9, "op": "SCMP_CMP_GT"}]);
    assert_eq!(answer(&with_args(two.clone()), GETPID, [1, 0, 10, 0, 0, 0]), 0x0005_0005);
    assert_eq!(answer(&with_args(two.clone()), GETPID, [1, 0, 9, 0, 0, 0]), ALLOW);
    assert_eq!(answer(&with_args(two), GETPID, [2, 0, 10, 0, 0, 0]), ALLOW);
    let same = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]);
    for (first, expected) in [(1, 0x0005_0005), (7, 0x0005_0005), (2, ALLOW)] {
        assert_eq!(answer(&with_args(same.clone()), GETPID, [first, 0, 0, 0, 0, 0]), expected);
    }
}

#[test]
fn a_rule_without_conditions_beats_the_others_wherever_it_stands() {
    let plain = json!({"names": ["getpid"], "action": "SCMP_ACT_LOG"});
    let asks = json!({"names": ["getpid"], "action": "SCMP_ACT_TRAP",
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]});
    let second = json!({"names": ["getpid"], "action": "SCMP_ACT_KILL"});
    for syscalls in [json!([plain, asks]), json!([asks, plain]), json!([asks, plain, second])] {
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls});
        assert_eq!(answer(&profile, GETPID, [1, 0, 0, 0, 0, 0]), LOG);
    }
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let profile = |default: &str| {
        json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["read", "statx"], "action": "SCMP_ACT_LOG"}]})
    };
    let enosys = 0x0005_0000 | 38;
    for (default, own) in [("SCMP_ACT_ERRNO", 0x0005_0001), ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS)] {
        let program = program(&profile(default));
        // statx is 332 on x86_64 and 383 on x86.
        for (arch, newest) in [(X86_64, 332), (X86, 383)] {
            for (number, expected) in [(newest - 1, own), (newest, LOG), (newest + 1, enosys), (4000, enosys)] {
                assert_eq!(run(&program, arch, number, [0; 6]), expected, "{default}: {number} of {arch:#x}");
            }
        }
    }
    for (default, own) in [("SCMP_ACT_ALLOW", ALLOW), ("SCMP_ACT_TRACE", TRACE | 1)] {
        assert_eq!(answer(&profile(default), 4000, [0; 6]), own, "{default} needs no such help");
    }
    let named =
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["statx"], "action": "SCMP_ACT_ERRNO"}]});
    assert_eq!(
        answer(&named, 332, [0; 6]),
        0x0005_0001,
        "a rule that says what the default says names it all the same"
    );
    assert_eq!(answer(&named, 333, [0; 6]), enosys);
}

#[test]
fn architectures_are_apart() {
    let profile = |architectures: Value| {
        program(&json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures,
            "syscalls": [{"names": ["getpid", "ioctl"], "action": "SCMP_ACT_TRAP"}]}))
    };
    let one = profile(json!([]));
    assert_eq!(one.architectures, ["x86_64"], "ours, named or not");
    assert_eq!(run(&one, X86, 20, [0; 6]), KILL_THREAD, "what is not asked for is foreign");
    assert_eq!(run(&one, X86_64, 0x4000_0000 | GETPID, [0; 6]), KILL_THREAD, "x32 too");
    assert_eq!(run(&one, X86_64, u32::MAX, [0; 6]), ALLOW, "-1 is a call that a tracer skips");
    let all = profile(json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]));
    for (arch, number) in [(X86_64, GETPID), (X86, 20), (X86_64, 0x4000_0000 | GETPID), (AARCH64, 172)] {
        assert_eq!(run(&all, arch, number, [0; 6]), TRAP, "getpid of {arch:#x}");
        assert_eq!(run(&all, arch, number + 1, [0; 6]), ALLOW, "the next call of {arch:#x}");
    }
    assert_eq!(run(&all, X86_64, 0x4000_0000 | 514, [0; 6]), TRAP, "ioctl has a number of its own in x32");
    assert_eq!(run(&all, X86_64, 0x4000_0000 | 16, [0; 6]), ALLOW, "and not the one of x86_64");
    let x32 = program(&json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X32"],
        "syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}]}));
    assert_eq!(run(&x32, X86_64, 0x4000_0000 | GETPID, [0; 6]), ALLOW);
    assert_eq!(run(&x32, X86_64, 0x4000_0000 | (GETPID + 1), [0; 6]), ERRNO | ENOSYS);
}

#[test]
fn what_travels_in_socketcall_and_ipc_is_filtered_there() {
    let program = program(&json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        {"names": ["connect", "semop"], "action": "SCMP_ACT_TRAP"},
        {"names": ["accept4"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}]},
    ]}));
    let first = |value: u64| [value, 0, 0, 0, 0, 0];
    for (number, argument, expected) in
        [(102, 3, TRAP), (102, 2, ALLOW), (117, 1, TRAP), (117, 2, ALLOW), (362, 0, TRAP)]
    {
        assert_eq!(run(&program, X86, number, first(argument)), expected, "{number}({argument})");
    }
    assert_eq!(run(&program, X86, 364, first(8)), ALLOW, "accept4 itself shows its argument");
    assert_eq!(run(&program, X86, 102, first(18)), TRAP, "in socketcall nobody can look at it");
}

#[test]
fn a_32_bit_architecture_compares_32_bits() {
    let mut profile = with_args(json!([{"index": 0, "value": 0x1_0000_0007_u64, "op": "SCMP_CMP_EQ"}]));
    profile["architectures"] = json!(["SCMP_ARCH_X86"]);
    let program = program(&profile);
    assert_eq!(run(&program, X86, 20, [7, 0, 0, 0, 0, 0]), 0x0005_0005);
    assert_eq!(run(&program, X86_64, GETPID, [7, 0, 0, 0, 0, 0]), ALLOW);
}

/// Every other number of three architectures, each under a condition: comparisons go further than 255 instructions, and
/// the program still fits.
#[test]
fn the_worst_profile_still_finds_every_number() {
    let names: Vec<_> = (0..470).step_by(2).filter_map(|n| Some(syscalls::x86_64::Sysno::new(n)?.name())).collect();
    let mut profile = json!({"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO", "args": [{"index": 4, "value": 2, "op": "SCMP_CMP_EQ"}]}]});
    let filter = program(&profile);
    assert!(filter.listing().any(|line| line.starts_with("jmp")), "there are far jumps: {}", filter.instructions.len());
    for number in 0..480_u32 {
        let call = syscalls::x86_64::Sysno::new(number as usize).filter(|_| number % 2 == 0);
        let expected = call.map_or(LOG, |_| ERRNO | EPERM);
        assert_eq!(run(&filter, X86_64, number, [2; 6]), expected, "{number}");
        assert_eq!(run(&filter, X86_64, number, [1; 6]), LOG, "{number}");
        let call = syscalls::aarch64::Sysno::new(number as usize).filter(|call| names.contains(&call.name()));
        assert_eq!(run(&filter, AARCH64, number, [2; 6]), call.map_or(LOG, |_| ERRNO | EPERM), "{number} of aarch64");
    }
    profile["architectures"] = architectures().collect();
    assert!(matches!(compile(&profile), Err(SeccompError::TooLong(_))), "and what is too long is refused");
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let call = |call: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]});
    let arg = |arg: Value| call(json!({"names": ["read"], "action": "SCMP_ACT_KILL", "args": [arg]}));
    let cases = [
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}),
            "architectures[0]: SCMP_ARCH_S390X",
        ),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "defaultAction: SCMP_ACT_NOTIFY"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
            "defaultErrnoRet: SCMP_ACT_ALLOW gives no errno",
        ),
        (call(json!({"names": [], "action": "SCMP_ACT_KILL"})), "syscalls[0].names: is empty"),
        (
            call(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})),
            "syscalls[0].errnoRet: 4096 is above 4095",
        ),
        (
            call(json!({"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
            "syscalls[0].errnoRet: SCMP_ACT_KILL gives no",
        ),
        (arg(json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"})), "syscalls[0].args[0].index: 6 is above 5"),
    ];
    for (profile, expected) in cases {
        let error = compile(&profile).expect_err("it is refused").to_string();
        assert!(error.starts_with(&format!("linux.seccomp.{expected}")), "{error}");
    }
    let same = json!([{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]);
    let error = compile(&json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_KILL", "args": same}, {"names": ["read"], "action": "SCMP_ACT_LOG", "args": same},
    ]}));
    assert!(
        error.expect_err("one of them").to_string().contains("read gets both SCMP_ACT_KILL_THREAD and SCMP_ACT_LOG")
    );
    let unknown = call(json!({"names": ["no_such_call"], "action": "SCMP_ACT_KILL"}));
    assert_eq!(
        answer(&unknown, 0, [0; 6]),
        ALLOW,
        "an unknown call is passed over: a profile is made for many kernels"
    );
}

#[test]
fn all_exported_names_are_the_specifications() {
    for name in OPERATORS {
        let profile = with_args(json!([{"index": 0, "value": 0, "op": name}]));
        assert!(serde_json::from_value::<LinuxSeccomp>(profile).is_ok(), "{name}");
    }
    let lists = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures().collect::<Vec<_>>(),
        "flags": FLAGS.iter().map(|(name, _)| *name).collect::<Vec<_>>()});
    assert_eq!(program(&lists).architectures.len(), architectures().count());
}

/// A condition as config.json has it, and the same as a function.
fn condition() -> impl Strategy<Value = (usize, u64, u64, &'static str)> {
    let values = prop_oneof![0..4_u64, Just(1 << 32), Just((1 << 32) | 1), Just(u64::MAX), any::<u64>()];
    (0..3_usize, values.clone(), values, prop::sample::select(OPERATORS.to_vec()))
}

fn holds((index, value, two, op): (usize, u64, u64, &str), args: [u64; 6]) -> bool {
    let given = args[index];
    match op {
        "SCMP_CMP_NE" => given != value,
        "SCMP_CMP_LT" => given < value,
        "SCMP_CMP_LE" => given <= value,
        "SCMP_CMP_EQ" => given == value,
        "SCMP_CMP_GE" => given >= value,
        "SCMP_CMP_GT" => given > value,
        _ => given & value == two & value,
    }
}

proptest! {
    /// Rules of one action: whatever their number and shape, the call gets it if and only if one of them holds.
    #[test]
    fn a_program_answers_as_its_rules_read(
        rules in prop::collection::vec(prop::collection::vec(condition(), 1..4), 1..6),
        given in prop::collection::vec(prop_oneof![0..4_u64, Just(1 << 32), Just((1 << 32) | 1), Just(u64::MAX)], 6),
    ) {
        let args: [u64; 6] = given.try_into().expect("six");
        let entry = |rule: &Vec<(usize, u64, u64, &str)>| {
            let args: Vec<_> = rule.iter().map(|(index, value, two, op)| json!({"index": index, "value": value, "valueTwo": two, "op": op})).collect();
            json!({"names": ["getpid"], "action": "SCMP_ACT_TRAP", "args": args})
        };
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules.iter().map(entry).collect::<Vec<_>>()});
        let matches = |rule: &Vec<(usize, u64, u64, &str)>| {
            let repeated = (0..3).any(|index| rule.iter().filter(|condition| condition.0 == index).count() > 1);
            match repeated {
                true => rule.iter().any(|condition| holds(*condition, args)),
                false => rule.iter().all(|condition| holds(*condition, args)),
            }
        };
        let expected = if rules.iter().any(matches) { TRAP } else { ALLOW };
        prop_assert_eq!(answer(&profile, GETPID, args), expected);
    }
}

//! Which devices a cgroup may use: cgroup v2 asks an eBPF program (Documentation/admin-guide/cgroup-v2.rst, "Device
//! controller"). Rules become instructions here; the kernel gets them through `sys`.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::resources::DeviceRule;
use crate::sys::{self, Instruction};

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_W | BPF_MEM
const AND_IMMEDIATE: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const MOVE_IMMEDIATE: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const JUMP_IF: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_NOT: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

// Registers. r1 is the context (struct bpf_cgroup_dev_ctx) when the program starts; r0 is the answer.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Compiles `rules` and attaches the program to the cgroup directory. The error names the bpf(2) command.
pub(super) fn attach(cgroup: BorrowedFd<'_>, rules: &[DeviceRule]) -> Result<(), (&'static str, Errno)> {
    sys::attach_device_filter(cgroup, &program(rules))
}

/// The last rule that matches decides, so the last stands first and each rule that matches answers at once.
///
/// The kernel follows every way through a program before it takes it, which is a good part of what a container's cgroup costs:
/// rules that stand together and are alike ask for kind, access and major number once.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut code = vec![
        // access_type holds the kind of device in its low half and the wanted access in its high half.
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        instruction(AND_IMMEDIATE, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    // A rule that matches everything ends the program: the kernel refuses instructions that are never reached.
    let last = rules.iter().rposition(matches_everything);
    let in_order: Vec<_> = rules[last.unwrap_or(0)..].iter().rev().collect();
    let alike = |one: &&DeviceRule| (one.allow, one.access, kind_number(one));
    for rules in in_order.chunk_by(|one, next| alike(one) == alike(next)) {
        code.extend(alike_rules(rules));
    }
    if last.is_none() {
        code.extend(answer(false));
    }
    code
}

fn matches_everything(rule: &DeviceRule) -> bool {
    kind_number(rule).is_none() && (rule.major, rule.minor, rule.access) == (None, None, 7)
}

/// BPF_DEVCG_DEV_BLOCK is 1, BPF_DEVCG_DEV_CHAR is 2; none for both.
fn kind_number(rule: &DeviceRule) -> Option<i32> {
    match rule.kind {
        'b' => Some(1),
        'c' => Some(2),
        _ => None,
    }
}

/// Rules with one answer for one kind and access: jump over all of them unless those fit.
fn alike_rules(rules: &[&DeviceRule]) -> Vec<Instruction> {
    let first = rules[0];
    let mut code = Vec::new();
    if let Some(kind) = kind_number(first) {
        code.push(instruction(JUMP_IF_NOT, KIND, 0, 0, kind));
    }
    // Every wanted access bit must be among the rule's: the others, masked out of it, must leave nothing.
    if first.access != 7 {
        code.push(instruction(MOVE_REGISTER, CONTEXT, ACCESS, 0, 0));
        code.push(instruction(AND_IMMEDIATE, CONTEXT, 0, 0, i32::from(!first.access & 7)));
        code.push(instruction(JUMP_IF_NOT, CONTEXT, 0, 0, 0));
    }
    let head = code.len();
    // Which of them answers does not matter: where one takes every number, no other is needed.
    match rules.iter().any(|rule| (rule.major, rule.minor) == (None, None)) {
        true => code.extend(answer(first.allow)),
        false => rules
            .chunk_by(|one, next| one.major == next.major)
            .for_each(|rules| code.extend(one_major(rules[0].major, rules))),
    }
    let end = code.len();
    for (at, check) in code.iter_mut().enumerate().take(head) {
        if check.code == JUMP_IF_NOT {
            check.offset = (end - at - 1) as i16;
        }
    }
    code
}

/// Rules with one major number, or that take any: one of their minor numbers must fit, if they name any.
fn one_major(major: Option<u32>, rules: &[&DeviceRule]) -> Vec<Instruction> {
    let mut code = Vec::new();
    let minors: Option<Vec<u32>> = rules.iter().map(|rule| rule.minor).collect();
    if let Some((last, others)) = minors.as_deref().and_then(<[u32]>::split_last) {
        for (at, minor) in others.iter().enumerate() {
            code.push(instruction(JUMP_IF, MINOR, 0, (others.len() - at) as i16, *minor as i32));
        }
        code.push(instruction(JUMP_IF_NOT, MINOR, 0, 2, *last as i32));
    }
    code.extend(answer(rules[0].allow));
    if let Some(major) = major {
        code.insert(0, instruction(JUMP_IF_NOT, MAJOR, 0, code.len() as i16, major as i32));
    }
    code
}

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE_IMMEDIATE, ANSWER, 0, 0, i32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, for the instructions above.
    fn allowed(rules: &[DeviceRule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let code = program(rules);
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_u64; 6];
        let mut at = 0;
        loop {
            let Instruction { code: op, registers: pair, offset, immediate } = code[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let immediate = immediate as u32;
            at += 1;
            match op {
                LOAD_WORD => registers[to] = u64::from(context[offset as usize / 4]),
                AND_IMMEDIATE => registers[to] = u64::from(registers[to] as u32 & immediate),
                SHIFT_RIGHT => registers[to] = u64::from(registers[to] as u32 >> immediate),
                MOVE_REGISTER => registers[to] = u64::from(registers[from] as u32),
                MOVE_IMMEDIATE => registers[to] = u64::from(immediate),
                JUMP_IF_NOT if registers[to] as u32 != immediate => at += offset as usize,
                JUMP_IF if registers[to] as u32 == immediate => at += offset as usize,
                JUMP_IF | JUMP_IF_NOT => {}
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    const CHAR: u32 = 2;
    const BLOCK: u32 = 1;

    #[test]
    fn the_last_rule_that_matches_decides() {
        let deny_all = DeviceRule { allow: false, kind: 'a', major: None, minor: None, access: 7 };
        let null = DeviceRule { allow: true, kind: 'c', major: Some(1), minor: Some(3), access: 7 };
        let read_sda = DeviceRule { allow: true, kind: 'b', major: Some(8), minor: None, access: 2 };
        let rules = [deny_all, null, read_sda];
        assert!(allowed(&rules, CHAR, 6, 1, 3));
        assert!(!allowed(&rules, CHAR, 6, 1, 5));
        assert!(!allowed(&rules, BLOCK, 6, 1, 3));
        assert!(allowed(&rules, BLOCK, 2, 8, 16));
        assert!(!allowed(&rules, BLOCK, 6, 8, 16), "a rule for reading does not cover reading and writing");
        assert!(!allowed(&[null, deny_all], CHAR, 2, 1, 3));
        assert!(!allowed(&[], CHAR, 1, 1, 3));
    }

    /// What the rules say, read one by one.
    fn by_the_rules(rules: &[DeviceRule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let fits = |rule: &&DeviceRule| {
            kind_number(rule).is_none_or(|number| number as u32 == kind)
                && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && access & !u32::from(rule.access) == 0
        };
        rules.iter().rev().find(fits).is_some_and(|rule| rule.allow)
    }

    /// The kernel refuses a program with instructions that no way leads to.
    fn all_are_reached(code: &[Instruction]) -> bool {
        let (mut reached, mut open) = (vec![false; code.len()], vec![0]);
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) && code[at].code != EXIT {
                open.push(at + 1);
                open.extend([JUMP_IF, JUMP_IF_NOT].contains(&code[at].code).then(|| at + 1 + code[at].offset as usize));
            }
        }
        reached.into_iter().all(|reached| reached)
    }

    proptest::proptest! {
        #[test]
        fn the_program_says_what_the_rules_say(
            rules in proptest::collection::vec(
                (proptest::bool::ANY, 0..3_usize, proptest::option::of(0..3_u32), proptest::option::of(0..3_u32), 1..8_u8),
                0..12,
            ),
        ) {
            let rule = |(allow, kind, major, minor, access): (_, usize, _, _, u8)| {
                DeviceRule { allow, kind: ['a', 'b', 'c'][kind], major, minor, access: if access > 4 { 7 } else { access } }
            };
            let rules: Vec<_> = rules.into_iter().map(rule).collect();
            proptest::prop_assert!(all_are_reached(&program(&rules)), "{rules:?}");
            for (kind, access, major, minor) in (0..2 * 7 * 9).map(|n| (n % 2 + 1, n / 2 % 7 + 1, n / 14 % 3, n / 42)) {
                let expected = by_the_rules(&rules, kind, access, major, minor);
                proptest::prop_assert_eq!(allowed(&rules, kind, access, major, minor), expected, "{:?}", rules);
            }
        }
    }
}

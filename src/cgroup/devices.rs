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
    for rule in rules[last.unwrap_or(0)..].iter().rev() {
        code.extend(one_rule(rule));
    }
    if last.is_none() {
        code.extend(answer(false));
    }
    code
}

fn matches_everything(rule: &DeviceRule) -> bool {
    !matches!(rule.kind, 'b' | 'c') && (rule.major, rule.minor, rule.access) == (None, None, 7)
}

/// One rule: jump over its answer unless everything matches.
fn one_rule(rule: &DeviceRule) -> Vec<Instruction> {
    // BPF_DEVCG_DEV_BLOCK is 1, BPF_DEVCG_DEV_CHAR is 2.
    let kind = match rule.kind {
        'b' => Some(1),
        'c' => Some(2),
        _ => None,
    };
    let equal = [
        (KIND, kind),
        (MAJOR, rule.major.map(|number| number as i32)),
        (MINOR, rule.minor.map(|number| number as i32)),
    ];
    let mut checks: Vec<_> = equal
        .into_iter()
        .filter_map(|(register, wanted)| wanted.map(|wanted| instruction(JUMP_IF_NOT, register, 0, 0, wanted)))
        .collect();
    // Every wanted access bit must be among the rule's: the others, masked out of it, must leave nothing.
    if rule.access != 7 {
        checks.push(instruction(MOVE_REGISTER, CONTEXT, ACCESS, 0, 0));
        checks.push(instruction(AND_IMMEDIATE, CONTEXT, 0, 0, i32::from(!rule.access & 7)));
        checks.push(instruction(JUMP_IF_NOT, CONTEXT, 0, 0, 0));
    }
    checks.extend(answer(rule.allow));
    let end = checks.len();
    for (at, check) in checks.iter_mut().enumerate() {
        if check.code == JUMP_IF_NOT {
            check.offset = (end - at - 1) as i16;
        }
    }
    checks
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
                JUMP_IF_NOT => {}
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
}

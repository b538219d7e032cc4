//! From verdicts to a program for the kernel's classic BPF machine (Documentation/networking/filter.rst): a binary search
//! over the numbers of each architecture, with the comparisons of arguments at its leaves.

use super::arch::{Architecture, X32_BIT};
use super::rules::{Condition, Rule, Verdict};
use crate::spec::oci::LinuxSeccompOperator;

/// BPF_MAXINSNS of linux/bpf_common.h.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

// Operation codes (linux/bpf_common.h): class, size and mode, or class and operation with the operand in the instruction.
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// struct seccomp_data (linux/seccomp.h): offsets in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// One instruction: struct sock_filter of linux/filter.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to jump over where a comparison holds.
    pub jump_true: u8,
    /// How many where it does not hold.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

impl Instruction {
    /// Ends the program with SECCOMP_RET_*.
    pub(super) fn give(action: u32) -> Self {
        Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: action }
    }

    /// As the kernel reads it.
    pub(super) fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&self.code.to_ne_bytes());
        (bytes[2], bytes[3]) = (self.jump_true, self.jump_false);
        bytes[4..].copy_from_slice(&self.operand.to_ne_bytes());
        bytes
    }

    /// What [`Instruction::bytes`] made.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        let [a, b, jump_true, jump_false, operand @ ..] = bytes;
        let (code, operand) = (u16::from_ne_bytes([a, b]), u32::from_ne_bytes(operand));
        Instruction { code, jump_true, jump_false, operand }
    }

    /// As bpf_asm of the kernel's tools spells it, jumps counted from the next instruction.
    pub(super) fn text(self) -> String {
        let Instruction { jump_true, jump_false, operand, .. } = self;
        match self.code {
            LOAD_WORD => format!("ld [{operand}]"),
            JUMP => format!("jmp +{operand}"),
            JUMP_EQUAL => format!("jeq #{operand:#x}, +{jump_true}, +{jump_false}"),
            JUMP_GREATER => format!("jgt #{operand:#x}, +{jump_true}, +{jump_false}"),
            JUMP_GREATER_EQUAL => format!("jge #{operand:#x}, +{jump_true}, +{jump_false}"),
            AND => format!("and #{operand:#x}"),
            RETURN => format!("ret #{operand:#x}"),
            code => format!("{code:#x} #{operand:#x}, +{jump_true}, +{jump_false}"),
        }
    }
}

/// The numbers of one architecture with their verdicts.
pub(super) struct Section {
    /// Which.
    pub architecture: &'static Architecture,
    /// Those that have one, by number.
    pub verdicts: Vec<(u32, Verdict)>,
    /// The highest number that is not too new to be known to the profile, and SECCOMP_RET_* for those above.
    pub newest: Option<(u32, u32)>,
}

/// The whole program. `foreign` is for calls of architectures that have no section.
pub(super) fn assemble(sections: &[Section], default: u32, foreign: u32) -> Vec<Instruction> {
    let mut program = Program { code: Vec::new(), default };
    program.load(ARCHITECTURE);
    let mut done: Vec<u32> = Vec::new();
    for section in sections {
        let audit = section.architecture.audit;
        if done.contains(&audit) {
            continue;
        }
        done.push(audit);
        let at = program.code.len();
        program.push(JUMP_EQUAL, audit);
        program.load(NUMBER);
        let same: Vec<_> = sections.iter().filter(|other| other.architecture.audit == audit).collect();
        let leaves = match same.iter().any(|section| [X86_64, X32].contains(&section.architecture.short)) {
            true => shared(&same, default, foreign),
            false => section.leaves(default),
        };
        program.search(&merged(leaves));
        program.land(at, Taken::Otherwise);
    }
    program.give(foreign);
    program.code
}

const X86_64: &str = "x86_64";
const X32: &str = "x32";

/// x86_64 and x32 have one AUDIT_ARCH_*, and a bit of the number says which: the one that is not asked for is foreign.
fn shared(sections: &[&Section], default: u32, foreign: u32) -> Vec<(u32, Verdict)> {
    let leaves = |short: &str| {
        let section = sections.iter().find(|section| section.architecture.short == short);
        section.map(|section| section.leaves(default))
    };
    let alone = vec![(0, Verdict::Always(foreign))];
    let mut all = leaves(X86_64).unwrap_or(alone);
    match leaves(X32) {
        Some(x32) => all.extend(x32.into_iter().map(|(first, verdict)| (first.max(X32_BIT), verdict))),
        // A tracer that wants a call skipped writes -1 for its number (ptrace(2)): that is no call of x32.
        None => all.extend([(X32_BIT, Verdict::Always(foreign)), (u32::MAX, Verdict::Always(default))]),
    }
    all
}

impl Section {
    /// Intervals of numbers: each entry holds from its number to the next one's.
    fn leaves(&self, default: u32) -> Vec<(u32, Verdict)> {
        let unnamed = |number: u32| match self.newest {
            Some((newest, unknown)) if number > newest => Verdict::Always(unknown),
            _ => Verdict::Always(default),
        };
        let named = self.verdicts.iter();
        let named = named.flat_map(|(number, verdict)| [(*number, verdict.clone()), (number + 1, unnamed(number + 1))]);
        let ends = self.newest.map(|(newest, _)| (newest + 1, unnamed(newest + 1)));
        let mut leaves: Vec<_> = std::iter::once((0, unnamed(0))).chain(ends).chain(named).collect();
        // Of two entries with one number the later counts: what is named comes after what is not.
        leaves.sort_by_key(|(first, _)| *first);
        leaves
    }
}

/// Without what is empty, and with neighbours of one verdict as one.
fn merged(leaves: Vec<(u32, Verdict)>) -> Vec<(u32, Verdict)> {
    let mut merged: Vec<(u32, Verdict)> = Vec::with_capacity(leaves.len());
    for (first, verdict) in leaves {
        if merged.last().is_some_and(|(last, _)| *last == first) {
            merged.pop();
        }
        if merged.last().is_none_or(|(_, before)| *before != verdict) {
            merged.push((first, verdict));
        }
    }
    merged
}

/// Which way of a comparison is not the next instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Then,
    Otherwise,
}

struct Program {
    code: Vec<Instruction>,
    default: u32,
}

impl Program {
    fn push(&mut self, code: u16, operand: u32) {
        self.code.push(Instruction { code, jump_true: 0, jump_false: 0, operand });
    }

    fn load(&mut self, offset: u32) {
        self.push(LOAD_WORD, offset);
    }

    fn give(&mut self, action: u32) {
        self.code.push(Instruction::give(action));
    }

    /// Lets one way of the comparison at `at` go to what comes next. A comparison jumps over at most 255 instructions; a
    /// longer way is an instruction of its own, which everything behind makes room for: jumps are relative, and none
    /// crosses that place.
    fn land(&mut self, at: usize, taken: Taken) {
        let distance = self.code.len() - at - 1;
        if let Ok(near) = u8::try_from(distance) {
            match taken {
                Taken::Then => self.code[at].jump_true = near,
                Taken::Otherwise => self.code[at].jump_false = near,
            }
            return;
        }
        let far = Instruction { code: JUMP, jump_true: 0, jump_false: 0, operand: distance as u32 };
        self.code.insert(at + 1, far);
        match taken {
            Taken::Then => self.code[at].jump_false = 1,
            Taken::Otherwise => self.code[at].jump_true = 1,
        }
    }

    /// Finds the number's interval.
    fn search(&mut self, leaves: &[(u32, Verdict)]) {
        if let [(_, verdict)] = leaves {
            return match verdict {
                Verdict::Always(action) => self.give(*action),
                Verdict::When(rules) => self.rules(rules),
            };
        }
        let (below, above) = leaves.split_at(leaves.len() / 2);
        let at = self.code.len();
        self.push(JUMP_GREATER_EQUAL, above[0].0);
        self.search(below);
        self.land(at, Taken::Then);
        self.search(above);
    }

    /// Tries rules in turn. One has at most six conditions of at most six instructions: all its jumps are near.
    fn rules(&mut self, rules: &[Rule]) {
        for rule in rules {
            let mut failing = Vec::new();
            for condition in &rule.conditions {
                self.condition(condition, &mut failing);
            }
            self.give(rule.action);
            for (at, taken) in failing {
                self.land(at, taken);
            }
        }
        self.give(self.default);
    }

    /// Goes on where the condition holds; the ways out where it does not are added to `failing`.
    fn condition(&mut self, condition: &Condition, failing: &mut Vec<(usize, Taken)>) {
        use LinuxSeccompOperator::*;
        let offset = ARGUMENTS + 8 * u32::from(condition.argument);
        let words = |value: u64| ((value >> 32) as u32, value as u32);
        let ((high, low), (mask_high, mask_low)) = (words(condition.value), words(condition.mask));
        let mut holding = Vec::new();
        if mask_high != 0 {
            self.load(offset + 4);
            self.masked(mask_high);
            let at = self.code.len();
            match condition.operator {
                ScmpCmpEq | ScmpCmpMaskedEq => {
                    self.push(JUMP_EQUAL, high);
                    failing.push((at, Taken::Otherwise));
                }
                ScmpCmpNe => {
                    self.push(JUMP_EQUAL, high);
                    holding.push((at, Taken::Otherwise));
                }
                ScmpCmpGt | ScmpCmpGe => {
                    self.push(JUMP_GREATER, high);
                    holding.push((at, Taken::Then));
                    self.push(JUMP_EQUAL, high);
                    failing.push((at + 1, Taken::Otherwise));
                }
                ScmpCmpLt | ScmpCmpLe => {
                    self.push(JUMP_GREATER, high);
                    failing.push((at, Taken::Then));
                    self.push(JUMP_EQUAL, high);
                    holding.push((at + 1, Taken::Otherwise));
                }
            }
        }
        if mask_low != 0 {
            self.load(offset);
            self.masked(mask_low);
            let at = self.code.len();
            let (code, taken) = match condition.operator {
                ScmpCmpEq | ScmpCmpMaskedEq => (JUMP_EQUAL, Taken::Otherwise),
                ScmpCmpNe => (JUMP_EQUAL, Taken::Then),
                ScmpCmpGt => (JUMP_GREATER, Taken::Otherwise),
                ScmpCmpGe => (JUMP_GREATER_EQUAL, Taken::Otherwise),
                ScmpCmpLt => (JUMP_GREATER_EQUAL, Taken::Then),
                ScmpCmpLe => (JUMP_GREATER, Taken::Then),
            };
            self.push(code, low);
            failing.push((at, taken));
        }
        for (at, taken) in holding {
            self.land(at, taken);
        }
    }

    fn masked(&mut self, mask: u32) {
        if mask != u32::MAX {
            self.push(AND, mask);
        }
    }
}

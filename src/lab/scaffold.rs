//! The beginning of a new lab: small, sound in every rule of the linter, and really working, so that each change to it can be
//! tested at once.

/// The files of a new lab, by their paths below its folder.
pub fn files(id: &str) -> [(&'static str, String); 3] {
    let of = |template: &str| template.replace("LAB-ID", id);
    [("lab.md", of(EN)), ("lab.zh.md", of(ZH)), ("files/notes.txt", NOTES.to_string())]
}

const NOTES: &str = "Files of this directory are copied to where the lab's shell starts.\n";

const EN: &str = r#"+++
format   = 1
id       = "LAB-ID"
lang     = "en"
minutes  = 5
seeds    = ["000 §01"]                       # the question that this lab answers
requires = ["cmd:sleep"]                     # root, cgroup2:memory, cmd:ip, kernel>=6.1 ...
vars     = { seconds = ["1000", "2000"] }    # one is picked for each attempt; lab test runs them all
predict  = { choices = ["one", "many"], answer = "many" }

[[step]]
id    = "sleeper"
show  = 'sleep $seconds & echo $! > sleeper'
check = [{ proc = "comm", of = "file:sleeper", eq = "sleep" }]
solve = 'sleep $seconds & echo $! > sleeper'
slip  = [{ id = "shell", when = { proc = "comm", of = "file:sleeper", ne = "sleep" }, do = 'echo $$ > sleeper' }]
+++
# What this lab is called

**Goal:** one thing that the learner will remember. Say where it is met in practice.

## predict
A question whose answer surprises. How many states can a process be in?

- one: one: it runs
- many: several

### after
Say why, now that it has been seen. Look at `State` in `/proc/PID/status`: a sleeping process uses no CPU.

## sleeper: What to do here

Say what to bring about, and not which keys to press. Start `sleep $seconds` in the background, and write its process id into the file
`sleeper`.

### hint
The first hint is vague: what ends with `&` runs in the background.

### hint
The second is plainer: `$!` is the process id of the last one that was started so.

### hint
The last one is the command: `sleep $seconds & echo $! > sleeper`

### slip shell
Say what that really is, and what was meant: this process is not `sleep`. `$$` is the shell itself; you want `$!`.

### after
What the learner has seen, in one or two sentences.

## end

- One to four sentences to keep.

### question
One question to take along, whose answer can be tried out.
"#;

const ZH: &str = r#"# 这个实验叫什么

**目标**：学完会记住的一件事。说说它在实际工作中哪里会遇到。

## predict
一个答案出人意料的问题。一个进程能有几种状态？

- one：一种：在运行
- many：好几种

### after
看过之后再说为什么。看看 `/proc/PID/status` 里的 `State`：睡眠的进程不用 CPU。

## sleeper：这一步做什么

说要达成什么，而不是按哪些键。在后台启动 `sleep $seconds`，把它的进程号写进文件 `sleeper`。

### hint
第一个提示含糊一点：以 `&` 结尾的在后台运行。

### hint
第二个清楚一点：`$!` 是最近一个这样启动的进程号。

### hint
最后一个就是命令：`sleep $seconds & echo $! > sleeper`

### slip shell
说清它其实是什么、本来该是什么：这个进程不是 `sleep`。`$$` 是 shell 自己；要的是 `$!`。

### after
用一两句话说学习者看到了什么。

## end

- 一到四句值得记住的话。

### question
一个可以带走的问题，答案能自己试出来。
"#;

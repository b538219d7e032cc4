//! What the runner itself says, in both languages. A lab's own words are in its files.

use crate::lab::lang::Lang;
use crate::lab::scene::SceneError;

/// The marks of a check that holds and of one that does not (yet).
pub const MARKS: [&str; 2] = ["[ok]", "[  ]"];

/// A phrase with its two forms; `{}` are filled in order.
macro_rules! phrases {
    ($($(#[$doc:meta])* $name:ident($($argument:ident),*): $en:literal, $zh:literal;)*) => {
        $($(#[$doc])*
        pub fn $name(lang: Lang $(, $argument: impl std::fmt::Display)*) -> String {
            match lang {
                Lang::En => format!($en),
                Lang::Zh => format!($zh),
            }
        })*
    };
}

phrases! {
    /// Before the prediction.
    predict_heading(): "Before you begin: what do you expect?", "动手之前：你预计会怎样？";
    /// How to answer the prediction.
    predict_ask(last): "Your guess (1-{last}, nobody grades it; Enter to skip): ", "你的预测（1-{last}，不打分；回车跳过）：";
    /// What was predicted.
    predicted(words): "Your prediction: {words}", "你的预测：{words}";
    /// What came out.
    outcome(words): "What happened:  {words}", "实际结果：{words}";
    /// The heading of a step.
    step_heading(number, of, title): "{number}/{of} {title}", "{number}/{of} {title}";
    /// Over the shown command.
    command_is(): "The command:", "命令：";
    /// What the shell understands, said once at the beginning.
    shell_words():
        "This is your own shell. Type the command, or do it your way: what counts is what the kernel shows. \
         More words: hint, status, solve, skip, back, lesson; exit leaves.",
        "这是你自己的 shell。照命令做，或用你自己的办法：只看内核里的结果。\
         还可以输入：hint（提示）status（进度）solve（演示解法）skip（跳过）back（上一步）lesson（重看讲解）；exit 离开。";
    /// A hint's heading.
    hint_heading(number, of): "Hint {number} of {of}", "提示 {number}/{of}";
    /// A slip's heading.
    slip_heading(): "Look again", "再看一眼";
    /// A step is done.
    step_done(number, of): "Step {number} of {of} done.", "第 {number} 步（共 {of} 步）完成。";
    /// All steps are done.
    all_done(): "All steps done", "全部完成";
    /// After the last step of a guided lab.
    leave_with_exit(): "Look around as long as you like; exit leaves and cleans up.", "可以继续随便看看；输入 exit 离开并清理。";
    /// Before the first step.
    at_first(): "This is the first step.", "已经是第一步了。";
    /// Before a solution runs.
    solution_runs(): "The solution, run for you:", "解法，替你运行：";
    /// Over the question to take along.
    question_heading(): "One question to take along", "留给你的一个问题";
    /// Over the table of evidence.
    evidence_heading(): "Evidence: what this machine's kernel says", "证据：这台机器的内核怎么说";
    /// The head of the evidence table.
    evidence_file(): "file", "文件";
    /// The head of the evidence table.
    evidence_value(): "value", "实际值";
    /// The head of the evidence table.
    evidence_expected(): "expected", "期望";
    /// A played lab with every check green.
    all_green(count): "All {count} checks hold.", "{count} 项检查全部成立。";
    /// A played lab with a red check.
    some_red(red, count): "{red} of {count} checks do not hold:", "{count} 项检查中有 {red} 项不成立：";
    /// Waiting for a key.
    press_key(): "-- Enter goes on, q leaves --", "-- 回车继续，q 离开 --";
    /// More than one screen is to be read.
    press_enter(): "-- Enter goes on --", "-- 回车继续 --";
    /// A lab that cannot run here.
    cannot(id): "lab {id} cannot run here", "实验 {id} 无法在这里运行";
    /// Why.
    because_and_remedy(because, remedy): "because {because}; {remedy}", "因为{because}；{remedy}";
    /// Something is left behind.
    residue_heading(): "The lab is over, and this is left on the machine:", "实验结束了，但机器上还留着：";
    /// Nothing is left behind.
    clean(): "Cleaned up: no cgroup, mount, process, namespace or link is left.", "已清理：没有留下 cgroup、挂载、进程、命名空间或网络接口。";
    /// What a killed run left was taken away.
    cleared(lab): "Cleared away what a killed run of lab {lab} had left.", "已清理上次被杀死的实验 {lab} 留下的东西。";
    /// Left before the end.
    left_early(done, of, id): "You left after {done} of {of} steps. Again, from there: glassbox lab start {id} --from {done}",
        "你在完成 {done}/{of} 步后离开。从那里继续：glassbox lab start {id} --from {done}";
    /// The list's heads.
    list_head(): "lab", "实验";
    /// The list's heads.
    list_minutes(): "min", "分钟";
    /// The list's heads.
    list_here(): "here", "可运行";
    /// The list's heads.
    list_done(): "done", "进度";
    /// The list's heads.
    list_title(): "title", "标题";
    /// Can it run here?
    yes(): "yes", "能";
    /// Can it run here?
    no(): "no", "否";
    /// All steps of a lab were done once.
    finished(): "all", "完成";
    /// A lab that is refused.
    broken(count): "broken: {count} problems (glassbox lab test tells them)", "有 {count} 处错误（用 glassbox lab test 查看）";
    /// Below the list.
    list_hint(): "Take one: glassbox lab start ID. Watch one: glassbox lab play ID", "动手做：glassbox lab start ID；只看演示：glassbox lab play ID";
    /// A question that a lab will answer one day.
    seed_wanted(lab): "no lab yet: {lab} is still to be written", "还没有实验：{lab} 有待编写";
    /// A question that no node's kernel can answer.
    seed_not(reason): "not a node's matter: {reason}", "不是节点上的事：{reason}";
    /// Below the questions.
    seed_sum(all, labs, wanted, not): "{all} questions: {labs} answered by labs, {wanted} wait for one, {not} are not a node's matter.",
        "共 {all} 个问题：{labs} 个有实验回答，{wanted} 个还在等实验，{not} 个不是节点上的事。";
    /// Before the commands of somebody else's lab.
    foreign(id, file): "Lab {id} ({file}) is not one of glassbox's own. It runs these commands:", "实验 {id}（{file}）不是 glassbox 自带的。它会运行这些命令：";
    /// Asking for the hands of a room.
    tally_ask(number): "Hands for {number}: ", "选 {number} 的人数：";
    /// Over the hands of a room.
    tally_heading(hands): "{hands} hands", "共 {hands} 人";
    /// A figure that is plotted.
    figure(now): "{now}", "{now}";
    /// A figure that is plotted, with its limit.
    figure_of(now, limit, file): "{now} of {limit} ({file})", "{now}，上限 {limit} ({file})";
    /// A plotted file that is not there, or has no figure.
    no_figure(): "no figure yet", "还没有数值";
    /// A check that does not hold yet, in the panes.
    wanted(place, found, expected): "{place}: {found} (expected {expected})", "{place}：{found}（期望 {expected}）";
    /// Checks that hold and have no line of their own.
    checks_hold(count): "{count} checks hold", "{count} 项检查已成立";
    /// Lines of the live state that do not fit.
    more_lines(count): "({count} more lines; z shows them)", "（还有 {count} 行，按 z 查看）";
    /// Over the live state.
    kernel_shows(): "what the kernel shows now", "内核现在的样子";
    /// Which lines of the lesson are seen.
    lines_of(first, last, of): "lines {first}-{last} of {of}", "第 {first}-{last} 行，共 {of} 行";
    /// The keys of the panes, the most needed first.
    keys(): "h hint|s solve|n skip|b back|arrows scroll|z zoom|q leave", "h 提示|s 解法|n 跳过|b 上一步|方向键 滚动|z 缩放|q 离开";
    /// Before the keys.
    prefix_then(): "Ctrl-G, then:", "Ctrl-G 再按：";
    /// Before the keys, once the prefix was pressed.
    prefix_now(): "Now press:", "现在按：";
    /// Before leaving.
    really_leave(): "Leave the lab? y leaves and cleans up, any other key goes on", "要离开实验吗？按 y 离开并清理，其他键继续";
    /// No solution can be typed into the shell now.
    shell_is_busy(): "The shell is busy: type solve at its prompt", "shell 正忙：请在提示符后输入 solve";
    /// There is no shell here into which the solution could be typed.
    type_solve(): "Type solve in your own shell: it runs there", "请在你自己的 shell 里输入 solve，解法会在那里运行";
    /// The learner's shell has still to come.
    waits_for_shell(): "No shell yet. In another terminal, as the same user: glassbox lab shell", "还没有 shell。请在另一个终端以同一用户运行：glassbox lab shell";
    /// A shell that joins a lab.
    joined(lab, shell): "This is {shell} in the lab {lab}; the lesson is in the other terminal. exit leaves.", "这是实验 {lab} 里的 {shell}；讲解在另一个终端。输入 exit 离开。";
    /// The lab of a shell in another terminal has ended.
    lab_over(lab): "The lab {lab} is over.", "实验 {lab} 已结束。";
    /// A set without labs.
    list_empty(): "There are no labs here.", "这里没有实验。";
}

/// Why no scene could be set, for an error's chain.
pub fn scene_error(error: &SceneError, lang: Lang) -> String {
    match error {
        SceneError::NoBase(no_base) => {
            let why = crate::lab::machine::Why::NoBase(no_base.clone());
            let unmet = crate::lab::machine::Unmet { require: crate::lab::requires::Require::Cgroup2, why };
            crate::lab::cannot::because(&unmet, lang)
        }
        SceneError::Io(error) => error.to_string(),
    }
}

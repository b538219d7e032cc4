//! The words for what glassbox does for itself: it is in no plan, but it changes the machine, so it is told.

use crate::plan::Language;
use crate::runtime::narrate::Own;

/// One sentence, imperative, without a full stop.
pub(super) fn sentence(own: Own, language: Language) -> &'static str {
    let (english, chinese) = match own {
        Own::Directory => ("make a directory for what is known of the container", "为容器的记录创建一个目录"),
        Own::Record => ("write down what is known of the container", "写下容器的记录"),
        Own::Listen => ("listen on the socket that start will connect to", "监听 start 将要连接的套接字"),
        Own::Notify => ("open the socket by which the program says that it is ready", "打开程序用来报告就绪的套接字"),
        Own::Between => (
            "clone a process in between, which joins before the container's is made",
            "克隆一个中间进程，由它先加入命名空间",
        ),
        Own::HandOver => ("hand over what the caller asked for", "把调用者要的东西交给它"),
        Own::End => ("end the process, which cannot go on", "结束这个无法继续的进程"),
        Own::Remove => ("remove the container: its processes, its cgroup, its record", "删除容器：进程、cgroup 和记录"),
        Own::AfterStart => ("run the poststart hooks", "运行 poststart 钩子"),
    };
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// What asks for it.
pub(super) fn because(own: Own, language: Language) -> &'static str {
    let (english, chinese) = match own {
        Own::Directory | Own::Record => ("another command must find it, and undo it", "别的命令要能找到它，也要能撤销"),
        Own::Listen => ("create makes the container, start runs it", "create 造好容器，start 才运行它"),
        Own::Notify => ("NOTIFY_SOCKET in our own environment", "我们自己的环境中有 NOTIFY_SOCKET"),
        Own::Between => {
            ("what joins a PID namespace is only born into it", "加入 PID 命名空间的只能是之后出生的子进程")
        }
        Own::HandOver => {
            ("--pid-file, --pidfd-socket, --console-socket", "--pid-file、--pidfd-socket、--console-socket")
        }
        Own::End => ("a step has failed, or was not wanted", "有一步失败了，或者被放弃"),
        Own::Remove => ("its program has ended, or it could not start", "程序已经结束，或者没能启动"),
        Own::AfterStart => ("hooks.poststart", "hooks.poststart"),
    };
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// Why there is no shell command for it.
pub(super) fn no_shell(own: Own, language: Language) -> &'static str {
    let (english, chinese) = match own {
        Own::Directory | Own::Record | Own::Listen | Own::Notify | Own::HandOver => {
            ("it is glassbox's own bookkeeping: a container needs none of it", "这是 glassbox 自己的记录，容器并不需要")
        }
        Own::Between => ("nsenter of the next steps forks by itself", "后面几步的 nsenter 会自己 fork"),
        Own::End => ("kill -9 is the command for it", "对应的命令是 kill -9"),
        Own::Remove => ("glassbox delete is the command for it", "对应的命令就是 glassbox delete"),
        Own::AfterStart => (
            "a hook reads the state of the container, and a script's container has none",
            "钩子要读容器的状态，脚本启动的容器没有状态",
        ),
    };
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

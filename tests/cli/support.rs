//! Running the real binary, and writing down everything it printed.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run of `glassbox` with these arguments, not started yet.
pub fn glassbox<Args>(args: Args) -> Run
where
    Args: IntoIterator,
    Args::Item: Into<OsString>,
{
    Run {
        args: args.into_iter().map(Into::into).collect(),
        directory: None,
        input: Vec::new(),
        environment: Vec::new(),
    }
}

/// A run that is being described.
pub struct Run {
    args: Vec<OsString>,
    directory: Option<PathBuf>,
    input: Vec<u8>,
    environment: Vec<(String, String)>,
}

impl Run {
    /// Runs in `directory`, so that paths in the output are short.
    pub fn in_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_path_buf());
        self
    }

    /// Gives it standard input.
    pub fn input(mut self, text: &str) -> Self {
        self.input = text.into();
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs it to its end.
    pub fn output(self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.args(&self.args).env("COLUMNS", "80").env_remove("NO_COLOR").env_remove("XDG_RUNTIME_DIR");
        command.envs(self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built with the tests");
        // A program that reads no input may be gone already.
        let _ = child.stdin.take().expect("it is piped").write_all(&self.input);
        let output = child.wait_with_output().expect("a child can be waited for");
        Output {
            status: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
        }
    }

    /// Runs it and writes down status, stdout and stderr, the empty ones left out.
    pub fn snapshot(self) -> String {
        let output = self.output();
        let mut text = format!("status {}\n", output.status);
        for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !stream.is_empty() {
                text.push_str(&format!("{name}:\n{stream}"));
            }
        }
        text
    }
}

/// How a run ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

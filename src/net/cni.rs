//! The network of a sandbox by CNI plugins: a chain of programs, each given a configuration and what the ones before it
//! made (the CNI specification 1.0, sections 1 to 3).

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::error::NetError;
use super::port::HostPort;

/// A chain of plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    path: PathBuf,
    name: String,
    version: String,
    plugins: Vec<Value>,
    /// Directories in which the plugins' programs are looked for.
    pub search: Vec<PathBuf>,
}

/// The sandbox that a chain works on.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// Its id (CNI_CONTAINERID).
    pub id: &'a str,
    /// Path of its network namespace (CNI_NETNS).
    pub namespace: &'a Path,
    /// What plugins may want to know, as `K8S_POD_NAME=web;…` (CNI_ARGS).
    pub args: &'a str,
    /// Ports of the node that shall lead to it.
    pub ports: &'a [HostPort],
}

/// Where Debian, and where everybody else, installs plugins.
const SEARCH: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

impl Chain {
    /// Reads a configuration list (`.conflist`), or the configuration of one plugin (`.conf`).
    pub fn load(path: &Path) -> Result<Chain, NetError> {
        let text = fs::read_to_string(path).map_err(|cause| NetError::file(path, cause))?;
        let search = match std::env::var_os("CNI_PATH") {
            Some(list) => std::env::split_paths(&list).collect(),
            None => SEARCH.map(PathBuf::from).to_vec(),
        };
        Chain::parse(path, &text, search)
    }

    fn parse(path: &Path, text: &str, search: Vec<PathBuf>) -> Result<Chain, NetError> {
        let wrong = |message: String| NetError::CniConfig { path: path.to_path_buf(), message };
        let config: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let word = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_string);
        let name = word("name").ok_or_else(|| wrong("it has no name".into()))?;
        let version = word("cniVersion").unwrap_or_else(|| "0.1.0".into());
        let plugins = match config.get("plugins") {
            Some(Value::Array(plugins)) if !plugins.is_empty() => plugins.clone(),
            Some(_) => return Err(wrong("plugins is no list with a plugin in it".into())),
            None => vec![config],
        };
        let kind = |plugin: &Value| plugin.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.contains('/'));
        if let Some(index) = plugins.iter().position(|plugin| !kind(plugin)) {
            return Err(wrong(format!("plugins[{index}].type does not name a program")));
        }
        Ok(Chain { path: path.to_path_buf(), name, version, plugins, search })
    }

    /// Attaches a sandbox (ADD, in order). Gives back the addresses it has, and the result that [`Chain::detach`] wants; after an
    /// error, what was done is undone.
    pub fn attach(&self, sandbox: Sandbox<'_>) -> Result<(Vec<IpAddr>, Value), NetError> {
        let mut result = Value::Null;
        for plugin in &self.plugins {
            match self.call("ADD", plugin, sandbox, &result) {
                Ok(answer) => result = answer,
                Err(error) => {
                    let _ = self.detach(sandbox, &result);
                    return Err(error);
                }
            }
        }
        Ok((addresses(&result), result))
    }

    /// Detaches a sandbox (DEL, in reverse order); every plugin is asked, and the first error is told.
    pub fn detach(&self, sandbox: Sandbox<'_>, result: &Value) -> Result<(), NetError> {
        let answers: Vec<_> =
            self.plugins.iter().rev().map(|plugin| self.call("DEL", plugin, sandbox, result).map(drop)).collect();
        answers.into_iter().collect()
    }

    fn call(
        &self,
        command: &'static str,
        plugin: &Value,
        sandbox: Sandbox<'_>,
        previous: &Value,
    ) -> Result<Value, NetError> {
        let kind = plugin["type"].as_str().unwrap_or_default();
        let failed = |message: String| NetError::CniPlugin { plugin: kind.to_string(), command, message };
        let program = self.search.iter().map(|directory| directory.join(kind)).find(|path| path.is_file());
        let search: Vec<_> = self.search.iter().map(|path| path.display().to_string()).collect();
        let program = program.ok_or_else(|| failed(format!("it is not in {}", search.join(", "))))?;
        let mut child = Command::new(program)
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", sandbox.id)
            .env("CNI_NETNS", sandbox.namespace)
            .env("CNI_IFNAME", super::link::INSIDE)
            .env("CNI_ARGS", sandbox.args)
            .env("CNI_PATH", search.join(":"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|cause| failed(cause.to_string()))?;
        let input = self.input(plugin, sandbox.ports, previous).to_string();
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().map_err(|cause| failed(cause.to_string()))?;
        let said: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        if !output.status.success() {
            let message = said.as_ref().and_then(|said| said.get("msg")?.as_str().map(str::to_string));
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(failed(message.unwrap_or(stderr)));
        }
        match (command, said) {
            (_, Some(said)) => Ok(said),
            ("DEL", None) => Ok(Value::Null),
            (_, None) => Err(failed("it answered no JSON".into())),
        }
    }

    /// What a plugin reads: its own configuration with the list's name and version, the result of the one before it, and what
    /// it says that it is capable of.
    fn input(&self, plugin: &Value, ports: &[HostPort], previous: &Value) -> Value {
        let mut input = plugin.clone();
        input["cniVersion"] = json!(self.version);
        input["name"] = json!(self.name);
        if !previous.is_null() {
            input["prevResult"] = previous.clone();
        }
        let capable = plugin.pointer("/capabilities/portMappings") == Some(&Value::Bool(true));
        if capable && !ports.is_empty() {
            let mappings: Vec<Value> = ports.iter().map(mapping).collect();
            input["runtimeConfig"] = json!({"portMappings": mappings});
        }
        input
    }
}

fn mapping(port: &HostPort) -> Value {
    let mut mapping = json!({
        "hostPort": port.host_port,
        "containerPort": port.container_port,
        "protocol": port.protocol.to_string(),
    });
    if let Some(ip) = port.host_ip {
        mapping["hostIP"] = json!(ip.to_string());
    }
    mapping
}

/// `ips[*].address` of a result, without their prefix lengths.
fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result.get("ips").and_then(Value::as_array).into_iter().flatten();
    ips.filter_map(|ip| ip.get("address")?.as_str()?.split('/').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::port::Protocol;
    use super::*;

    const LIST: &str = r#"{"cniVersion": "1.0.0", "name": "lab", "plugins": [
        {"type": "first", "bridge": "cni0"},
        {"type": "second", "capabilities": {"portMappings": true}}]}"#;

    fn port() -> HostPort {
        HostPort { protocol: Protocol::Tcp, host_port: 8080, container_port: 80, host_ip: None }
    }

    fn sandbox<'a>(ports: &'a [HostPort]) -> Sandbox<'a> {
        Sandbox { id: "web", namespace: Path::new("/run/netns/web"), args: "K8S_POD_NAME=web", ports }
    }

    /// Plugins that note how they were called, and answer; `broken` fails.
    fn chain(directory: &Path, text: &str) -> Chain {
        for (name, answer, status) in [
            ("first", r#"{"ips": [{"address": "10.1.2.3/24"}, {"address": "fd00::3/64"}]}"#, 0),
            ("second", r#"{"ips": [{"address": "10.1.2.3/24"}], "second": true}"#, 0),
            ("broken", r#"{"code": 11, "msg": "no such subnet"}"#, 1),
        ] {
            let path = directory.join(name);
            let log = directory.join("log");
            let script = format!(
                "#!/bin/sh\necho \"{name} $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $(cat)\" >>{}\necho '{answer}'\nexit {status}\n",
                log.display()
            );
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Chain::parse(Path::new("lab.conflist"), text, vec![directory.to_path_buf()]).unwrap()
    }

    fn log(directory: &Path) -> Vec<String> {
        let text = fs::read_to_string(directory.join("log")).unwrap_or_default();
        text.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn each_plugin_reads_what_the_one_before_it_made() {
        let directory = tempfile::tempdir().unwrap();
        let chain = chain(directory.path(), LIST);
        let ports = [port()];
        let (addresses, result) = chain.attach(sandbox(&ports)).unwrap();
        assert_eq!(addresses, ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        assert_eq!(result["second"], true);
        let said = fs::read_to_string(directory.path().join("log")).unwrap();
        let second = said.lines().nth(1).unwrap();
        assert!(second.starts_with("second ADD web /run/netns/web eth0 K8S_POD_NAME=web {"), "{second}");
        let input: Value = serde_json::from_str(&second[second.find('{').unwrap()..]).unwrap();
        assert_eq!(input["prevResult"]["ips"][1]["address"], "fd00::3/64");
        assert_eq!((&input["name"], &input["cniVersion"]), (&json!("lab"), &json!("1.0.0")));
        let mapping = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
        assert_eq!(input["runtimeConfig"]["portMappings"], mapping);
        chain.detach(sandbox(&ports), &result).unwrap();
        assert_eq!(log(directory.path()), ["first ADD web", "second ADD web", "second DEL web", "first DEL web"]);
    }

    #[test]
    fn a_plugin_that_fails_is_told_in_its_own_words_and_the_chain_is_undone() {
        let directory = tempfile::tempdir().unwrap();
        let chain = chain(directory.path(), &LIST.replace("second", "broken"));
        let error = chain.attach(sandbox(&[])).unwrap_err();
        assert_eq!(error.to_string(), "CNI plugin broken ADD: no such subnet");
        assert_eq!(log(directory.path()), ["first ADD web", "broken ADD web", "broken DEL web", "first DEL web"]);
        let missing = Chain { search: vec![directory.path().join("none")], ..chain };
        assert!(missing.attach(sandbox(&[])).unwrap_err().to_string().contains("CNI plugin first ADD: it is not in "));
    }

    #[test]
    fn a_single_plugin_is_a_chain_of_one_and_what_is_no_chain_is_refused() {
        let parse = |text: &str| Chain::parse(Path::new("x.conf"), text, Vec::new());
        let one = parse(r#"{"name": "lab", "type": "bridge", "cniVersion": "0.4.0"}"#).unwrap();
        assert_eq!((one.plugins.len(), one.version.as_str()), (1, "0.4.0"));
        for (text, reason) in [
            ("{", "CNI configuration \"x.conf\": EOF"),
            ("{}", "has no name"),
            (r#"{"name": "a", "plugins": []}"#, "no list with a plugin"),
            (r#"{"name": "a", "plugins": [{"type": "../sh"}]}"#, "plugins[0].type"),
            (r#"{"name": "a"}"#, "plugins[0].type"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

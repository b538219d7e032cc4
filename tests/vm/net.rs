//! The pod network: sandboxes reach each other, the node and the way out; host ports lead to them; nothing is left behind.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use glassbox::net::cni::{Chain, Sandbox};
use glassbox::net::{Attached, HostPort, NetError, Network, Protocol, attach, detach};
use serde_json::json;

use super::support::{Machine, Output, machine, sh, wait_until};

/// A named network namespace, removed at its end.
struct Namespace(&'static str);

impl Namespace {
    fn new(name: &'static str) -> Namespace {
        let made = sh(&format!("ip netns add {name}"));
        assert_eq!(made.status, 0, "{}", made.stderr);
        Namespace(name)
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(self.0)
    }

    fn attach(&self, network: &Network, ports: &[HostPort]) -> Result<Attached, NetError> {
        attach(network, self.0, File::open(self.path()).unwrap().as_fd(), ports)
    }

    fn sh(&self, line: &str) -> Output {
        sh(&format!("ip netns exec {} sh -c '{line}'", self.0))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        sh(&format!("ip netns del {}; umount /run/netns 2>/dev/null; rmdir /run/netns 2>/dev/null", self.0));
    }
}

/// A web server in a namespace, which answers every call with the caller's address.
struct Server(Child);

impl Server {
    fn start(machine: &Machine, inside: &Namespace) -> Server {
        let page = machine.directory().join("cgi-bin");
        fs::create_dir_all(&page).unwrap();
        fs::write(page.join("who"), "#!/bin/sh\nprintf \"\\n$REMOTE_ADDR\\n\"\n").unwrap();
        sh(&format!("chmod 755 {}/who", page.display()));
        let home = machine.directory().to_str().unwrap().to_string();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", inside.0, "busybox", "httpd", "-f", "-p", "80", "-h", &home]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        wait_until("the server listens", || listens(inside));
        Server(child)
    }
}

/// The kernel's table has port 80 (0050) in state LISTEN (0A).
fn listens(inside: &Namespace) -> bool {
    inside
        .sh("cat /proc/net/tcp /proc/net/tcp6 2>/dev/null")
        .stdout
        .lines()
        .any(|line| line.contains(":0050 ") && line.contains(" 0A "))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn network(machine: &Machine) -> Network {
    let state = machine.directory().join("net");
    Network { bridge: "gbtest0".into(), range: "10.244.7.0/24".parse().unwrap(), state }
}

fn port(host_port: u16) -> HostPort {
    HostPort { protocol: Protocol::Tcp, host_port, container_port: 80, host_ip: None }
}

fn pings(from: &Namespace, to: Ipv4Addr) -> bool {
    from.sh(&format!("busybox ping -c 1 -W 5 {to}")).status == 0
}

/// A line of shell that asks the server on `address`, a host and a port apart by `/`, which address it sees us come from.
fn who(address: &str) -> String {
    let request = "GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n";
    format!(
        "timeout 5 bash -c \"exec 3<>/dev/tcp/{address} && printf \\\"{request}\\\" >&3 && tail -n 1 <&3\" 2>/dev/null"
    )
}

fn ask(output: Output) -> String {
    // A server on an IPv6 socket tells IPv4 addresses in IPv6's spelling.
    output.stdout.trim().trim_start_matches("[::ffff:").trim_end_matches(']').to_string()
}

#[test]
fn two_sandboxes_and_the_node_reach_each_other_and_all_goes_when_they_go() {
    let machine = machine();
    let network = network(&machine);
    let forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let (left, right) = (Namespace::new("gbleft"), Namespace::new("gbright"));
    let one = left.attach(&network, &[]).unwrap();
    let two = right.attach(&network, &[]).unwrap();
    assert_eq!((one.address.to_string(), two.address.to_string()), ("10.244.7.2".into(), "10.244.7.3".into()));
    assert!(pings(&left, two.address) && pings(&right, one.address));
    assert!(pings(&left, one.gateway), "the node answers");
    assert_eq!(sh(&format!("busybox ping -c 1 -W 5 {}", one.address)).status, 0, "the node reaches a sandbox");
    assert!(pings(&left, Ipv4Addr::LOCALHOST), "lo is up");
    let seen = left.sh("ip -4 -o addr show dev eth0; ip route").stdout;
    assert!(seen.contains("inet 10.244.7.2/24 brd 10.244.7.255"), "{seen}");
    assert!(seen.contains("default via 10.244.7.1 dev eth0"), "{seen}");
    // A second attach of the same sandbox gives what it has.
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
    detach(&network.state, "gbleft").unwrap();
    detach(&network.state, "gbleft").unwrap();
    assert!(Path::new("/sys/class/net/gbtest0").exists(), "the other sandbox still needs the bridge");
    assert!(!Path::new("/sys/class/net").join(&one.device).exists());
    detach(&network.state, "gbright").unwrap();
    assert!(!Path::new("/sys/class/net/gbtest0").exists());
    assert!(!sh("nft list tables").stdout.contains("gbtest0"));
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), forward);
}

#[test]
fn a_host_port_leads_to_its_sandbox_from_the_node_and_the_way_out_has_the_nodes_address() {
    let machine = machine();
    let network = network(&machine);
    let (pod, other) = (Namespace::new("gbpod"), Namespace::new("gbother"));
    let attached = pod.attach(&network, &[port(8080)]).unwrap();
    other.attach(&network, &[]).unwrap();
    let server = Server::start(&machine, &pod);
    assert_eq!(ask(sh(&who(&format!("{}/80", attached.address)))), "10.244.7.1");
    assert_eq!(ask(sh(&who("10.244.7.1/8080"))), "10.244.7.1", "an address of the node");
    assert_eq!(ask(sh(&who("127.0.0.1/8080"))), "10.244.7.1", "localhost");
    assert_eq!(ask(other.sh(&who("10.244.7.1/8080"))), "10.244.7.1", "another sandbox, by the node");
    assert_eq!(ask(pod.sh(&who("10.244.7.1/8080"))), "10.244.7.1", "the sandbox itself, by the node");
    // A network beyond the node: what leaves the range has the node's address there.
    let far = Namespace::new("gbfar");
    let wired = sh(
        "ip link add gbwire type veth peer name eth0 netns gbfar && ip addr add 192.0.2.1/24 dev gbwire && \
                    ip link set gbwire up && ip -n gbfar addr add 192.0.2.2/24 dev eth0 && ip -n gbfar link set eth0 up",
    );
    assert_eq!(wired.stderr, "");
    let distant = Server::start(&machine, &far);
    assert_eq!(ask(other.sh(&who("192.0.2.2/80"))), "192.0.2.1");
    assert_eq!(ask(far.sh(&who("192.0.2.1/8080"))), "192.0.2.2", "a host port from elsewhere");
    let taken = other.attach(&network, &[port(8080)]).unwrap_err();
    assert_eq!(taken.to_string(), "host port tcp 8080 is taken by gbpod");
    drop((server, distant));
    sh("ip link del gbwire");
    detach(&network.state, "gbpod").unwrap();
    assert_eq!(ask(sh(&who("10.244.7.1/8080"))), "", "the port is closed again");
    detach(&network.state, "gbother").unwrap();
}

#[test]
fn an_attach_that_fails_leaves_nothing() {
    let machine = machine();
    let network = network(&machine);
    let pod = Namespace::new("gbpod");
    // The sandbox has the device already.
    assert_eq!(pod.sh("ip link add eth0 type bridge").stderr, "");
    let error = pod.attach(&network, &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot make the pair of devices gb0af40702 and eth0: File exists"),
        "{error}"
    );
    assert!(!network.state.join("leases.json").exists());
    let other = Network { range: "10.9.0.0/24".parse().unwrap(), ..network.clone() };
    let next = Namespace::new("gbnext");
    next.attach(&network, &[]).unwrap();
    let error = pod.attach(&other, &[]).unwrap_err();
    assert_eq!(error.to_string(), "the bridge gbtest0 serves 10.244.7.0/24, and 10.9.0.0/24 on gbtest0 is asked for");
    detach(&network.state, "gbnext").unwrap();
}

#[test]
fn debians_cni_plugins_attach_and_detach_a_sandbox() {
    let machine = machine();
    let pod = Namespace::new("gbcni");
    let list = machine.directory().join("lab.conflist");
    let config = json!({"cniVersion": "1.0.0", "name": "gblab", "plugins": [
        {"type": "bridge", "bridge": "gbcni0", "isGateway": true, "ipMasq": false, "ipam": {
            "type": "host-local", "dataDir": machine.directory().join("ipam"),
            "ranges": [[{"subnet": "10.245.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}]});
    fs::write(&list, config.to_string()).unwrap();
    let chain = Chain::load(&list).unwrap();
    let path = pod.path();
    let sandbox = Sandbox { id: "gbcni", namespace: &path, args: "IgnoreUnknown=1;K8S_POD_NAME=web", ports: &[] };
    let (addresses, result) = chain.attach(sandbox).unwrap();
    assert_eq!(addresses, [std::net::IpAddr::from([10, 245, 0, 2])]);
    assert!(pings(&pod, Ipv4Addr::new(10, 245, 0, 1)));
    assert_eq!(pod.sh("cat /proc/sys/net/ipv4/conf/eth0/arp_filter").stdout.trim(), "1");
    chain.detach(sandbox, &result).unwrap();
    assert_eq!(pod.sh("ip link show eth0").status, 1);
    sh("ip link del gbcni0; rm -rf /run/cni /var/lib/cni");
}

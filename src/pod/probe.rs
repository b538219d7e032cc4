//! Probes: when one is due, what its answers amount to (pure), and the calls that ask (`pkg/kubelet/prober`).

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::grpc;
use super::tls;

/// What a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whether the container has started; the other two wait for it.
    Startup,
    /// Whether it has to be restarted.
    Liveness,
    /// Whether it is ready.
    Readiness,
}

/// What enough answers of one kind amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As many successes in a row as were asked for.
    Passes,
    /// As many failures in a row as were asked for.
    Fails,
}

/// The state of one probe of one run of a container.
#[derive(Debug, Clone)]
pub struct Prober {
    /// What it is for.
    pub purpose: Purpose,
    /// How it asks.
    pub probe: api::Probe,
    /// When it asks next; `None` while it waits for an answer.
    pub due: Option<Timestamp>,
    successes: i32,
    failures: i32,
}

impl Prober {
    /// A probe of a container that was started at `started`. The defaults are those of `SetDefaults_Probe`.
    pub fn new(purpose: Purpose, probe: &api::Probe, started: Timestamp) -> Prober {
        let delay = seconds(probe.initial_delay_seconds, 0);
        Prober { purpose, probe: probe.clone(), due: Some(started + delay), successes: 0, failures: 0 }
    }

    /// How long one answer may take.
    pub fn timeout(&self) -> Duration {
        seconds(self.probe.timeout_seconds, 1)
    }

    /// Takes an answer; the next question comes a period later.
    pub fn take(&mut self, success: bool, now: Timestamp) -> Option<Verdict> {
        self.due = Some(now + seconds(self.probe.period_seconds, 10));
        (self.successes, self.failures) = match success {
            true => (self.successes.saturating_add(1), 0),
            false => (0, self.failures.saturating_add(1)),
        };
        if self.successes >= self.probe.success_threshold.unwrap_or(1).max(1) {
            return Some(Verdict::Passes);
        }
        let threshold = self.probe.failure_threshold.filter(|number| *number > 0).unwrap_or(3);
        (self.failures >= threshold).then_some(Verdict::Fails)
    }
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(given.and_then(|given| u64::try_from(given).ok()).filter(|given| *given > 0).unwrap_or(default))
}

/// A question that can be asked over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether a GET is answered with a status of 200 to 399.
    Http {
        /// The host to connect to.
        host: String,
        /// Its port.
        port: u16,
        /// Path and query.
        path: String,
        /// Header lines.
        headers: Vec<(String, String)>,
        /// Whether it is asked over TLS.
        tls: bool,
    },
    /// Whether a connection is taken.
    Tcp {
        /// The host to connect to.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Whether the gRPC health service says SERVING.
    Grpc {
        /// The host to connect to.
        host: String,
        /// Its port.
        port: u16,
        /// The service that is asked for; empty for the server as a whole.
        service: String,
    },
}

/// The ways in which a probe or a hook may ask over the network; it has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways<'a> {
    /// `httpGet`.
    pub http: Option<&'a api::HTTPGetAction>,
    /// `tcpSocket`.
    pub tcp: Option<&'a api::TCPSocketAction>,
    /// `grpc`.
    pub grpc: Option<&'a api::GRPCAction>,
}

/// What is asked of a pod with this address; `ports` are the container's, which may be named. `Err` says why nothing can be.
pub fn question(ways: Ways<'_>, address: IpAddr, ports: &[api::ContainerPort]) -> Result<Question, String> {
    let host =
        |own: &Option<String>| own.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| address.to_string());
    if let Some(http) = ways.http {
        let path = http.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into());
        let headers = http.http_headers.iter().flatten().map(|one| (one.name.clone(), one.value.clone()));
        return Ok(Question::Http {
            host: host(&http.host),
            port: port(&http.port, ports)?,
            path,
            headers: headers.collect(),
            tls: http.scheme.as_deref() == Some("HTTPS"),
        });
    }
    if let Some(tcp) = ways.tcp {
        return Ok(Question::Tcp { host: host(&tcp.host), port: port(&tcp.port, ports)? });
    }
    match ways.grpc {
        Some(grpc) => Ok(Question::Grpc {
            host: address.to_string(),
            port: port(&IntOrString::Int(grpc.port), ports)?,
            service: grpc.service.clone().unwrap_or_default(),
        }),
        None => Err("asks by none of exec, httpGet, tcpSocket and grpc".into()),
    }
}

fn port(wanted: &IntOrString, ports: &[api::ContainerPort]) -> Result<u16, String> {
    let number = match wanted {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => match name.parse() {
            Ok(number) => number,
            Err(_) => {
                let named = ports.iter().find(|port| port.name.as_deref() == Some(name));
                named.ok_or_else(|| format!("the container has no port {name}"))?.container_port
            }
        },
    };
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("{number} is no port"))
}

impl Question {
    /// Asks, and waits at most `timeout` for the whole answer. The error is what the kubelet would say of it.
    pub fn ask(&self, timeout: Duration) -> Result<(), String> {
        match self {
            Question::Tcp { host, port } => Timed::connect(host, *port, timeout).map(drop),
            Question::Http { host, port, path, headers, tls } => {
                let mut stream = Timed::connect(host, *port, timeout)?;
                let request = request(host, *port, path, headers);
                match tls {
                    true => get(&mut tls::over(stream, host)?, &request),
                    false => get(&mut stream, &request),
                }
            }
            Question::Grpc { host, port, service } => {
                let mut stream = Timed::connect(host, *port, timeout)
                    .map_err(|error| format!("error: failed to connect service \"{host}:{port}\": {error}"))?;
                grpc::check(&mut stream, &format!("{host}:{port}"), service)
            }
        }
    }
}

fn get(stream: &mut (impl Read + Write), request: &str) -> Result<(), String> {
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let status = status(stream)?;
    match (200..400).contains(&status) {
        true => Ok(()),
        false => Err(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// A connection whose reads and writes all have to be done by one moment: a peer that sends byte by byte gains nothing.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn connect(host: &str, port: u16, timeout: Duration) -> Result<Timed, String> {
        let said = |error: io::Error| format!("dial tcp {host}:{port}: {error}");
        let address: SocketAddr =
            (host, port).to_socket_addrs().map_err(said)?.next().ok_or_else(|| format!("{host} has no address"))?;
        let deadline = Instant::now() + timeout;
        Ok(Timed { stream: TcpStream::connect_timeout(&address, timeout).map_err(said)?, deadline })
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn request(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> String {
    // What would end the line or the request is no part of a path or a header.
    let plain = |text: &str| text.replace(['\r', '\n'], "");
    let given = |name: &str| headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let mut text = format!("GET {} HTTP/1.1\r\n", plain(path).replace(' ', "%20"));
    for (name, value) in [
        ("Host", format!("{host}:{port}")),
        ("User-Agent", "kube-probe/1.36".into()),
        ("Accept", "*/*".into()),
        ("Connection", "close".into()),
    ] {
        if !given(name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{}: {}\r\n", plain(name), plain(value))));
    text + "\r\n"
}

/// The number in the first line of an answer.
fn status(stream: &mut impl Read) -> Result<u16, String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 256 && line.last() != Some(&b'\n') {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(error) => return Err(format!("no answer: {error}")),
        }
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    let number = line.strip_prefix("HTTP/").and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    number.ok_or_else(|| format!("malformed HTTP response {:?}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn probe(value: serde_json::Value) -> api::Probe {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn thresholds_count_answers_in_a_row() {
        let start = Timestamp::UNIX_EPOCH;
        let table = [
            (json!({}), "ok", "P"),
            (json!({}), "no no no no", "..FF"),
            (json!({}), "no no ok no no no", "..P..F"),
            (json!({"failureThreshold": 1}), "no ok", "FP"),
            (json!({"successThreshold": 2, "failureThreshold": 2}), "ok no ok ok no no", "...P.F"),
        ];
        for (given, answers, expected) in table {
            let mut prober = Prober::new(Purpose::Readiness, &probe(given.clone()), start);
            let told: String = answers
                .split(' ')
                .map(|answer| match prober.take(answer == "ok", start) {
                    Some(Verdict::Passes) => 'P',
                    Some(Verdict::Fails) => 'F',
                    None => '.',
                })
                .collect();
            assert_eq!(told, expected, "{given}: {answers}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let start = Timestamp::UNIX_EPOCH;
        let mut prober = Prober::new(Purpose::Liveness, &probe(json!({})), start);
        assert_eq!((prober.due, prober.timeout()), (Some(start), Duration::from_secs(1)));
        prober.take(true, start);
        assert_eq!(prober.due, Some(start + Duration::from_secs(10)));
        let given = json!({"initialDelaySeconds": 5, "periodSeconds": 2, "timeoutSeconds": 3});
        let mut prober = Prober::new(Purpose::Liveness, &probe(given), start);
        assert_eq!((prober.due, prober.timeout()), (Some(start + Duration::from_secs(5)), Duration::from_secs(3)));
        prober.take(false, start);
        assert_eq!(prober.due, Some(start + Duration::from_secs(2)));
    }

    #[test]
    fn a_question_has_the_pods_address_and_its_ports_may_be_named() {
        let ports: Vec<api::ContainerPort> =
            serde_json::from_value(json!([{"name": "web", "containerPort": 8080}])).unwrap();
        let http = |value| serde_json::from_value::<api::HTTPGetAction>(value).unwrap();
        let ask = |value| {
            let http = http(value);
            question(Ways { http: Some(&http), ..Ways::default() }, "10.0.0.2".parse().unwrap(), &ports)
        };
        let expected = |host: &str, port| Question::Http {
            host: host.into(),
            port,
            path: "/".into(),
            headers: Vec::new(),
            tls: false,
        };
        assert_eq!(ask(json!({"port": "web"})).unwrap(), expected("10.0.0.2", 8080));
        assert_eq!(ask(json!({"port": 80, "host": "other"})).unwrap(), expected("other", 80));
        assert!(matches!(ask(json!({"port": 80, "scheme": "HTTPS"})).unwrap(), Question::Http { tls: true, .. }));
        assert_eq!(ask(json!({"port": "none"})).unwrap_err(), "the container has no port none");
        assert_eq!(ask(json!({"port": 0})).unwrap_err(), "0 is no port");
    }

    /// Answers one connection with `answer`, and gives back what was asked.
    fn answered(answer: &'static str, path: &str) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let headers = vec![("X-Test".to_string(), "yes\r\nEvil: 1".to_string())];
        let question = Question::Http { host: "127.0.0.1".into(), port, path: path.into(), headers, tls: false };
        (question.ask(Duration::from_secs(5)), server.join().unwrap())
    }

    #[test]
    fn http_answers_are_judged_by_their_status() {
        let (told, asked) = answered("HTTP/1.1 204 No Content\r\n\r\n", "/healthz");
        assert_eq!(told, Ok(()));
        assert!(asked.starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
        assert!(asked.contains("X-Test: yesEvil: 1\r\n") && asked.ends_with("\r\n\r\n"), "{asked}");
        assert_eq!(answered("HTTP/1.0 399 x\r\n\r\n", "/").0, Ok(()));
        let failed = answered("HTTP/1.0 503 x\r\n\r\n", "/").0;
        assert_eq!(failed, Err("HTTP probe failed with statuscode: 503".to_string()));
        assert!(answered("SSH-2.0\r\n", "/").0.unwrap_err().contains("malformed HTTP response"));
    }

    #[test]
    fn https_is_spoken_with_whoever_answers() {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let pem = include_bytes!("../../tests/vm/server.pem");
        let (certificate, key) =
            (CertificateDer::from_pem_slice(pem).unwrap(), PrivateKeyDer::from_pem_slice(pem).unwrap());
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
            let config = config.unwrap().with_no_client_auth();
            let config = config.with_single_cert(vec![certificate.clone()], key.clone_key()).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                String::from_utf8_lossy(&asked[..length]).into_owned()
            });
            let (host, path, headers) = ("127.0.0.1".to_string(), "/healthz".to_string(), Vec::new());
            let question = Question::Http { host, port, path, headers, tls: true };
            assert_eq!(question.ask(Duration::from_secs(20)), Ok(()));
            assert!(server.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
        }
        // A server that speaks none.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server =
            std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        let question =
            Question::Http { host: "127.0.0.1".into(), port, path: "/".into(), headers: Vec::new(), tls: true };
        assert!(question.ask(Duration::from_secs(20)).is_err());
        server.join().unwrap().unwrap();
    }

    #[test]
    fn tcp_asks_for_a_connection_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let question = Question::Tcp { host: "127.0.0.1".into(), port };
        assert_eq!(question.ask(Duration::from_secs(5)), Ok(()));
        drop(listener);
        assert!(question.ask(Duration::from_secs(5)).unwrap_err().contains("Connection refused"));
    }
}

//! The gRPC health protocol with one question (`grpc.health.v1.Health/Check`, as `pkg/probe/grpc` asks it): HTTP/2 without
//! TLS, begun with prior knowledge (RFC 9113, section 3.3).
//!
//! One stream, one request that fits every window, and an answer of a few bytes: of HTTP/2 that leaves its frames, which are
//! read here. Header compression is the crate's.

use std::io::{self, Read, Write};

use loona_hpack::{Decoder, Encoder};

/// What a client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest frame that we take, in bytes: SETTINGS_MAX_FRAME_SIZE as it is where nobody sets it.
const LONGEST: usize = 16 << 10;
/// Frames that we read before we give up.
const MOST_FRAMES: usize = 256;
/// The stream of our only request.
const STREAM: u32 = 1;

/// Types of frames (RFC 9113, section 6).
mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Asks whether `service` serves; the empty one is the server as a whole. The error is what the kubelet would say.
pub fn check(stream: &mut (impl Read + Write), authority: &str, service: &str) -> Result<(), String> {
    let answer = converse(stream, authority, service).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "timeout: health rpc did not complete in time".to_string()
        }
        _ => format!("error: health rpc probe failed: {error}"),
    })?;
    match (answer.status.as_deref(), serving(&answer.body)) {
        (Some("0"), Some(1)) => Ok(()),
        (Some("0"), status) => {
            let word = match status {
                None | Some(0) => "UNKNOWN",
                Some(2) => "NOT_SERVING",
                Some(3) => "SERVICE_UNKNOWN",
                Some(_) => "a status that nobody knows",
            };
            Err(format!("service unhealthy (responded with {word:?})"))
        }
        // UNIMPLEMENTED (grpc, doc/statuscodes.md).
        (Some("12"), _) => Err(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            answer.message
        )),
        (Some(code), _) => Err(format!("error: health rpc probe failed: status {code}: {}", answer.message)),
        (None, _) => Err("error: health rpc probe failed: the answer has no grpc-status".into()),
    }
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    /// `grpc-status`.
    status: Option<String>,
    /// `grpc-message`.
    message: String,
    body: Vec<u8>,
}

fn converse(stream: &mut (impl Read + Write), authority: &str, service: &str) -> io::Result<Answer> {
    let mut out = PREFACE.to_vec();
    // SETTINGS_ENABLE_PUSH is 0.
    out.extend(frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0]));
    out.extend(frame(kind::HEADERS, flag::END_HEADERS, STREAM, &request_headers(authority)));
    out.extend(frame(kind::DATA, flag::END_STREAM, STREAM, &request_body(service)?));
    stream.write_all(&out)?;
    let mut answer = Answer::default();
    let mut decoder = Decoder::new();
    for _ in 0..MOST_FRAMES {
        let (head, payload) = read_frame(stream)?;
        match head.kind {
            kind::HEADERS => {
                let block = header_block(stream, &head, payload)?;
                let list = decoder.decode(&block).map_err(|error| malformed(format!("headers: {error:?}")))?;
                for (name, value) in list {
                    let value = || String::from_utf8_lossy(&value).into_owned();
                    match name.as_slice() {
                        b"grpc-status" => answer.status = Some(value()),
                        b"grpc-message" => answer.message = value(),
                        _ => {}
                    }
                }
            }
            kind::DATA => answer.body.extend(unpadded(&head, payload)?),
            kind::SETTINGS if head.flags & flag::ACK == 0 => {
                stream.write_all(&frame(kind::SETTINGS, flag::ACK, 0, &[]))?;
            }
            kind::PING if head.flags & flag::ACK == 0 => {
                stream.write_all(&frame(kind::PING, flag::ACK, 0, &payload))?
            }
            kind::RST_STREAM => return Err(malformed("the stream was reset".into())),
            kind::GOAWAY => return Err(malformed("the server goes away".into())),
            _ => {}
        }
        if matches!(head.kind, kind::HEADERS | kind::DATA) && head.flags & flag::END_STREAM != 0 {
            return Ok(answer);
        }
    }
    Err(malformed(format!("no answer in {MOST_FRAMES} frames")))
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn request_headers(authority: &str) -> Vec<u8> {
    let list = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "kube-probe/1.36"),
    ];
    Encoder::new().encode(list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// A HealthCheckRequest, in which the service is field 1, behind the prefix of a gRPC message: not compressed, its length.
fn request_body(service: &str) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    if message.len() > LONGEST - 5 {
        return Err(malformed("the name of the service is too long".into()));
    }
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    Ok(body)
}

/// `status` of a HealthCheckResponse, its field 1; a message without it says 0. `None` for what is no such message.
fn serving(body: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = body.split_at_checked(5)?;
    if prefix[0] != 0 || u32::from_be_bytes(prefix[1..].try_into().ok()?) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => {
                let value = varint(&mut rest)?;
                status = if key >> 3 == 1 { value } else { status };
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The first nine bytes of a frame.
struct Head {
    kind: u8,
    flags: u8,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

fn read_frame(stream: &mut impl Read) -> io::Result<(Head, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    if length > LONGEST {
        return Err(malformed(format!("a frame of {length} bytes, which is no HTTP/2 that we asked for")));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((Head { kind: head[3], flags: head[4] }, payload))
}

/// A frame's payload without its padding (RFC 9113, sections 6.1 and 6.2).
fn unpadded(head: &Head, mut payload: Vec<u8>) -> io::Result<Vec<u8>> {
    if head.flags & flag::PADDED != 0 {
        let padding = payload.first().copied().map(usize::from).filter(|padding| *padding < payload.len());
        let padding = padding.ok_or_else(|| malformed("a frame of padding alone".into()))?;
        payload.truncate(payload.len() - padding);
        payload.remove(0);
    }
    if head.kind == kind::HEADERS && head.flags & flag::PRIORITY != 0 {
        payload = payload.get(5..).ok_or_else(|| malformed("headers without their priority".into()))?.to_vec();
    }
    Ok(payload)
}

/// The compressed headers of a HEADERS frame and of what follows it.
fn header_block(stream: &mut impl Read, head: &Head, payload: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut block = unpadded(head, payload)?;
    let mut whole = head.flags & flag::END_HEADERS != 0;
    while !whole {
        let (next, more) = read_frame(stream)?;
        if next.kind != kind::CONTINUATION || block.len() + more.len() > LONGEST {
            return Err(malformed("headers that do not end".into()));
        }
        block.extend(more);
        whole = next.flags & flag::END_HEADERS != 0;
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that has its answer ready, and keeps what was asked.
    struct Canned<'a> {
        answer: &'a [u8],
        asked: Vec<u8>,
    }

    impl Read for Canned<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.answer.read(buffer)
        }
    }

    impl Write for Canned<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.asked.extend_from_slice(buffer);
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What gRPC's C core sends before its answer: SETTINGS, WINDOW_UPDATE, an acknowledgement, and a PING.
    const BEFORE: &str = "000018040000000000000400400000000500400000000600004000fe0300000001\
                          000004080000000000003f0001000000040100000000000008060000000000106667 0c5541d550";
    /// Its headers: `:status` 200, `content-type`, `grpc-accept-encoding`.
    const HEADERS: &str = "00004e01040000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f67727063\
                           4014677270632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174652c20677a6970";
    /// Its trailers: `grpc-status` 0, an empty `grpc-message`.
    const TRAILERS: &str = "00001e010500000001400b677270632d7374617475730130000c677270632d6d65737361676500";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn asked(service: &str, answer: &[&str]) -> (Result<(), String>, Vec<u8>) {
        let answer = bytes(&answer.concat());
        let mut stream = Canned { answer: &answer, asked: Vec::new() };
        let said = check(&mut stream, "10.0.0.2:50051", service);
        (said, stream.asked)
    }

    #[test]
    fn a_server_that_serves_is_well() {
        let (said, asked) = asked("", &[BEFORE, HEADERS, "0000070000000000010000000002 0801", TRAILERS]);
        assert_eq!(said, Ok(()));
        assert!(asked.starts_with(PREFACE));
        let end = bytes("000000040100000000 000008060100000000 1066670c5541d550");
        assert!(asked.ends_with(&end), "SETTINGS and PING are acknowledged: {asked:02x?}");
        let empty = bytes("000005000100000001 0000000000");
        assert!(asked.windows(empty.len()).any(|part| part == empty), "{asked:02x?}");
    }

    #[test]
    fn huffman_codes_continuations_and_padding_are_read() {
        // As gRPC for Go packs them; the headers in two frames, the data padded by two bytes.
        let headers = "000003010000000001 885f8b 00000b090400000001 1d75d0620d263d4c4d6564";
        let data = "00000a000800000001 02 0000000002 0801 0000";
        let trailers = "00000c010500000001 40889acac8b21234da8f8107";
        assert_eq!(asked("", &[headers, data, trailers]).0, Ok(()));
    }

    #[test]
    fn what_is_wrong_is_told_as_the_kubelet_tells_it() {
        let not_found = "00001e010500000001400b677270632d7374617475730135000c677270632d6d65737361676500";
        let unimplemented = "00005001050000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f67727063\
                             400b677270632d737461747573023132000c677270632d6d657373616765114d6574686f64206e6f7420666f756e6421";
        for (answer, expected) in [
            (
                vec![BEFORE, HEADERS, "00000700000000000100000000020802", TRAILERS],
                "service unhealthy (responded with \"NOT_SERVING\")",
            ),
            (vec![HEADERS, "0000050000000000010000000000", TRAILERS], "service unhealthy (responded with \"UNKNOWN\")"),
            (vec![HEADERS, not_found], "error: health rpc probe failed: status 5: "),
            (
                vec![BEFORE, unimplemented],
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): Method not found!",
            ),
            (vec!["00000403000000000100000008"], "error: health rpc probe failed: the stream was reset"),
            (vec![HEADERS], "error: health rpc probe failed: failed to fill whole buffer"),
        ] {
            assert_eq!(asked("db", &answer).0.unwrap_err(), expected, "{answer:?}");
        }
        let http = check(&mut Canned { answer: b"HTTP/1.1 400 Bad Request\r\n\r\n", asked: Vec::new() }, "a:1", "");
        assert!(http.unwrap_err().contains("no HTTP/2 that we asked for"));
    }

    #[test]
    fn hostile_answers_end() {
        let pings = "000008060000000000 0000000000000000".repeat(MOST_FRAMES);
        assert!(asked("", &[&pings]).0.unwrap_err().contains("no answer in 256 frames"));
        let endless = "000001010000000001 88".to_string() + &"000000090000000001".repeat(2);
        assert!(asked("", &[&endless]).0.is_err());
        for body in ["", "00", "000000000a0801", "01000000020801", "0000000001ff", "00000000010b"] {
            assert_eq!(serving(&bytes(body)), None, "{body}");
        }
        assert_eq!(serving(&bytes("00000000040a000801")), Some(1));
    }

    #[test]
    fn a_long_name_of_a_service_has_a_long_length() {
        let body = request_body(&"s".repeat(300)).unwrap();
        assert_eq!(&body[..8], bytes("000000012f 0aac02"));
        assert!(request_body(&"s".repeat(LONGEST)).is_err());
    }
}

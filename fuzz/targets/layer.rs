//! Layers: tar archives that are almost right, compressed or not. Whatever they are, they end, in bounded memory.
#![no_main]

use glassbox_fuzz::Bytes;

const KINDS: &[u8] = b"0\0125xgLKSV3467M";
const KEYS: [&str; 14] = [
    "path", "linkpath", "size", "uid", "gid", "mtime", "SCHILY.xattr.user.a", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name",
    "GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.offset",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Raw bytes reach the decoders, made ones what lies behind the checksums.
    let _ = glassbox::image::read_layer(data);
    let mut bytes = Bytes::new(data);
    let mut tar = Vec::new();
    while !bytes.is_empty() && tar.len() < 1 << 20 {
        member(&mut bytes, &mut tar);
    }
    if data.len() % 2 == 0 {
        tar.resize(tar.len() + 1024, 0);
    }
    let _ = glassbox::image::read_layer(&tar);
});

fn member(bytes: &mut Bytes, tar: &mut Vec<u8>) {
    let kind = *bytes.choose(KINDS);
    let data = match kind {
        b'x' | b'g' => (0..1 + bytes.byte() % 6).flat_map(|_| record(bytes)).collect(),
        // A map of a sparse file in front of its data, format 1.0.
        b'0' if bytes.byte() % 4 == 0 => {
            let mut map = (0..bytes.byte() % 8).map(|_| format!("{}\n", bytes.number())).collect::<String>().into_bytes();
            map.resize(map.len().next_multiple_of(512), 0);
            map
        }
        _ => {
            let length = usize::from(bytes.byte());
            bytes.take(length).to_vec()
        }
    };
    let mut header = [0; 512];
    let name = bytes.take(8);
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    let size = format!("{:011o}\0", data.len());
    header[124..136].copy_from_slice(size.as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(if bytes.byte() % 2 == 0 { b"ustar\x0000" } else { b"ustar  \0" });
    for _ in 0..bytes.byte() % 8 {
        let at = usize::from(bytes.short()) % 512;
        let value = bytes.take(12);
        let end = (at + value.len()).min(512);
        header[at..end].copy_from_slice(&value[..end - at]);
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend(&data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// One PAX record: its length stands in front, and counts itself.
fn record(bytes: &mut Bytes) -> Vec<u8> {
    let key = *bytes.choose(&KEYS);
    let value = match bytes.byte() % 3 {
        0 => bytes.number().to_string(),
        1 => bytes.text(),
        _ => (0..bytes.byte() % 9).map(|_| bytes.number().to_string()).collect::<Vec<_>>().join(","),
    };
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while rest.len() + length.to_string().len() != length {
        length += 1;
    }
    if bytes.byte() % 16 == 0 {
        length = bytes.short().into();
    }
    format!("{length}{rest}").into_bytes()
}

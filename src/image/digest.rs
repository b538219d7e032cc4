//! Digests, and readers that compute them as the bytes go by.

use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::DigestAlgorithm;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

pub use oci_spec::image::Digest;

use super::error::ImageError;

/// Parses a digest whose algorithm we can compute.
pub(super) fn parse(what: &str, text: &str) -> Result<Digest, ImageError> {
    let digest = Digest::from_str(text)
        .map_err(|error| ImageError::invalid(what, format!("{text:?} is not a digest: {error}")))?;
    supported(what, &digest)?;
    Ok(digest)
}

/// Refuses a digest that we cannot compute, and so cannot verify.
pub(super) fn supported(what: &str, digest: &Digest) -> Result<(), ImageError> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 | DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 => Ok(()),
        other => Err(ImageError::invalid(what, format!("digests of {other} cannot be verified"))),
    }
}

/// The digest of what it is fed.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Computes the same kind of digest as `digest`, which is [`supported`].
    pub(super) fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            DigestAlgorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            DigestAlgorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            _ => Hasher::Sha256(Sha256::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha384(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn digest(self) -> Digest {
        let (name, bytes) = match self {
            Hasher::Sha256(hasher) => ("sha256", hasher.finalize().to_vec()),
            Hasher::Sha384(hasher) => ("sha384", hasher.finalize().to_vec()),
            Hasher::Sha512(hasher) => ("sha512", hasher.finalize().to_vec()),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Digest::from_str(&format!("{name}:{hex}")).expect("an algorithm, a colon and its hexadecimal digits")
    }
}

/// A blob on its way: never more bytes than its descriptor says, and at the end the digest that it says.
pub(super) struct Blob<R> {
    input: R,
    what: String,
    size: u64,
    read: u64,
    expected: Option<(Digest, Hasher)>,
}

impl<R: Read> Blob<R> {
    /// `size` bytes of `input`; without a digest only the size is verified.
    pub(super) fn new(input: R, what: impl Into<String>, size: u64, digest: Option<&Digest>) -> Self {
        let expected = digest.map(|digest| (digest.clone(), Hasher::like(digest)));
        Blob { input, what: what.into(), size, read: 0, expected }
    }

    /// Reads what is left, and compares size and digest.
    pub(super) fn finish(mut self) -> Result<(), ImageError> {
        io::copy(&mut self, &mut io::sink()).map_err(|source| ImageError::io(&self.what, source))?;
        let more = self.read == self.size && self.input.read(&mut [0]).is_ok_and(|n| n > 0);
        if more || self.read < self.size {
            let found = self.read + u64::from(more);
            return Err(ImageError::Size { what: self.what, expected: self.size, found });
        }
        match self.expected {
            Some((expected, hasher)) => same(&self.what, expected, hasher.digest()),
            None => Ok(()),
        }
    }
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.size - self.read).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.input.read(&mut buffer[..most])?;
        self.read += n as u64;
        if let Some((_, hasher)) = &mut self.expected {
            hasher.update(&buffer[..n]);
        }
        Ok(n)
    }
}

/// Refuses what has another digest than it should.
pub(super) fn same(what: &str, expected: Digest, found: Digest) -> Result<(), ImageError> {
    match expected == found {
        true => Ok(()),
        false => Err(ImageError::Digest { what: what.to_string(), expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn read(bytes: &[u8], size: u64, digest: &str) -> Result<(), ImageError> {
        Blob::new(bytes, "blob", size, Some(&parse("blob", digest)?)).finish()
    }

    #[test]
    fn size_and_digest_are_held_to_the_descriptor() {
        read(b"hello", 5, HELLO).unwrap();
        let told = |result: Result<(), ImageError>| result.unwrap_err().to_string();
        assert_eq!(told(read(b"hello", 6, HELLO)), "blob: it has 5 bytes, and should have 6");
        assert_eq!(told(read(b"hello!", 5, HELLO)), "blob: it has 6 bytes, and should have 5");
        let wrong = told(read(b"hellO", 5, HELLO));
        assert!(wrong.starts_with("blob: its digest is sha256:") && wrong.ends_with(HELLO), "{wrong}");
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        let sha512 = format!("sha512:{}", "0".repeat(128));
        assert!(parse("x", &sha512).is_ok());
        for bad in ["", "sha256:", "sha256:ab", "../../etc/passwd", "md5:0123", "sha256:../x", &HELLO.to_uppercase()] {
            assert!(parse("x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_algorithm_gives_its_own_digest() {
        for name in ["sha256", "sha384", "sha512"] {
            let length = DigestAlgorithm::from(name).digest_hexlen().unwrap() as usize;
            let like = parse("x", &format!("{name}:{}", "0".repeat(length))).unwrap();
            let mut hasher = Hasher::like(&like);
            hasher.update(b"hello");
            let digest = hasher.digest();
            assert!(digest.to_string().starts_with(name) && digest.digest().len() == length, "{digest}");
        }
    }
}

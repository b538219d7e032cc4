//! Platforms, and the image of an index that fits one.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::Arch;

/// An operating system and a processor: `linux/amd64`, `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// As Go's GOOS.
    pub os: String,
    /// As Go's GOARCH.
    pub architecture: String,
    /// The processor's version, as `v7`.
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform; write OS/ARCHITECTURE[/VARIANT] as in linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// The platform of this machine; its variant is not known.
    pub fn here() -> Self {
        Platform { os: "linux".to_string(), architecture: Arch::default().to_string(), variant: None }
    }

    /// Whether an image for `offered` is one for this platform. Where no variant is asked for, any will do.
    pub fn fits(&self, offered: &Platform) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant.is_none() || self.variant() == offered.variant())
    }

    /// The variant; that of arm64 is v8 where none is named (image-index.md, "platform variants").
    fn variant(&self) -> Option<&str> {
        let usual = (self.architecture == "arm64").then_some("v8");
        self.variant.as_deref().or(usual)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<_> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] if !variant.is_empty() => (*os, *architecture, Some(*variant)),
            _ => return Err(PlatformError(text.to_string())),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(PlatformError(text.to_string()));
        }
        // What `uname -m` says is what people type.
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Platform {
            os: os.to_string(),
            architecture: architecture.to_string(),
            variant: variant.map(str::to_string),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    #[test]
    fn a_platform_is_read_and_written() {
        assert_eq!(platform("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
        for bad in ["linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d", ""] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variant_counts_only_when_asked_for() {
        assert!(platform("linux/arm64/v8").fits(&platform("linux/arm64")));
        assert!(platform("linux/arm").fits(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v6").fits(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").fits(&platform("linux/arm64")));
    }
}

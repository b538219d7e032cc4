//! The id of a container: it becomes a directory and a cgroup name, so it may hold nothing that is special in a path.

use std::fmt;

/// A container's id: 1 to 255 ASCII letters, digits and `_ + - .`, and neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

/// Why a text is no container id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("container id is empty")]
    Empty,
    /// Longer than a file name may be (NAME_MAX, 255 bytes).
    #[error("container id is {0} bytes long, at most 255 fit in a file name")]
    TooLong(usize),
    /// `.` and `..` name directories that are not the container's.
    #[error("container id {0:?} is a directory name with a meaning of its own")]
    Dots(String),
    /// A character that is not allowed.
    #[error("container id {id:?} contains {found:?}; allowed are A-Z a-z 0-9 _ + - .")]
    Character {
        /// The whole text.
        id: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl ContainerId {
    /// Checks `text` and takes it as an id.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > 255 {
            return Err(IdError::TooLong(text.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        if let Some(found) = text.chars().find(|c| !allowed(*c)) {
            return Err(IdError::Character { id: text.to_string(), found });
        }
        if text == "." || text == ".." {
            return Err(IdError::Dots(text.to_string()));
        }
        Ok(ContainerId(text.to_string()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_ids_and_paths_are_not() {
        for good in ["web", "a", "0", "my_web+1-2.3", "..a", &"x".repeat(255)] {
            assert_eq!(ContainerId::new(good).map(|id| id.to_string()), Ok(good.to_string()));
        }
        for bad in ["", ".", "..", "/etc", "a/b", "../x", "a b", "ü", "a\n", "a\0", &"x".repeat(256)] {
            assert!(ContainerId::new(bad).is_err(), "{bad:?} was taken");
        }
    }
}

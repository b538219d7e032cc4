//! Any text as one word of a POSIX shell, and any text as a comment.

/// `text` as one word: as it is where no character of it is special, else in single quotes.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Words of a command, each quoted as it needs, with spaces between.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A path below the working directory: the `./` keeps one that starts with a dash from being read as an option.
pub(super) fn here(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" | "." => ".".to_string(),
        path => word(&format!("./{path}")),
    }
}

/// A command that writes `text` and a newline.
pub(super) fn echo(text: &str) -> String {
    // POSIX leaves what echo does with a leading dash or a backslash to the shell.
    match text.starts_with('-') || text.contains('\\') {
        true => format!(r"printf '%s\n' {}", word(text)),
        false => format!("echo {}", word(text)),
    }
}

/// `text` as a comment of one line.
pub(super) fn comment(text: &str) -> String {
    format!("# {}", super::super::text::printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_need_it() {
        let table = [
            ("a-b_c.d/e:f=1,2", "a-b_c.d/e:f=1,2"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("$HOME `x` \\ \"", "'$HOME `x` \\ \"'"),
            ("~", "'~'"),
            ("a\nb", "'a\nb'"),
            ("ü", "'ü'"),
        ];
        for (text, quoted) in table {
            assert_eq!(word(text), quoted);
        }
    }

    #[test]
    fn paths_are_below_the_working_directory() {
        assert_eq!([here("dev/pts"), here("/"), here("."), here("/a b")], ["./dev/pts", ".", ".", "'./a b'"]);
    }

    #[test]
    fn echo_writes_the_text_as_it_is() {
        assert_eq!(echo("50000 100000"), "echo '50000 100000'");
        assert_eq!(echo("-n"), r"printf '%s\n' -n");
    }

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(comment("a\nrm -rf /\u{1b}[2J"), "# a\\nrm -rf /\\u{1b}[2J");
    }
}

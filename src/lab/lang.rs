//! The two languages that labs are written in, and which one a reader wants.

use std::str::FromStr;

/// A language of lesson text. Commands, file names and the kernel's own terms are never translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English: `lab.md`, which also holds the front matter.
    En,
    /// Simplified Chinese: `lab.zh.md`, prose only.
    Zh,
}

impl Lang {
    /// Every language a lab must have, in the order in which they are tested.
    pub const ALL: [Lang; 2] = [Lang::En, Lang::Zh];

    /// The language of the locale: the first non-empty one of `LC_ALL`, `LC_MESSAGES` and `LANG` decides (locale(7)).
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Lang {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
            .unwrap_or_default();
        if locale.starts_with("zh") { Lang::Zh } else { Lang::En }
    }

    /// The name of the file that holds this language's prose.
    pub fn file_name(self) -> &'static str {
        match self {
            Lang::En => "lab.md",
            Lang::Zh => "lab.zh.md",
        }
    }

    /// The one of two texts that is in this language.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

impl FromStr for Lang {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "en" => Ok(Lang::En),
            "zh" => Ok(Lang::Zh),
            other => Err(format!("unknown language {other:?}, expected en or zh")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lang;

    fn of(pairs: &[(&str, &str)]) -> Lang {
        Lang::of_locale(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn the_strongest_locale_variable_decides() {
        assert_eq!(of(&[]), Lang::En);
        assert_eq!(of(&[("LANG", "C")]), Lang::En);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")]), Lang::En);
        assert_eq!(of(&[("LANG", "en_US.UTF-8"), ("LC_ALL", ""), ("LC_MESSAGES", "zh_CN")]), Lang::Zh);
    }
}

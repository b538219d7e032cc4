//! A set of labs: those embedded in the binary, or those of a directory, each either sound or refused with its problems.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use super::front;
use super::lint::{self, Draft};
use super::prose;
use super::script::{Lab, Problem};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/labs");

/// One lab of a set, by the folder in which it lies.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The folder above its own.
    pub track: String,
    /// Its own folder.
    pub id: String,
    /// The lab, or every reason why it is refused.
    pub lab: Result<Lab, Vec<Problem>>,
}

/// The labs of the binary.
pub fn embedded() -> Vec<Entry> {
    let mut files = BTreeMap::new();
    embedded_files(&EMBEDDED, &mut files);
    entries("labs", files)
}

/// The labs of a directory that is laid out as `labs/` is: `TRACK/ID/lab.md`.
///
/// # Errors
/// If the directory or a file in it cannot be read.
pub fn from_directory(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut files = BTreeMap::new();
    directory_files(dir, Path::new(""), &mut files)?;
    Ok(entries(&dir.display().to_string(), files))
}

/// Tracks in the order in which they are best taken; others follow by name.
const TRACKS: [&str; 4] = ["container", "resources", "kubernetes", "network"];

/// Every file of a set, by its path below the set's root.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn embedded_files(dir: &Dir<'_>, into: &mut Files) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => embedded_files(dir, into),
            DirEntry::File(file) => drop(into.insert(file.path().to_path_buf(), file.contents().to_vec())),
        }
    }
}

fn directory_files(root: &Path, below: &Path, into: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => directory_files(root, &path, into)?,
            kind if kind.is_file() => drop(into.insert(path, fs::read(entry.path())?)),
            _ => {
                let reason = format!("{} is neither a file nor a directory", entry.path().display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
        }
    }
    Ok(())
}

fn entries(root: &str, files: Files) -> Vec<Entry> {
    let mut folders: BTreeMap<(String, String), Files> = BTreeMap::new();
    for (path, content) in files {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if let [track, id, rest @ ..] = parts.as_slice()
            && !rest.is_empty()
        {
            let folder = folders.entry((track.clone(), id.clone())).or_default();
            folder.insert(rest.iter().collect(), content);
        }
    }
    let mut found: Vec<_> = folders
        .into_iter()
        .map(|((track, id), files)| {
            let lab = load(root, &track, &id, files);
            Entry { track, id, lab }
        })
        .collect();
    found.sort_by_key(|entry| TRACKS.iter().position(|track| *track == entry.track).unwrap_or(TRACKS.len()));
    found
}

/// Reads the files of one folder.
fn load(root: &str, track: &str, folder: &str, mut files: Files) -> Result<Lab, Vec<Problem>> {
    let name_of = |file: &str| format!("{root}/{track}/{folder}/{file}");
    let names = [name_of("lab.md"), name_of("lab.zh.md")];
    let mut problems = Vec::new();
    let mut text_of = |file: &str, name: &str| {
        let problem = |reason: &str| Problem { file: name.to_string(), line: 1, reason: reason.to_string() };
        match files.remove(Path::new(file)).map(String::from_utf8) {
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => {
                problems.push(problem("is not UTF-8"));
                None
            }
            None => {
                problems.push(problem("there is no such file"));
                None
            }
        }
    };
    let texts = (text_of("lab.md", &names[0]), text_of("lab.zh.md", &names[1]));
    let (Some(english), Some(chinese)) = texts else { return Err(problems) };
    let mut lab_files = BTreeMap::new();
    for (path, content) in files {
        match path.strip_prefix("files") {
            Ok(below) => drop(lab_files.insert(below.to_path_buf(), content)),
            Err(_) => problems.push(Problem {
                file: name_of(&path.display().to_string()),
                line: 1,
                reason: "a lab is lab.md, lab.zh.md and files/".to_string(),
            }),
        }
    }
    let parts = front::split(&english, &names[0]).map_err(|problem| vec![problem])?;
    let front = front::parse(parts.front, &names[0], parts.front_line);
    let en = prose::parse(parts.prose, &names[0], parts.prose_line);
    let zh = prose::parse(&chinese, &names[1], 1);
    match (front, en, zh) {
        (Ok(front), Ok(en), Ok(zh)) if problems.is_empty() => lint::lint(Draft {
            track: track.to_string(),
            folder: folder.to_string(),
            names,
            front,
            words: [en, zh],
            files: lab_files,
        }),
        (front, en, zh) => {
            problems.extend(front.err().into_iter().chain(en.err()).chain(zh.err()).flatten());
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Files, entries};
    use crate::lab::script::Lab;

    const EN: &str = r#"+++
format   = 1
id       = "wall"
lang     = "en"
minutes  = 8
seeds    = ["002 §27"]
requires = ["root", "cgroup2:memory"]
vars     = { limit = ["48M", "64M"] }
predict  = { choices = ["slow", "kill"], answer = "kill" }

[[step]]
id    = "limit"
check = [{ cgroup = "memory.max", eq = "$limit" }]
solve = 'echo $limit > $CG/memory.max'
slip  = [{ id = "high", when = { cgroup = "memory.high", eq = "$limit" }, do = 'echo $limit > $CG/memory.high' }]
+++
# The wall
About `memory.max`.

## predict
What happens?
- slow: it crawls
- kill: it dies
### after
It died.

## limit: Write it
Write `$limit` into `$CG`.
### hint
See `memory.max`.
### slip high
That is `memory.high`.

## end
So it is.
### question
Why?
"#;

    const ZH: &str =
        "# 内存墙\n关于 `memory.max`。\n\n## predict\n会怎样？\n- slow: 变慢\n- kill：被杀\n### after\n被杀了。\n
## limit：写入\n把 `$limit` 写进 `$CG`。\n### hint\n看 `memory.max`。\n### slip high\n那是 `memory.high`。\n
## end\n就是这样。\n### question\n为什么？\n";

    fn load(en: &str, zh: &str) -> Result<Lab, Vec<String>> {
        let mut files = Files::new();
        files.insert(PathBuf::from("resources/wall/lab.md"), en.into());
        files.insert(PathBuf::from("resources/wall/lab.zh.md"), zh.into());
        files.insert(PathBuf::from("resources/wall/files/pod.yaml"), "kind: Pod\n".into());
        let mut found = entries("labs", files);
        assert_eq!(found.len(), 1);
        found.remove(0).lab.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn refused(from: &str, to: &str) -> Vec<String> {
        let (en, zh) = (EN.replacen(from, to, 1), ZH.replacen(from, to, 1));
        assert_ne!((en.as_str(), zh.as_str()), (EN, ZH), "{from:?} stands in neither file");
        let language_alone = en != EN && zh != ZH && from.contains('`');
        load(&en, if language_alone { ZH } else { &zh })
            .err()
            .unwrap_or_else(|| panic!("{from:?} -> {to:?} is accepted"))
    }

    /// Each `(from, to, expected)` breaks a copy of the lab, and is told with that beginning.
    fn all_refused(cases: &[(&str, &str, String)]) {
        for (from, to, expected) in cases {
            let found = refused(from, to);
            assert!(
                found.iter().any(|problem| problem.starts_with(expected)),
                "{from:?} -> {to:?}\nexpected: {expected}\nfound:    {}",
                found.join("\n          ")
            );
        }
    }

    #[test]
    fn a_sound_lab_is_loaded() {
        let lab = load(EN, ZH).expect("sound");
        assert_eq!((lab.track.as_str(), lab.id.as_str(), lab.minutes), ("resources", "wall", 8));
        assert_eq!(lab.zh.steps[0].title, "写入");
        assert_eq!(lab.controllers(), ["memory"]);
        assert!(lab.files.contains_key(&PathBuf::from("pod.yaml")));
    }

    #[test]
    fn every_rule_names_file_line_and_reason() {
        let en = "labs/resources/wall/lab.md";
        let zh = "labs/resources/wall/lab.zh.md";
        let cases = [
            (
                "id       = \"wall\"",
                "id       = \"door\"",
                format!("{en}:3: id \"door\" differs from its folder, \"wall\""),
            ),
            ("seeds    = [\"002 §27\"]", "seeds = []", format!("{en}:3: seeds is empty")),
            ("answer = \"kill\"", "answer = \"freeze\"", format!("{en}:9: predict: the answer \"freeze\"")),
            ("id    = \"limit\"", "id    = \"end\"", format!("{en}:12: step \"end\": small letters")),
            ("requires = [\"root\", \"cgroup2:memory\"]", "requires = []", format!("{en}:13: a check below $CG")),
            (
                "cgroup = \"memory.max\", eq = \"$limit\"",
                "net = \"link lo\", eq = \"up\"",
                format!("{en}:13: this check asks ip, but requires has no cmd:ip"),
            ),
            (
                "memory.max\", eq = \"$limit\"",
                "memory.max\", eq = \"$limt\"",
                format!("{en}:13: unknown variable $limt"),
            ),
            ("memory.max\", eq = \"$limit\"", "memory.max\", ge = \"much\"", format!("{en}:13: \"much\" is no number")),
            (
                "solve = 'echo $limit > $CG/memory.max'",
                "solve = 'cat <<E'",
                format!("{en}:12: step \"limit\": a here-document"),
            ),
            ("slip  = [", "#     = [", format!("{en}:3: no step has a slip")),
            ("do = 'echo $limit > $CG/memory.high'", "do = ''", format!("{en}:15: slip \"high\" needs both")),
            ("[[step]]", "check = []\n[[step]]", format!("{en}:11: unknown field `check`")),
            ("- slow: it crawls\n", "", format!("{en}:20: the choices are [\"kill\"], in the front matter")),
            ("### after\nIt died.\n", "", format!("{en}:20: ## predict needs a question and ### after")),
            ("### hint\nSee `memory.max`.\n", "", format!("{en}:27: step \"limit\" needs words and at least one")),
            ("### slip high\nThat is", "### slip hihg\nThat is", format!("{en}:27: no words for slip \"high\"")),
            ("### question\nWhy?\n", "", format!("{en}:34: a lab ends with ## end")),
            ("## limit: Write it", "## limits: Write it", format!("{en}:27: ## limits is no step")),
            ("# 内存墙\n", "# 内存墙\n# 又一墙\n", format!("{zh}:2: a second title")),
            (
                "### hint\n看 `memory.max`。\n",
                "### hint\n看。\n",
                format!("{zh}:13: ## limit ### hint 1 lacks `memory.max`"),
            ),
            (
                "看 `memory.max`。\n",
                "看 `memory.max`。\n### hint\n再看。\n",
                format!("{zh}:15: ## limit ### hint 2 is not in {en}"),
            ),
            ("关于 `memory.max`。", "关于 `内存上限`。", format!("{zh}:1: the introduction has `内存上限`")),
            ("### slip high\n那是", "### slip hi\n那是", format!("{zh}:11: no words for slip \"high\"")),
            ("- kill：被杀\n", "", format!("{zh}:4: the choices are [\"slow\"]")),
        ];
        all_refused(&cases);
    }

    #[test]
    fn a_copy_broken_in_each_other_way_is_refused_as_well() {
        let en = "labs/resources/wall/lab.md";
        let zh = "labs/resources/wall/lab.zh.md";
        let again = "\n[[step]]\nid = \"limit\"\ncheck = [{ cgroup = \"memory.max\", eq = 1 }]\nsolve = 'true'\n+++\n# The wall";
        let solve = "solve = 'echo $limit > $CG/memory.max'";
        let cases = [
            ("id       = \"wall\"", "id       = \"Wall\"", format!("{en}:3: id \"Wall\": small letters")),
            ("vars     = { limit", "vars     = { Limit", format!("{en}:3: variable \"Limit\": small letters")),
            ("+++\n# The wall", again, format!("{en}:18: a second step \"limit\"")),
            (
                "check = [{ cgroup = \"memory.max\", eq = \"$limit\" }]",
                "check = []",
                format!("{en}:12: step \"limit\" checks nothing"),
            ),
            (solve, "solve = ''", format!("{en}:12: step \"limit\" has no solve")),
            (
                solve,
                "plot  = [\"/proc/stat\"]\nsolve = 'true'",
                format!("{en}:12: plot \"/proc/stat\": a path below $CG"),
            ),
            (solve, "within = 500\nsolve = 'true'", format!("{en}:14: within = 500: 1 to 120 seconds")),
            ("slip  = [{ id = \"high\"", "slip  = [{ id = \"High\"", format!("{en}:15: slip \"High\": a name")),
            (
                "predict  = { choices = [\"slow\", \"kill\"], answer = \"kill\" }\n",
                "",
                format!("{en}:19: ## predict, but"),
            ),
            ("## predict\nWhat", "## predicted\nWhat", format!("{en}:1: no ## predict, but the front matter has")),
            ("# The wall\nAbout `memory.max`.", "# The wall\n", format!("{en}:17: a lab begins with # Title")),
            ("# The wall", "Stray.\n\n# The wall", format!("{en}:17: the prose begins with its title")),
            ("### hint\nSee", "### slip other\nS\n### hint\nSee", format!("{en}:29: ### slip other is no slip")),
            ("### hint\nSee", "#### hint\nSee", format!("{en}:29: heading \"hint\" is too deep")),
            ("### hint\nSee `memory.max`.", "### hint\n", format!("{en}:29: nothing is written below ### hint")),
            ("## end\n", "## end\nA\n## end\n", format!("{en}:36: a second ## end")),
            ("## end\n", "## limit\nA\n## end\n", format!("{en}:34: a second ## limit")),
            ("### question\nWhy?", "### after\nA\n### question\nWhy?", format!("{en}:36: ### after has no place here")),
            ("Why?", "Why?<br>", format!("{en}:37: HTML cannot be shown")),
            ("Why?", "![a](b)", format!("{en}:37: an image cannot be shown")),
            ("### hint\n看 `memory.max`。\n", "", format!("{zh}:1: ## limit ### hint 1 is missing")),
            ("+++\nformat", "format", format!("{en}:1: the first line is not +++")),
            ("+++\n# The wall", "# The wall", format!("{en}:1: no second +++ line")),
        ];
        all_refused(&cases);
        let two = again.replace("\"limit\"", "\"second\"");
        let order =
            EN.replacen("+++\n# The wall", &two, 1).replacen("## limit", "## second\nS\n### hint\nH\n\n## limit", 1);
        let found = load(&order, ZH).expect_err("refused");
        assert!(found.iter().any(|problem| problem.contains(": the steps stand in another order")), "{found:?}");
    }

    #[test]
    fn a_missing_language_and_a_stray_file_are_named() {
        let mut files = Files::new();
        files.insert(PathBuf::from("resources/wall/lab.md"), EN.into());
        let found = entries("labs", files).remove(0).lab.expect_err("refused");
        assert_eq!(found[0].to_string(), "labs/resources/wall/lab.zh.md:1: there is no such file");

        let mut files = Files::new();
        files.insert(PathBuf::from("resources/wall/lab.md"), EN.into());
        files.insert(PathBuf::from("resources/wall/lab.zh.md"), vec![0xff, 0xfe]);
        let found = entries("labs", files).remove(0).lab.expect_err("refused");
        assert_eq!(found[0].to_string(), "labs/resources/wall/lab.zh.md:1: is not UTF-8");

        let mut files = Files::new();
        files.insert(PathBuf::from("resources/wall/lab.md"), EN.into());
        files.insert(PathBuf::from("resources/wall/lab.zh.md"), ZH.into());
        files.insert(PathBuf::from("resources/wall/notes.txt"), "x".into());
        let found = entries("labs", files).remove(0).lab.expect_err("refused");
        assert_eq!(found[0].to_string(), "labs/resources/wall/notes.txt:1: a lab is lab.md, lab.zh.md and files/");
    }
}

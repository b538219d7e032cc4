//! The words of a lab in one language: Markdown sections, found by the id in their heading.
//!
//! The outline is fixed: `# Title`, `## predict`, one `## STEP` per step with `### hint`, `### slip ID` and `### after` below
//! it, and `## end` with `### question`. A heading may carry a title after its id: `## limit: Write the limit`.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::script::Problem;

/// All words of a lab in one language.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// The title.
    pub title: String,
    /// What the lab is about: shown before the prediction.
    pub intro: Prose,
    /// The prediction's question.
    pub predict: Option<PredictWords>,
    /// The words of each step, by its id, in the order in which they are written.
    pub steps: Vec<StepWords>,
    /// The explanation at the end.
    pub end: Prose,
    /// The question to take along.
    pub question: Prose,
}

/// A piece of Markdown, and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prose {
    /// The Markdown, without its heading.
    pub markdown: String,
    /// The line of its heading.
    pub line: usize,
}

/// The words of the prediction.
#[derive(Debug, Clone, Default)]
pub struct PredictWords {
    /// The question, without the list of choices.
    pub ask: Prose,
    /// The choices: name and words.
    pub choices: Vec<(String, String)>,
    /// What is said when prediction and result are laid side by side.
    pub after: Prose,
}

/// The words of one step.
#[derive(Debug, Clone, Default)]
pub struct StepWords {
    /// The step's id.
    pub id: String,
    /// A short title; without one, the id.
    pub title: String,
    /// What to do and why.
    pub text: Prose,
    /// Hints, from vague to plain.
    pub hints: Vec<Prose>,
    /// What is said to each slip.
    pub slips: BTreeMap<String, Prose>,
    /// The explanation once it is done; empty if there is none.
    pub after: Prose,
}

impl Words {
    /// The words of a step.
    pub fn step(&self, id: &str) -> Option<&StepWords> {
        self.steps.iter().find(|step| step.id == id)
    }
}

impl Prose {
    /// Whether nothing is written here.
    pub fn is_empty(&self) -> bool {
        self.markdown.is_empty()
    }

    /// The code spans, in order.
    pub fn code_spans(&self) -> Vec<String> {
        let code = |event| match event {
            Event::Code(text) => Some(text.into_string()),
            _ => None,
        };
        Parser::new(&self.markdown).filter_map(code).collect()
    }
}

/// Reads Markdown into words. `first_line` is the line of `file` on which `markdown` begins.
///
/// # Errors
/// Every heading that has no place in the outline, with its line.
pub fn parse(markdown: &str, file: &str, first_line: usize) -> Result<Words, Vec<Problem>> {
    let mut reader = Reader { file, words: Words::default(), problems: Vec::new(), slot: Slot::Nowhere };
    let headings = headings(markdown);
    let line_of = |at: usize| first_line + markdown[..at].matches('\n').count();
    if let Some(stray) = markdown.find(|c: char| !c.is_whitespace())
        && headings.first().is_none_or(|heading| stray < heading.range.start)
    {
        reader.problem(line_of(stray), "the prose begins with its title: # Title".to_string());
    }
    for (at, heading) in headings.iter().enumerate() {
        let end = headings.get(at + 1).map_or(markdown.len(), |next| next.range.start);
        let body = markdown[heading.range.end..end].trim();
        reader.section(heading, Prose { markdown: body.to_string(), line: line_of(heading.range.start) });
    }
    reader.unsupported(markdown, line_of);
    if reader.problems.is_empty() { Ok(reader.words) } else { Err(reader.problems) }
}

struct Heading {
    level: HeadingLevel,
    text: String,
    range: Range<usize>,
}

/// The headings of a text; `#` inside a code block is none.
fn headings(markdown: &str) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut inside = false;
    for (event, range) in Parser::new(markdown).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                inside = true;
                found.push(Heading { level, text: String::new(), range });
            }
            Event::End(TagEnd::Heading(_)) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => {
                found.last_mut().expect("a heading has begun").text.push_str(&text);
            }
            _ => {}
        }
    }
    found
}

/// The section below which a `###` heading belongs.
enum Slot {
    Nowhere,
    Predict,
    Step,
    End,
}

struct Reader<'a> {
    file: &'a str,
    words: Words,
    problems: Vec<Problem>,
    slot: Slot,
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, reason: String) {
        self.problems.push(Problem { file: self.file.to_string(), line, reason });
    }

    fn section(&mut self, heading: &Heading, body: Prose) {
        match heading.level {
            HeadingLevel::H1 if self.words.title.is_empty() => {
                self.words.title = heading.text.clone();
                self.words.intro = body;
            }
            HeadingLevel::H1 => self.problem(body.line, format!("a second title: # {}", heading.text)),
            HeadingLevel::H2 => self.chapter(&heading.text, body),
            HeadingLevel::H3 => self.part(&heading.text, body),
            _ => self.problem(body.line, format!("heading {:?} is too deep: at most ###", heading.text)),
        }
    }

    fn chapter(&mut self, heading: &str, body: Prose) {
        let (id, title) = id_and_title(heading);
        match id {
            "predict" if self.words.predict.is_none() => {
                self.slot = Slot::Predict;
                let (ask, choices) = choices(&body);
                self.words.predict = Some(PredictWords { ask, choices, after: Prose::default() });
            }
            "end" if self.words.end.is_empty() => {
                self.slot = Slot::End;
                self.words.end = body;
            }
            "predict" | "end" => self.problem(body.line, format!("a second ## {id}")),
            _ if self.words.step(id).is_some() => self.problem(body.line, format!("a second ## {id}")),
            _ => {
                self.slot = Slot::Step;
                let step = StepWords { id: id.into(), title: title.into(), text: body, ..StepWords::default() };
                self.words.steps.push(step);
            }
        }
    }

    fn part(&mut self, heading: &str, body: Prose) {
        let line = body.line;
        let words = heading.split_whitespace().collect::<Vec<_>>();
        if body.is_empty() {
            self.problem(line, format!("nothing is written below ### {heading}"));
        }
        let step = self.words.steps.last_mut();
        match (&self.slot, words.as_slice(), step) {
            (Slot::Step, ["hint"], Some(step)) => step.hints.push(body),
            (Slot::Step, ["after"], Some(step)) if step.after.is_empty() => step.after = body,
            (Slot::Step, ["slip", id], Some(step)) if !step.slips.contains_key(*id) => {
                step.slips.insert((*id).to_string(), body);
            }
            (Slot::Predict, ["after"], _) => {
                self.words.predict.as_mut().expect("## predict has begun").after = body;
            }
            (Slot::End, ["question"], _) if self.words.question.is_empty() => self.words.question = body,
            _ => self.problem(
                line,
                format!(
                    "### {heading} has no place here: a step has hint, slip ID (once each) and one after; predict has after; end has question"
                ),
            ),
        }
    }

    /// Names what a terminal cannot show.
    fn unsupported(&mut self, markdown: &str, line_of: impl Fn(usize) -> usize) {
        for (event, range) in Parser::new(markdown).into_offset_iter() {
            let what = match event {
                Event::Html(_) | Event::InlineHtml(_) => "HTML",
                Event::Start(Tag::Image { .. }) => "an image",
                _ => continue,
            };
            self.problem(line_of(range.start), format!("{what} cannot be shown in a terminal"));
        }
    }
}

/// Splits `limit: Write the limit` (a full-width colon is as good).
fn id_and_title(heading: &str) -> (&str, &str) {
    match heading.split_once([':', '：']) {
        Some((id, title)) => (id.trim(), title.trim()),
        None => (heading.trim(), heading.trim()),
    }
}

/// Takes the list `- name: words` out of the prediction's text.
fn choices(body: &Prose) -> (Prose, Vec<(String, String)>) {
    let mut ask = Vec::new();
    let mut choices = Vec::new();
    for line in body.markdown.lines() {
        let item = line.strip_prefix("- ").and_then(|item| item.split_once([':', '：']));
        match item {
            Some((name, words)) => choices.push((name.trim().to_string(), words.trim().to_string())),
            None => ask.push(line),
        }
    }
    (Prose { markdown: ask.join("\n").trim().to_string(), line: body.line }, choices)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const LAB: &str = "\
# Hit the memory wall
**Goal:** give a group `$limit`.

## predict
What happens?
- null: `malloc` returns NULL
- kill: the kernel kills it
### after
It was killed.

## limit: Write the limit
A limit is a file.
```
# not a heading
```
### hint
Look at `memory.*`.
### hint
Write `memory.max`.
### slip high
That is the brake.
### after
Done.

## end
That was it.
### question
Who counts the page cache?
";

    #[test]
    fn sections_are_found_by_their_headings() {
        let words = parse(LAB, "lab.md", 20).expect("a sound text");
        assert_eq!(words.title, "Hit the memory wall");
        assert_eq!(words.intro.code_spans(), ["$limit"]);
        let predict = words.predict.expect("a prediction");
        assert_eq!(predict.ask.markdown, "What happens?");
        assert_eq!(predict.choices[1], ("kill".to_string(), "the kernel kills it".to_string()));
        let step = &words.steps[0];
        assert_eq!((step.id.as_str(), step.title.as_str()), ("limit", "Write the limit"));
        assert!(step.text.markdown.ends_with("# not a heading\n```"));
        assert_eq!(step.hints.len(), 2);
        assert_eq!(step.slips["high"].markdown, "That is the brake.");
        assert_eq!(step.text.line, 30);
        assert_eq!(words.question.markdown, "Who counts the page cache?");
    }

    #[test]
    fn a_stray_heading_is_named_with_its_line() {
        let reason = |text: &str| parse(text, "lab.md", 1).expect_err("refused")[0].to_string();
        assert!(reason("# T\n\n## a\n### hints\nx\n").starts_with("lab.md:4: ### hints has no place here"));
        assert_eq!(reason("# T\n# U\n"), "lab.md:2: a second title: # U");
        assert_eq!(reason("# T\n## a\nx\n## a\n"), "lab.md:4: a second ## a");
        assert_eq!(reason("# T\n## a\nx\n### hint\n\n### after\nx\n"), "lab.md:4: nothing is written below ### hint");
        assert_eq!(reason("words\n# T\n"), "lab.md:1: the prose begins with its title: # Title");
        assert_eq!(reason("# T\n\n<b>x</b>\n"), "lab.md:3: HTML cannot be shown in a terminal");
    }
}

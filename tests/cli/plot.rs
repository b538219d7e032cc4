//! `glassbox plot`: a recording as a picture, which needs no root.

use insta::assert_snapshot;

use super::support::glassbox;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/recording.jsonl");

#[test]
fn a_picture_is_written_as_svg_and_as_png() {
    let directory = tempfile::tempdir().expect("a directory");
    let svg = glassbox(["plot", RECORDING]).output();
    assert_eq!((svg.status, svg.stderr.as_str()), (0, ""));
    assert!(svg.stdout.starts_with("<svg ") && svg.stdout.contains("killed: web"), "{}", &svg.stdout[..200]);
    for (name, begins) in [("picture.svg", b"<svg".as_slice()), ("picture.png", b"\x89PNG\r\n\x1a\n".as_slice())] {
        let output = glassbox(["plot", RECORDING, "-o", name]).in_dir(directory.path());
        assert_eq!(output.snapshot(), "status 0\n");
        let bytes = std::fs::read(directory.path().join(name)).expect("it was written");
        assert!(bytes.starts_with(begins), "{name}");
    }
    let png = std::fs::read(directory.path().join("picture.png")).expect("it was written");
    assert_eq!(png[16..24], [0, 0, 3, 232, 0, 0, 3, 4], "1000 by 772 pixels");
}

#[test]
fn what_cannot_be_drawn_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| glassbox(args.iter().copied()).in_dir(directory.path()).snapshot();
    std::fs::copy(RECORDING, directory.path().join("web.jsonl")).expect("a copy");
    assert_snapshot!(run(&["plot", "web.jsonl", "--of", "nobody"]), @r#"
    status 1
    stderr:
    error: cannot draw web.jsonl: no cgroup of the recording has "nobody" in its name or path; it holds db, web
      hint: Say which by --of, with a part of their names or paths.
    "#);
    assert_snapshot!(run(&["plot", "web.jsonl", "-o", "picture.gif"]), @r"
    status 1
    stderr:
    error: cannot tell the format of picture.gif
      hint: Let its name end in .svg or .png.
    ");
    assert_snapshot!(run(&["plot", "web.jsonl", "-o", "nowhere/picture.svg"]), @r"
    status 1
    stderr:
    error: cannot write the picture nowhere/picture.svg: No such file or directory (os error 2)
      hint: Name a file in a directory that is there and yours to write.
    ");
    let without = glassbox(["plot", "web.jsonl", "-o", "picture.png"]).in_dir(directory.path()).env("PATH", "/nowhere");
    assert_snapshot!(without.snapshot(), @r"
    status 1
    stderr:
    error: cannot make a PNG: rsvg-convert: No such file or directory (os error 2)
      hint: Install it: sudo apt-get install librsvg2-bin. Or write an .svg, which needs nothing.
    ");
}

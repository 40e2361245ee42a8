//! `docs/envelope.md`: its code is that of the examples, and its commands work one after the other.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::harness::broker::binary;
use crate::harness::clients::interpreter;
use crate::harness::scratch;

/// A fenced block of the page.
struct Block {
    language: String,
    /// What the comment before it names.
    source: Option<String>,
    text: String,
}

#[test]
fn the_code_of_the_page_is_that_of_the_examples() {
    let mut compared = 0;
    for block in blocks().iter().filter(|block| block.language != "sh") {
        let source = block.source.as_ref();
        let source = source.unwrap_or_else(|| panic!("nothing names a source of\n{}", block.text));
        assert!(source.starts_with("docs/examples/"), "{source}");
        let example = fs::read_to_string(root().join(source)).unwrap();
        let found = is_in(&block.text, &example);
        assert!(found, "{source} does not have\n{}", block.text);
        compared += 1;
    }
    assert!(compared > 5, "{compared}");
}

#[test]
fn the_commands_of_the_page_work_one_after_the_other() {
    let commands = blocks().into_iter().filter(|block| block.language == "sh");
    let script: String = commands.map(|block| block.text).collect();
    let (directory, programs) = (scratch(), scratch());
    symlink(binary(), programs.path().join("bastionmq")).unwrap();
    let path = format!("{}:{}", programs.path().display(), env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).env("PATH", path);
    let output = command.current_dir(directory.path()).output().unwrap();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.ends_with("21.5"), "{said}");
    let exported = fs::read_to_string(directory.path().join("press-7.json")).unwrap();
    let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["key_id"], "00112233445566aa");
    assert_eq!(exported["topics"], serde_json::json!(["plant/press-7/#"]));
    assert_eq!(exported["topic_key"].as_str().map(str::len), Some(64));
    assert_eq!(unwrapped(directory.path()), exported);
}

/// The key that was wrapped for the device, as the example makes it of its certificate's key.
fn unwrapped(directory: &Path) -> serde_json::Value {
    let of_devices = fs::read_dir(directory.join("wrapped-keys")).unwrap();
    let of_device = of_devices.map(|entry| entry.unwrap().path()).next().unwrap();
    let mut command = interpreter();
    command.arg(root().join("docs/examples/python/wrapped_key.py"));
    command.arg(directory.join("certs/press-7.key")).arg(of_device.join("00112233445566aa.json"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(root().join("docs/envelope.md")).unwrap();
    let (mut blocks, mut before, mut lines) = (Vec::new(), "", page.lines());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text = inside.flat_map(|line| [line, "\n"]).collect();
            let named = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let source = named.map(str::to_owned);
            blocks.push(Block { language: language.to_owned(), source, text });
        }
        before = line;
    }
    blocks
}

/// Whether `excerpt` stands in `whole`, all of it further in or not.
fn is_in(excerpt: &str, whole: &str) -> bool {
    let whole: Vec<_> = whole.lines().collect();
    let excerpt: Vec<_> = excerpt.lines().collect();
    whole.windows(excerpt.len()).any(|lines| {
        let Some(first) = lines.first().zip(excerpt.first()) else { return false };
        let Some(indent) = first.0.strip_suffix(first.1) else { return false };
        let is_same = |(line, wanted): (&&str, &&str)| {
            wanted.is_empty() && line.is_empty() || line.strip_prefix(indent) == Some(*wanted)
        };
        indent.trim().is_empty() && lines.iter().zip(&excerpt).all(is_same)
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

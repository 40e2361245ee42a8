//! The law of `src/lib.rs`: the order of its `mod` lines, siblings apart, purity below the services.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MOST_LINES_OF_A_FILE: usize = 600;

#[test]
fn a_file_names_only_modules_above_its_own_and_no_sibling() {
    let law = Law::read();
    report(source_files().iter().flat_map(|file| law.breaches_of_order(file)));
}

#[test]
fn words_and_engines_are_pure() {
    let law = Law::read();
    let pure = source_files().into_iter().filter(|file| law.is_pure(file.module()));
    report(pure.flat_map(|file| breaches_of_purity(&file)).collect::<Vec<_>>());
}

#[test]
fn every_module_of_the_tree_stands_in_the_map() {
    let law = Law::read();
    let unknown = |file: &&SourceFile| !law.places.contains_key(file.module());
    let files = source_files();
    let strays = files.iter().filter(|file| !file.is_crate_root()).filter(unknown);
    report(strays.map(|file| format!("{}: not declared in src/lib.rs", file.name)));
}

#[test]
fn line_1_of_every_source_file_says_what_it_is() {
    let files = source_files();
    let silent = files.iter().filter(|file| !file.text.starts_with("//! "));
    report(silent.map(|file| format!("{}: line 1 does not start with `//! `", file.name)));
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let files = source_files();
    let long = files.iter().map(|file| (file, file.text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > MOST_LINES_OF_A_FILE);
    report(long.map(|(file, lines)| format!("{}: {lines} lines", file.name)));
}

#[test]
fn no_file_mentions_a_path_of_somebodys_machine() {
    let private = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let listing = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listing = listing.expect("git lists the files").stdout;
    let names = String::from_utf8(listing).expect("file names are UTF-8");
    assert!(!names.is_empty(), "git lists no file");
    let mut breaches = Vec::new();
    for name in names.split_terminator('\0') {
        let bytes = fs::read(root().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            let starts_a_path = |(at, _): (usize, &str)| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}~".contains(c))
            };
            let mut found = private.iter().flat_map(|path| line.match_indices(path));
            if found.any(starts_a_path) {
                breaches.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report(breaches);
}

/// Fails with every breach there is.
fn report(breaches: impl IntoIterator<Item = String>) {
    let list = breaches.into_iter().fold(String::new(), |mut list, breach| {
        let _ = writeln!(list, "  {breach}");
        list
    });
    assert!(list.is_empty(), "\n{list}");
}

// ── the law ────────────────────────────────────────────────────────────────────────────────────

/// What `src/lib.rs` declares.
struct Law {
    places: HashMap<String, Place>,
}

/// Where a module stands.
struct Place {
    order: usize,
    group: usize,
    siblings: bool,
    pure: bool,
}

impl Law {
    /// Groups are headed by comments that begin with `// ──`. One with `(siblings)` in it holds
    /// modules that do not name each other; those down to the engines are pure.
    fn read() -> Self {
        let map = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
        let mut places = HashMap::new();
        let (mut group, mut siblings, mut pure) = (0, false, false);
        for line in map.lines() {
            if line.starts_with("// ──") {
                group += 1;
                siblings = line.contains("(siblings)");
                pure = line.contains("words:") || line.contains("engines:");
            }
            let declared = line.trim_start_matches("pub ").strip_prefix("mod ");
            if let Some(name) = declared.and_then(|rest| rest.strip_suffix(';')) {
                let place = Place { order: places.len(), group, siblings, pure };
                places.insert(name.to_owned(), place);
            }
        }
        assert!(places.values().filter(|place| place.pure).count() > 2, "no map in src/lib.rs");
        Self { places }
    }

    fn is_pure(&self, module: &str) -> bool {
        self.places.get(module).is_some_and(|place| place.pure)
    }

    fn breaches_of_order(&self, file: &SourceFile) -> Vec<String> {
        let Some(own) = self.places.get(file.module()) else { return Vec::new() };
        let mut breaches = Vec::new();
        for path in file.paths() {
            let Some(name) = file.crate_module_named_by(&path) else { continue };
            let Some(other) = self.places.get(name) else { continue };
            let sibling = own.siblings && other.group == own.group && other.order != own.order;
            if other.order > own.order || sibling {
                let fault = if sibling { "its sibling" } else { "below it" };
                let at = path.line;
                breaches.push(format!("{}:{at}: names `{name}`, which is {fault}", file.name));
            }
        }
        breaches
    }
}

/// What a pure file must not name, as paths; a leading `*` stands for any number of segments.
const IMPURE: [&str; 22] = [
    "tokio",
    "std::fs",
    "std::thread",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "std::process",
    "std::env",
    "tracing",
    "log",
    "getrandom",
    "rand",
    "parking_lot",
    "dashmap",
    "metrics",
    "*Instant::now",
    "*SystemTime::now",
    "*Mutex",
    "*RwLock",
    "*dyn",
    "*OsRng",
];

fn breaches_of_purity(file: &SourceFile) -> Vec<String> {
    let reads_the_clock = file.module() == "clock";
    let mut breaches = Vec::new();
    for path in file.paths_outside_tests() {
        let impure = IMPURE.iter().find(|impure| path.is_within(impure));
        let Some(impure) = impure.filter(|it| !(reads_the_clock && it.ends_with("::now"))) else {
            continue;
        };
        let named = impure.trim_start_matches('*');
        breaches.push(format!("{}:{}: names `{named}`, but it is pure", file.name, path.line));
    }
    breaches
}

// ── source files ───────────────────────────────────────────────────────────────────────────────

/// One file of `src/`.
struct SourceFile {
    /// From the root of the repository, such as `src/codec/frame.rs`.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut directories = vec![root().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root");
                let name = name.to_string_lossy().replace('\\', "/");
                files.push(SourceFile { text: fs::read_to_string(&path).expect("UTF-8"), name });
            }
        }
    }
    assert!(files.len() > 10, "src/ has {} files", files.len());
    files
}

impl SourceFile {
    /// The module of the crate that the file belongs to: `codec` for `src/codec/frame.rs`.
    fn module(&self) -> &str {
        let below = self.name.strip_prefix("src/").unwrap_or(&self.name);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    fn is_crate_root(&self) -> bool {
        matches!(self.module(), "lib" | "main")
    }

    /// How many `super` lead from the file to the crate's root.
    fn depth(&self) -> usize {
        let below = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        below.trim_end_matches("/mod").split('/').count()
    }

    fn paths(&self) -> Vec<NamedPath> {
        named_paths(&tokens(&self.text))
    }

    fn paths_outside_tests(&self) -> Vec<NamedPath> {
        named_paths(&without_tests(tokens(&self.text)))
    }

    /// The module that `path` enters from the crate's root, be it by `crate::` or by `super::`.
    fn crate_module_named_by<'p>(&self, path: &'p NamedPath) -> Option<&'p str> {
        let segments = &path.segments;
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let start = match segments.first()?.as_str() {
            "crate" | "bastionmq" => 1,
            "super" if supers >= self.depth() => supers,
            _ => return None,
        };
        segments.get(start).map(String::as_str)
    }
}

// ── reading Rust, just enough of it ────────────────────────────────────────────────────────────

/// A word or a mark of the source, without comments and literals.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// A path such as `crate::codec::Packet`; those of a `use` tree one by one.
#[derive(Debug)]
struct NamedPath {
    line: usize,
    segments: Vec<String>,
}

impl NamedPath {
    fn is_within(&self, forbidden: &str) -> bool {
        let anywhere = forbidden.starts_with('*');
        let forbidden = forbidden.trim_start_matches('*').split("::").collect::<Vec<_>>();
        let matches = |part: &[String]| part.iter().zip(&forbidden).all(|(a, b)| a == b);
        if anywhere {
            return self.segments.windows(forbidden.len()).any(matches);
        }
        // A lone word may be a variable or a method: `log` and `rand` count from `log::` on.
        self.segments.len() > 1
            && self.segments.len() >= forbidden.len()
            && matches(&self.segments[..forbidden.len()])
    }
}

fn tokens(source: &str) -> Vec<Token> {
    let chars = source.chars().collect::<Vec<_>>();
    let starts =
        |at: usize, text: &str| text.chars().eq(chars[at..].iter().copied().take(text.len()));
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let from = at;
        if starts(at, "//") {
            at = find(&chars, at, '\n');
        } else if starts(at, "/*") {
            at = end_of_block_comment(&chars, at);
        } else if let Some(end) = end_of_literal(&chars, at) {
            at = end;
        } else if is_word(chars[at]) {
            at += chars[at..].iter().take_while(|c| is_word(**c)).count();
            found.push(Token { line, text: chars[from..at].iter().collect() });
        } else {
            at += if starts(at, "::") { 2 } else { 1 };
            if !chars[from].is_whitespace() {
                found.push(Token { line, text: chars[from..at].iter().collect() });
            }
        }
        line += chars[from..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, wanted: char) -> usize {
    chars[from..].iter().position(|c| *c == wanted).map_or(chars.len(), |offset| from + offset)
}

fn end_of_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 1),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The end of the string, raw string, byte string or character that starts at `from`.
fn end_of_literal(chars: &[char], from: usize) -> Option<usize> {
    let prefix = chars[from..].iter().take_while(|c| "brc".contains(**c)).count().min(2);
    let mut at = from + prefix;
    let raw = chars[from..at].contains(&'r');
    let hashes = chars[at..].iter().take_while(|c| raw && **c == '#').count();
    at += hashes;
    match chars.get(at)? {
        '"' if raw => {
            let close = std::iter::once('"').chain(std::iter::repeat_n('#', hashes));
            let close = close.collect::<Vec<_>>();
            let length = chars[at + 1..].windows(close.len()).position(|part| part == close)?;
            Some(at + 1 + length + close.len())
        }
        '"' => Some(end_of_quoted(chars, at + 1, '"')),
        // A lifetime is no literal: 'a is, 'a' is not.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            Some(end_of_quoted(chars, at + 1, '\''))
        }
        _ => None,
    }
}

fn end_of_quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Leaves out what `#[cfg(test)]` and `#[test]` stand before.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let texts = tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>();
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let marked = texts[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"])
            || texts[at..].starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
            || texts[at..].starts_with(&["#", "[", "test", "]"]);
        if marked {
            at = end_of_item(&texts, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Behind the closing brace or the semicolon of the item that starts at `from`.
fn end_of_item(texts: &[&str], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, text) in texts.iter().enumerate().skip(from) {
        match *text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(*text, "}" | ";") {
            return at + 1;
        }
    }
    texts.len()
}

fn named_paths(tokens: &[Token]) -> Vec<NamedPath> {
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_word(tokens[at].text.chars().next().unwrap_or(' ')) {
            at = read_tree(tokens, at, &[], &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads `a::b`, `a::*` or `a::{b, c::d}` that starts at `at`; returns where it ends.
fn read_tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<NamedPath>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut segments = prefix.to_vec();
    let line = tokens[at].line;
    segments.push(text(at).to_owned());
    at += 1;
    while text(at) == "::" {
        at += 1;
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                at = if text(at) == "," { at + 1 } else { read_tree(tokens, at, &segments, paths) };
            }
            return at + 1;
        }
        // A turbofish ends the path; what is in it is read as paths of their own.
        if !is_word(text(at).chars().next().unwrap_or(' ')) {
            break;
        }
        segments.push(text(at).to_owned());
        at += 1;
    }
    paths.push(NamedPath { line, segments });
    at
}

// ── the reader itself ──────────────────────────────────────────────────────────────────────────

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn the_reader_sees_through_use_trees_and_super() {
    let law = Law::read();
    let upwards = [
        ("src/codec/frame.rs", "use crate::broker::Broker;"),
        ("src/codec/frame.rs", "use crate::{topic::TopicName, session};"),
        ("src/codec/frame.rs", "fn f() { super::super::net::listen::<u8>() }"),
        ("src/codec/mod.rs", "use super::net;"),
        ("src/session/input.rs", "use crate::router::Router;"),
        ("src/router/mod.rs", "use crate::session::Session;"),
    ];
    for (name, text) in upwards {
        assert_eq!(law.breaches_of_order(&file(name, text)).len(), 1, "{name}: {text}");
    }
    let allowed = [
        ("src/codec/frame.rs", "use crate::topic::TopicName; use super::net;"),
        ("src/codec/frame.rs", "// crate::broker\nconst A: &str = \"crate::broker\";"),
        ("src/session/input.rs", "use crate::session::Action; use crate::codec::Packet;"),
        ("src/cli/mod.rs", "use crate::{config, server};"),
    ];
    for (name, text) in allowed {
        assert_eq!(law.breaches_of_order(&file(name, text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_reader_tells_pure_from_impure() {
    let impure = [
        "use std::{io, fs};",
        "use tokio::sync::mpsc;",
        "fn f() { std::time::Instant::now(); }",
        "fn f(it: &dyn Fn()) {}",
        "use std::sync::{Arc, Mutex};",
        "fn f() { tracing::info!(\"x\"); }",
        "#[cfg(test)] mod tests { } use std::thread;",
    ];
    for text in impure {
        assert_eq!(breaches_of_purity(&file("src/topic/name.rs", text)).len(), 1, "{text}");
    }
    let pure = [
        "//! tokio::spawn\nuse std::net::SocketAddr;",
        "fn f<'a>(log: &'a str) -> char { log.len(); '\"' } // dyn",
        "const A: &str = r#\"dyn \"Mutex\" \"#;",
        "#[cfg(test)] mod tests { fn f() { std::fs::read(\"{\"); Instant::now(); } }",
    ];
    for text in pure {
        let found = breaches_of_purity(&file("src/topic/name.rs", text));
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
    assert!(breaches_of_purity(&file("src/clock.rs", "fn f() { Instant::now() }")).is_empty());
}

//! `bastionmq passwd`: who may log in with a password.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::{Args, Subcommand};

use crate::auth::{
    DEFAULT_HASH_PARAMETERS, DEFAULT_SCRAM_ITERATIONS, HashMemory, HashParameters,
    MAX_PASSWORD_BYTES, MAX_PASSWORD_FILE_BYTES, PasswordFile, ScramVerifier, Stored,
    check_user_name, hash,
};
use crate::private_file::{Change, PrivateFileError, read_bounded};
use crate::secret::Secret;

const EXAMPLES: &str = "\
Examples:
  bastionmq passwd add users alice        asks for the password, twice
  pass show alice | bastionmq passwd add --stdin users alice
  bastionmq passwd add --password-file alice.txt users alice
  bastionmq passwd add --scram users alice        lets her prove it without sending it, too
  bastionmq passwd verify users alice && echo right
  bastionmq passwd remove users alice

FILE is the `password_file` of [auth] in the configuration of the broker, or for operators that of
[admin]; the broker reads it anew when it changes. It holds one `user:hash` a line and is readable by its owner only; `add` makes
it where there is none. A password is never taken from the command line, where other users of
the machine could see it.

A user with an argon2id hash logs in with user name and password. A user with a SCRAM verifier
logs in by the enhanced authentication of MQTT 5.0, with the method SCRAM-SHA-256: the password
then never crosses the wire. A user can have both; they are always of the same password.

FILE can be one that mosquitto_passwd has written. Users of another kind (certificates, tokens,
Unix sockets, an HTTP service) do not stand in it. What a user may do is said by the policy.";

/// Manage the users of a password file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PasswdArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user, or give a user another password.
    Add(AddArgs),
    /// Remove a user.
    Remove(EntryArgs),
    /// List the users, how they can log in, and what checking their passwords costs.
    List {
        /// The password file.
        file: PathBuf,
    },
    /// Check a password: exit code 0 if it is right, 1 if not.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    source: PasswordSource,
    /// Memory that one check takes, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = DEFAULT_HASH_PARAMETERS.memory_kib())]
    memory_kib: u32,
    /// Passes over that memory: the time that one check takes.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HASH_PARAMETERS.iterations())]
    iterations: u32,
    /// Lanes that the memory is divided into.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HASH_PARAMETERS.parallelism())]
    parallelism: u32,
    /// Keep a verifier for SCRAM-SHA-256 as well: MQTT 5.0 clients can then log in without sending
    /// the password.
    #[arg(long, conflicts_with = "scram_only")]
    scram: bool,
    /// Keep nothing but that verifier: the user cannot log in by sending the password.
    #[arg(long)]
    scram_only: bool,
    /// How often a SCRAM client hashes the password: the time that each of its logins takes.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SCRAM_ITERATIONS)]
    scram_iterations: u32,
}

/// What is to be kept of a password.
struct Hashes {
    phc: Option<String>,
    scram: Option<ScramVerifier>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    source: PasswordSource,
}

#[derive(Debug, Args)]
struct EntryArgs {
    /// The password file.
    file: PathBuf,
    /// The user name.
    user: String,
}

/// Where the password comes from; asked for on the terminal unless said otherwise.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct PasswordSource {
    /// Read the password from this file: one line.
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,
    /// Read the password from standard input: one line. So it is done anyway where standard input
    /// is not a terminal.
    #[arg(long)]
    stdin: bool,
}

/// Whether a password typed blindly must be typed twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    Once,
    Twice,
}

/// Runs the command. What it did goes to standard output; a wrong password is exit code 1.
pub(super) fn run(args: PasswdArgs) -> anyhow::Result<ExitCode> {
    execute(args.command, &mut io::stdout())
}

fn execute(command: Command, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => add(&args, out),
        Command::Remove(args) => remove(&args, out),
        Command::List { file } => list(&file, out),
        Command::Verify(args) => verify(&args, out),
    }
}

fn add(args: &AddArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let EntryArgs { file, user } = &args.entry;
    // All that can be wrong is found before somebody has typed a password twice.
    check_user_name(user)?;
    let parameters = HashParameters::new(args.memory_kib, args.iterations, args.parallelism)?;
    users_or_none(file, read_bounded(file, MAX_PASSWORD_FILE_BYTES))?;
    let password = args.source.read(user, Typed::Twice)?;
    let hashes = args.hash(&password, parameters)?;

    let mut change = Change::begin(file)?;
    let mut users = users_or_none(file, change.read(MAX_PASSWORD_FILE_BYTES))?;
    let stored = if users.has(user) { Stored::Replaced } else { Stored::Added };
    hashes.put(&mut users, user)?;
    change.write(users.to_string().as_bytes())?;
    let file = file.display();
    match stored {
        Stored::Added => writeln!(out, "added user {user} to {file}")?,
        Stored::Replaced => writeln!(out, "replaced the password of user {user} in {file}")?,
    }
    Ok(ExitCode::SUCCESS)
}

impl AddArgs {
    fn hash(&self, password: &Secret, parameters: HashParameters) -> anyhow::Result<Hashes> {
        let phc = if self.scram_only { None } else { Some(hash(password, parameters, salt()?)?) };
        let scram = if self.scram || self.scram_only {
            Some(ScramVerifier::new(password, self.scram_iterations, salt()?)?)
        } else {
            None
        };
        Ok(Hashes { phc, scram })
    }
}

impl Hashes {
    /// What is not made anew is forgotten: it would go on accepting the old password.
    fn put(self, users: &mut PasswordFile, user: &str) -> anyhow::Result<()> {
        match self.phc {
            Some(phc) => drop(users.set(user, &phc)?),
            None => drop(users.forget_hash(user)),
        }
        match self.scram {
            Some(verifier) => drop(users.set_scram(user, verifier)?),
            None => drop(users.forget_scram(user)),
        }
        Ok(())
    }
}

fn remove(args: &EntryArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let EntryArgs { file, user } = args;
    let mut change = Change::begin(file)?;
    let mut users = parse(file, change.read(MAX_PASSWORD_FILE_BYTES)?)?;
    ensure!(users.remove(user), unknown_user(file, user));
    change.write(users.to_string().as_bytes())?;
    writeln!(out, "removed user {user} from {}", file.display())?;
    Ok(ExitCode::SUCCESS)
}

fn list(file: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let users = load(file)?;
    let width = users.users().map(|(user, _)| user.chars().count()).max().unwrap_or(0);
    for (user, proof) in users.users() {
        writeln!(out, "{user:width$}  {proof}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let EntryArgs { file, user } = &args.entry;
    let users = load(file)?;
    ensure!(users.has(user), unknown_user(file, user));
    let password = args.source.read(user, Typed::Once)?;
    if is_right(&users, user, &password) {
        writeln!(out, "the password is right")?;
        Ok(ExitCode::SUCCESS)
    } else {
        writeln!(out, "the password is wrong")?;
        Ok(ExitCode::FAILURE)
    }
}

/// Of two hashes of one user, either would let it in.
fn is_right(users: &PasswordFile, user: &str, password: &Secret) -> bool {
    users.verifier(user, &Secret::default()).verify(password, &mut HashMemory::default())
        || users.scram_verifier(user).is_some_and(|verifier| verifier.matches(password))
}

fn unknown_user(file: &Path, user: &str) -> anyhow::Error {
    let file = file.display();
    anyhow!("there is no user {user:?} in {file}; `bastionmq passwd list {file}` shows who is")
}

fn load(file: &Path) -> anyhow::Result<PasswordFile> {
    parse(file, read_bounded(file, MAX_PASSWORD_FILE_BYTES)?)
}

/// A file that does not exist is one without users.
fn users_or_none(
    file: &Path,
    read: Result<Vec<u8>, PrivateFileError>,
) -> anyhow::Result<PasswordFile> {
    match read {
        Ok(bytes) => parse(file, bytes),
        Err(error) if error.is_not_found() => Ok(PasswordFile::default()),
        Err(error) => Err(error.into()),
    }
}

fn parse(file: &Path, bytes: Vec<u8>) -> anyhow::Result<PasswordFile> {
    let file = file.display();
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("{file} is not UTF-8 text; is it the right file?"))?;
    PasswordFile::parse(&text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{file}: {error}")).collect();
        anyhow!(lines.join("\n"))
    })
}

fn salt() -> anyhow::Result<[u8; 16]> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).context("the system gives no random numbers")?;
    Ok(salt)
}

impl PasswordSource {
    fn read(&self, user: &str, typed: Typed) -> anyhow::Result<Secret> {
        if let Some(path) = &self.password_file {
            let file = File::open(path)
                .with_context(|| format!("cannot read the password from {}", path.display()))?;
            return read_line(file, &path.display().to_string());
        }
        let stdin = io::stdin();
        if self.stdin || !stdin.is_terminal() {
            // Around the buffer of the standard library, which is never wiped.
            return read_line(File::from(stdin.as_fd().try_clone_to_owned()?), "standard input");
        }
        ask(user, typed)
    }
}

fn ask(user: &str, typed: Typed) -> anyhow::Result<Secret> {
    let password = prompt(&format!("Password of {user}: "))?;
    if typed == Typed::Twice && prompt("The same again: ")? != password {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(password)
}

fn prompt(text: &str) -> anyhow::Result<Secret> {
    let typed = rpassword::prompt_password(text).context("cannot ask for the password")?;
    Ok(Secret::new(typed.into_bytes()))
}

/// Reads a password that ends with the line, or with the input.
fn read_line(input: impl Read, name: &str) -> anyhow::Result<Secret> {
    let longest = MAX_PASSWORD_BYTES + "\r\n".len();
    // Room for all of it: a buffer that grows leaves copies of the password behind.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(longest + 1));
    input
        .take(longest as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the password from {name}"))?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(!line.is_empty(), "{name} holds no password; write it there as one line");
    ensure!(line.len() <= MAX_PASSWORD_BYTES, "{name} holds more than a password can be long");
    ensure!(!line.contains(&b'\n'), "{name} holds more than one line; leave only the password");
    Ok(Secret::from(line))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;
    use tempfile::TempDir;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        passwd: PasswdArgs,
    }

    struct Desk {
        dir: TempDir,
    }

    impl Desk {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> String {
            self.dir.path().join(name).to_str().unwrap().to_owned()
        }

        fn users(&self) -> String {
            fs::read_to_string(self.path("users")).unwrap()
        }

        /// Runs a command line in which `FILE` stands for the password file, and a password where
        /// one is given.
        fn run(&self, line: &str, password: Option<&str>) -> (String, anyhow::Result<ExitCode>) {
            let mut words = vec!["passwd".to_owned()];
            words.extend(line.split(' ').map(|word| word.replace("FILE", &self.path("users"))));
            if let Some(password) = password {
                fs::write(self.path("password"), password).unwrap();
                words.extend(["--password-file".to_owned(), self.path("password")]);
            }
            if line.starts_with("add") {
                words.extend(["--memory-kib=8".to_owned(), "--iterations=1".to_owned()]);
                words.push("--scram-iterations=4096".to_owned());
            }
            let mut out = Vec::new();
            let args = CommandLine::try_parse_from(words).unwrap();
            let result = execute(args.passwd.command, &mut out);
            (String::from_utf8(out).unwrap(), result)
        }

        fn said(&self, line: &str, password: Option<&str>) -> String {
            let (said, result) = self.run(line, password);
            assert_eq!(result.unwrap(), ExitCode::SUCCESS);
            said
        }

        fn refused(&self, line: &str, password: Option<&str>) -> String {
            let (said, result) = self.run(line, password);
            assert_eq!(said, "");
            format!("{:#}", result.unwrap_err())
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn an_added_user_is_listed_and_verified() {
        let desk = Desk::new();
        let said = desk.said("add FILE ann", Some("apple\n"));
        assert_eq!(said, format!("added user ann to {}\n", desk.path("users")));
        assert_eq!(desk.said("list FILE", None), "ann  argon2id m=8,t=1,p=1\n");
        assert_eq!(desk.said("verify FILE ann", Some("apple")), "the password is right\n");
        let (said, result) = desk.run("verify FILE ann", Some("pear"));
        assert_eq!(
            (said.as_str(), result.unwrap()),
            ("the password is wrong\n", ExitCode::FAILURE)
        );
        let mode = fs::metadata(desk.path("users")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn replacing_a_password_says_so() {
        let desk = Desk::new();
        desk.said("add FILE ann", Some("apple"));
        let said = desk.said("add FILE ann", Some("pear"));
        assert!(said.starts_with("replaced the password of user ann in "), "{said}");
        desk.said("verify FILE ann", Some("pear"));
        assert_eq!(desk.run("verify FILE ann", Some("apple")).1.unwrap(), ExitCode::FAILURE);
    }

    #[test]
    fn a_user_can_have_a_scram_verifier_beside_the_hash_or_alone() {
        let desk = Desk::new();
        desk.said("add --scram FILE ann", Some("apple"));
        desk.said("add --scram-only FILE bob", Some("pear"));
        assert_eq!(
            desk.said("list FILE", None),
            "ann  argon2id m=8,t=1,p=1\nann  SCRAM-SHA-256 i=4096\nbob  SCRAM-SHA-256 i=4096\n"
        );
        desk.said("verify FILE ann", Some("apple"));
        desk.said("verify FILE bob", Some("pear"));
        assert_eq!(desk.run("verify FILE bob", Some("apple")).1.unwrap(), ExitCode::FAILURE);
        assert!(desk.said("remove FILE ann", None).starts_with("removed user ann from "));
        assert_eq!(desk.said("list FILE", None), "bob  SCRAM-SHA-256 i=4096\n");
    }

    #[test]
    fn a_new_password_leaves_no_hash_of_the_old_one() {
        let desk = Desk::new();
        for (first, then, left) in [
            ("--scram", "", "ann  argon2id m=8,t=1,p=1\n"),
            ("--scram", "--scram-only", "ann  SCRAM-SHA-256 i=4096\n"),
            ("--scram-only", "", "ann  argon2id m=8,t=1,p=1\n"),
        ] {
            desk.said(&format!("add {first} FILE ann"), Some("apple"));
            let words = format!("add {then} FILE ann").replace("  ", " ");
            assert!(
                desk.said(&words, Some("pear")).starts_with("replaced the password of user ann")
            );
            assert_eq!(desk.said("list FILE", None), left);
            desk.said("verify FILE ann", Some("pear"));
            assert_eq!(desk.run("verify FILE ann", Some("apple")).1.unwrap(), ExitCode::FAILURE);
        }
    }

    #[test]
    fn what_scram_cannot_carry_changes_nothing() {
        let desk = Desk::new();
        let refused = desk.refused("add --scram FILE ann", Some("a\tb"));
        assert!(refused.contains("control characters"), "{refused}");
        assert!(!fs::exists(desk.path("users")).unwrap());
        let both = ["passwd", "add", "--scram", "--scram-only", "users", "ann"];
        assert!(CommandLine::try_parse_from(both).is_err());
    }

    #[test]
    fn a_removed_user_is_gone_and_an_unknown_one_is_an_error() {
        let desk = Desk::new();
        desk.said("add FILE ann", Some("apple"));
        let refused = desk.refused("remove FILE eve", None);
        assert!(refused.starts_with("there is no user \"eve\" in "), "{refused}");
        assert!(desk.said("remove FILE ann", None).starts_with("removed user ann from "));
        assert_eq!(desk.users(), "");
        desk.refused("verify FILE ann", Some("apple"));
    }

    #[test]
    fn the_same_password_is_never_stored_the_same_twice() {
        let desk = Desk::new();
        desk.said("add FILE ann", Some("apple"));
        desk.said("add FILE bob", Some("apple"));
        let users = desk.users();
        let hashes: Vec<_> = users.lines().filter_map(|line| line.split_once(':')).collect();
        assert_ne!(hashes[0].1, hashes[1].1);
    }

    #[test]
    fn a_broken_file_is_named_with_its_lines_and_left_alone() {
        let desk = Desk::new();
        fs::write(desk.path("users"), "# users\nann\nbob:\n").unwrap();
        let password = Some("apple");
        for (line, password) in [
            ("add FILE cyd", password),
            ("verify FILE ann", password),
            ("list FILE", None),
            ("remove FILE ann", None),
        ] {
            let refused = desk.refused(line, password);
            assert!(refused.contains("users: line 2: "), "{refused}");
            assert!(refused.contains("users: line 3: "), "{refused}");
        }
        assert_eq!(desk.users(), "# users\nann\nbob:\n");
    }

    #[test]
    fn a_missing_file_is_created_by_add_alone() {
        let desk = Desk::new();
        for line in ["list FILE", "remove FILE ann"] {
            let refused = desk.refused(line, None);
            assert!(refused.contains("cannot read "), "{refused}");
        }
        desk.refused("verify FILE ann", Some("apple"));
        desk.said("add FILE ann", Some("apple"));
    }

    #[test]
    fn what_cannot_be_a_user_or_a_password_changes_nothing() {
        let desk = Desk::new();
        for user in ["a:b", "#a", "a\tb", "", &"x".repeat(129)] {
            desk.refused(&format!("add FILE {user}"), Some("apple"));
        }
        let overlong = "x".repeat(MAX_PASSWORD_BYTES + 1);
        for password in ["", "\n", "\r\n", "two\nlines", "two\r\nlines\r\n", &overlong] {
            let refused = desk.refused("add FILE ann", Some(password));
            assert!(!refused.contains("lines\r") && !refused.contains("two"), "{refused}");
        }
        for bound in ["--parallelism=0", "--parallelism=17"] {
            desk.refused(&format!("add {bound} FILE ann"), Some("apple"));
        }
        assert!(!fs::exists(desk.path("users")).unwrap());
    }

    #[test]
    fn the_longest_password_and_one_with_nul_and_space_work() {
        let desk = Desk::new();
        for password in ["x".repeat(MAX_PASSWORD_BYTES).as_str(), "\0 é "] {
            desk.said("add FILE ann", Some(&format!("{password}\r\n")));
            desk.said("verify FILE ann", Some(password));
        }
    }

    #[test]
    fn a_password_has_no_place_on_the_command_line() {
        for words in [
            ["passwd", "add", "users", "ann", "apple"],
            ["passwd", "verify", "users", "ann", "apple"],
        ] {
            assert!(CommandLine::try_parse_from(words).is_err());
        }
        let both = ["passwd", "add", "--stdin", "--password-file", "p", "users", "ann"];
        assert!(CommandLine::try_parse_from(both).is_err());
    }
}

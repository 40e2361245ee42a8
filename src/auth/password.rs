//! The password file: one `user:hash` a line, where the hash is argon2id, one of Mosquitto's, or
//! a SCRAM verifier; a user may have a hash and a verifier. A line that is not understood closes the whole file, never opens an account.

mod succession;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub use succession::PasswordProof;

use super::kept::{Kept, KeptProof};
use super::kept_hash::{Cost, KeptHash};
use super::password_error::{EntryError, LineFault, PasswordFileError};
use super::scram_verifier::ScramVerifier;
use super::user_name::{BYTE_ORDER_MARK, UserNameError, check_user_name};
use super::verifier::{Account, Verifier};
use crate::secret::Secret;

/// Bytes of the largest password file that is worth reading: some 400,000 users.
pub const MAX_PASSWORD_FILE_BYTES: u64 = 64 << 20;

/// Errors reported of one file; a file with more is no password file.
const MAX_ERRORS: usize = 20;

/// The users of a password file and what is kept of their passwords.
#[derive(Clone, Default)]
pub struct PasswordFile {
    /// In the order of the file.
    entries: Vec<Entry>,
    /// Where the hash of each user is.
    hashes: Positions,
    /// Where the SCRAM verifier of each user is.
    verifiers: Positions,
    /// Comments and blank lines after the last user.
    tail: String,
    /// How many files it has succeeded.
    revision: u64,
}

type Positions = BTreeMap<Arc<str>, usize>;

#[derive(Clone)]
struct Entry {
    /// Comments and blank lines above it.
    comments: String,
    user: Arc<str>,
    kept: Kept,
    /// The revision that brought it.
    since: u64,
}

/// What [`PasswordFile::set`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The user is new.
    Added,
    /// The user had another password.
    Replaced,
}

impl PasswordFile {
    /// Reads a file: `user:hash` lines, blank lines, and comments from `#` at the start of a line;
    /// line ends are LF or CRLF.
    ///
    /// # Errors
    /// Every line that is none of these, and every second hash of one kind for one user; the first
    /// 20.
    pub fn parse(text: &str) -> Result<Self, Vec<PasswordFileError>> {
        let mut file = Self::default();
        let mut lines = [Positions::new(), Positions::new()];
        let mut errors = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            if let Err(fault) = file.read_line(line, content, &mut lines) {
                errors.push(PasswordFileError { line, fault });
            }
            if errors.len() == MAX_ERRORS {
                break;
            }
        }
        if errors.is_empty() { Ok(file) } else { Err(errors) }
    }

    /// `lines` remembers where each user was defined, by hash and by SCRAM.
    fn read_line(
        &mut self,
        line: usize,
        content: &str,
        [of_hashes, of_verifiers]: &mut [Positions; 2],
    ) -> Result<(), LineFault> {
        if content.starts_with(BYTE_ORDER_MARK) {
            return Err(LineFault::ByteOrderMark);
        }
        if content.starts_with('#') || content.trim().is_empty() {
            self.tail.push_str(content.trim_end_matches('\r'));
            self.tail.push('\n');
            return Ok(());
        }
        let (user, hash) = content.split_once(':').ok_or(LineFault::NoColon)?;
        check_user_name(user)?;
        let is_verifier = Kept::is_verifier(hash);
        let lines = if is_verifier { of_verifiers } else { of_hashes };
        if let Some(&first) = lines.get(user) {
            return Err(LineFault::Duplicate { first });
        }
        let user: Arc<str> = Arc::from(user);
        lines.insert(user.clone(), line);
        self.put(user, Kept::parse(hash)?);
        Ok(())
    }

    /// Puts `kept` in the place of what is there of its kind, or last.
    fn put(&mut self, user: Arc<str>, kept: Kept) -> Stored {
        let positions = match kept {
            Kept::Hash(_) => &mut self.hashes,
            Kept::Verifier(_) => &mut self.verifiers,
        };
        if let Some(entry) = positions.get(&user).and_then(|&at| self.entries.get_mut(at)) {
            entry.kept = kept;
            return Stored::Replaced;
        }
        positions.insert(user.clone(), self.entries.len());
        let comments = std::mem::take(&mut self.tail);
        self.entries.push(Entry { comments, user, kept, since: self.revision });
        Stored::Added
    }

    /// Gives `user` the password whose hash is `phc`, as [`hash`](super::hash()) writes it. What is
    /// new comes last.
    ///
    /// # Errors
    /// When the name or the hash is one that [`parse`](Self::parse) would refuse.
    pub fn set(&mut self, user: &str, phc: &str) -> Result<Stored, EntryError> {
        check_user_name(user)?;
        Ok(self.put(Arc::from(user), Kept::Hash(KeptHash::parse(phc)?)))
    }

    /// Puts `phc` in the place of the hash `line` of `user`, and says whether that was there. What
    /// somebody else has changed meanwhile stays.
    ///
    /// # Errors
    /// When `phc` is one that [`parse`](Self::parse) would refuse.
    pub fn replace(&mut self, user: &str, line: &str, phc: &str) -> Result<bool, EntryError> {
        if self.hash(user).is_none_or(|hash| hash.to_string() != line) {
            return Ok(false);
        }
        self.set(user, phc).map(|stored| stored == Stored::Replaced)
    }

    /// Gives `user` the password that `verifier` was made of, to be proven by SCRAM. What is new
    /// comes last.
    ///
    /// # Errors
    /// When the name is one that [`parse`](Self::parse) would refuse.
    pub fn set_scram(
        &mut self,
        user: &str,
        verifier: ScramVerifier,
    ) -> Result<Stored, UserNameError> {
        check_user_name(user)?;
        Ok(self.put(Arc::from(user), Kept::Verifier(verifier)))
    }

    /// Forgets `user`, and says whether there was one. The comments above it stay.
    pub fn remove(&mut self, user: &str) -> bool {
        let had_hash = self.forget_hash(user);
        self.forget_scram(user) || had_hash
    }

    /// Forgets the hash of `user`, and says whether there was one.
    pub fn forget_hash(&mut self, user: &str) -> bool {
        let position = self.hashes.remove(user);
        position.is_some_and(|position| self.take_out(position))
    }

    /// Forgets the SCRAM verifier of `user`, and says whether there was one.
    pub fn forget_scram(&mut self, user: &str) -> bool {
        let position = self.verifiers.remove(user);
        position.is_some_and(|position| self.take_out(position))
    }

    fn take_out(&mut self, removed: usize) -> bool {
        let entry = self.entries.remove(removed);
        let below = self.entries.get_mut(removed).map_or(&mut self.tail, |next| &mut next.comments);
        below.insert_str(0, &entry.comments);
        let positions = self.hashes.values_mut().chain(self.verifiers.values_mut());
        for position in positions.filter(|position| **position > removed) {
            *position -= 1;
        }
        true
    }

    /// The users, in the order of the file, and how they prove their passwords. One that can do it
    /// in two ways comes twice.
    pub fn users(&self) -> impl Iterator<Item = (&str, KeptProof)> {
        self.entries.iter().map(|entry| (&*entry.user, entry.kept.proof()))
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        self.hashes.contains_key(user) || self.verifiers.contains_key(user)
    }

    /// Whether it has no user: nobody gets in with a password.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn hash(&self, user: &str) -> Option<&KeptHash> {
        self.hashes.get(user).and_then(|&at| self.entries.get(at)?.kept.hash())
    }

    /// What checks the password of `user`, whether or not there is such a user. A client that gives
    /// no user name is the unknown user `""`. What an unknown user costs is chosen by `decoy_key`.
    #[must_use]
    pub fn verifier(&self, user: &str, decoy_key: &Secret) -> Verifier {
        Verifier(match self.hash(user) {
            Some(hash) => Account::Known(hash.clone()),
            None => Account::Unknown(self.decoy_cost(user, decoy_key)),
        })
    }

    /// What `user` proves its password against by SCRAM, where it can.
    #[must_use]
    pub fn scram_verifier(&self, user: &str) -> Option<&ScramVerifier> {
        self.verifiers.get(user).and_then(|&at| self.entries.get(at)?.kept.verifier())
    }

    /// What an unknown user is asked to prove its password against: from outside like the verifier
    /// of some known user, and always the same as long as the file and `key` are.
    pub(super) fn scram_decoy(&self, user: &str, key: &Secret) -> ScramVerifier {
        // Nobody searches a long file in vain.
        let is_any = !self.verifiers.is_empty();
        let pattern = is_any.then(|| self.chosen_for(user, key.expose(), Kept::verifier)).flatten();
        ScramVerifier::decoy(key, user, pattern)
    }

    /// What an unknown user costs: as much as some known one, always the same. Where the costs of
    /// users differ, a fixed choice would tell users that cost otherwise from unknown ones; nobody
    /// can foresee this choice who does not have the key. A known user whose hash is replaced by a
    /// costlier one takes with it the unknown ones that follow it.
    fn decoy_cost(&self, user: &str, key: &Secret) -> Cost {
        if self.hashes.is_empty() {
            return Cost::default();
        }
        self.chosen_for(user, key.expose(), Kept::hash).map(KeptHash::cost).unwrap_or_default()
    }

    /// Something that is kept of one of the users, the same for the same `user` and `secret`.
    fn chosen_for<T>(
        &self,
        user: &str,
        secret: impl Hash,
        of_kind: impl Fn(&Kept) -> Option<&T>,
    ) -> Option<&T> {
        let mut hasher = DefaultHasher::new();
        secret.hash(&mut hasher);
        user.hash(&mut hasher);
        let number = usize::try_from(hasher.finish() >> 32).ok()?;
        let chosen = number.checked_rem(self.entries.len())?;
        let (before, from) = self.entries.split_at_checked(chosen)?;
        from.iter().chain(before).find_map(|entry| of_kind(&entry.kept))
    }
}

impl fmt::Display for PasswordFile {
    /// The text of the file: what was read, with LF line ends, and what was changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { comments, user, kept, .. } in &self.entries {
            writeln!(f, "{comments}{user}:{kept}")?;
        }
        f.write_str(&self.tail)
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = self.hashes.keys().filter(|user| self.verifiers.contains_key(*user)).count();
        write!(f, "PasswordFile({} users)", self.entries.len() - both)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hash::{DEFAULT_HASH_PARAMETERS, HashFault, HashParameters, hash};
    use super::super::memory::HashMemory;
    use super::super::scram_verifier::VerifierFault;
    use super::*;

    fn phc(password: &str) -> String {
        hash(&Secret::from(password), HashParameters::new(8, 1, 1).unwrap(), [7; 16]).unwrap()
    }

    /// Salt and hash of a line of Mosquitto; whose password, does not matter.
    const MOSQUITTO: &str = "vZY4TS+/HBxHw38S$vvjVFECzb8dyuu/mruD2QKTfdFn0WmKxbc+1TsdB0L8EdHk3v9JRmfjH\
                             d56+VaTnUcSZOZ/hzkdvWCtxlX7AUQ==";

    fn two_users() -> PasswordFile {
        let text = format!("ann:{}\nbob:{}\n", phc("apple"), phc("banana"));
        PasswordFile::parse(&text).unwrap()
    }

    fn accepts(file: &PasswordFile, user: &str, password: &str) -> bool {
        file.verifier(user, &Secret::from("key"))
            .verify(&Secret::from(password), &mut HashMemory::default())
    }

    fn faults(text: &str) -> Vec<(usize, LineFault)> {
        let errors = PasswordFile::parse(text).unwrap_err();
        errors.into_iter().map(|error| (error.line, error.fault)).collect()
    }

    #[test]
    fn each_user_gets_in_with_its_own_password() {
        let file = two_users();
        assert!(accepts(&file, "ann", "apple"));
        assert!(accepts(&file, "bob", "banana"));
        assert!(!accepts(&file, "ann", "banana"));
    }

    #[test]
    fn r21_absent_empty_nul_and_64_kib_credentials_do_not_get_in() {
        let file = two_users();
        let long = "x".repeat(64 << 10);
        for user in ["", "\0", "ann\0", "Ann", "ann:", "#", "+", &long] {
            assert!(!accepts(&file, user, "apple"), "{user:.10}");
        }
        for password in ["", "\0", "apple\0", &long, &long[1..]] {
            assert!(!accepts(&file, "ann", password), "{password:.10}");
        }
    }

    #[test]
    fn an_empty_password_never_opens_an_account_even_if_its_hash_is_on_file() {
        use base64ct::{Base64Unpadded, Encoding};

        let params = argon2::Params::new(8, 1, 1, Some(32)).unwrap();
        let argon2id = argon2::Argon2::new(Default::default(), Default::default(), params);
        let mut output = [0; 32];
        argon2id.hash_password_into(b"", &[7; 16], &mut output).unwrap();
        let [salt, output] = [&[7; 16][..], &output].map(Base64Unpadded::encode_string);
        let text = format!("ann:$argon2id$v=19$m=8,t=1,p=1${salt}${output}");
        let file = PasswordFile::parse(&text).unwrap();
        assert!(!accepts(&file, "ann", ""));
    }

    #[test]
    fn an_unknown_user_costs_what_a_known_one_costs() {
        let mut file = PasswordFile::default();
        let key = Secret::from("key");
        let cost = |file: &PasswordFile, user| match file.verifier(user, &key).0 {
            Account::Known(_) => panic!("{user} is not known"),
            Account::Unknown(cost) => cost,
        };
        assert_eq!(cost(&file, "eve").argon2id, DEFAULT_HASH_PARAMETERS);
        let parameters = HashParameters::new(16, 1, 1).unwrap();
        let costly = hash(&Secret::from("x"), parameters, [7; 16]).unwrap();
        let lines = [phc("x"), costly, format!("$6${MOSQUITTO}"), format!("$7$101${MOSQUITTO}")];
        for (user, line) in ["ann", "bob", "cyd", "dan"].into_iter().zip(&lines) {
            file.set(user, line).unwrap();
        }
        let costs = lines.map(|line| KeptHash::parse(&line).unwrap().cost());
        let unknown: Vec<String> = (0..64).map(|number| format!("user{number}")).collect();
        for one in costs {
            assert!(unknown.iter().any(|user| cost(&file, user) == one), "{one:?}");
        }
        for user in &unknown {
            assert_eq!(cost(&file, user), cost(&file, user));
        }
    }

    #[test]
    fn an_unknown_user_follows_a_known_one_whose_hash_is_replaced() {
        let old = format!("$7$101${MOSQUITTO}");
        let mut file = PasswordFile::parse(&format!("ann:{}\nbob:{old}\n", phc("x"))).unwrap();
        let costs = |file: &PasswordFile| {
            (0..64).map(|n| file.decoy_cost(&n.to_string(), &Secret::from("key"))).collect()
        };
        let before: Vec<Cost> = costs(&file);
        assert_eq!(file.replace("bob", &old, &phc("y")), Ok(true));
        for (now, before) in costs(&file).into_iter().zip(before) {
            assert_eq!(now.rounds, 0);
            assert_eq!(now == before, before.rounds == 0);
        }
    }

    #[test]
    fn a_hash_of_mosquitto_is_replaced_unless_somebody_was_faster() {
        let old = format!("$6${MOSQUITTO}");
        let text = format!("# fleet\nann:{old}\n# end\n");
        let mut file = PasswordFile::parse(&text).unwrap();
        assert_eq!(file.to_string(), text);
        assert!(file.verifier("ann", &Secret::default()).is_outdated());
        assert_eq!(file.replace("ann", &format!("$7$101${MOSQUITTO}"), &phc("a")), Ok(false));
        assert_eq!(file.replace("bob", &old, &phc("a")), Ok(false));
        assert_eq!(file.to_string(), text);
        assert_eq!(file.replace("ann", &old, &phc("a")), Ok(true));
        assert_eq!(file.to_string(), format!("# fleet\nann:{}\n# end\n", phc("a")));
        assert!(!file.verifier("ann", &Secret::default()).is_outdated());
    }

    #[test]
    fn an_empty_file_is_closed() {
        for text in ["", "\n", "# nobody yet\n", "\r\n \r\n"] {
            let file = PasswordFile::parse(text).unwrap();
            assert!(file.is_empty());
            assert!(!accepts(&file, "", ""));
        }
    }

    #[test]
    fn r06_a_broken_line_closes_the_file_and_is_named() {
        let good = phc("apple");
        let broken = LineFault::from(HashFault::Broken);
        for line in ["ann:", "ann: ", "ann:apple", &format!("ann:{good} "), &format!("ann::{good}")]
        {
            assert_eq!(faults(&format!("# users\n{line}\n")), [(2, broken)], "{line}");
        }
        assert_eq!(faults("ann"), [(1, LineFault::NoColon)]);
        assert_eq!(faults(&format!(":{good}")), [(1, UserNameError::Empty.into())]);
        assert_eq!(faults(&format!("ann :{good}")), [(1, UserNameError::OuterSpace.into())]);
        assert_eq!(faults(&format!(" # ann:{good}")), [(1, UserNameError::OuterSpace.into())]);
        assert_eq!(faults(&format!("a\tb:{good}")), [(1, UserNameError::Control.into())]);
        assert_eq!(faults(&format!("a\rb:{good}\r\n")), [(1, UserNameError::Control.into())]);
        assert_eq!(faults(&format!("\u{feff}ann:{good}")), [(1, LineFault::ByteOrderMark)]);
        assert_eq!(faults("\u{feff}# users"), [(1, LineFault::ByteOrderMark)]);
    }

    #[test]
    fn a_user_defined_twice_is_an_error_that_names_both_lines() {
        let text = format!("ann:{}\n\nann:{}\n", phc("apple"), phc("banana"));
        assert_eq!(faults(&text), [(3, LineFault::Duplicate { first: 1 })]);
        let text = format!("ann:broken\nann:{}\n", phc("banana"));
        assert_eq!(
            faults(&text),
            [(1, HashFault::Broken.into()), (2, LineFault::Duplicate { first: 1 })]
        );
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused_or_lacks_whole_users() {
        let text = two_users().to_string();
        let first_line = text.find('\n').unwrap();
        for end in 0..text.len() - 1 {
            match PasswordFile::parse(&text[..end]) {
                Ok(file) => assert!(
                    end == 0 || (first_line..=first_line + 1).contains(&end),
                    "{file:?} {end}"
                ),
                Err(errors) => assert_eq!(errors.len(), 1),
            }
        }
    }

    #[test]
    fn errors_show_nothing_of_the_line() {
        let text = "canary\ncanary:canary\n:canary\ncanary:$argon2id$v=19$m=1,t=1,p=1$canary";
        for error in PasswordFile::parse(text).unwrap_err() {
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        assert_eq!(format!("{:?}", two_users()), "PasswordFile(2 users)");
    }

    #[test]
    fn a_file_of_nothing_but_errors_reports_the_first_twenty() {
        assert_eq!(faults(&"x\n".repeat(1_000)).len(), MAX_ERRORS);
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let text = format!("# fleet\n\nann:{}\n# the boss\nbob:{}\n\n# end\n", phc("a"), phc("b"));
        assert_eq!(PasswordFile::parse(&text).unwrap().to_string(), text);
        let windows = text.replace('\n', "\r\n");
        assert_eq!(PasswordFile::parse(&windows).unwrap().to_string(), text);
        assert_eq!(PasswordFile::parse("# end\r\r\n\r").unwrap().to_string(), "# end\n\n");
    }

    #[test]
    fn setting_a_password_keeps_place_and_comments() {
        let text = format!("# first\nann:{}\nbob:{}\n# end\n", phc("a"), phc("b"));
        let mut file = PasswordFile::parse(&text).unwrap();
        assert_eq!(file.set("ann", &phc("c")), Ok(Stored::Replaced));
        assert_eq!(file.set("cyd", &phc("d")), Ok(Stored::Added));
        assert_eq!(
            file.to_string(),
            format!("# first\nann:{}\nbob:{}\n# end\ncyd:{}\n", phc("c"), phc("b"), phc("d"))
        );
        assert!(accepts(&file, "ann", "c") && accepts(&file, "cyd", "d"));
        assert!(!accepts(&file, "ann", "a"));
    }

    #[test]
    fn what_parse_would_refuse_cannot_be_set() {
        let mut file = two_users();
        assert_eq!(file.set("a:b", &phc("a")), Err(UserNameError::Colon.into()));
        assert_eq!(file.set("#a", &phc("a")), Err(UserNameError::Comment.into()));
        assert_eq!(file.set("a\nb", &phc("a")), Err(UserNameError::Control.into()));
        assert_eq!(file.set(&"é".repeat(65), &phc("a")), Err(UserNameError::TooLong.into()));
        assert_eq!(file.set("cyd", ""), Err(HashFault::Broken.into()));
        assert_eq!(file.to_string(), two_users().to_string());
    }

    const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                            WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                            wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_user_may_have_a_hash_and_a_verifier_but_one_of_each() {
        let text = format!("# a\nann:{VERIFIER}\nbob:{}\n# b\nann:{}\n", phc("b"), phc("a"));
        let mut file = PasswordFile::parse(&text).unwrap();
        assert_eq!(file.to_string(), text);
        assert_eq!(format!("{file:?}"), "PasswordFile(2 users)");
        assert!(accepts(&file, "ann", "a") && file.scram_verifier("ann").is_some());
        assert!(file.has("bob") && file.scram_verifier("bob").is_none());
        let twice = format!("{text}ann:{VERIFIER}\n");
        assert_eq!(faults(&twice), [(6, LineFault::Duplicate { first: 2 })]);
        assert!(file.remove("ann"));
        assert_eq!(file.to_string(), format!("# a\nbob:{}\n# b\n", phc("b")));
        assert!(!file.has("ann") && !accepts(&file, "ann", "a"));
    }

    #[test]
    fn r06_a_broken_verifier_closes_the_file_and_is_named() {
        let fault = LineFault::from(VerifierFault::Broken);
        assert_eq!(faults(&format!("ann:{}\n", &VERIFIER[..VERIFIER.len() - 1])), [(1, fault)]);
        assert_eq!(faults("\nann:SCRAM-SHA-256$\n"), [(2, fault)]);
        assert_eq!(faults("ann:SCRAM-SHA-1$4096:x\n"), [(1, HashFault::Broken.into())]);
    }

    #[test]
    fn a_verifier_does_not_open_an_account_to_a_password_that_is_sent() {
        let file = PasswordFile::parse(&format!("user:{VERIFIER}\n")).unwrap();
        assert!(!accepts(&file, "user", "pencil"));
    }

    #[test]
    fn a_removed_user_is_unknown_and_the_others_stay() {
        let text = format!("# a\nann:{}\n# b\nbob:{}\n# c\ncyd:{}\n", phc("a"), phc("b"), phc("c"));
        let mut file = PasswordFile::parse(&text).unwrap();
        assert!(file.remove("bob"));
        assert!(!file.remove("bob"));
        assert!(!accepts(&file, "bob", "b"));
        assert!(accepts(&file, "ann", "a") && accepts(&file, "cyd", "c"));
        assert!(file.remove("cyd"));
        assert_eq!(file.to_string(), format!("# a\nann:{}\n# b\n# c\n", phc("a")));
        assert_eq!(file.users().map(|(user, _)| user).collect::<Vec<_>>(), ["ann"]);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_as_it_was_read(text in "([ab#:\r\n\u{feff} ]|\\PC){0,40}") {
            if let Ok(file) = PasswordFile::parse(&text) {
                let written = file.to_string();
                prop_assert_eq!(PasswordFile::parse(&written).unwrap().to_string(), written);
            }
        }

        #[test]
        fn every_name_that_can_be_set_can_be_read(name in "\\PC{0,20}|[ab:# \t]{1,3}") {
            let mut file = two_users();
            if file.set(&name, &phc("c")).is_ok() {
                let read = PasswordFile::parse(&file.to_string()).unwrap();
                prop_assert!(accepts(&read, &name, "c"));
            }
        }
    }
}

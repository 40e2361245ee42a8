//! The users of a new broker, its operator, and their generated passwords.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::{ADMIN, DEVICE, OPERATOR, OPERATORS, PASSWORDS};
use crate::auth::{HashParameters, MAX_PASSWORD_FILE_BYTES, PasswordFile, hash};
use crate::private_file;
use crate::secret::Secret;

/// Without the letters and digits that people take for one another. 32 of them: five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 120 bits: no dictionary, no guessing.
const LENGTH: usize = 24;

/// Passwords that have just been made. Displaying them is what they are for.
pub(super) struct Passwords {
    admin: GeneratedPassword,
    pub(super) device: GeneratedPassword,
    /// Where there is a password file of operators.
    operator: Option<GeneratedPassword>,
}

/// A password that its user has yet to be told.
pub(super) struct GeneratedPassword(Secret);

impl GeneratedPassword {
    fn generate() -> Result<Self> {
        let mut bytes = vec![0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bytes: {error}"))?;
        for byte in &mut bytes {
            *byte = ALPHABET.get(usize::from(*byte & 31)).copied().unwrap_or_default();
        }
        Ok(Self(Secret::new(bytes)))
    }

    fn hash(&self) -> Result<String> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| anyhow!("no random bytes: {error}"))?;
        Ok(hash(&self.0, HashParameters::default(), salt)?)
    }

    /// The password as text: for the one who must type it.
    pub(super) fn reveal(&self) -> &str {
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

impl fmt::Display for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Passwords, shown this once:")?;
        writeln!(f, "  {ADMIN:<8}  {}  a client that may do everything", self.admin.reveal())?;
        writeln!(f, "  {DEVICE:<8}  {}  a client with topics of its own", self.device.reveal())?;
        match &self.operator {
            Some(operator) => writeln!(f, "  {OPERATOR:<8}  {}  the page", operator.reveal()),
            None => Ok(()),
        }
    }
}

/// Makes both password files in `directory`: that of clients, and that of operators.
pub(super) fn create(directory: &Path) -> Result<Passwords> {
    let (mut clients, mut operators) = (PasswordFile::default(), PasswordFile::default());
    let passwords = Passwords {
        admin: generate_into(&mut clients, ADMIN)?,
        device: generate_into(&mut clients, DEVICE)?,
        operator: Some(generate_into(&mut operators, OPERATOR)?),
    };
    private_file::create_new(&directory.join(PASSWORDS), clients.to_string().as_bytes())?;
    private_file::create_new(&directory.join(OPERATORS), operators.to_string().as_bytes())?;
    Ok(passwords)
}

/// Gives the users of the password files in `directory` new passwords; other users keep theirs. A directory
/// that an earlier version has made has no file of operators, and gets none.
pub(super) fn replace(directory: &Path) -> Result<Passwords> {
    let operators = directory.join(OPERATORS);
    let operator = match operators.exists() {
        true => Some(change(&operators, |file| generate_into(file, OPERATOR))?),
        false => None,
    };
    change(&directory.join(PASSWORDS), |file| {
        let (admin, device) = (generate_into(file, ADMIN)?, generate_into(file, DEVICE)?);
        Ok(Passwords { admin, device, operator })
    })
}

fn change<T>(path: &Path, make: impl FnOnce(&mut PasswordFile) -> Result<T>) -> Result<T> {
    let mut change = private_file::Change::begin(path)?;
    let text = String::from_utf8(change.read(MAX_PASSWORD_FILE_BYTES)?)
        .with_context(|| format!("{} is not a password file", path.display()))?;
    let mut file = PasswordFile::parse(&text).map_err(|errors| {
        let faults: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}: {}", path.display(), faults.join("; "))
    })?;
    let made = make(&mut file)?;
    change.write(file.to_string().as_bytes())?;
    Ok(made)
}

fn generate_into(file: &mut PasswordFile, user: &str) -> Result<GeneratedPassword> {
    let password = GeneratedPassword::generate()?;
    file.set(user, &password.hash()?)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::HashMemory;

    fn opens(path: &Path, user: &str, password: &GeneratedPassword) -> bool {
        let file = PasswordFile::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        file.verifier(user, &Secret::default()).verify(&password.0, &mut HashMemory::default())
    }

    #[test]
    fn the_passwords_that_are_shown_open_the_accounts() {
        let directory = tempfile::tempdir().unwrap();
        let made = create(directory.path()).unwrap();
        let clients = directory.path().join(PASSWORDS);
        assert!(opens(&clients, ADMIN, &made.admin));
        assert!(opens(&clients, DEVICE, &made.device));
        assert!(!opens(&clients, ADMIN, &made.device));
        let operator = made.operator.as_ref().unwrap();
        assert!(opens(&directory.path().join(OPERATORS), OPERATOR, operator));
        assert!(!opens(&clients, OPERATOR, operator));
        let shown = made.to_string();
        for password in [&made.admin, &made.device, operator] {
            assert!(shown.contains(password.reveal()));
        }
    }

    #[test]
    fn new_passwords_replace_the_old_and_leave_other_users_alone() {
        let directory = tempfile::tempdir().unwrap();
        let old = create(directory.path()).unwrap();
        let path = directory.path().join(PASSWORDS);
        let other = GeneratedPassword::generate().unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&format!("other:{}\n", other.hash().unwrap()));
        std::fs::write(&path, text).unwrap();
        let new = replace(directory.path()).unwrap();
        assert!(opens(&path, ADMIN, &new.admin) && !opens(&path, ADMIN, &old.admin));
        assert!(opens(&path, DEVICE, &new.device) && !opens(&path, DEVICE, &old.device));
        assert!(opens(&path, "other", &other));
        let path = directory.path().join(OPERATORS);
        let (new, old) = (new.operator.unwrap(), old.operator.unwrap());
        assert!(opens(&path, OPERATOR, &new) && !opens(&path, OPERATOR, &old));
    }

    #[test]
    fn a_directory_without_operators_gets_none() {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join(OPERATORS)).unwrap();
        let new = replace(directory.path()).unwrap();
        assert!(new.operator.is_none() && !new.to_string().contains(OPERATOR));
        assert!(!directory.path().join(OPERATORS).exists());
    }

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (one, other) =
            (GeneratedPassword::generate().unwrap(), GeneratedPassword::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), LENGTH);
        assert!(one.reveal().bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}

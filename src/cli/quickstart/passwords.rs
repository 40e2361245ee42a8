//! The two users of a new broker, and their generated passwords.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::{ADMIN, DEVICE};
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
        writeln!(f, "  {ADMIN:<8} {}", self.admin.reveal())?;
        writeln!(f, "  {DEVICE:<8} {}", self.device.reveal())
    }
}

/// Makes the password file `path` with both users.
pub(super) fn create(path: &Path) -> Result<Passwords> {
    let mut file = PasswordFile::default();
    let passwords = generate_into(&mut file)?;
    private_file::create_new(path, file.to_string().as_bytes())?;
    Ok(passwords)
}

/// Gives both users of the password file `path` new passwords; the other users keep theirs.
pub(super) fn replace(path: &Path) -> Result<Passwords> {
    let mut change = private_file::Change::begin(path)?;
    let text = String::from_utf8(change.read(MAX_PASSWORD_FILE_BYTES)?)
        .with_context(|| format!("{} is not a password file", path.display()))?;
    let mut file = PasswordFile::parse(&text).map_err(|errors| {
        let faults: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}: {}", path.display(), faults.join("; "))
    })?;
    let passwords = generate_into(&mut file)?;
    change.write(file.to_string().as_bytes())?;
    Ok(passwords)
}

fn generate_into(file: &mut PasswordFile) -> Result<Passwords> {
    let passwords =
        Passwords { admin: GeneratedPassword::generate()?, device: GeneratedPassword::generate()? };
    file.set(ADMIN, &passwords.admin.hash()?)?;
    file.set(DEVICE, &passwords.device.hash()?)?;
    Ok(passwords)
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
        let path = directory.path().join("passwords");
        let made = create(&path).unwrap();
        assert!(opens(&path, ADMIN, &made.admin));
        assert!(opens(&path, DEVICE, &made.device));
        assert!(!opens(&path, ADMIN, &made.device));
        let shown = made.to_string();
        assert!(shown.contains(made.admin.reveal()) && shown.contains(made.device.reveal()));
    }

    #[test]
    fn new_passwords_replace_the_old_and_leave_other_users_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        let old = create(&path).unwrap();
        let other = GeneratedPassword::generate().unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&format!("other:{}\n", other.hash().unwrap()));
        std::fs::write(&path, text).unwrap();
        let new = replace(&path).unwrap();
        assert!(opens(&path, ADMIN, &new.admin) && !opens(&path, ADMIN, &old.admin));
        assert!(opens(&path, DEVICE, &new.device) && !opens(&path, DEVICE, &old.device));
        assert!(opens(&path, "other", &other));
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

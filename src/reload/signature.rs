//! Whether files are still what they were, without opening them: who has no file descriptor left must
//! know as well.

use std::fs;
use std::path::{Path, PathBuf};

use crate::private_file::Revision;

/// Entries of a folder that are looked at; one that has more is looked at as far as this.
const MAX_ENTRIES: usize = 4_096;

/// Which files stand at some paths. Another file under the same name is another one, however it came
/// there: written in place, renamed over it, or behind a symbolic link that was turned elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature(Vec<(PathBuf, Option<Revision>)>);

impl Signature {
    /// That of `paths`, and of what is in those that are folders.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut found = Vec::new();
        for path in paths {
            found.push((path.clone(), revision_of(path)));
            found.extend(entries(path));
        }
        Self(found)
    }
}

fn revision_of(path: &Path) -> Option<Revision> {
    fs::metadata(path).ok().map(|metadata| Revision::of(&metadata))
}

fn entries(folder: &Path) -> Vec<(PathBuf, Option<Revision>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().take(MAX_ENTRIES).map(|entry| entry.path());
    let mut found: Vec<_> = paths.map(|path| (path.clone(), revision_of(&path))).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_another_one_however_it_came_there() {
        let directory = tempfile::tempdir().unwrap();
        let [file, aside, link, folder] =
            ["file", "aside", "link", "later"].map(|name| directory.path().join(name));
        let paths = [file.clone(), link.clone(), folder.clone()];
        let mut seen = Signature::of(&paths);
        let mut has_changed = |what: &str| {
            let now = Signature::of(&paths);
            assert_ne!(seen, now, "{what}");
            assert_eq!(now, Signature::of(&paths), "{what}");
            seen = now;
        };
        fs::write(&file, "one").unwrap();
        has_changed("it appears");
        fs::write(&file, "other").unwrap();
        has_changed("written in place");
        fs::write(&aside, "other").unwrap();
        fs::rename(&aside, &file).unwrap();
        has_changed("renamed over it, of the same size");
        symlink(&file, &link).unwrap();
        has_changed("a link appears");
        fs::write(&aside, "other").unwrap();
        fs::remove_file(&link).unwrap();
        symlink(&aside, &link).unwrap();
        has_changed("the link is turned elsewhere");
        fs::create_dir(&folder).unwrap();
        has_changed("a folder appears");
        fs::write(folder.join("list.crl"), "list").unwrap();
        has_changed("something appears in the folder");
        fs::remove_file(&file).unwrap();
        has_changed("it is gone");
    }
}

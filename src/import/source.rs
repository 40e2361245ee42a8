//! Reads the files that a configuration names, wherever they are now.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use thiserror::Error;

use super::finding::Place;
use crate::acl::PolicyError;
use crate::private_file::{PrivateFileError, read_bounded};

/// Bytes of the largest file that is read, whatever it holds.
const MAX_BYTES: u64 = 64 << 20;
/// Files of the largest `include_dir`.
const MAX_INCLUDED: usize = 10_000;

/// Why nothing was translated.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("{}{error}", named_by(.place.as_ref()))]
    Unreadable {
        /// What names the file; nothing names the first one.
        place: Option<Place>,
        /// Why.
        error: PrivateFileError,
    },
    /// A directory could not be read.
    #[error("{place}: cannot read the directory {}: {source}", path.display())]
    Directory {
        /// What names it.
        place: Place,
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line that Mosquitto itself would not start with.
    #[error("{place}: {message}")]
    Broken {
        /// The line.
        place: Place,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// An ACL file with errors.
    #[error("{}", listed(file, errors))]
    Acl {
        /// The file.
        file: PathBuf,
        /// All of them.
        errors: Vec<PolicyError>,
    },
}

fn named_by(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}

fn listed(file: &Path, errors: &[PolicyError]) -> String {
    let lines: Vec<_> = errors
        .iter()
        .map(|error| {
            format!("{}:{}:{}: {}", file.display(), error.line, error.column, error.message)
        })
        .collect();
    lines.join("\n")
}

/// Where the files of a directory are now: `FROM=TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    from: PathBuf,
    to: PathBuf,
}

impl FromStr for Mapping {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once('=').ok_or("write it as FROM=TO")?;
        if from.is_empty() || to.is_empty() {
            return Err("neither FROM nor TO is empty");
        }
        Ok(Self { from: from.into(), to: to.into() })
    }
}

/// The files of one translation.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// What relative paths are relative to.
    directory: PathBuf,
    mappings: &'a [Mapping],
}

impl<'a> Source<'a> {
    pub(super) fn of(configuration: &Path, mappings: &'a [Mapping]) -> Self {
        let directory = configuration.parent().unwrap_or(Path::new("")).to_owned();
        Self { directory, mappings }
    }

    /// Where the file is that the configuration calls `name`.
    pub(super) fn locate(&self, name: &str) -> PathBuf {
        let name = Path::new(name);
        let mapped = self.mappings.iter().find_map(|mapping| {
            let rest = name.strip_prefix(&mapping.from).ok()?;
            Some(if rest.as_os_str().is_empty() {
                mapping.to.clone()
            } else {
                mapping.to.join(rest)
            })
        });
        mapped.unwrap_or_else(|| self.directory.join(name))
    }

    /// As [`locate`](Self::locate), from wherever it is read.
    pub(super) fn absolute(&self, name: &str) -> PathBuf {
        let path = self.locate(name);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// The text of `path`, which stands at `place`.
    pub(super) fn read(&self, path: &Path, place: Option<&Place>) -> Result<String, ImportError> {
        let unreadable = |error| ImportError::Unreadable { place: place.cloned(), error };
        let bytes = read_bounded(path, MAX_BYTES).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line = 1 + valid.filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            let message = "this is not UTF-8: save the file in that encoding".to_owned();
            ImportError::Broken { place: Place { file: path.into(), line }, message }
        })
    }

    /// The files of an `include_dir`, in the order in which Mosquitto reads them.
    pub(super) fn included(&self, path: &Path, place: &Place) -> Result<Vec<PathBuf>, ImportError> {
        let failed =
            |source| ImportError::Directory { place: place.clone(), path: path.to_owned(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)?.take(MAX_INCLUDED) {
            let file = entry.map_err(failed)?.path();
            if file.as_os_str().as_encoded_bytes().ends_with(b".conf") {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_beside_the_configuration_and_mapped_ones_where_they_are_now() {
        let mappings = ["/mosquitto/config=conf".parse().unwrap(), "/a/b=/x".parse().unwrap()];
        let source = Source::of(Path::new("here/mosquitto.conf"), &mappings);
        for (name, path) in [
            ("passwd", "here/passwd"),
            ("/etc/passwd", "/etc/passwd"),
            ("/mosquitto/config/acl", "conf/acl"),
            ("/mosquitto/configuration", "/mosquitto/configuration"),
            ("/a/b", "/x"),
        ] {
            assert_eq!(source.locate(name), Path::new(path), "{name}");
        }
        assert!("/a".parse::<Mapping>().is_err() && "=b".parse::<Mapping>().is_err());
    }
}

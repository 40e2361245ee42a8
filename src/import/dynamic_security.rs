//! The file of Mosquitto's dynamic security plugin, entry by entry with its line.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::finding::Place;
use super::source::ImportError;

/// The ACLs of a role, each with its line.
pub(super) type Acls = Vec<(Place, Acl)>;

/// What the plugin keeps.
#[derive(Debug)]
pub(super) struct DynamicSecurity {
    pub(super) default: DefaultAccess,
    pub(super) clients: Vec<(Place, Client)>,
    pub(super) groups: Vec<(Place, Group)>,
    pub(super) roles: Vec<(Place, Role, Acls)>,
    pub(super) anonymous_group: Option<String>,
}

/// What is allowed where no ACL decides.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DefaultAccess {
    pub(super) publish_client_send: bool,
    pub(super) publish_client_receive: bool,
    pub(super) subscribe: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Client {
    pub(super) username: String,
    pub(super) clientid: Option<String>,
    #[serde(default)]
    pub(super) disabled: bool,
    encoded_password: Option<String>,
    password: Option<String>,
    salt: Option<String>,
    #[serde(default)]
    iterations: u32,
    #[serde(default)]
    pub(super) roles: Vec<RoleName>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) groupname: String,
    #[serde(default)]
    pub(super) roles: Vec<RoleName>,
    #[serde(default)]
    pub(super) clients: Vec<ClientName>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RoleName {
    pub(super) rolename: String,
    #[serde(default = "unset")]
    pub(super) priority: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ClientName {
    pub(super) username: String,
    #[serde(default = "unset")]
    pub(super) priority: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Role {
    pub(super) rolename: String,
    #[serde(alias = "textDescription")]
    pub(super) textdescription: Option<String>,
    #[serde(default = "yes")]
    pub(super) allowwildcardsubs: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Acl {
    pub(super) acltype: String,
    pub(super) topic: String,
    #[serde(default)]
    pub(super) priority: i64,
    #[serde(default)]
    pub(super) allow: bool,
}

/// The file before its entries are looked at.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default, rename = "defaultACLAccess")]
    default: DefaultAccess,
    #[serde(borrow, default)]
    clients: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    groups: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    roles: Vec<&'a RawValue>,
    #[serde(rename = "anonymousGroup")]
    anonymous_group: Option<String>,
}

/// The ACLs of a role before they are looked at.
#[derive(Deserialize)]
struct RawAcls<'a> {
    #[serde(borrow, default)]
    acls: Vec<&'a RawValue>,
}

/// What the plugin takes for a priority that is not there.
fn unset() -> i64 {
    -1
}

fn yes() -> bool {
    true
}

impl Client {
    /// Its password as a password file has it.
    pub(super) fn hash(&self) -> Option<String> {
        if let Some(encoded) = &self.encoded_password {
            return Some(encoded.clone());
        }
        let (salt, password) = (self.salt.as_ref()?, self.password.as_ref()?);
        (self.iterations > 0).then(|| format!("$7${}${salt}${password}", self.iterations))
    }
}

impl DynamicSecurity {
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, ImportError> {
        let reader = Reader { file: file.into(), text };
        let document: Document<'_> = reader.read(text)?;
        let roles = document.roles.into_iter().map(|raw| {
            let (place, role) = reader.entry(raw)?;
            let acls: RawAcls<'_> = reader.read(raw.get())?;
            let acls: Result<_, _> = acls.acls.into_iter().map(|acl| reader.entry(acl)).collect();
            Ok((place, role, acls?))
        });
        let roles: Result<_, ImportError> = roles.collect();
        let clients: Result<_, _> =
            document.clients.into_iter().map(|it| reader.entry(it)).collect();
        let groups: Result<_, _> = document.groups.into_iter().map(|it| reader.entry(it)).collect();
        Ok(Self {
            default: document.default,
            clients: clients?,
            groups: groups?,
            roles: roles?,
            anonymous_group: document.anonymous_group,
        })
    }
}

struct Reader<'t> {
    file: Arc<Path>,
    text: &'t str,
}

impl Reader<'_> {
    fn entry<'a, T: Deserialize<'a>>(&self, raw: &'a RawValue) -> Result<(Place, T), ImportError> {
        let place = Place { file: Arc::clone(&self.file), line: self.line_of(raw.get()) };
        Ok((place, self.read(raw.get())?))
    }

    /// `part` is the text or a part of it.
    fn read<'a, T: Deserialize<'a>>(&self, part: &'a str) -> Result<T, ImportError> {
        serde_json::from_str(part).map_err(|error| {
            let within = u32::try_from(error.line()).unwrap_or(u32::MAX).saturating_sub(1);
            let line = self.line_of(part).saturating_add(within);
            let place = Place { file: Arc::clone(&self.file), line };
            let told = error.to_string();
            // The line that it tells is that within the part.
            let told = told.split(" at line ").next().unwrap_or_default();
            let message = format!("not as the dynamic security plugin writes it: {told}");
            ImportError::Broken { place, message }
        })
    }

    fn line_of(&self, part: &str) -> u32 {
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(line).unwrap_or(u32::MAX)
    }
}

//! Who may log in and what they may do, as one listener or the whole broker has it.

use super::conf_lines::Directive;
use super::conf_tree::is_plugin_option;
use super::finding::{Findings, Place};
use super::source::ImportError;

/// The settings of logins and permissions.
#[derive(Clone, Debug, Default)]
pub(super) struct Security {
    /// Whether anonymous clients are let in, and where it is said.
    pub(super) allow_anonymous: Option<(bool, Place)>,
    pub(super) password_file: Option<Named>,
    pub(super) acl_file: Option<Named>,
    pub(super) dynamic_security: Option<Named>,
}

/// A file, and where it is named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) place: Place,
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Named {}

impl Security {
    /// A file that is another than that of `common`.
    pub(super) fn other_than(&self, common: &Self) -> Option<&Named> {
        let files: [fn(&Self) -> &Option<Named>; 3] =
            [|it| &it.password_file, |it| &it.acl_file, |it| &it.dynamic_security];
        files
            .into_iter()
            .find_map(|file| file(self).as_ref().filter(|own| file(common).as_ref() != Some(own)))
    }
}

/// Takes from `settings` what is about security; the others are left there.
pub(super) fn take(
    settings: &mut Vec<Directive>,
    findings: &mut Findings,
) -> Result<Security, ImportError> {
    let mut security = Security::default();
    // The plugin that options belong to: its line, and whether it is the one that is known.
    let mut plugin: Option<(Directive, bool)> = None;
    let mut others = Vec::with_capacity(settings.len());
    for directive in settings.drain(..) {
        let named = |directive: &Directive| {
            let (name, place) = (directive.text()?.to_owned(), directive.place.clone());
            Ok::<_, ImportError>(Some(Named { name, place }))
        };
        match &*directive.key {
            "allow_anonymous" => {
                security.allow_anonymous = Some((directive.boolean()?, directive.place));
            }
            "password_file" => security.password_file = named(&directive)?,
            "acl_file" => security.acl_file = named(&directive)?,
            "plugin" | "auth_plugin" | "global_plugin" => {
                report_bare(plugin.take(), &security, findings);
                let is_known = directive.value.contains("dynamic_security");
                plugin = Some((directive, is_known));
            }
            key if is_plugin_option(key) => {
                let is_file = key.ends_with("_opt_config_file");
                if is_file && plugin.as_ref().is_some_and(|(_, is_known)| *is_known) {
                    security.dynamic_security = named(&directive)?;
                }
            }
            _ => others.push(directive),
        }
    }
    report_bare(plugin, &security, findings);
    *settings = others;
    Ok(security)
}

/// Reports a plugin of which nothing could be made.
fn report_bare(plugin: Option<(Directive, bool)>, security: &Security, findings: &mut Findings) {
    let Some((directive, is_known)) = plugin else { return };
    if is_known && security.dynamic_security.is_some() {
        return;
    }
    let remedy = if is_known {
        "its plugin_opt_config_file is missing: nothing is known of its users and roles"
    } else {
        "there are no plugins: passwords, certificates, JWT and HTTP hooks are built in"
    };
    findings.missing(&directive.place, directive.shown(), remedy);
}

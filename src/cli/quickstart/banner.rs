//! What to type next: printed once the listeners are open, with the ports that they really have.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::passwords::GeneratedPassword;
use super::{CERTIFICATES, CLIENT, DEVICE, OPERATOR, PASSWORDS};
use crate::net::Scheme;

/// What is known before the listeners are open.
pub(super) struct Banner {
    pub(super) directory: PathBuf,
    /// Only if it has just been made.
    pub(super) device_password: Option<GeneratedPassword>,
}

impl Banner {
    /// The lines to paste. `listeners` are URLs with the bound address, and `page` is where that of operators
    /// is. Where listeners and metrics are, `serve` says itself.
    pub(super) fn text(&self, listeners: &[String], page: Option<SocketAddr>) -> String {
        let mut text = String::new();
        if let Some(target) = Target::choose(listeners) {
            text.push_str(&self.commands(&target));
        }
        if let Some(address) = page {
            let place = match address.ip() {
                IpAddr::V6(_) => address.to_string(),
                IpAddr::V4(ip) => format!("{}:{}", host(ip.into()), address.port()),
            };
            let _ = writeln!(text, "Watch it in a browser, as {OPERATOR}:\n  http://{place}/");
        }
        if self.device_password.is_none() {
            text.push_str(&self.password_advice());
        }
        text
    }

    fn commands(&self, target: &Target) -> String {
        let connection = target.options(&self.certificate("ca.crt"));
        let password = match &self.device_password {
            Some(password) => format!("'{}'", password.reveal()),
            None => "\"$PASSWORD\"".to_owned(),
        };
        let login = format!("{connection} -u {DEVICE} -P {password}");
        let mut text = format!(
            "Receive, in one terminal:\n  \
             mosquitto_sub {login} -t 'devices/{DEVICE}/#' -v\n\
             Send, in another:\n  \
             mosquitto_pub {login} -t 'devices/{DEVICE}/hello' -m 'hello'\n"
        );
        if target.tls {
            let _ = write!(
                text,
                "Or with the client certificate instead of a password:\n  \
                 mosquitto_pub {connection} --cert {} --key {} -t 'devices/{CLIENT}/hello' \
                 -m 'hello'\n",
                self.certificate(&format!("{CLIENT}.crt")),
                self.certificate(&format!("{CLIENT}.key")),
            );
        }
        text
    }

    fn password_advice(&self) -> String {
        format!(
            "The passwords were shown when they were made. For new ones, add --new-passwords; for one:\n  \
             bastionmq passwd add {} {DEVICE}\n",
            quoted(&self.directory.join(PASSWORDS))
        )
    }

    fn certificate(&self, name: &str) -> String {
        quoted(&self.directory.join(CERTIFICATES).join(name))
    }
}

/// The listener that the lines connect to.
struct Target {
    tls: bool,
    address: SocketAddr,
}

impl Target {
    /// The first TLS listener, or else the first one.
    fn choose(listeners: &[String]) -> Option<Self> {
        let mut targets: Vec<_> = listeners.iter().filter_map(|url| Self::parse(url)).collect();
        targets.sort_by_key(|target| !target.tls);
        targets.into_iter().next()
    }

    fn parse(url: &str) -> Option<Self> {
        let (scheme, address) = url.split_once("://")?;
        let scheme = Scheme::named(scheme)?;
        // The clients of mosquitto speak no WebSocket.
        let address = address.parse().ok().filter(|_| !scheme.is_websocket())?;
        Some(Self { tls: scheme.is_tls(), address })
    }

    fn options(&self, authority: &str) -> String {
        let place = format!("-h {} -p {}", host(self.address.ip()), self.address.port());
        if self.tls { format!("{place} --cafile {authority}") } else { place }
    }
}

/// A name of this machine under which a listener is reached and its certificate holds.
fn host(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(Ipv4Addr::LOCALHOST) => "localhost".to_owned(),
        ip => ip.to_string(),
    }
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(&byte);
    if text.bytes().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(directory: &str, listeners: &[&str]) -> String {
        let banner = Banner { directory: directory.into(), device_password: None };
        let listeners: Vec<_> = listeners.iter().map(|&url| url.to_owned()).collect();
        banner.text(&listeners, None)
    }

    #[test]
    fn the_lines_name_the_bound_port_and_the_authority() {
        let text = text("/data", &["mqtts://0.0.0.0:34567"]);
        let line = "mosquitto_sub -h localhost -p 34567 --cafile /data/certs/ca.crt -u device1 \
                    -P \"$PASSWORD\" -t 'devices/device1/#' -v\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("bastionmq passwd add /data/passwords device1\n"), "{text}");
    }

    #[test]
    fn a_tls_listener_is_preferred_to_a_plain_one() {
        let text = text("/data", &["mqtt://127.0.0.1:1883", "mqtts://127.0.0.1:8883"]);
        assert!(text.contains("-p 8883 --cafile"), "{text}");
        assert!(!text.contains("-p 1883"), "{text}");
    }

    #[test]
    fn a_plain_listener_is_spoken_to_without_certificates() {
        let text = text("/data", &["mqtt://127.0.0.1:1883"]);
        assert!(text.contains("mosquitto_sub -h localhost -p 1883 -u device1"), "{text}");
        assert!(!text.contains("--ca"), "{text}");
        assert!(!text.contains("--cert"), "{text}");
    }

    #[test]
    fn a_websocket_is_left_to_clients_that_speak_it() {
        let text = text("/data", &["wss://127.0.0.1:8084", "mqtt://127.0.0.1:1883"]);
        assert!(text.contains("mosquitto_sub -h localhost -p 1883 -u device1"), "{text}");
        assert!(!text.contains("8084"), "{text}");
    }

    #[test]
    fn an_address_that_is_not_localhost_is_named_itself() {
        assert!(text("/data", &["mqtts://192.0.2.7:8883"]).contains("-h 192.0.2.7 -p 8883"));
        assert!(text("/data", &["mqtts://[::1]:8883"]).contains("-h ::1 -p 8883"));
        assert!(text("/data", &["mqtts://[::]:8883"]).contains("-h localhost -p 8883"));
    }

    #[test]
    fn the_page_is_named_where_there_is_one() {
        let page = |page| {
            let banner = Banner { directory: "/data".into(), device_password: None };
            banner.text(&[], page)
        };
        let text = page(Some("127.0.0.1:9883".parse().unwrap()));
        assert!(text.contains("as operator:\n  http://localhost:9883/\n"), "{text}");
        let text = page(Some("[::1]:9883".parse().unwrap()));
        assert!(text.contains("  http://[::1]:9883/\n"), "{text}");
        assert!(!page(None).contains("browser"));
    }

    #[test]
    fn a_path_with_blanks_and_quotes_survives_the_shell() {
        let text = text("/it's here", &["mqtts://0.0.0.0:8883"]);
        assert!(text.contains(r"--cafile '/it'\''s here/certs/ca.crt'"), "{text}");
    }
}

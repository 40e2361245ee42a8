//! The PROXY protocol of a listener: settings that say one thing together, or nothing at all.

use crate::{
    net::{ListenerSettings, ProxySettings},
    tls::ClientAuth,
};

/// Which proxies the listener believes, if its connections come by any.
///
/// # Errors
/// A key, and what it says that cannot be.
pub(super) fn resolve_proxy(
    settings: &ListenerSettings,
) -> Result<Option<ProxySettings>, (&'static str, &'static str)> {
    let ListenerSettings { proxy_from: from, proxy_certificates: certificates, .. } = settings;
    if !settings.proxy_protocol {
        return match (from.is_empty(), certificates) {
            (true, false) => Ok(None),
            (false, _) => Err(("proxy_from", WITHOUT_PROTOCOL_FROM)),
            (true, true) => Err(("proxy_certificates", WITHOUT_PROTOCOL_CERTIFICATES)),
        };
    }
    if from.is_empty() {
        return Err(("proxy_protocol", FROM_ANYWHERE));
    }
    if *certificates && settings.client_auth != ClientAuth::Off {
        return Err(("proxy_certificates", TWO_CERTIFICATES));
    }
    Ok(Some(ProxySettings { from: from.clone(), certificates: *certificates }))
}

const WITHOUT_PROTOCOL_FROM: &str =
    "`proxy_from` has no effect without `proxy_protocol = true`; set that, or remove it";
const WITHOUT_PROTOCOL_CERTIFICATES: &str =
    "`proxy_certificates` has no effect without `proxy_protocol = true`; set that, or remove it";
const FROM_ANYWHERE: &str = "`proxy_protocol` needs `proxy_from`, the addresses of your proxies, such \
                             as [\"10.0.0.5\"]: anybody else could say that it comes from anywhere";
const TWO_CERTIFICATES: &str = "`proxy_certificates` names clients by the certificate that they have \
                                shown to the proxy, and `client_auth` by the one that is shown here: \
                                remove one of them";

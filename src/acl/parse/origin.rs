//! `listeners` and `transport`: from where a client must come.

use super::Reader;
use crate::acl::document::Item;
use crate::acl::origin::{Origin, Transport};

impl Reader<'_> {
    pub(super) fn origin(&mut self, item: &Item<'_>) -> Origin {
        let listeners = item.has("listeners").then(|| self.listeners(item));
        let transport = item.has("transport").then(|| self.transport(item));
        Origin { listeners, transport }
    }

    fn listeners(&mut self, item: &Item<'_>) -> Box<[Box<str>]> {
        let mut urls = Vec::new();
        for url in item.strings("listeners", &mut self.faults) {
            if !url.text.contains("://") {
                let message = "a listener goes by its URL, like \"mqtts://0.0.0.0:8883\"";
                self.faults.add(&url.span, message);
            }
            urls.push(url.text.into());
        }
        urls.into()
    }

    fn transport(&mut self, item: &Item<'_>) -> Box<[Transport]> {
        let mut kinds = Vec::new();
        for kind in item.strings("transport", &mut self.faults) {
            match Transport::named(kind.text) {
                Some(transport) => kinds.push(transport),
                None => {
                    let known = Transport::ALL.map(Transport::name).join(", ");
                    let message = format!("{:?} is no transport, only {known}", kind.text);
                    self.faults.add(&kind.span, message);
                }
            }
        }
        kinds.into()
    }
}

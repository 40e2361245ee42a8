//! Tests: the files of a listener change under it.

use super::*;
use crate::tls::{Distrust, ListenerTls};

impl House {
    fn listening(&self) -> ListenerTls {
        ListenerTls::new(self.open().unwrap())
    }

    /// Another authority in the place of that which clients were checked against.
    fn change_client_ca(&self, authority_pem: &str) {
        write(&self.directory, "ca.crt", authority_pem.as_bytes());
    }
}

impl ListenerTls {
    async fn meet(&self, client: &Arc<ClientConfig>) -> io::Result<(Connected, u64)> {
        let (config, generation) = self.handshake();
        let connected = connect_to(config, Arc::clone(client), "localhost").await?;
        Ok((connected, generation))
    }

    fn reload(&self) {
        self.replace(self.read(Now::read()).unwrap());
    }
}

fn kind(connected: &Connected) -> Option<HandshakeKind> {
    connected.client.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn new_handshakes_show_the_new_certificate_and_old_connections_go_on() {
    let house = House::new();
    let tls = house.listening();
    let client = Arc::new(house.client(None));
    let (mut old, _) = tls.meet(&client).await.unwrap();
    let names = ServerNames { dns: vec!["localhost".to_owned()], ip: Vec::new() };
    let renewed = house.authority.issue_server(&names, Now::read(), 80).unwrap();
    write(&house.directory, "server.crt", renewed.certificate.as_bytes());
    write(&house.directory, "server.key", renewed.key.expose());
    tls.reload();
    let (new, generation) = tls.meet(&client).await.unwrap();
    let shown = &new.client.get_ref().1.peer_certificates().unwrap()[0];
    assert_eq!((shown, generation), (&der(&renewed.certificate), 1));
    old.client.write_all(b"!").await.unwrap();
    assert_eq!(old.server.read_u8().await.unwrap(), b'!');
}

#[tokio::test]
async fn no_ticket_outlives_a_reload() {
    let house = House::new();
    let tls = house.listening();
    for client in [house.client(None), tls12_client(&house)] {
        let client = Arc::new(client);
        tls.meet(&client).await.unwrap();
        let (again, _) = tls.meet(&client).await.unwrap();
        assert_eq!(kind(&again), Some(HandshakeKind::Resumed));
        tls.reload();
        let (anew, _) = tls.meet(&client).await.unwrap();
        assert_ne!(kind(&anew), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn files_that_do_not_fit_change_nothing_and_are_named() {
    let house = House::asking(ClientAuth::Required);
    let tls = house.listening();
    for name in ["server.key", "server.crt", "ca.crt"] {
        let sound = fs::read(house.directory.path().join(name)).unwrap();
        for broken in [&b""[..], b"rubbish", &sound[..sound.len() / 2]] {
            write(&house.directory, name, broken);
            let error = tls.read(Now::read()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        write(&house.directory, name, &sound);
    }
    assert_eq!(tls.generation(), 0);
    assert!(tls.read(Now::read()).is_ok());
}

#[tokio::test]
async fn who_is_inside_is_judged_by_the_authorities_of_now() {
    let house = House::asking(ClientAuth::Required);
    let tls = house.listening();
    let issued = house.authority.issue_client("client1", Now::read(), YEAR).unwrap();
    let client = Arc::new(house.client(Some(&issued)));
    let (met, generation) = tls.meet(&client).await.unwrap();
    let shown = met.server.get_ref().1.peer_certificates().unwrap();
    let certificate = tls.identify(shown, generation).unwrap().evidence.unwrap();
    assert_eq!(tls.judge(&certificate, Now::read()), Ok(()));
    let after_its_end = Now { unix: certificate.ends, ..Now::read() };
    assert_eq!(tls.judge(&certificate, after_its_end), Err(Distrust::Expired));
    assert_eq!(tls.judge(&certificate, ago(10)), Err(Distrust::NotYetValid));

    house.change_client_ca(&House::new().authority_pem);
    assert_eq!(tls.judge(&certificate, Now::read()), Ok(()), "nothing was reloaded");
    tls.reload();
    assert_eq!(tls.judge(&certificate, Now::read()), Err(Distrust::UnknownIssuer));
    assert!(tls.meet(&client).await.is_err());
    assert_ne!(tls.generation(), certificate.generation);

    house.change_client_ca(&house.authority_pem);
    tls.reload();
    assert_eq!(tls.judge(&certificate, Now::read()), Ok(()));
    assert!(tls.meet(&client).await.is_ok());
}

#[test]
fn where_none_is_asked_for_any_more_no_certificate_is_believed() {
    let mut house = House::asking(ClientAuth::Required);
    let tls = house.listening();
    let issued = house.authority.issue_client("client1", Now::read(), YEAR).unwrap();
    let certificate = tls.identify(&[der(&issued.certificate)], 0).unwrap().evidence.unwrap();
    (house.files.client_auth, house.files.client_ca) = (ClientAuth::Off, None);
    tls.replace(house.open().unwrap());
    assert_eq!(tls.judge(&certificate, Now::read()), Err(Distrust::NotAsked));
}

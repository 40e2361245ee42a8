//! Unit tests of the stream: what one end says in frames, the other reads as bytes, and back.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// A socket, and the raw end of its client. The stream between them holds `room` bytes.
fn pair(room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(room);
    (WebSocket::new(server, (Ipv4Addr::LOCALHOST, 1).into()), client)
}

/// A frame of a client whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

async fn read(socket: &mut WebSocket<DuplexStream>) -> Vec<u8> {
    let mut bytes = vec![0; 1_000];
    let count = socket.read(&mut bytes).await.unwrap();
    bytes.truncate(count);
    bytes
}

async fn expect(client: &mut DuplexStream, bytes: &[u8]) {
    let mut found = vec![0; bytes.len()];
    client.read_exact(&mut found).await.unwrap();
    assert_eq!(found, bytes);
}

#[tokio::test]
async fn each_write_is_one_binary_frame_whatever_the_stream_holds() {
    for room in [1, 2, 3, 7, 1 << 20] {
        let (mut socket, mut client) = pair(room);
        let large = vec![7; 70_000];
        let sent = large.clone();
        let writer = tokio::spawn(async move {
            for payload in [&[1, 2, 3][..], &[4; 200], &sent] {
                socket.write_all(payload).await.unwrap();
            }
        });
        expect(&mut client, &[0x82, 3, 1, 2, 3]).await;
        expect(&mut client, &[&[0x82, 126, 0, 200][..], &[4; 200]].concat()).await;
        expect(&mut client, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]).await;
        expect(&mut client, &large).await;
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn frames_that_arrive_byte_by_byte_are_read() {
    let (mut socket, mut client) = pair(1);
    let bytes = [frame(0x82, b"ab"), frame(0x02, b"c"), frame(0x80, b""), frame(0x82, b"de")];
    let writer = tokio::spawn(async move {
        client.write_all(&bytes.concat()).await.unwrap();
        client
    });
    let mut found = [0; 5];
    socket.read_exact(&mut found).await.unwrap();
    assert_eq!(&found, b"abcde");
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn a_ping_is_answered_while_nothing_is_read_or_written() {
    let (mut socket, mut client) = pair(1_000);
    client.write_all(&frame(0x89, b"there?")).await.unwrap();
    client.write_all(&frame(0x82, b"x")).await.unwrap();
    assert_eq!(read(&mut socket).await, b"x");
    expect(&mut client, b"\x8A\x06there?").await;
}

#[tokio::test]
async fn a_pong_never_stands_within_a_data_frame() {
    let (mut socket, mut client) = pair(13);
    // The data frame is begun and, for want of room, not finished, when the ping is read.
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let payload = [5; 20];
    let mut sent = 0;
    while let Poll::Ready(count) = Pin::new(&mut socket).poll_write(&mut cx, &payload[sent..]) {
        sent += count.unwrap();
    }
    assert!(sent < payload.len());
    client.write_all(&[frame(0x89, b""), frame(0x82, b"x")].concat()).await.unwrap();
    assert_eq!(read(&mut socket).await, b"x");
    let writing = tokio::spawn(async move {
        socket.write_all(&payload[sent..]).await.unwrap();
        socket.flush().await.unwrap();
        socket
    });
    expect(&mut client, &[&[0x82, 20][..], &payload, b"\x8A\x00"].concat()).await;
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn a_close_is_answered_and_is_the_end() {
    let (mut socket, mut client) = pair(1_000);
    client.write_all(&[frame(0x82, b"x"), frame(0x88, &[0x03, 0xE8])].concat()).await.unwrap();
    assert_eq!(read(&mut socket).await, b"x");
    assert_eq!(read(&mut socket).await, b"");
    expect(&mut client, &[0x88, 2, 0x03, 0xE8]).await;
    let error = socket.write_all(b"late").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_text_frame_is_the_end_and_told_so() {
    let (mut socket, mut client) = pair(1_000);
    client.write_all(&frame(0x81, b"text")).await.unwrap();
    assert_eq!(read(&mut socket).await, b"");
    expect(&mut client, &[0x88, 2, 0x03, 0xEB]).await;
}

#[tokio::test]
async fn a_shutdown_closes_and_reads_on_until_that_is_answered() {
    let (mut socket, mut client) = pair(1_000);
    socket.write_all(b"bye").await.unwrap();
    socket.shutdown().await.unwrap();
    expect(&mut client, b"\x82\x03bye\x88\x02\x03\xE8").await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    client.write_all(&[frame(0x82, b"x"), frame(0x88, &[0x03, 0xE8])].concat()).await.unwrap();
    assert_eq!(read(&mut socket).await, b"x");
    assert_eq!(read(&mut socket).await, b"");
}

#[tokio::test]
async fn frames_without_content_let_others_have_their_turn() {
    let (mut socket, mut client) = pair(1 << 20);
    client.write_all(&[frame(0x82, b"").repeat(1_000), frame(0x82, b"x")].concat()).await.unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut bytes = [0; 600];
    let polled = Pin::new(&mut socket).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes));
    assert!(polled.is_pending(), "{polled:?}");
    assert_eq!(read(&mut socket).await, b"x");
}

#[tokio::test]
async fn an_idle_socket_keeps_no_buffer() {
    let (mut socket, mut client) = pair(1 << 20);
    let large = [&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[9; 65_536]].concat();
    client.write_all(&[frame(0x89, &[1; 125]), large].concat()).await.unwrap();
    let mut found = vec![0; 65_536];
    socket.read_exact(&mut found).await.unwrap();
    socket.write_all(&found).await.unwrap();
    assert!(socket.pending.capacity() <= KEPT, "{}", socket.pending.capacity());
    assert!(size_of_val(&socket) < 300, "{}", size_of_val(&socket));
}

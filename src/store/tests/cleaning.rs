//! Segments that are cleaned away: what it costs, and what it leaves.

use super::disk::SimulatedDisk;
use super::model::Desk;
use crate::store::batch::{Key, Table};
use crate::store::reading::Files;

#[test]
fn of_a_segment_with_little_in_it_that_little_alone_is_read() {
    const CHANGES: usize = 400;
    const BYTES: usize = 100;
    let (table, lasting, fleeting) = (Table(1), Key([0; 16]), Key([1; 16]));
    let mut desk = Desk::open(SimulatedDisk::default(), 2).unwrap();
    desk.put(table, lasting, b"lasting");
    let before = desk.disk.bytes_read();
    (0..CHANGES).for_each(|_| desk.put(table, fleeting, &[7; BYTES]));
    desk.settle();
    let read = desk.disk.bytes_read() - before;
    assert!(read > 0, "nothing was cleaned");
    assert!(read < CHANGES * BYTES / 10, "{read} bytes were read");
    assert!(desk.disk.names().len() < 10, "{:?}", desk.disk.names());
    let value = desk.reader().read(table, lasting).unwrap();
    assert_eq!(value.as_deref(), Some(b"lasting".as_slice()));
}

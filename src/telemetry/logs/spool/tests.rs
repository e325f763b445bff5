//! Tests on a real file system, with two spools in one process.

use super::*;

fn block(numbers: std::ops::Range<u32>) -> Block {
    let text: String = numbers.map(|number| format!("{{\"number\":{number}}}\n")).collect();
    Block::of_whole_lines(text.into_bytes())
}

fn spool(folder: &Path, max_bytes: u64) -> (Spool, Arc<Stats>) {
    let stats = Arc::<Stats>::default();
    (Spool::new(folder.join("spool"), max_bytes, stats.clone()), stats)
}

fn read_all(spool: &mut Spool) -> (Vec<u8>, Vec<SpoolChunk>) {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    while let Some((block, chunk)) = spool.next() {
        bytes.extend(&block.bytes);
        pieces.push(chunk);
    }
    (bytes, pieces)
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("spool")).unwrap().count()
}

#[test]
fn gives_back_what_it_got_and_again_until_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, stats) = spool(folder.path(), 1_000_000);
    for n in 0..100 {
        spool.append(&block(n * 100..n * 100 + 100)).unwrap();
    }
    assert!(files(folder.path()) > 3);
    let (all, _) = read_all(&mut spool);
    assert_eq!(all, block(0..10_000).bytes);
    assert!(!spool.has_unread());
    spool.rewind();
    let (again, pieces) = read_all(&mut spool);
    assert_eq!(again, all);
    assert_eq!(stats.snapshot().spooled_lines, 10_000);
    pieces.into_iter().for_each(|chunk| spool.ack(chunk));
    assert_eq!(files(folder.path()), 0);
    let now = stats.snapshot();
    assert_eq!((now.spooled_lines, now.spooled_bytes, now.dropped), (0, 0, 0));
}

#[test]
fn drops_the_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, stats) = spool(folder.path(), 10_000);
    for n in 0..10_000 {
        spool.append(&block(n..n + 1)).unwrap();
        assert!(stats.snapshot().spooled_bytes <= 10_000);
    }
    let (left, _) = read_all(&mut spool);
    let now = stats.snapshot();
    assert_eq!(now.dropped + now.spooled_lines, 10_000);
    assert!(now.spooled_bytes > 9_000, "it fills the room that it has");
    assert_eq!(left, block(u32::try_from(now.dropped).unwrap()..10_000).bytes);
}

#[test]
fn takes_over_what_a_dead_process_left_and_nothing_of_a_living_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, _) = spool(folder.path(), 100_000);
    (0..50).for_each(|n| first.append(&block(n * 100..n * 100 + 100)).unwrap());
    let (mut second, stats) = spool(folder.path(), 100_000);
    second.adopt();
    assert!(!second.has_unread(), "it is the first one's");

    // A file that ends in the middle of a line, as after a power failure; and a foreign file.
    std::fs::write(folder.path().join("spool/readme.txt"), "?").unwrap();
    first.files.back_mut().unwrap().file.write_all(b"{\"number\":50").unwrap();
    drop(first);
    second.adopt();
    let (all, pieces) = read_all(&mut second);
    assert_eq!(all, block(0..5000).bytes);
    assert_eq!((stats.snapshot().spooled_lines, stats.snapshot().dropped), (5000, 1));
    pieces.into_iter().for_each(|chunk| second.ack(chunk));
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn skips_what_the_disk_spoiled() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, stats) = spool(folder.path(), 1_000_000);
    spool.append(&block(0..3)).unwrap();
    let file = OpenOptions::new().write(true).open(&spool.files[0].path).unwrap();
    file.write_all_at(&[0; 5], 13).unwrap();
    assert_eq!(read_all(&mut spool).0, [block(0..1).bytes, block(2..3).bytes].concat());
    assert_eq!(stats.snapshot().dropped, 1);
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_and_no_loss_of_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, _) = spool(folder.path(), 1_000_000);
    spool.append(&block(0..10)).unwrap();
    // Refuses every write, like a full disk.
    let full = OpenOptions::new().read(true).append(true).open("/dev/full").unwrap();
    let file = std::mem::replace(&mut spool.files[0].file, full);
    assert!(spool.append(&block(10..20)).is_err());
    spool.files[0].file = file;
    spool.append(&block(20..30)).unwrap();
    assert_eq!(read_all(&mut spool).0, [block(0..10).bytes, block(20..30).bytes].concat());
}

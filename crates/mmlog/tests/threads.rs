//! Guards what programs with many threads, and async ones, build on: what of the library they may share, and what they may move.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;

use mmlog::{Error, Follower, Hold, HookTurn, Log, Next, Observer, Options, Start, Teller, Writer};

const fn may_move<T: Send + 'static>() {}
const fn may_be_shared<T: Send + Sync + 'static>() {}

/// Not a test that runs: where one of these does not hold, this does not compile.
const _: () = {
    may_be_shared::<Log>();
    may_be_shared::<Options>();
    may_be_shared::<Error>();
    may_be_shared::<Teller>();
    may_move::<Writer>();
    may_move::<Follower>();
    may_move::<Observer>();
    may_move::<Hold>();
    may_move::<HookTurn>();
};

#[test]
fn a_writer_and_a_follower_go_on_in_whichever_thread_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::options().open_or_create(dir.path().join("app.log")).unwrap();
    let mut writer = log.writer().unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    for i in 0..20_u8 {
        (writer, follower) = thread::spawn(move || {
            let at = writer.append(&[i; 100]).unwrap().get();
            let mut buf = [0; 4096];
            assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(at..at + 100));
            assert_eq!(buf[..100], [i; 100]);
            (writer, follower)
        })
        .join()
        .unwrap();
    }
    assert_eq!(log.status().unwrap().writers.len(), 1);
}

//! The pictures in doc/ are drawn from the real screen and are current. After a change:
//! `MMLOG_BLESS=1 cargo test -p mmlogctl --lib pictures`.

use std::path::Path;

use super::*;
use crate::inspect::style::COLOURS;
use crate::inspect::view::svg::picture;

fn is_current(name: &str, title: &str, model: &Model) -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../doc").join(name);
    let drawn = picture(&drawn(model, &COLOURS), title);
    if std::env::var_os("MMLOG_BLESS").is_some() {
        std::fs::write(&path, &drawn)?;
    }
    let kept = std::fs::read_to_string(&path)?;
    assert!(kept == drawn, "{} is not current; MMLOG_BLESS=1 makes it anew", path.display());
    Ok(())
}

/// Lines as a web server has them.
fn requests(model: &mut Model) {
    let line = |n: u64| {
        let (minute, second) = (56 + n / 60, n % 60);
        let time = format!("07:{:02}:{second:02}", minute % 60);
        match n % 17 {
            5 => format!("{time} \x1b[33m404\x1b[0m GET /favicon.ico 3 ms\n"),
            11 => format!("{time} WARN upstream api-2 answers slowly ({} ms)\n", 900 + n % 7 * 130),
            14 => format!("{time} ERROR upstream api-2 timed out, request {n} sent to api-1\n"),
            _ => format!(
                "{time} \x1b[32m200\x1b[0m GET /orders/{} {} ms\n",
                4711 + n * 37 % 900,
                2 + n * 7 % 23
            ),
        }
    };
    let bytes: String = (0..120).map(line).collect();
    model.update(Event::Read { log: 0, pieces: vec![Piece::Start(0), Piece::Bytes(bytes.into())] });
}

/// A log that was busy until one of its writers was stopped.
fn incident(size: Size) -> Model {
    let mut status = stalled();
    let web = busy().writers;
    let stopped = status.writers[1].clone();
    status.writers = web.into_iter().take(8).collect();
    (status.writers[2].pid, status.writers[2].process) = (stopped.pid, stopped.process);
    (status.writers[2].seat, status.writers[2].in_flight) = (stopped.seat, stopped.in_flight);
    let mut model = Model::new(&[PathBuf::from("/var/log/app.log")], Access::Operate, size);
    for second in 0..280_u32 {
        let mut then = status.clone();
        let wave = (f64::from(second) / 17.0).sin() + (f64::from(second) / 5.3).sin() / 3.0;
        let missing = f64::from(280 - second) * 40_000.0 + wave * 90_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a picture")]
        let missing = missing.max(0.0) as u64;
        then.cursor = (14 << 20) - missing;
        if second < 230 {
            (then.watermark, then.state) = (then.cursor, State::Ok);
            then.findings.clear();
        } else {
            then.watermark = (14 << 20) - 50 * 40_000;
        }
        for (nth, writer) in (1..).zip(&mut then.writers) {
            // Each its part of the whole.
            let part = missing * 368 / 1000 / nth;
            (writer.bytes, writer.messages) = ((40 << 20) - part, 400_000 - part / 100);
        }
        if second >= 230 {
            let flight = status.writers[2].clone();
            (then.writers[2].bytes, then.writers[2].messages) = (flight.bytes, flight.messages);
        }
        looked(&mut model, 0, u64::from(second), Ok(Box::new(then)));
    }
    introduce(&mut model);
    requests(&mut model);
    model
}

#[test]
fn the_pictures_are_current() -> std::io::Result<()> {
    let (large, small) = (Size::new(120, 40), Size::new(80, 24));
    is_current("inspect.svg", "mmlogctl inspect: a writer is stopped", &incident(large))?;
    is_current("inspect-small.svg", "mmlogctl inspect in a small terminal", &incident(small))?;
    is_current(
        "inspect-list.svg",
        "mmlogctl inspect: several logs, the worst first",
        &list(Size::new(120, 20)),
    )
}

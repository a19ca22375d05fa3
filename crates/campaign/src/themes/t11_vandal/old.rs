//! The vandal at old segments: a plain log and a compressed one, and every way in which somebody takes, cuts or replaces one
//! of their files. The diagnosis has to name it, with the file or the positions; a reader has to get every byte that is
//! left, in order, and be told of what is not: by a gap or an error, never by the end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use mmlog::{Compress, Compressing, Compression, Log, Next, Observer, Options, Rotation, Severity, Start};

use crate::run::{Place, Run};

const SEGMENTS: u64 = 4;

type Way = (&'static str, fn(&Path) -> std::io::Result<()>);

const WAYS: &[Way] = &[
    ("unlink", |file| fs::remove_file(file)),
    ("cut by a byte", |file| cut(file, fs::metadata(file)?.len() - 1)),
    ("cut in half", |file| cut(file, fs::metadata(file)?.len() / 2)),
    ("emptied", |file| cut(file, 0)),
    (">>", |file| File::options().append(true).open(file)?.write_all(b"somebody was here\n")),
    ("echo >", |file| fs::write(file, b"somebody was here\n")),
    ("a link in its place", |file| {
        let aside = file.with_file_name("aside");
        fs::rename(file, &aside)?;
        symlink(aside, file)
    }),
    ("a directory in its place", |file| {
        fs::remove_file(file)?;
        fs::create_dir(file)
    }),
];

fn cut(file: &Path, len: u64) -> std::io::Result<()> {
    File::options().write(true).open(file)?.set_len(len)
}

fn options() -> Options {
    Log::options().chunk_size(1 << 16).max_writers(8)
}

pub(super) fn segments(run: &mut Run) -> anyhow::Result<()> {
    let mut caught = true;
    for compression in [None, Some(Compression::Zstd), Some(Compression::Gzip)] {
        for (name, way) in WAYS {
            let victim = 1 + run.random.below(SEGMENTS - 2) as usize;
            let what = format!("old segment {victim} ({compression:?}), {name}");
            let directory = run.directory(Place::Memory)?;
            let path = directory.path().join("app.log");
            let content = fill(&path, compression)?;
            let before = Observer::open(&path, &options())?.look()?;
            caught &= before.findings.iter().all(|f| f.severity == Severity::Info);
            let file = before.segments[victim].path.clone();
            way(&file)?;
            run.count("acts on old segments", 1);
            let status = Observer::open(&path, &options())?.look()?;
            let base = before.segments[victim].base;
            let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let names = |said: &str| said.contains(&file_name) || said.contains(&format!("[{base}, "));
            if !status.findings.iter().any(|f| f.severity < Severity::Info && names(&f.sentence)) {
                run.violation(format!("{what}: nobody says so: {:?}", status.findings));
            }
            if let Some(wrong) = read(&path, &content)? {
                run.violation(format!("{what}: {wrong}"));
            }
        }
    }
    run.control("old segments that nobody touched are found fault with", caught);
    Ok(())
}

/// Text that a vandal does not write.
fn fill(path: &Path, compression: Option<Compression>) -> anyhow::Result<Vec<u8>> {
    let log = options().open_or_create(path)?;
    let mut writer = log.writer()?;
    let mut content = Vec::new();
    for segment in 0..SEGMENTS {
        for line in 0..500 + segment {
            let line = format!("{segment} {line} {:x}\n", line.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            writer.append(line.as_bytes())?;
            content.extend_from_slice(line.as_bytes());
        }
        if segment + 1 < SEGMENTS {
            log.rotate(&Rotation::default())?;
        }
    }
    if let Some(compression) = compression {
        log.compress(&Compress::new(compression), &mut |_: Compressing<'_>| {})?;
    }
    drop(writer);
    log.close()?;
    Ok(content)
}

/// What is wrong with what a reader gets.
fn read(path: &Path, content: &[u8]) -> anyhow::Result<Option<String>> {
    let log = options().open_reader(path)?;
    let (mut at, mut buf) = (0, vec![0; 1 << 12]);
    let mut follower = log.follow(Start::Oldest)?;
    loop {
        match follower.next(&mut buf) {
            Ok(Next::Bytes(range)) => {
                let (from, to) = (range.start as usize, range.end as usize);
                let same = buf[..to - from] == content[from..to];
                // What somebody put there for as many bytes is no news to a plain file.
                let foreign = buf[..to - from].starts_with(b"somebody was here\n");
                if from as u64 != at || !(same || foreign) {
                    return Ok(Some(format!("a reader at {at} gets other bytes than were appended")));
                }
                at = range.end;
            }
            Ok(Next::Hole(hole)) => at = hole.end(),
            Ok(Next::CaughtUp) => {
                let end = content.len() as u64;
                return Ok((at != end).then(|| format!("a reader takes {at} for the end, which is {end}")));
            }
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
}

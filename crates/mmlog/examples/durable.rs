//! Durable appends of 120 bytes by several processes, each waiting for every message; prints messages a second.
//!
//! ```text
//! cargo run --release -p mmlog --example durable -- FILE PROCESSES EACH mmlog|write
//! ```
//! `write` is the plain way, `write(2)` and `fdatasync(2)` for each message.
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::fs::{File, remove_file};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use mmlog::{Log, METADATA_SUFFIX};

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, processes, each, how, ..] = &arguments[..] else { return Err("which file?".into()) };
    let (count, each): (u64, u64) = (processes.parse()?, each.parse()?);
    if arguments.len() > 4 {
        return if how == "mmlog" { append(path, each) } else { write(path, each) };
    }
    for file in [path.clone(), format!("{path}{METADATA_SUFFIX}")] {
        let _ = remove_file(file);
    }
    let start = || {
        let mut child = Command::new(std::env::current_exe()?);
        child.args([path, "1", &each.to_string(), how, "child"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        child.spawn()
    };
    let mut children = (0..count).map(|_| start()).collect::<Result<Vec<Child>, _>>()?;
    for child in &mut children {
        child.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut [0])?;
    }
    let begun = Instant::now();
    // The end of its input lets a child begin.
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    for mut child in children {
        assert!(child.wait()?.success());
    }
    println!("{:.0}", (count * each) as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

fn ready() -> Done {
    print!("r");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn message() -> Vec<u8> {
    let mut message = vec![b'x'; 120];
    message[119] = b'\n';
    message
}

fn append(path: &str, each: u64) -> Done {
    let log = Log::options().open_or_create(path)?;
    let mut writer = log.writer()?;
    ready()?;
    let message = message();
    Ok((0..each).try_for_each(|_| writer.append_durable(&message).map(drop))?)
}

fn write(path: &str, each: u64) -> Done {
    let mut file = File::options().append(true).create(true).open(path)?;
    ready()?;
    let message = message();
    Ok((0..each).try_for_each(|_| file.write_all(&message).and_then(|()| file.sync_data()))?)
}

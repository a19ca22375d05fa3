//! A server of NATS of the tests' own, what was shipped to it, and the ways in which it fails.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};

use crate::common::until;
use crate::served::{Chain, Process, found};

/// The servers that are to be had.
pub(crate) fn servers() -> Vec<PathBuf> {
    match std::env::var_os("MMLOG_NATS_SERVERS") {
        Some(named) => std::env::split_paths(&named).collect(),
        None => found("nats-server").into_iter().collect(),
    }
}

/// With each of them at the same time: most of it is waiting.
pub(crate) fn each_beside_the_others(of: impl Fn(&Path) + Sync) {
    std::thread::scope(|scope| {
        for server in servers() {
            let of = &of;
            scope.spawn(move || of(&server));
        }
    });
}

/// One that runs.
pub(crate) struct Server {
    program: PathBuf,
    process: Process,
}

/// What is done to its process is done to it.
impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Server {
    pub(crate) fn start(program: &Path) -> Self {
        Server::start_with(program, "")
    }

    /// With more in its configuration.
    pub(crate) fn start_with(program: &Path, more: &str) -> Self {
        let process = Process::start(|dir, port| {
            let store = dir.join("store").display().to_string();
            let text = format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?} }}\n{more}");
            fs::write(dir.join("conf"), text).unwrap();
            let mut command = Command::new(program);
            command.arg("-c").arg(dir.join("conf"));
            command
        });
        Server { program: program.to_owned(), process }
    }

    pub(crate) fn name(&self) -> String {
        self.program.display().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    pub(crate) fn address(&self, subject: &str) -> String {
        format!("nats://127.0.0.1:{}/{subject}?create=1", self.process.port)
    }

    fn ask<T>(&self, (user, password): (&str, &str), what: impl AsyncFn(&Context) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = until("the server answers", || {
            let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
            let options = options.connection_timeout(Duration::from_secs(5));
            runtime.block_on(options.connect(format!("127.0.0.1:{}", self.process.port))).ok()
        });
        runtime.block_on(async { what(&jetstream::new(client)).await })
    }

    pub(crate) fn make(&self, config: Config) {
        self.make_as(config, NOBODY);
    }

    pub(crate) fn make_as(&self, config: Config, who: (&str, &str)) {
        self.ask(who, async |context| context.create_stream(config.clone()).await.map(drop)).unwrap();
    }

    /// Makes it; not where the server knows nothing of a setting.
    pub(crate) fn makes(&self, config: &Config) -> bool {
        let made = self.ask(NOBODY, async |context| context.create_stream(config.clone()).await);
        let Ok(made) = made else { return false };
        let made = &made.cached_info().config;
        let is_as_asked = made.persist_mode.unwrap_or_default() == config.persist_mode.unwrap_or_default()
            && made.subject_delete_marker_ttl == config.subject_delete_marker_ttl
            && made.allow_message_counter == config.allow_message_counter;
        if !is_as_asked {
            self.remove(&config.subjects[0]);
        }
        is_as_asked
    }

    /// Sends what is no unit; where it is.
    pub(crate) fn send(&self, subject: &str) -> u64 {
        self.ask(NOBODY, async |context| {
            let sent = context.publish(subject.to_owned(), "not a unit".into()).await.unwrap();
            sent.await.unwrap().sequence
        })
    }

    /// Removes that message alone.
    pub(crate) fn remove_at(&self, subject: &str, at: u64) {
        self.ask(NOBODY, async |context| {
            let name = context.stream_by_subject(subject).await.unwrap();
            context.get_stream(&name).await.unwrap().delete_message(at).await.unwrap();
        });
    }

    /// How many readers it keeps something for.
    pub(crate) fn readers(&self, subject: &str) -> usize {
        self.ask(NOBODY, async |context| {
            let name = context.stream_by_subject(subject).await.unwrap();
            context.get_stream(&name).await.unwrap().cached_info().state.consumer_count
        })
    }

    pub(crate) fn remove(&self, subject: &str) {
        let name = self.ask(NOBODY, async |context| context.stream_by_subject(subject).await).unwrap();
        self.ask(NOBODY, async |context| context.delete_stream(&name).await.map(drop)).unwrap();
    }

    /// Removes the messages up to that one, as retention does.
    pub(crate) fn remove_up_to(&self, subject: &str, last: u64) {
        self.ask(NOBODY, async |context| {
            let name = context.stream_by_subject(subject).await.unwrap();
            let stream = context.get_stream(&name).await.unwrap();
            stream.purge().sequence(last + 1).await.unwrap();
        });
    }

    /// The last sequence of the stream that has the subject; 0 where there is none.
    pub(crate) fn last(&self, subject: &str) -> u64 {
        self.ask(NOBODY, async |context| {
            let Ok(name) = context.stream_by_subject(subject).await else { return 0 };
            context.get_stream(&name).await.map_or(0, |stream| stream.cached_info().state.last_sequence)
        })
    }

    pub(crate) fn shipped(&self, subject: &str) -> Vec<u8> {
        self.shipped_as(subject, NOBODY)
    }

    /// All bytes in the stream's units, the chain checked.
    pub(crate) fn shipped_as(&self, subject: &str, who: (&str, &str)) -> Vec<u8> {
        self.ask(who, async |context| {
            let name = context.stream_by_subject(subject).await.unwrap();
            let stream = context.get_stream(&name).await.unwrap();
            let mut chain = Chain::default();
            for at in 1..=stream.cached_info().state.last_sequence {
                let message = stream.get_raw_message(at).await.unwrap();
                let field = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
                chain.add(at, field, &message.payload);
            }
            chain.bytes
        })
    }
}

const NOBODY: (&str, &str) = ("", "");

/// A stream as a shipper wants it.
pub(crate) fn fit(subject: &str) -> Config {
    Config {
        name: subject.replace('.', "-"),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        ..Config::default()
    }
}

/// Something that takes connections, and never answers; or greets and says that it is alive, and no more.
pub(crate) struct Mute(pub(crate) u16);

impl Mute {
    pub(crate) fn start(greets: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for connection in listener.incoming().flatten() {
                if greets {
                    std::thread::spawn(move || greet(connection, port));
                } else {
                    kept.push(connection);
                }
            }
        });
        Mute(port)
    }

    pub(crate) fn address(&self, subject: &str) -> String {
        format!("nats://127.0.0.1:{}/{subject}", self.0)
    }
}

fn greet(mut connection: TcpStream, port: u16) {
    let info = format!(
        "INFO {{\"server_id\":\"X\",\"version\":\"2.10.0\",\"host\":\"127.0.0.1\",\"port\":{port},\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}}\r\n"
    );
    let _ = connection.write_all(info.as_bytes());
    let Ok(reading) = connection.try_clone() else { return };
    for line in BufReader::new(reading).split(b'\n').map_while(Result::ok) {
        if line.starts_with(b"PING") {
            let _ = connection.write_all(b"PONG\r\n");
        }
    }
}

//! A server of NATS of the tests' own, what was shipped to it, and the ways in which it fails.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};

use crate::common::until;

/// The servers that are to be had.
pub(crate) fn servers() -> Vec<PathBuf> {
    let named = std::env::var_os("MMLOG_NATS_SERVERS");
    let found: Vec<PathBuf> = match &named {
        Some(named) => std::env::split_paths(named).collect(),
        None => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
            places
                .map(|directory| directory.join("nats-server"))
                .find(|program| program.is_file())
                .into_iter()
                .collect()
        }
    };
    if found.is_empty() {
        println!("SKIPPED: no nats-server here");
    }
    found
}

/// One that runs.
pub(crate) struct Server {
    program: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(program: &Path) -> Self {
        Server::start_with(program, "")
    }

    /// With more in its configuration.
    pub(crate) fn start_with(program: &Path, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = dir.path().join("store");
        let text = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?} }}\n{more}",
            store.display().to_string()
        );
        fs::write(dir.path().join("conf"), text).unwrap();
        let mut server = Server { program: program.to_owned(), dir, port, child: None };
        server.go_on();
        server
    }

    /// Starts it where it was.
    pub(crate) fn go_on(&mut self) {
        let log = fs::File::create(self.dir.path().join("out")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.dir.path().join("conf")).stdin(Stdio::null());
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.go_on();
    }

    pub(crate) fn name(&self) -> String {
        self.program.display().to_string()
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn save(&self, to: &Path) {
        copy(&self.store(), to);
    }

    pub(crate) fn put_back(&self, from: &Path) {
        self.wipe();
        copy(from, &self.store());
    }

    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(self.store()).unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self, subject: &str) -> String {
        format!("nats://127.0.0.1:{}/{subject}?create=1", self.port)
    }

    fn ask<T>(&self, (user, password): (&str, &str), what: impl AsyncFn(&Context) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = until("the server answers", || {
            let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
            let options = options.connection_timeout(Duration::from_secs(5));
            runtime.block_on(options.connect(format!("127.0.0.1:{}", self.port))).ok()
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
            let (mut bytes, mut end, mut id) = (Vec::new(), None, "0000000000000000".to_owned());
            for at in 1..=stream.cached_info().state.last_sequence {
                let message = stream.get_raw_message(at).await.unwrap();
                let field = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
                let number = |name: &str| field(name).parse::<u64>().unwrap();
                let kind = field("mm-kind");
                if kind != "opening" && kind != "begin" {
                    assert_eq!(end, Some(number("mm-from")), "message {at}");
                    let length = if kind == "content" { number("mm-to") - number("mm-from") } else { 0 };
                    assert_eq!(length, message.payload.len() as u64, "message {at}");
                }
                if kind == "begin" {
                    bytes.clear();
                }
                if kind != "opening" {
                    end = Some(number("mm-to"));
                }
                assert_eq!(field("mm-after"), id, "message {at}");
                id = field("mm-id");
                bytes.extend_from_slice(&message.payload);
            }
            bytes
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

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
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

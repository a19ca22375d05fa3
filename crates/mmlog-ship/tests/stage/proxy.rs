//! Between a shipper and its server: what comes through is held up, cut, or left hanging.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Where it is connected to, and what happens to each connection.
pub(crate) struct Proxy {
    pub(crate) port: u16,
}

impl Proxy {
    /// Has `through` carry on each connection what the shipper sends, given the shipper's end and the server's; answers go back as they come.
    pub(crate) fn to(
        server: u16,
        through: impl Fn(TcpStream, TcpStream) + Send + Sync + Clone + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut back, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let through = through.clone();
                thread::spawn(move || through(client, server));
            }
        });
        Proxy { port }
    }

    /// Cuts each connection when so many bytes were sent by it, as `lengths` says of one after the other.
    pub(crate) fn cutting(server: u16, lengths: impl FnMut() -> u64 + Send + 'static) -> Self {
        let lengths = std::sync::Arc::new(std::sync::Mutex::new(lengths));
        Proxy::to(server, move |client, mut server| {
            let length = (lengths.lock().unwrap())();
            let _ = std::io::copy(&mut client.try_clone().unwrap().take(length), &mut server);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        })
    }

    /// Says each time when something was sent that ends with `word`, and sends no more before it is told to.
    pub(crate) fn holding(server: u16, word: &'static [u8]) -> (Self, Receiver<()>, Sender<()>) {
        let (said, held) = channel();
        let (go, told) = channel();
        let told = std::sync::Arc::new(std::sync::Mutex::new(told));
        let proxy = Proxy::to(server, move |mut client, mut server| {
            let mut sent = Vec::new();
            let mut byte = [0];
            while client.read(&mut byte).is_ok_and(|n| n == 1) {
                sent.push(byte[0]);
                if server.write_all(&byte).is_err() {
                    return;
                }
                if sent.ends_with(word) {
                    sent.clear();
                    let _ = said.send(());
                    if told.lock().unwrap().recv().is_err() {
                        return;
                    }
                }
            }
            let _ = server.shutdown(Shutdown::Both);
        });
        (proxy, held, go)
    }
}

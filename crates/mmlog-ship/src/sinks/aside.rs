//! What blocks is done by a thread of its own, which whoever waits leaves when he is told to end.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Patience;
use crate::trouble::Trouble;

/// So often whoever waits looks whether to end.
const NAP: Duration = Duration::from_millis(100);

/// Who is waited for no longer than until one is told to end.
pub(super) fn aside<T: Send + 'static>(
    patience: &Patience,
    job: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let (answer, mut patience) = (begin(job)?, patience.clone());
    loop {
        match answer.recv_timeout(NAP) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Timeout) => patience.is_over().map_or(Ok(()), Err)?,
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
        }
    }
}

/// Has it done by a thread.
pub(super) fn begin<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<Receiver<T>, Trouble> {
    let (to, from) = mpsc::channel();
    let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
        // Nobody may be there any more.
        let _ = to.send(job());
    });
    thread.map_err(|e| Trouble::Away(format!("no thread: {e}")))?;
    Ok(from)
}

pub(super) fn ended() -> Trouble {
    Trouble::Away("a request ended without an answer".to_owned())
}

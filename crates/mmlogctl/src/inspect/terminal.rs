//! The terminal, taken and always given back: at the end, after a panic, before a signal ends or stops us.
//!
//! - A panic: a hook gives it back before the panic's own words are printed.
//! - TERM, HUP, INT: the screen's loop sees them, gives the terminal back and dies of the signal, as without a handler; where
//!   it looks at a log that does not answer, the guard of [`crate::signals`] does that.
//! - TSTP: given back, then stopped; CONT, whoever stopped us and however: taken again and drawn anew.
//! - A signal that was ignored when we started stays so.
//! - The mouse is given back with it.

use std::io::{self, BufWriter, Read as _, Stdout, Write as _, stdout};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::DisableMouseCapture;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
use signal_hook::flag;
use signal_hook::low_level::{emulate_default_handler, pipe};

use super::model::Mouse;
use crate::signals::{self, not_ignored};
use crate::text::base64;

/// More bytes than a frame has.
const FRAME: usize = 256 << 10;

/// The terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, in raw mode, with the alternate screen.
pub struct Screen {
    /// What is drawn on; a frame is written as a whole.
    pub terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: Mouse,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn take() -> io::Result<Self> {
        hook();
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME, stdout())));
        Ok(Self { terminal: terminal.inspect_err(|_| give_back())?, mouse: Mouse::Terminals })
    }

    /// Has the terminal tell us of its mouse, or no longer.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn point(&mut self, mouse: Mouse) -> io::Result<()> {
        self.mouse = mouse;
        match mouse {
            // Clicks and the wheel; crossterm's command asks for every movement, too, and each would wake us.
            Mouse::Ours => {
                stdout().write_all(b"\x1b[?1000h\x1b[?1006h")?;
                stdout().flush()
            }
            Mouse::Terminals => execute!(stdout(), DisableMouseCapture),
        }
    }

    /// Has the terminal take a text for pasting (OSC 52). Those that cannot, or may not, do nothing.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut out = stdout();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
        out.flush()
    }

    /// Gives the terminal back, stops as a shell's job does, and takes it again.
    ///
    /// # Errors
    /// When it cannot be had again.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        emulate_default_handler(SIGTSTP)?;
        self.again()
    }

    /// Takes the terminal again: whoever stopped us has used it since.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn again(&mut self) -> io::Result<()> {
        take()?;
        self.point(self.mouse)?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Release);
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// What fails here fails because nobody is there any more.
fn give_back() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// The same, from beside a thread that does not come back: where the terminal takes nothing, that thread may have it locked.
fn give_back_at_last() {
    let stdout = rustix::stdio::stdout();
    let mut ready = [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0) {
        give_back();
    } else {
        let _ = disable_raw_mode();
    }
}

fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            next(panic);
        }));
    });
}

/// What woke the loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// There are keys.
    pub keys: Keys,
    /// A signal that ends us.
    pub deadly: Option<i32>,
    /// TSTP came.
    pub stop: Came,
    /// CONT or WINCH came: draw anew.
    pub anew: Came,
}

/// Whether there are keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// None.
    #[default]
    None,
    /// Some.
    Some,
    /// The terminal is gone.
    Gone,
}

/// Whether a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Came {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
}

/// Signals, as flags and a descriptor to poll.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    deadly: signals::Signals,
    stop: Arc<AtomicBool>,
    cont: Arc<AtomicBool>,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system refuses a socket pair or a handler.
    pub fn catch() -> io::Result<Self> {
        let (wake, theirs) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let catch = |signal: i32, raised: &Arc<AtomicBool>| {
            flag::register(signal, Arc::clone(raised))?;
            pipe::register(signal, theirs.try_clone()?)
        };
        let deadly = signals::Signals::catch()?;
        signals::at_last(give_back_at_last);
        let (stop, cont) = (Arc::default(), Arc::default());
        if !not_ignored(&[SIGTSTP]).is_empty() {
            catch(SIGTSTP, &stop)?;
        }
        catch(SIGCONT, &cont)?;
        pipe::register(SIGWINCH, theirs)?;
        Ok(Self { wake, deadly, stop, cont })
    }

    /// Sleeps until there are keys, a signal came, or the time is over.
    ///
    /// # Errors
    /// When the descriptors cannot be asked.
    pub fn wait(&mut self, longest: Duration) -> io::Result<Woken> {
        let stdin = io::stdin();
        let mut asked = [stdin.as_fd(), self.wake.as_fd(), self.deadly.as_fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let timeout = Timespec::try_from(longest).ok();
        match poll(&mut asked, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let seen = asked[0].revents();
        let keys = match seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            true => Keys::Gone,
            false if seen.contains(PollFlags::IN) => Keys::Some,
            false => Keys::None,
        };
        let mut drained = [0; 64];
        while self.wake.read(&mut drained).is_ok_and(|n| n > 0) {}
        let came = |flag: &AtomicBool| if flag.swap(false, Ordering::AcqRel) { Came::Yes } else { Came::No };
        Ok(Woken { keys, deadly: signals::which(), stop: came(&self.stop), anew: came(&self.cont) })
    }
}

/// Dies of a signal, as without a handler.
pub fn die_of(signal: i32) -> ! {
    give_back();
    signals::die_of(signal)
}

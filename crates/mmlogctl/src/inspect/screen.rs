//! The loop of the live screen: wait, look, update, draw.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use mmlog::{Options, Trust};
use ratatui::crossterm::event::{self, Event as Terminal};
use ratatui::layout::Size;

use super::action::{Ended, Job, News, OURSELVES, Order};
use super::model::{Event, Model, Request};
use super::pace::Pace;
use super::source::Source;
use super::style::Styles;
use super::terminal::{Came, Keys, Screen, Signals, die_of};
use super::view;

/// How often a child is asked.
const POLL: std::time::Duration = std::time::Duration::from_millis(50);

/// The world around the model.
struct Stage {
    model: Model,
    sources: Vec<Source>,
    begun: Instant,
    job: Option<Job>,
    trust: Trust,
}

/// What goes on after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Draw,
    Suspend,
    Quit,
}

/// Shows the model until somebody quits.
///
/// # Errors
/// When the terminal cannot be had.
pub fn run(model: Model, options: &Options, trust: Trust, mut pace: Pace) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    let sources = model.logs.iter().map(|log| Source::new(&log.path, options)).collect();
    let mut stage = Stage { model, sources, begun: Instant::now(), job: None, trust };
    let styles = Styles::of_environment();
    let mut screen = Screen::take()?;
    stage.resize(&screen)?;
    loop {
        let begun = Instant::now();
        let looks = pace.is_due();
        if looks {
            stage.look();
        }
        stage.poll_job();
        screen.terminal.draw(|frame| view::draw(&stage.model, styles, frame.buffer_mut()))?;
        if looks {
            pace.looked(begun);
        }
        let longest = if stage.job.is_some() { POLL.min(pace.left()) } else { pace.left() };
        let woken = signals.wait(longest)?;
        if let Some(signal) = woken.deadly {
            drop(screen);
            die_of(signal);
        }
        let mut next = if woken.stop == Came::Yes { Next::Suspend } else { Next::Draw };
        if woken.anew == Came::Yes {
            screen.again()?;
        }
        if woken.keys == Keys::Gone {
            return Ok(());
        }
        // A size that changed comes as an event, too, and without a key.
        while next == Next::Draw && event::poll(std::time::Duration::ZERO)? {
            next = stage.terminal(&event::read()?, &mut pace);
        }
        match next {
            Next::Draw => {}
            Next::Suspend => screen.suspend()?,
            Next::Quit => return Ok(()),
        }
    }
}

impl Stage {
    fn resize(&mut self, screen: &Screen) -> io::Result<()> {
        let size = screen.terminal.size()?;
        self.model.update(Event::Size(size));
        Ok(())
    }

    /// Looks at what is shown.
    fn look(&mut self) {
        for (log, source) in self.sources.iter_mut().enumerate() {
            if self.model.wants(log) {
                let look = source.look();
                let (at, now) = (self.begun.elapsed(), SystemTime::now());
                self.model.update(Event::Looked { log, at, now, look });
            }
            if self.model.wants_lines(log) {
                let pieces = source.read();
                self.model.update(Event::Read { log, pieces });
            }
        }
    }

    fn terminal(&mut self, event: &Terminal, pace: &mut Pace) -> Next {
        let event = match event {
            Terminal::Key(key) => Event::Key(*key),
            Terminal::Resize(width, height) => Event::Size(Size::new(*width, *height)),
            _ => return Next::Draw,
        };
        let before = (self.model.shown.pane, self.model.screen);
        let request = self.model.update(event);
        if before != (self.model.shown.pane, self.model.screen) {
            pace.hurry();
        }
        match request {
            None => {}
            Some(Request::Quit) => return Next::Quit,
            Some(Request::Suspend) => return Next::Suspend,
            Some(Request::Look) => pace.hurry(),
            Some(Request::Run(order)) => self.start(&order),
        }
        Next::Draw
    }

    fn start(&mut self, order: &Order) {
        match Job::start(Path::new(OURSELVES), order, self.trust) {
            Ok(job) => self.job = Some(job),
            Err(e) => {
                let ended = Ended { code: None, words: format!("the command could not be started: {e}") };
                self.model.update(Event::Job(News { said: Vec::new(), ended: Some(ended) }));
            }
        }
    }

    fn poll_job(&mut self) {
        let Some(job) = &mut self.job else { return };
        let news = job.poll();
        if news.ended.is_some() {
            self.job = None;
        }
        self.model.update(Event::Job(news));
    }
}

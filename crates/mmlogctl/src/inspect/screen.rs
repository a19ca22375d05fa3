//! The loop of the live screen: wait, look, update, draw.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Instant;

use mmlog::{Options, Trust};
use ratatui::crossterm::event::{self, Event as Terminal};
use ratatui::layout::Size;

use super::action::{Ended, Job, News, OURSELVES, Order};
use super::model::{Event, Model, Request};
use super::pace::Pace;
use super::style::Styles;
use super::terminal::{Came, Keys, Screen, Signals, die_of};
use super::view;
use super::world::World;
use crate::commands::status::APART;

/// How often a child is asked.
const POLL: std::time::Duration = std::time::Duration::from_millis(50);

/// The model, what it sees, and what it has started.
struct Stage {
    model: Model,
    world: World,
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
pub fn run(model: Model, styles: &Styles, options: &Options, trust: Trust, mut pace: Pace) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    let world = World::of(&model, options);
    let mut stage = Stage { model, world, job: None, trust };
    let mut screen = Screen::take()?;
    screen.point(stage.model.mouse)?;
    stage.resize(&screen)?;
    // One look cannot tell what stands from what works: what is drawn first is as true as what follows.
    stage.world.look(&mut stage.model);
    if let Some(soon) = stage.world.again(&stage.model) {
        thread::sleep(soon.min(APART));
    }
    loop {
        let begun = Instant::now();
        let looks = pace.is_due();
        if looks {
            stage.world.look(&mut stage.model);
        }
        stage.poll_job();
        screen.terminal.draw(|frame| view::draw(&stage.model, styles, frame.buffer_mut()))?;
        if looks {
            pace.looked(begun, stage.world.again(&stage.model));
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
            next = stage.terminal(&event::read()?, &mut pace, &mut screen)?;
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

    fn terminal(&mut self, event: &Terminal, pace: &mut Pace, screen: &mut Screen) -> io::Result<Next> {
        let event = match event {
            Terminal::Key(key) => Event::Key(*key),
            Terminal::Mouse(mouse) => Event::Mouse(*mouse),
            Terminal::Resize(width, height) => Event::Size(Size::new(*width, *height)),
            _ => return Ok(Next::Draw),
        };
        let of = |model: &Model| (model.shown.pane, model.screen, model.zoomed);
        let before = of(&self.model);
        let request = self.model.update(event);
        if before != of(&self.model) {
            pace.hurry();
        }
        match request {
            None => {}
            Some(Request::Quit) => return Ok(Next::Quit),
            Some(Request::Suspend) => return Ok(Next::Suspend),
            Some(Request::Mouse(mouse)) => screen.point(mouse)?,
            Some(Request::Copy(text)) => screen.copy(&text)?,
            Some(Request::Look) => pace.hurry(),
            Some(Request::Run(order)) => self.start(&order),
        }
        Ok(Next::Draw)
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

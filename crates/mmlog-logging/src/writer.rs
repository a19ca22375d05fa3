//! `tracing`: a sink makes the writers of a layer.

use tracing_subscriber::fmt::MakeWriter;

use crate::event::Event;
use crate::sink::Sink;

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        self.event()
    }
}

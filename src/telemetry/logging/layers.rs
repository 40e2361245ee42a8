//! What becomes of an event on its way into the queue of a target.

use std::io::{self, IsTerminal};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::queue::Queue;
use super::{journald, syslog, text};
use crate::telemetry::{LogFormat, LogSettings, LogTarget};

/// Makes a line of each event, as `settings` say, and puts it into `queue`.
pub(super) fn layer<S>(
    target: LogTarget,
    settings: &LogSettings,
    queue: Queue,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match target {
        LogTarget::Stderr => {
            let is_terminal = io::stderr().is_terminal();
            lines(chosen(settings.format, is_terminal), is_terminal && has_colours(), queue)
        }
        LogTarget::File => lines(chosen(settings.format, false), false, queue),
        LogTarget::Syslog => {
            let composer = syslog::Composer::new(settings);
            Composed { compose: move |event: &Event<'_>| composer.compose(event), queue }.boxed()
        }
        LogTarget::Journald => Composed { compose: journald::compose, queue }.boxed(),
    }
}

fn lines<S>(form: Form, ansi: bool, queue: Queue) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(queue);
    match form {
        Form::Human => layer.with_ansi(ansi).fmt_fields(text::ForPeople).boxed(),
        Form::Json => {
            // A span that was opened under another form is unknown to this one.
            let layer = layer.json().flatten_event(true);
            layer.with_current_span(false).with_span_list(false).boxed()
        }
    }
}

/// A target with a form of its own.
struct Composed<F> {
    compose: F,
    queue: Queue,
}

impl<S, F> Layer<S> for Composed<F>
where
    S: Subscriber,
    F: Fn(&Event<'_>) -> Vec<u8> + Send + Sync + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.queue.put((self.compose)(event));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Human,
    Json,
}

fn chosen(format: LogFormat, terminal: bool) -> Form {
    match format {
        LogFormat::Auto if !terminal => Form::Json,
        LogFormat::Json => Form::Json,
        LogFormat::Auto | LogFormat::Human => Form::Human,
    }
}

/// See <https://no-color.org>.
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_text_and_machines_json_unless_told_otherwise() {
        assert_eq!(chosen(LogFormat::Auto, true), Form::Human);
        assert_eq!(chosen(LogFormat::Auto, false), Form::Json);
        assert_eq!(chosen(LogFormat::Human, false), Form::Human);
        assert_eq!(chosen(LogFormat::Json, true), Form::Json);
    }
}

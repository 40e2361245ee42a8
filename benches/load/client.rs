//! The two ends of a flow: one that publishes as far ahead as it may, and one that checks,
//! acknowledges and counts.

use std::rc::Rc;
use std::task::Context as TaskContext;

use anyhow::bail;

use super::flow::Flow;
use super::link::{FULL, Role};
use super::pace::{Pace, Schedule};
use super::wire::{
    self, Frame, Message, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Stamp, Template,
};

/// Receives, checks and acknowledges.
#[derive(Debug)]
pub(crate) struct Subscriber {
    number: usize,
    flow: Rc<Flow>,
    /// Messages that it waits for; without a number it never ends.
    expects: Option<u64>,
    received: u64,
    schedule: Option<Rc<Schedule>>,
}

impl Subscriber {
    pub(crate) fn new(flow: &Rc<Flow>, number: usize) -> Self {
        Self { number, flow: Rc::clone(flow), expects: None, received: 0, schedule: None }
    }

    /// Ends after `messages`.
    pub(crate) fn expecting(self, messages: u64) -> Self {
        Self { expects: Some(messages), ..self }
    }

    /// Compares each arrival with `schedule`.
    pub(crate) fn timed_by(self, schedule: &Rc<Schedule>) -> Self {
        Self { schedule: Some(Rc::clone(schedule)), ..self }
    }

    fn note(&mut self, message: &Message) -> anyhow::Result<()> {
        if self.flow.note(self.number, message)? {
            self.received += 1;
            if let Some(schedule) = &self.schedule {
                schedule.note_arrival(&message.stamp);
            }
        }
        Ok(())
    }
}

impl Role for Subscriber {
    fn take(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        match frame.kind() {
            PUBLISH => {
                let message = frame.message()?;
                self.note(&message)?;
                if message.qos > 0 {
                    let kind = if message.qos == 1 { PUBACK } else { PUBREC };
                    out.extend(wire::acknowledgement(kind, message.packet_id));
                }
            }
            PUBREL => out.extend(wire::acknowledgement(PUBCOMP, frame.packet_id()?)),
            kind => bail!("a subscriber was sent a packet of type {kind}"),
        }
        Ok(())
    }

    fn speak(&mut self, _: &mut TaskContext<'_>, _: &mut Vec<u8>) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        self.expects.is_some_and(|expected| self.received >= expected)
    }

    fn progress(&self) -> String {
        format!("has received {}", self.received)
    }
}

/// What lets a publisher go on.
#[derive(Clone, Debug)]
pub(crate) enum Allowance {
    /// It is no further ahead than the flow allows.
    Flow(Rc<Flow>),
    /// A message is due; the flow checks what arrives.
    Pace(Rc<Pace>, Rc<Flow>),
    /// Nobody receives yet: this many messages, and so many of them not acknowledged.
    Alone { messages: u64, ahead: u64 },
}

/// Publishes to its topics in turn.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: usize,
    qos: u8,
    /// A PUBLISH for each of its topics.
    templates: Rc<[Template]>,
    allowance: Allowance,
    sent: u64,
    /// Messages that the broker has acknowledged for good.
    acknowledged: u64,
}

impl Publisher {
    pub(crate) fn new(
        number: usize,
        qos: u8,
        templates: Rc<[Template]>,
        allowance: Allowance,
    ) -> Self {
        Self { number, qos, templates, allowance, sent: 0, acknowledged: 0 }
    }

    /// How many messages it may send now in all.
    fn allowed(&self, cx: &mut TaskContext<'_>) -> u64 {
        match &self.allowance {
            // What the broker has not acknowledged yet is in flight even if it has arrived.
            Allowance::Flow(flow) if self.qos > 0 => {
                let allowed = flow.allowed(self.number, self.sent, cx.waker());
                allowed.min(self.acknowledged + flow.ahead())
            }
            Allowance::Flow(flow) => flow.allowed(self.number, self.sent, cx.waker()),
            Allowance::Pace(pace, _) => pace.allowed(cx.waker()),
            Allowance::Alone { messages, ahead } if self.qos > 0 => {
                (*messages).min(self.acknowledged + ahead)
            }
            Allowance::Alone { messages, .. } => *messages,
        }
    }
}

impl Role for Publisher {
    fn take(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        match frame.kind() {
            PUBACK | PUBCOMP => self.acknowledged += 1,
            PUBREC => out.extend(wire::acknowledgement(PUBREL, frame.packet_id()?)),
            kind => bail!("a publisher was sent a packet of type {kind}"),
        }
        if self.acknowledged > self.sent {
            bail!("a publisher was sent more acknowledgements than it sent messages");
        }
        Ok(())
    }

    fn speak(&mut self, cx: &mut TaskContext<'_>, out: &mut Vec<u8>) -> bool {
        let allowed = self.allowed(cx);
        let topics = self.templates.len() as u64;
        while self.sent < allowed && out.len() < FULL {
            let topic = (self.sent % topics) as usize;
            let number = (self.sent / topics) as u32;
            let stamp = Stamp { publisher: self.number, topic, number };
            self.templates[topic].write(stamp, self.sent, out);
            self.sent += 1;
        }
        if let Allowance::Flow(flow) | Allowance::Pace(_, flow) = &self.allowance {
            flow.note_sent(self.number, self.sent);
        }
        self.sent < allowed
    }

    fn is_done(&self) -> bool {
        let Allowance::Alone { messages, .. } = self.allowance else { return false };
        self.sent == messages && (self.qos == 0 || self.acknowledged == messages)
    }

    fn progress(&self) -> String {
        let Self { sent, acknowledged, qos, .. } = self;
        let all = match self.allowance {
            Allowance::Alone { messages, .. } => format!(" of {messages}"),
            Allowance::Flow(_) | Allowance::Pace(..) => String::new(),
        };
        match qos {
            0 => format!("has sent {sent}{all}"),
            _ => format!("has sent {sent}{all}, {acknowledged} acknowledged"),
        }
    }
}

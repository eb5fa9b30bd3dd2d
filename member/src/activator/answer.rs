//! What a client is answered: a pod's answer as it comes, or the activator's own few words.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::upstreams::Lent;
use super::visit::Visit;

/// An answer's body.
#[derive(Debug)]
pub enum Answer {
    /// A pod's, passed on frame by frame; the request counts as open until it is complete.
    Passed(Passing),
    /// The activator's own, or nothing.
    Own(Option<Bytes>),
}

/// A pod's answer on its way.
#[derive(Debug)]
pub struct Passing {
    body: Incoming,
    lent: Option<Lent>,
    visit: Visit,
}

impl Answer {
    /// A pod's answer.
    pub fn passed(body: Incoming, lent: Option<Lent>, visit: Visit) -> Self {
        let mut passing = Passing { body, lent, visit };
        if passing.body.is_end_stream() {
            passing.complete();
        }
        Self::Passed(passing)
    }
}

impl Passing {
    /// The connection can be used again. One whose answer is broken off is closed instead, by being dropped.
    fn complete(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.visit.house().upstreams.give_back(lent);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(words) => Poll::Ready(words.take().map(|words| Ok(Frame::data(words)))),
            Self::Passed(passing) => {
                let polled = Pin::new(&mut passing.body).poll_frame(context);
                let ended = match &polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(_))) => passing.body.is_end_stream(),
                    _ => false,
                };
                if ended {
                    passing.complete();
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(words) => words.is_none(),
            Self::Passed(passing) => passing.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(words) => SizeHint::with_exact(words.as_ref().map_or(0, |words| words.len() as u64)),
            Self::Passed(passing) => passing.body.size_hint(),
        }
    }
}

//! A load's outcomes as a stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::error::{Error, Result};
use crate::load::Load;
use crate::load::report::{Loaded, Partition};

/// The outcomes of a load as they become known: what [`Load::stream`] gives.
#[must_use = "a load does nothing until its outcomes are polled"]
pub struct Outcomes {
    load: Option<Pin<Box<dyn Future<Output = Result<Loaded>> + Send>>>,
    /// Bounded by the load's own partitions.
    partitions: UnboundedReceiver<Partition>,
    failed: Option<Error>,
    loaded: Option<Loaded>,
}

impl Outcomes {
    pub(super) fn of(load: Load) -> Self {
        let (sender, partitions) = unbounded_channel();
        // The receiver goes only with the load.
        let load = load.each(move |partition| drop(sender.send(partition.clone())));
        Self { load: Some(Box::pin(load.run())), partitions, failed: None, loaded: None }
    }

    /// The whole load in request order, to make frames of: `None` before the stream has ended, and where it ended in an error.
    pub fn into_loaded(self) -> Option<Loaded> {
        self.loaded
    }
}

impl Stream for Outcomes {
    type Item = Result<Partition>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(load) = &mut self.load
            && let Poll::Ready(ended) = load.as_mut().poll(context)
        {
            // Its sender goes with it, so that the channel ends behind what it still holds.
            self.load = None;
            match ended {
                Ok(loaded) => self.loaded = Some(loaded),
                Err(error) => self.failed = Some(error),
            }
        }
        match self.partitions.poll_recv(context) {
            // The load has let go of its sender and is about to say how it ended: the stream must not end before it, and without its error.
            Poll::Ready(None) if self.load.is_some() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(self.failed.take().map(Err)),
            Poll::Ready(Some(partition)) => Poll::Ready(Some(Ok(partition))),
            Poll::Pending => Poll::Pending,
        }
    }
}

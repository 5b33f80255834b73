//! Many callers, one trip to the database.
//!
//! [`Batcher`] hands everything that waits to one call (an `IN` query, a multi-row insert with one
//! commit); [`Coalescer`] answers equal questions with one call. Both keep read-your-writes: a call
//! only ever serves callers that arrived before it began, so an answer is never older than the
//! question. Nothing is cached. A caller that goes away does not stop the call that serves others.

use futures::future::BoxFuture;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// How often a call lets requests that are ready go first, before it begins. Measured with 16 connections: more
/// does not gather more, and without load a turn costs nothing.
const TURNS: usize = 8;

/// The task behind a [`Batcher`] or [`Coalescer`] has ended: the process is stopping, or the call panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub struct Stopped;

type Waiting<I, O> = (I, oneshot::Sender<O>);

/// Collects what waits and hands it to one call.
pub struct Batcher<I, O> {
    sender: mpsc::UnboundedSender<Waiting<I, O>>,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// Starts `lanes` tasks; each takes up to `most` waiting items and calls `call`, which answers
    /// them in the same order. How many can wait is bounded by the server's number of requests.
    pub fn new<F>(lanes: usize, most: usize, call: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let call = Arc::new(call);
        for _ in 0..lanes {
            tokio::spawn(lane(Arc::clone(&receiver), Arc::clone(&call), most));
        }
        Self { sender }
    }

    /// Waits for the answer to one item.
    ///
    /// # Errors
    /// [`Stopped`] when no lane is left to answer.
    pub async fn ask(&self, item: I) -> Result<O, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.sender.send((item, answer)).map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

async fn lane<I: Send + 'static, O: Send + 'static, F>(
    receiver: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Waiting<I, O>>>>,
    call: Arc<F>,
    most: usize,
) where
    F: Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync + 'static,
{
    loop {
        let mut waiting = Vec::new();
        {
            let mut receiver = receiver.lock().await;
            if receiver.recv_many(&mut waiting, most).await == 0 {
                return;
            }
            // Requests that are ready to ask do so now, and share this call instead of making the next one.
            tokio::task::yield_now().await;
            while waiting.len() < most
                && let Ok(more) = receiver.try_recv()
            {
                waiting.push(more);
            }
        }
        let (items, answers): (Vec<I>, Vec<_>) = waiting.into_iter().unzip();
        // In a task of its own, so that a panic costs this batch and not the lane.
        let results = tokio::spawn(call(items)).await.unwrap_or_default();
        for (answer, result) in answers.into_iter().zip(results) {
            let _ = answer.send(result);
        }
    }
}

/// Answers equal questions that wait at the same time with one call.
pub struct Coalescer<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    /// A key is here while a call for it runs; the senders wait for the call after it.
    waiting: Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>,
    call: Box<dyn Fn(K) -> BoxFuture<'static, V> + Send + Sync>,
}

impl<K, V> Coalescer<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// Wraps the call that answers a question.
    pub fn new<F>(call: F) -> Self
    where
        F: Fn(K) -> BoxFuture<'static, V> + Send + Sync + 'static,
    {
        let inner = Inner { waiting: Mutex::new(HashMap::new()), call: Box::new(call) };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for an answer that was begun after this call.
    ///
    /// # Errors
    /// [`Stopped`] when the call panicked.
    pub async fn ask(&self, key: K) -> Result<V, Stopped> {
        let (answer, answered) = oneshot::channel();
        let leads = {
            let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.get_mut(&key) {
                Some(next) => {
                    next.push(answer);
                    None
                }
                None => {
                    waiting.insert(key.clone(), Vec::new());
                    Some(answer)
                }
            }
        };
        if let Some(first) = leads {
            tokio::spawn(Arc::clone(&self.inner).lead(key, vec![first]));
        }
        answered.await.map_err(|_| Stopped)
    }
}

impl<K, V> Inner<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    fn take_waiting(&self, key: &K) -> Vec<oneshot::Sender<V>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    async fn lead(self: Arc<Self>, key: K, mut asked: Vec<oneshot::Sender<V>>) {
        loop {
            // Those who ask before the call begins may share it.
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            asked.append(&mut self.take_waiting(&key));
            let answer = tokio::spawn((self.call)(key.clone())).await;
            for sender in asked.drain(..) {
                if let Ok(value) = &answer {
                    let _ = sender.send(value.clone());
                }
            }
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.get_mut(&key) {
                Some(next) if !next.is_empty() => asked = std::mem::take(next),
                _ => {
                    waiting.remove(&key);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn what_waits_goes_into_one_call() {
        let calls = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (counted, held) = (Arc::clone(&calls), Arc::clone(&gate));
        let batcher = Arc::new(Batcher::new(1, 100, move |items: Vec<u32>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let held = Arc::clone(&held);
            Box::pin(async move {
                held.acquire().await.unwrap().forget();
                items.into_iter().map(|n| n * 2).collect()
            })
        }));
        let ask = |n: u32| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.ask(n).await })
        };
        let first = ask(1);
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (2..50).map(ask).collect();
        tokio::task::yield_now().await;
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(2));
        for (n, asked) in (2..50).zip(rest) {
            assert_eq!(asked.await.unwrap(), Ok(n * 2));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_answer_is_never_older_than_its_question() {
        let version = Arc::new(AtomicUsize::new(1));
        let started = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (seen, begun, held) = (Arc::clone(&version), Arc::clone(&started), Arc::clone(&gate));
        let coalescer = Arc::new(Coalescer::new(move |_key: u8| {
            let read = seen.load(Ordering::SeqCst);
            begun.fetch_add(1, Ordering::SeqCst);
            let held = Arc::clone(&held);
            Box::pin(async move {
                held.acquire().await.unwrap().forget();
                read
            })
        }));
        let ask = || {
            let c = Arc::clone(&coalescer);
            tokio::spawn(async move { c.ask(7).await })
        };
        let before = ask();
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        version.store(2, Ordering::SeqCst);
        let after: Vec<_> = (0..10).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        gate.add_permits(10);
        assert_eq!(before.await.unwrap(), Ok(1));
        for asked in after {
            assert_eq!(asked.await.unwrap(), Ok(2));
        }
        assert_eq!(started.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_costs_one_call() {
        let coalescer = Coalescer::new(|key: u8| -> BoxFuture<'static, u8> {
            Box::pin(async move {
                assert!(key != 1, "deliberate");
                key
            })
        });
        assert_eq!(coalescer.ask(1).await, Err(Stopped));
        assert_eq!(coalescer.ask(2).await, Ok(2));
        assert_eq!(coalescer.ask(1).await, Err(Stopped));
    }
}

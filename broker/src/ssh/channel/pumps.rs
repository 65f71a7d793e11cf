//! The two pumps of a channel: what the person sends goes to the asset, what the asset sends goes to the person.
//!
//! INVARIANT: no byte goes to the asset that the recorder has not taken, and none to the person either, save in the
//! grace that `view-only` gives after the recorder has failed, when nothing goes to the asset at all.
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sallyport_session_recorder::{Budget, Direction, Kind};
use serde_json::json;
use tokio::time::Instant;

use super::ends::{Ends, Fault};
use super::item::{BATCH, Item, batch_cost, joined, same_batch};
use super::queue::{Queue, Weigh};
use super::reader::Received;
use super::traffic::Traffic;
use crate::ssh::transfer::Step;

/// How long the end of a program's output waits for its exit status while the person's own side goes on.
const HOLD_EOF: Duration = Duration::from_secs(1);
/// Bytes handed to russh at a time.
const PIECE: usize = 32 * 1024;
/// The least at a time. A peer that is slow gives its window back in small steps, and each should show as progress.
const SMALL_PIECE: usize = 1024;
/// A pipelining transfer waits at most this long for more to record at once.
const GATHER: Duration = Duration::from_millis(20);
/// A batch below this holds messages, not content.
const MESSAGES: usize = 4096;
/// So many bytes of messages are worth an entry of their own.
const ENOUGH_MESSAGES: usize = 512;

impl Ends {
    /// The person's bytes to the asset, until either is gone.
    pub(crate) async fn pump_input(&self, traffic: &Traffic) -> Result<(), Fault> {
        let queue = &self.from_client.queue;
        let mut budget = Budget::default();
        let mut steps = Vec::new();
        let mut told = false;
        while let Some(items) = self.next_batch(&self.from_client, traffic).await? {
            let mut owed = Owed { received: &self.from_client, cost: batch_cost(&items) };
            match items.first() {
                Some(Item::Data(_)) => {
                    self.context.record.activity.touch();
                    if self.from_asset.gone.is_cancelled() {
                        continue;
                    }
                    let bytes = joined(&items);
                    drop(items);
                    let outcome = match traffic {
                        Traffic::Terminal => self.input(&bytes, None, &mut owed).await,
                        Traffic::Bulk => self.input(&bytes, Some(&mut budget), &mut owed).await,
                        Traffic::Sftp(_) | Traffic::Scp(_) => {
                            self.decoded_input(bytes, traffic, &mut steps, &mut owed).await
                        }
                    };
                    self.unless_view_only(outcome, &mut told).await?;
                }
                // An end of input that was refused in part would pass for the end of the whole.
                Some(Item::Eof) if self.context.record.trouble.is_raised() => {}
                Some(Item::Eof) => {
                    self.input_free().await?;
                    self.client_ended.store(true, Ordering::Relaxed);
                    self.to_asset(self.asset.eof()).await?;
                }
                Some(Item::Close) => break,
                // A person's extended data means nothing to a session; exit codes come only from assets.
                Some(Item::Extended(..) | Item::ExitStatus(_) | Item::ExitSignal { .. } | Item::Wake) | None => {}
            }
        }
        queue.close();
        self.to_asset(self.asset.close()).await
    }

    /// The asset's bytes to the person, in the asset's order, to the channel's end.
    pub(crate) async fn pump_output(&self, traffic: &Traffic) -> Result<(), Fault> {
        let mut budgets = Budgets::default();
        let mut steps = Vec::new();
        let mut held = Held::default();
        loop {
            if held.is_due(self).await {
                self.to_client(self.client.eof()).await?;
            }
            let Some(items) = self.next_batch(&self.from_asset, traffic).await? else { break };
            let mut owed = Owed { received: &self.from_asset, cost: batch_cost(&items) };
            match items.first() {
                Some(Item::Data(_)) => {
                    self.context.record.activity.touch();
                    let bytes = joined(&items);
                    drop(items);
                    if let Traffic::Sftp(_) | Traffic::Scp(_) = traffic {
                        let decoded = traffic.asset_sent(bytes, &mut steps);
                        self.perform_output(&mut steps, &mut owed).await?;
                        decoded?;
                        self.answered.notify_one();
                    } else {
                        let budget = matches!(traffic, Traffic::Bulk).then_some(&mut budgets.output);
                        self.output(Direction::Output, None, bytes, budget, &mut owed).await?;
                    }
                }
                Some(Item::Extended(kind, _)) => {
                    self.context.record.activity.touch();
                    let budget = (!matches!(traffic, Traffic::Terminal)).then_some(&mut budgets.error);
                    self.output(Direction::ErrorOutput, Some(*kind), joined(&items), budget, &mut owed).await?;
                }
                Some(Item::Wake) => {
                    traffic.due_answers(&mut steps);
                    self.perform_output(&mut steps, &mut owed).await?;
                    self.answered.notify_one();
                }
                // A forwarded connection has no exit status to wait for.
                Some(Item::Eof) if self.handle.is_none() || held.exited => self.to_client(self.client.eof()).await?,
                Some(Item::Eof) => held.since = Some(Instant::now()),
                Some(Item::ExitStatus(status)) => {
                    self.note_exit(json!({ "exit_status": status }));
                    self.to_client(self.client.exit_status(*status)).await?;
                    held.exited = true;
                }
                Some(Item::ExitSignal { name, core_dumped, message, language }) => {
                    self.note_exit(json!({ "exit_signal": signal_name(name), "core_dumped": core_dumped }));
                    if let Some(handle) = &self.handle {
                        let (message, language) = (message.clone(), language.clone());
                        let sent =
                            handle.exit_signal_request(self.client.id(), name.clone(), *core_dumped, message, language);
                        self.to_client(async { sent.await.map_err(|()| russh::Error::SendError) }).await?;
                    }
                    held.exited = true;
                }
                Some(Item::Close) | None => break,
            }
        }
        if held.since.is_some() { self.to_client(self.client.eof()).await } else { Ok(()) }
    }

    /// The stream is over: what it left unfinished is recorded and reported.
    pub(crate) async fn finish(&self, traffic: &Traffic) -> Result<(), Fault> {
        let mut steps = Vec::new();
        traffic.finish(&mut steps);
        for step in steps {
            self.say_step(step).await?;
        }
        Ok(())
    }

    async fn next_batch(&self, received: &Received, traffic: &Traffic) -> Result<Option<Vec<Item>>, Fault> {
        let queue = &received.queue;
        let taken = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Fault::Ending),
            taken = queue.take(same_batch) => taken,
        };
        let Some(mut items) = taken else { return Ok(None) };
        if matches!(items.first(), Some(Item::Data(_))) && traffic.expects_more() {
            self.gather(queue, &mut items).await?;
        }
        Ok(Some(items))
    }

    /// While a transfer pipelines, waits a moment for more, so that the recording has few large entries.
    async fn gather(&self, queue: &Queue<Item>, items: &mut Vec<Item>) -> Result<(), Fault> {
        let deadline = Instant::now() + GATHER;
        let have: usize = items.iter().map(Weigh::weight).sum();
        let enough = if have < MESSAGES { ENOUGH_MESSAGES } else { BATCH / 2 };
        while have < enough && !queue.is_closed() && !queue.any(|item| !matches!(item, Item::Data(_))) {
            if have + queue.waiting() >= enough {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                () = queue.wait_for_more() => {}
                () = self.stop.cancelled() => return Err(Fault::Ending),
            }
        }
        while queue.next_is(|next| same_batch(items, next)) {
            let Some(more) = queue.take(same_batch).await else { break };
            items.extend(more);
        }
        Ok(())
    }

    /// Records and sends what the person typed or streamed.
    async fn input(&self, bytes: &Bytes, budget: Option<&mut Budget>, owed: &mut Owed<'_>) -> Result<(), Fault> {
        match budget {
            None => self.track.append(Kind::Input, bytes)?,
            Some(budget) => self.when_free(|| self.track.append_bulk(Direction::Input, bytes, budget)).await?,
        }
        self.send_to_asset(bytes, owed).await
    }

    /// Decodes, records and sends. A client that asks for more at once than may be under way waits here, and in its own window: what
    /// it sent stays owed.
    async fn decoded_input(
        &self,
        mut bytes: Bytes,
        traffic: &Traffic,
        steps: &mut Vec<Step>,
        owed: &mut Owed<'_>,
    ) -> Result<(), Fault> {
        loop {
            let decoded = traffic.client_sent(std::mem::take(&mut bytes), steps);
            let sent = self.perform_input(steps, owed).await;
            if traffic.answer_is_due() {
                self.from_asset.queue.push(Item::Wake);
            }
            sent.and_then(|()| decoded.map_err(Fault::from))?;
            if !traffic.is_full() {
                return Ok(());
            }
            while traffic.is_full() {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Err(Fault::Ending),
                    () = self.from_client.gone.cancelled() => return Ok(()),
                    () = self.from_asset.gone.cancelled() => return Ok(()),
                    () = self.answered.notified() => {}
                }
            }
        }
    }

    async fn perform_input(&self, steps: &mut Vec<Step>, owed: &mut Owed<'_>) -> Result<(), Fault> {
        for step in steps.drain(..) {
            match step {
                Step::Forward(bytes, store) => {
                    self.when_free(|| self.record_decoded(Direction::Input, &bytes, store)).await?;
                    self.send_to_asset(&bytes, owed).await?;
                }
                said => self.say_step(said).await?,
            }
        }
        Ok(())
    }

    async fn perform_output(&self, steps: &mut Vec<Step>, owed: &mut Owed<'_>) -> Result<(), Fault> {
        for step in steps.drain(..) {
            match step {
                Step::Forward(bytes, store) => {
                    let recorded = self.record_decoded(Direction::Output, &bytes, store);
                    self.context.record.shown(recorded)?;
                    self.send_to_client(None, bytes, owed).await?;
                }
                said => {
                    let recorded = self.say_step(said).await;
                    self.shown(recorded)?;
                }
            }
        }
        Ok(())
    }

    /// Records and shows what the asset sent.
    async fn output(
        &self,
        direction: Direction,
        kind: Option<u32>,
        bytes: Bytes,
        budget: Option<&mut Budget>,
        owed: &mut Owed<'_>,
    ) -> Result<(), Fault> {
        if self.from_client.gone.is_cancelled() {
            return Ok(());
        }
        let recorded = match budget {
            None => self.track.append(direction.content(), &bytes),
            Some(budget) => self.track.append_bulk(direction, &bytes, budget),
        };
        self.context.record.shown(recorded)?;
        self.send_to_client(kind, bytes, owed).await
    }

    async fn send_to_asset(&self, bytes: &Bytes, owed: &mut Owed<'_>) -> Result<(), Fault> {
        let mut rest = bytes.clone();
        while !rest.is_empty() && !self.from_asset.gone.is_cancelled() {
            let fits = self.asset.writable_packet_size().await.clamp(SMALL_PIECE, PIECE);
            let piece = rest.split_to(rest.len().min(fits));
            let length = piece.len();
            self.to_asset(self.context.asset.send(&self.asset, None, piece)).await?;
            self.context.record.activity.touch();
            owed.pay(length);
        }
        Ok(())
    }

    async fn send_to_client(&self, kind: Option<u32>, mut rest: Bytes, owed: &mut Owed<'_>) -> Result<(), Fault> {
        while !rest.is_empty() && !self.from_client.gone.is_cancelled() {
            let fits = self.client.writable_packet_size().await.clamp(SMALL_PIECE, PIECE);
            let piece = rest.split_to(rest.len().min(fits));
            let length = piece.len();
            self.to_client(self.context.person.send(&self.client, kind, piece)).await?;
            self.context.record.activity.touch();
            owed.pay(length);
        }
        Ok(())
    }
}

/// The end of a program's output, which waits for its exit status.
///
/// A client whose own side has ended closes the channel as soon as it sees the end of the output (OpenSSH does), and russh
/// answers that close at once: an exit status that comes later has nowhere to go. So it goes first.
#[derive(Default)]
struct Held {
    since: Option<Instant>,
    exited: bool,
}

impl Held {
    /// Waits until something else comes from the asset, or until the end can be held no longer: a person who has not ended
    /// their own side may be waiting for it.
    async fn is_due(&mut self, ends: &Ends) -> bool {
        let Some(since) = self.since else { return false };
        let queue = &ends.from_asset.queue;
        loop {
            let person_waits = !ends.client_ended.load(Ordering::Relaxed);
            let more = queue.next_is(|_| true) || queue.is_closed() || ends.stop.is_cancelled();
            if more && !self.exited {
                return false;
            }
            if self.exited || (person_waits && since.elapsed() >= HOLD_EOF) {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep_until(since + HOLD_EOF), if person_waits => {}
                () = queue.wait_for_more() => {}
                () = ends.stop.cancelled() => {}
            }
        }
        self.since = None;
        true
    }
}

/// What a batch still counts for in its queue; given back as it goes on, and wholly at its end.
struct Owed<'a> {
    received: &'a Received,
    cost: usize,
}

impl Owed<'_> {
    fn pay(&mut self, bytes: usize) {
        let bytes = bytes.min(self.cost);
        self.cost -= bytes;
        self.received.queue.release(bytes);
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.received.queue.release(self.cost);
    }
}

#[derive(Default)]
struct Budgets {
    output: Budget,
    error: Budget,
}

/// The name of a signal as RFC 4254 writes it.
pub(crate) fn signal_name(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

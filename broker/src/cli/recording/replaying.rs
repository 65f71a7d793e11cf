//! `sallyport recording replay`.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use sallyport_session_recorder::export::{Track, tracks};
use sallyport_session_recorder::replay::{Fit, PUT_BACK, Pace, Show, Steps};
use sallyport_session_recorder::{Entry, ReadError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reading::{choose, read_error};
use super::source::{Eyes, Source, check_identity, put_on_record};
use super::{CliError, Context, Replay};
use crate::audit::AuditEvent;
use crate::cli::output::tell;
use crate::cli::printable;

pub(super) async fn replay(arguments: Replay, context: &Context) -> Result<(), CliError> {
    let source = Source::find(&arguments.recording, context).await?;
    let eyes = Eyes::new(&arguments.keys, context).await?;
    let reader = eyes.open(&source)?;
    let header = reader.header().clone();
    check_identity(&header, &source)?;
    put_on_record(AuditEvent::RecordingReplayed { session: header.session.clone() }, &source, context).await?;
    let all = tracks(&header, reader).map_err(read_error)?;
    let shown = all.iter().filter(|track| track.output_bytes > 0 && !track.is_tcp()).count();
    let track = choose(all, arguments.track)?;
    eprintln!("{}", printable(&title(&header.identity, &header.account, &header.asset, &track, shown)));
    let fit = if arguments.fit { fit(&track)? } else { None };
    if fit.is_none() {
        warn_of_size(&track);
    }
    let pace = Pace {
        speed: arguments.speed,
        idle: arguments.idle.map(Duration::from_secs_f64),
        seek: Duration::from_secs_f64(arguments.seek),
    };
    let steps = Steps::new(&header, &track, eyes.open(&source)?, pace);
    play(steps, fit).await
}

/// Columns and rows of the terminal that the replay is shown on, if it is one.
fn here() -> Option<(u16, u16)> {
    let size = stdout().is_terminal().then(|| tcgetwinsize(stdout()).ok())??;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

fn fit(track: &Track) -> Result<Option<Fit>, CliError> {
    let here = here().ok_or_else(|| CliError::Usage("`--fit` needs a terminal to fit to".to_owned()))?;
    Ok(track.terminal.and_then(|recorded| Fit::new(recorded, here)))
}

fn warn_of_size(track: &Track) {
    let (Some((columns, rows)), Some(here)) = (track.largest, here()) else { return };
    if columns > here.0 || rows > here.1 {
        tell(&format!(
            "the terminal had up to {columns}x{rows}, and this one has {}x{}: what it showed will be out of place; make this \
             one larger, or see a part of it with `--fit`",
            here.0, here.1
        ));
    }
}

/// The terminal, put back when this goes, whatever ended the replay: its end, an error, a signal, a panic.
struct Shown {
    terminal: bool,
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.terminal {
            let mut out = stdout().lock();
            // A terminal that has gone needs nothing put back, and nobody is there to be told.
            out.write_all(PUT_BACK.as_bytes()).and_then(|()| out.flush()).ok();
        }
    }
}

/// What asks a replay to stop.
struct Stops([Signal; 3]);

impl Stops {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(CliError::failed);
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn play<I>(steps: Steps<I>, mut fit: Option<Fit>) -> Result<(), CliError>
where
    I: Iterator<Item = Result<Entry, ReadError>>,
{
    // Before the first byte is shown, so that no signal ends the replay by itself.
    let mut stops = Stops::new()?;
    let _shown = Shown { terminal: stdout().is_terminal() };
    for step in steps {
        let step = step.map_err(read_error)?;
        tokio::select! {
            biased;
            () = stops.asked() => return Ok(()),
            () = tokio::time::sleep(step.wait) => {}
        }
        let bytes = match (step.show, &mut fit) {
            (Show::Bytes(bytes), None) => bytes,
            (Show::Bytes(bytes), Some(fit)) => fit.show(&String::from_utf8_lossy(&bytes)).into_bytes(),
            (Show::Resized(columns, rows), Some(fit)) => {
                fit.resize((columns, rows));
                continue;
            }
            (Show::Resized(..), None) => continue,
        };
        let mut out = stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(CliError::Output)?;
    }
    Ok(())
}

fn title(identity: &str, account: &str, asset: &str, track: &Track, shown: usize) -> String {
    let runs = match (&track.runs, &track.command) {
        (_, Some(command)) => format!(": {command}"),
        (Some(runs), None) => format!(": {runs}"),
        (None, None) => String::new(),
    };
    let size = track.terminal.map(|(cols, rows)| format!(", {cols}x{rows}")).unwrap_or_default();
    let others = if shown > 1 { format!("; {shown} tracks have output, see --track") } else { String::new() };
    format!("{identity} on {account}@{asset}, track {}{size}{runs}{others}", track.track)
}

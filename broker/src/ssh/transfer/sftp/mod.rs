//! The sftp filter: bytes of both directions in, verdicts and operations out. No input or output of its own.
//!
//! Only whole packets are judged and passed, so that a verdict never depends on how the stream was cut. Known request
//! types and extensions pass, everything else is answered here. A refused request never reaches the asset; its answer
//! takes its place among the asset's answers, so that a client that pipelines sees them in the order of its requests.
mod open;
mod packet;
mod pending;
mod refusal;
mod run;

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use sallyport_policy::FileTransfer;
use serde_json::json;

use self::open::Open;
use self::packet as wire;
use self::packet::{Answer, Framer, Request};
use self::pending::{Asked, Pending};
use self::refusal::Refusal;
use self::run::{Pass, Run};
use super::{Content, FileOutcome, Malformed, Step, Store, Via, Way};

/// Requests that may be under way at once; OpenSSH's client has 64 and a few.
const MAX_OUTSTANDING: usize = 4096;
/// With no more than so many under way, a client that asked for too much at once is heard again.
const HEARD_AGAIN: usize = MAX_OUTSTANDING / 4 * 3;
/// Files and folders that may be open at once.
const MAX_OPEN: usize = 1024;
/// With this many requests under way the client pipelines, and a short wait for more costs it nothing.
const PIPELINED: usize = 16;

/// The longest path that Linux takes (PATH_MAX), and so the longest that is passed on.
const LONGEST_PATH: usize = 4096;
/// What the paths of requests under way may hold together.
const MOST_PATHS: usize = 1024 * 1024;

/// The state of one sftp connection.
#[derive(Debug)]
pub(crate) struct Sftp {
    rights: FileTransfer,
    client: Framer,
    asset: Framer,
    greeted: bool,
    answered_greeting: bool,
    pending: VecDeque<Pending>,
    under_way: usize,
    /// There is a whole request of the client that nothing was made of yet, since too many are under way.
    behind: bool,
    /// Bytes in the paths of requests under way.
    paths: usize,
    open: HashMap<Vec<u8>, Open>,
    /// How many were opened so far.
    opened: u64,
}

impl Sftp {
    pub(crate) fn new(rights: FileTransfer) -> Self {
        Self {
            rights,
            client: Framer::default(),
            asset: Framer::default(),
            greeted: false,
            answered_greeting: false,
            pending: VecDeque::new(),
            under_way: 0,
            behind: false,
            paths: 0,
            open: HashMap::new(),
            opened: 0,
        }
    }

    /// The client's next bytes. What comes before a malformed packet still counts. With too many requests under way the rest is kept:
    /// see [`Sftp::is_full`].
    pub(crate) fn client_sent(&mut self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        self.behind = false;
        let Some(stream) = self.client.join(bytes)? else { return Ok(()) };
        let mut run = Run::new(&stream);
        let outcome = loop {
            let end = match Framer::cut(run.rest()) {
                Ok(Some(end)) => end,
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed),
            };
            if self.pending.len() >= MAX_OUTSTANDING {
                self.behind = true;
                break Ok(());
            }
            match self.judge(run.packet(end), steps, &mut run) {
                Ok(Verdict::Pass(pass)) => run.pass(end, pass, steps),
                Ok(Verdict::Cut(length, pass)) => run.cut(end, length, pass, steps),
                Ok(Verdict::Replace(bytes)) => {
                    run.skip(end, steps);
                    steps.push(Step::Forward(bytes, Store::Message));
                }
                Ok(Verdict::Refuse) => run.skip(end, steps),
                Err(malformed) => break Err(malformed),
            }
        };
        self.client.keep(run.finish(steps));
        outcome
    }

    /// The asset's next bytes, with our own answers where their turn has come.
    pub(crate) fn asset_sent(&mut self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        let Some(stream) = self.asset.join(bytes)? else { return Ok(()) };
        let mut run = Run::new(&stream);
        let outcome = loop {
            let end = match Framer::cut(run.rest()) {
                Ok(Some(end)) => end,
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed),
            };
            match self.answered(run.packet(end), steps, &mut run) {
                Ok(Verdict::Pass(pass)) => run.pass(end, pass, steps),
                Ok(Verdict::Cut(length, pass)) => run.cut(end, length, pass, steps),
                Ok(Verdict::Replace(bytes)) => {
                    run.skip(end, steps);
                    steps.push(Step::Forward(bytes, Store::Message));
                }
                Ok(Verdict::Refuse) => run.skip(end, steps),
                Err(malformed) => break Err(malformed),
            }
            if self.answer_is_due() {
                run.flush(steps);
                self.due_answers(steps);
            }
        };
        self.asset.keep(run.finish(steps));
        outcome
    }

    /// Is the client to wait until more of what it asked is answered? Then nothing more of it may be read; once this is over,
    /// [`Sftp::client_sent`] goes on with what was kept, if with no more bytes.
    pub(crate) fn is_full(&self) -> bool {
        self.behind && self.pending.len() > HEARD_AGAIN
    }

    /// Is an answer of ours next in turn?
    pub(crate) fn answer_is_due(&self) -> bool {
        matches!(self.pending.front(), Some(Pending::Ours(_)))
    }

    /// Our own answers whose turn has come. Call it between two stretches of the asset's stream.
    pub(crate) fn due_answers(&mut self, steps: &mut Vec<Step>) {
        while let Some(Pending::Ours(_)) = self.pending.front() {
            if let Some(Pending::Ours(bytes)) = self.pending.pop_front() {
                steps.push(Step::Forward(bytes, Store::Message));
            }
            self.drop_answered();
        }
    }

    /// Does the client pipeline, so that more of the same is about to come from both sides?
    pub(crate) fn expects_more(&self) -> bool {
        self.under_way >= PIPELINED
    }

    /// The stream has ended: files that were never closed.
    pub(crate) fn finish(&mut self, steps: &mut Vec<Step>) {
        let mut open: Vec<_> = self.open.drain().map(|(_, open)| open).collect();
        open.sort_by(|one, other| one.path.cmp(&other.path));
        for file in open {
            file.report(false, Some("the file was not closed"), steps);
        }
    }

    fn judge(&mut self, packet: &[u8], steps: &mut Vec<Step>, run: &mut Run<'_>) -> Result<Verdict, Malformed> {
        let wire::Read { id, request, length } = wire::request(packet)?;
        if let Request::Init(version) = request {
            if self.greeted || version < wire::VERSION {
                return Err(Malformed("an sftp greeting that does not belong here"));
            }
            self.greeted = true;
            return Ok(Verdict::Replace(wire::init()));
        }
        if !self.greeted {
            return Err(Malformed("an sftp request before the greeting"));
        }
        if self.pending.iter().any(|pending| matches!(pending, Pending::Asset(asked, Some(_)) if *asked == id)) {
            return Err(Malformed("an sftp request id is in use already"));
        }
        let permitted = self.permit(&request).and_then(|asked| match self.paths + asked.paths() {
            paths if paths > MOST_PATHS => Err(Refusal::failure("too many paths at once".to_owned())),
            _ => Ok(asked),
        });
        match permitted {
            Ok(asked) => {
                let pass = self.written(&request);
                self.paths += asked.paths();
                self.pending.push_back(Pending::Asset(id, Some(asked)));
                self.under_way += 1;
                Ok(if length < packet.len() { Verdict::Cut(length, pass) } else { Verdict::Pass(pass) })
            }
            Err(refusal) => {
                if let Some((path, what)) = refusal.file {
                    run.flush(steps);
                    steps.push(Step::File(Via::Sftp, path, FileOutcome::Refused(what)));
                }
                let answer = wire::status(id, refusal.code, &refusal.message);
                self.pending.push_back(Pending::Ours(answer));
                Ok(Verdict::Refuse)
            }
        }
    }

    /// What a request that passes holds of a file.
    fn written(&mut self, request: &Request<'_>) -> Pass {
        let Request::Write { handle, offset, data } = request else { return Pass::Message };
        let Some(file) = self.open.get_mut(*handle) else { return Pass::Content };
        let passed = file.up.get_or_insert_with(Content::new).piece(*offset, data);
        Pass::piece(passed, file.number, data.len())
    }

    fn permit(&mut self, request: &Request<'_>) -> Result<Asked, Refusal> {
        if request.longest_path() > LONGEST_PATH {
            return Err(Refusal::failure(format!("a path is longer than {LONGEST_PATH} bytes")));
        }
        let asked = match request {
            Request::Open { path, flags } => self.permit_open(path, *flags)?,
            Request::OpenDir { .. } => {
                self.may_open_another()?;
                Asked::OpenDir
            }
            Request::Close { handle } => {
                self.at(handle)?.closing = true;
                Asked::Close { handle: handle.to_vec() }
            }
            Request::Read { handle, offset, length } => {
                let file = self.at(handle)?;
                if file.flags & wire::OPEN_READ == 0 {
                    return Err(file.not_opened_for("read"));
                }
                file.down.get_or_insert_with(Content::new);
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                Asked::Read { handle: handle.to_vec(), offset: *offset, length }
            }
            Request::Write { handle, .. } => {
                let file = self.at(handle)?;
                if file.flags & wire::OPEN_WRITE == 0 {
                    return Err(file.not_opened_for("write"));
                }
                Asked::Write { handle: handle.to_vec() }
            }
            Request::ReadDir { handle } | Request::LookAt { handle } => {
                self.at(handle)?;
                Asked::Look
            }
            Request::Look => Asked::Look,
            Request::Change { what, path, other } => {
                let (path, other) = (text(path), other.map(text));
                self.needs(Way::Upload, what, &path)?;
                Asked::Change { what, path, other }
            }
            Request::ChangeAt { what, handle } => {
                let path = self.at(handle)?.path.clone();
                self.needs(Way::Upload, what, &path)?;
                Asked::Change { what, path, other: None }
            }
            Request::Copy { from, to } => {
                let source = self.at(from)?;
                if source.flags & wire::OPEN_READ == 0 {
                    return Err(source.not_opened_for("read"));
                }
                let path = source.path.clone();
                let target = self.at(to)?;
                if target.flags & wire::OPEN_WRITE == 0 {
                    return Err(target.not_opened_for("write"));
                }
                let other = Some(target.path.clone());
                self.needs(Way::Upload, "copy", &path)?;
                Asked::Change { what: "copy", path, other }
            }
            Request::Unknown | Request::Init(_) => return Err(Refusal::unsupported()),
        };
        Ok(asked)
    }

    fn permit_open(&self, path: &[u8], flags: u32) -> Result<Asked, Refusal> {
        let path = text(path);
        if flags & !wire::OPEN_KNOWN != 0 {
            return Err(Refusal::unsupported());
        }
        if flags & !wire::OPEN_READ != 0 {
            self.needs(Way::Upload, "open-write", &path)?;
        }
        if flags & wire::OPEN_READ != 0 || flags == 0 {
            self.needs(Way::Download, "open-read", &path)?;
        }
        self.may_open_another()?;
        Ok(Asked::Open { path, flags })
    }

    fn needs(&self, way: Way, what: &'static str, path: &str) -> Result<(), Refusal> {
        let granted = match way {
            Way::Upload => self.rights.may_upload(),
            Way::Download => self.rights.may_download(),
        };
        if granted { Ok(()) } else { Err(Refusal::not_granted(way, self.rights, what, path)) }
    }

    fn may_open_another(&self) -> Result<(), Refusal> {
        let opening =
            |pending: &&Pending| matches!(pending, Pending::Asset(_, Some(Asked::Open { .. } | Asked::OpenDir)));
        if self.open.len() + self.pending.iter().filter(opening).count() < MAX_OPEN {
            Ok(())
        } else {
            Err(Refusal::failure("too many files are open".to_owned()))
        }
    }

    fn at(&mut self, handle: &[u8]) -> Result<&mut Open, Refusal> {
        self.open
            .get_mut(handle)
            .filter(|open| !open.closing)
            .ok_or_else(|| Refusal::failure("no file is open by this handle".to_owned()))
    }

    fn answered(&mut self, packet: &[u8], steps: &mut Vec<Step>, run: &mut Run<'_>) -> Result<Verdict, Malformed> {
        let (id, answer) = wire::answer(packet)?;
        if let Answer::Version(version) = answer {
            if !self.greeted || self.answered_greeting || version != wire::VERSION {
                return Err(Malformed("the asset's sftp greeting is not version 3"));
            }
            self.answered_greeting = true;
            return Ok(Verdict::Replace(wire::version(packet)?));
        }
        let asked = self
            .pending
            .iter_mut()
            .find_map(|pending| match pending {
                Pending::Asset(asked_id, asked) if *asked_id == id => asked.take(),
                Pending::Asset(..) | Pending::Ours(_) => None,
            })
            .ok_or(Malformed("the asset answered what was not asked"))?;
        self.under_way -= 1;
        self.paths -= asked.paths();
        self.drop_answered();
        let mut said = Vec::new();
        let pass = self.take_answer(asked, &answer, &mut said)?;
        if !said.is_empty() {
            run.flush(steps);
            steps.append(&mut said);
        }
        Ok(Verdict::Pass(pass))
    }

    fn take_answer(&mut self, asked: Asked, answer: &Answer<'_>, said: &mut Vec<Step>) -> Result<Pass, Malformed> {
        match (asked, answer) {
            (Asked::Open { path, flags }, Answer::Handle(handle)) => self.opened(handle, path, flags)?,
            (Asked::OpenDir, Answer::Handle(handle)) => self.opened(handle, String::new(), 0)?,
            (Asked::Read { handle, offset, length }, Answer::Data(data)) => {
                if data.len() > length {
                    return Err(Malformed("the asset sent more than was asked for"));
                }
                let Some(file) = self.open.get_mut(&handle) else { return Ok(Pass::Content) };
                let passed = file.down.as_mut().and_then(|down| down.piece(offset, data));
                return Ok(Pass::piece(passed, file.number, data.len()));
            }
            (Asked::Read { handle, offset, .. }, Answer::Status(code)) => {
                if let Some(file) = self.open.get_mut(&handle) {
                    let reached = file.down.as_ref().is_some_and(|down| down.is_sequential() && offset >= down.next());
                    file.read_to_end |= *code == wire::FX_EOF && reached;
                }
            }
            (Asked::Write { handle }, Answer::Status(code)) => {
                if let Some(file) = self.open.get_mut(&handle) {
                    file.write_failed |= *code != wire::FX_OK;
                }
            }
            (Asked::Close { handle }, Answer::Status(code)) => {
                if let Some(file) = self.open.remove(&handle) {
                    file.report(*code == wire::FX_OK, None, said);
                }
            }
            (Asked::Change { what, path, other }, Answer::Status(code)) => {
                if what != "fsync" {
                    said.push(Step::Operation(
                        json!({ "op": what, "via": "sftp", "path": path, "to": other, "status": code }),
                    ));
                }
            }
            (Asked::Open { .. } | Asked::OpenDir | Asked::Look, Answer::Status(_)) | (Asked::Look, Answer::Told) => {}
            _ => return Err(Malformed("the asset's answer does not fit what was asked")),
        }
        Ok(Pass::Message)
    }

    fn opened(&mut self, handle: &[u8], path: String, flags: u32) -> Result<(), Malformed> {
        let number = self.opened;
        self.opened += 1;
        let open =
            Open { number, path, flags, closing: false, up: None, down: None, write_failed: false, read_to_end: false };
        match self.open.insert(handle.to_vec(), open) {
            None => Ok(()),
            Some(_) => Err(Malformed("the asset gave the same sftp handle twice")),
        }
    }

    fn drop_answered(&mut self) {
        while let Some(Pending::Asset(_, None)) = self.pending.front() {
            self.pending.pop_front();
        }
    }
}

enum Verdict {
    Pass(Pass),
    /// So many bytes of the packet's body pass, in a packet of their own.
    Cut(usize, Pass),
    Replace(Bytes),
    Refuse,
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests;

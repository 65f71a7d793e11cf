//! Many live sessions of every kind.

use std::time::{Duration, Instant};

use sallyport_tests::{Form, Tunnel};

use crate::session::{Kind, Seen, Session};
use crate::site::{Site, WORKSTATIONS};

/// Sessions, and the tunnels that some of them go through.
pub(crate) struct Load {
    pub(crate) sessions: Vec<Session>,
    tunnels: Vec<Tunnel>,
    pace: Duration,
    made: usize,
}

/// How many streams go through one tunnel.
const OF_A_TUNNEL: usize = 10;
/// How many tunnels there are at most; even, so that each belongs to one of two brokers.
const TUNNELS: usize = 20;

impl Load {
    /// So many sessions, each doing something every `pace`: of ten, five are terminals, four poll the controller, and one looks at the panel.
    pub(crate) fn start(site: &Site, count: usize, pace: Duration) -> Load {
        let mut load = Load { sessions: Vec::new(), tunnels: Vec::new(), pace, made: 0 };
        load.add(site, count);
        load
    }

    /// More of them; returns when each has seen something.
    pub(crate) fn add(&mut self, site: &Site, count: usize) {
        let begin = self.sessions.len();
        for _ in 0..count {
            let number = self.made;
            self.made += 1;
            let broker = number / 10 % site.brokers();
            let session = match number % 10 {
                0 | 2 | 4 | 6 | 8 => self.terminal(site, number, broker),
                9 => self.stream(site, number, broker, false),
                _ => self.stream(site, number, broker, true),
            };
            self.sessions.push(session);
            // As many logins at once as an office at the change of shifts.
            if self.made.is_multiple_of(8) {
                self.sessions[begin..].iter().for_each(Session::opened);
            }
        }
        self.sessions[begin..].iter().for_each(Session::opened);
    }

    fn terminal(&self, site: &Site, number: usize, broker: usize) -> Session {
        let host = Form::BOTH[number / 2 % 2].host(&format!("ews-{}", 1 + number % WORKSTATIONS));
        Session::terminal(site.person(broker, number), &host, &format!("t{number}"), broker, self.pace)
    }

    fn stream(&mut self, site: &Site, number: usize, broker: usize, polls: bool) -> Session {
        let at = number / OF_A_TUNNEL % TUNNELS;
        let (to_controller, to_panel) = (6000 + 2 * at as u16, 6001 + 2 * at as u16);
        // One whose broker was killed is gone.
        if self.tunnels.get_mut(at).is_none_or(|tunnel| !tunnel.lives()) {
            let forwards = [format!("{to_controller}:plc-1:502"), format!("{to_panel}:panel-1:5900")];
            let person = site.person(broker, at);
            let tunnel = Tunnel::open(&site.plant, person, &["-L", &forwards[0], "-L", &forwards[1]]);
            if at < self.tunnels.len() {
                self.tunnels[at] = tunnel;
            } else {
                self.tunnels.push(tunnel);
            }
        }
        if polls {
            Session::poll(self.tunnels[at].connect(to_controller), number as u16, broker, self.pace)
        } else {
            Session::screen(self.tunnels[at].connect(to_panel), number, broker, self.pace)
        }
    }

    /// How many go on.
    pub(crate) fn living(&self) -> usize {
        self.sessions.iter().filter(|session| session.lives()).count()
    }

    /// How many have got an answer since then.
    pub(crate) fn answered_since(&self, then: Instant) -> usize {
        self.sessions.iter().filter(|session| session.lives() && session.seen().last > then).count()
    }

    /// How long an answer took at most.
    pub(crate) fn longest(&self) -> Duration {
        self.sessions.iter().map(|session| session.seen().longest).max().unwrap_or_default()
    }

    /// Ends so many, the oldest first.
    pub(crate) fn end_some(&mut self, count: usize) -> Vec<Ended> {
        let count = count.min(self.sessions.len());
        // Who ended by itself is known before any is stopped.
        let lived: Vec<bool> = self.sessions[..count].iter().map(Session::lives).collect();
        self.sessions[..count].iter().for_each(Session::stop);
        self.sessions.drain(..count).zip(lived).map(|(session, lived)| Ended::of(session, !lived)).collect()
    }

    /// Ends all of them.
    pub(crate) fn end(mut self) -> Vec<Ended> {
        self.end_some(usize::MAX)
    }
}

/// A session that is over, and what its person did and saw.
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) seen: Seen,
    /// Nobody here had ended it.
    pub(crate) by_itself: bool,
}

impl Ended {
    fn of(mut session: Session, by_itself: bool) -> Ended {
        let seen = session.end();
        Ended { name: session.name.clone(), kind: session.kind, seen, by_itself }
    }
}

//! What the auditor is told: one variant per kind of event, each with a code that never changes its meaning.
//!
//! `docs/audit-events.md` is made from this file; a test holds the two together.

use jiff::Timestamp;
use serde::Serialize;

use super::kind::{Doer, EventKind, Outage, Severity, events};

events! {
    /// A person has proven who they are with two factors, or with one and a lease.
    LoginAccepted = "SP-1001" "login.accepted" Info Identity Fails "1.1, 1.13" {
        /// Who.
        identity: String,
        /// The address they came from.
        source: String,
        /// The factors that count, in the order they were proven.
        factors: Vec<String>,
        /// The lease that stood in for the second factor, if one did.
        lease: Option<String>,
    }
    /// A login came to nothing.
    LoginRefused = "SP-1002" "login.refused" Notice Identity Fails "1.11" {
        /// The name that was claimed; nobody has proven it.
        identity: String,
        /// The address it came from.
        source: String,
        /// Why, in full. The person was told less.
        reason: String,
    }
    /// A factor was verified.
    FactorAccepted = "SP-1003" "factor.accepted" Info Identity Fails "1.1, 1.5" {
        /// Whose.
        identity: String,
        /// The address they came from.
        source: String,
        /// Its kind.
        factor: String,
        /// Which one: a key's fingerprint, or the kind again where there is one of it.
        credential: String,
    }
    /// A factor was offered and is not right: wrong, expired, used before, throttled.
    FactorRefused = "SP-1004" "factor.refused" Notice Identity Fails "1.11" {
        /// The name that was claimed.
        identity: String,
        /// The address it came from.
        source: String,
        /// Its kind.
        factor: String,
        /// Why.
        reason: String,
    }
    /// A second factor proven earlier still counted.
    LeaseUsed = "SP-1005" "lease.used" Info Identity Fails "1.1" {
        /// Whose.
        identity: String,
        /// The address they came from.
        source: String,
        /// The lease.
        lease: String,
    }
    /// A second factor will count again for a while, from the same key and address.
    LeaseGranted = "SP-1006" "lease.granted" Info Identity Fails "1.1, 1.5" {
        /// Whose.
        identity: String,
        /// The address it is good for.
        source: String,
        /// The lease.
        lease: String,
        /// The factor that was proven.
        factor: String,
        /// When it ends.
        expires_at: Timestamp,
    }
    /// A lease was ended before its time.
    LeaseRevoked = "SP-1007" "lease.revoked" Notice Process Fails "1.5, 2.6" {
        /// Whose.
        identity: String,
        /// The lease.
        lease: String,
    }
    /// Refused logins come faster than they are recorded. Written when a wave begins, and with its number when it is over.
    LoginThrottled = "SP-1008" "login.throttled" Warning Process Fails "1.11, 7.1" {
        /// The name that was claimed, where the limit is per name.
        identity: Option<String>,
        /// The address they come from.
        source: String,
        /// Which limit.
        reason: String,
    }

    /// A person has proven who they are, and was turned away: they have as many connections open as their roles allow.
    ConnectionRefused = "SP-1010" "connection.refused" Warning Identity Fails "2.7" {
        /// Who.
        identity: String,
        /// The address they came from.
        source: String,
        /// How many they may have open at once.
        limit: u32,
    }
    /// Connections were turned away before anybody logged in on them: their source connects too often or has too many open, or
    /// all sources together have. Counted: at most once a minute for a source, and for all others together where they are many.
    ConnectionsTurnedAway = "SP-1011" "connections.turned-away" Warning Process Spools "7.1" {
        /// The address they came from (of IPv6, the network); `other sources` for all others together.
        source: String,
        /// How many.
        count: u64,
        /// How many for which reason: `rate`, `source`, `waiting` or `full`, each with its number.
        reasons: Vec<String>,
    }
    /// A passkey or security key has signed what the portal asked it to. The three signed parts prove it to anybody who has the public
    /// key of `factor.enrolled`: the signature is over the authenticator data and the SHA-256 of the client data (WebAuthn section 7.2).
    AssertionVerified = "SP-1012" "webauthn.asserted" Info Identity Fails "1.1, 2.12" {
        /// Whose.
        identity: String,
        /// The address of the browser.
        source: String,
        /// Which one: `webauthn:` and the credential's id.
        credential: String,
        /// What for: a sign-in, or the login or lease that was confirmed, in words.
        purpose: String,
        /// The client data, in base64url: challenge and origin are in it.
        client_data: String,
        /// The authenticator data, in base64url: the relying party, the flags and the counter are in it.
        authenticator_data: String,
        /// The signature over both, in base64url.
        signature: String,
    }
    /// A login waits until its person confirms it in the portal.
    ConfirmationAsked = "SP-1013" "confirmation.asked" Info Identity Fails "1.1" {
        /// Who is asked.
        identity: String,
        /// The address that the login comes from.
        source: String,
        /// What its client calls itself.
        client: String,
        /// What it wants to reach.
        target: String,
    }
    /// A login that waited was not confirmed.
    ConfirmationRefused = "SP-1014" "confirmation.refused" Notice Identity Fails "1.11" {
        /// Who was asked.
        identity: String,
        /// The address that the login came from.
        source: String,
        /// Why: the person refused it, the number was wrong too often, or nobody answered.
        reason: String,
        /// Other logins of the same person that were turned away while this one waited.
        turned_away: u64,
    }
    /// The counter of a passkey or security key went back: there may be a copy of it. It was refused.
    CounterWentBack = "SP-1015" "webauthn.counter-went-back" Alert Identity Fails "1.5" {
        /// Whose.
        identity: String,
        /// The address of the browser.
        source: String,
        /// Which one: `webauthn:` and the credential's id.
        credential: String,
    }
    /// A first factor was right and no second one followed: the connection ended. So it looks when a key or a password is in the
    /// wrong hands.
    LoginAbandoned = "SP-1020" "login.abandoned" Warning Identity Fails "1.11" {
        /// Whose.
        identity: String,
        /// The address it came from.
        source: String,
        /// The kind of the factor that was right.
        factor: String,
        /// Which one: a key's fingerprint, or the kind again where there is one of it.
        credential: String,
        /// How it ended, and after how many wrong codes.
        reason: String,
    }

    /// Policy permits a session.
    DecisionPermitted = "SP-2001" "decision.permitted" Info Identity Fails "2.1" {
        /// Who asked.
        identity: String,
        /// From where.
        source: String,
        /// For which asset.
        asset: String,
        /// For which service.
        service: String,
        /// For which account.
        account: String,
        /// The session it is for, if it has an id yet.
        session: Option<String>,
        /// The rule that permits.
        rule: String,
    }
    /// Policy denies a session, or a live one has lost its permit.
    DecisionDenied = "SP-2002" "decision.denied" Notice Identity Spools "2.1" {
        /// Who asked.
        identity: String,
        /// From where.
        source: String,
        /// For which asset, as it was named.
        asset: String,
        /// For which service.
        service: String,
        /// For which account.
        account: String,
        /// The session it is for, if it has an id yet.
        session: Option<String>,
        /// The rule and the conditions that failed, in full.
        reason: String,
    }
    /// Policy wants stronger or fresher factors first.
    DecisionNeedsFactors = "SP-2003" "decision.needs-factors" Info Identity Fails "1.1, 2.1" {
        /// Who asked.
        identity: String,
        /// From where.
        source: String,
        /// For which asset.
        asset: String,
        /// For which service.
        service: String,
        /// For which account.
        account: String,
        /// The session it is for, if it has an id yet.
        session: Option<String>,
        /// What is missing.
        reason: String,
    }
    /// Policy wants somebody's approval first.
    DecisionNeedsApproval = "SP-2004" "decision.needs-approval" Info Identity Fails "2.1 RE 4" {
        /// Who asked.
        identity: String,
        /// From where.
        source: String,
        /// For which asset.
        asset: String,
        /// For which service.
        service: String,
        /// For which account.
        account: String,
        /// The session it is for, if it has an id yet.
        session: Option<String>,
        /// Whose approval.
        reason: String,
    }

    /// A session begins. Its recording has begun before it.
    SessionStarted = "SP-3001" "session.started" Info Identity Fails "1.13, 2.8" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// From where.
        source: String,
        /// To which asset.
        asset: String,
        /// In which zone.
        zone: String,
        /// To which service.
        service: String,
        /// As which account.
        account: String,
        /// How it came: jump, direct, lobby or forward.
        form: String,
        /// The rule that permitted it.
        rule: String,
    }
    /// A session has ended.
    SessionEnded = "SP-3002" "session.ended" Info Identity Spools "2.6, 2.8" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// To which asset.
        asset: String,
        /// The word of its end.
        end: String,
        /// More about the end.
        detail: String,
        /// The hash at the recording's end, so that a deleted or exchanged recording shows.
        recording_head: Option<String>,
        /// The length of the recording.
        recording_bytes: Option<u64>,
        /// How many writes the filter let pass, where the protocol is decoded for them (Modbus); null where it is not, and in older entries.
        writes: Option<u64>,
        /// What of a device's answers was put right since its service tolerates it, each with how often (`unit 12`); not there in older entries.
        tolerated: Vec<String>,
    }
    /// Somebody asked for a live session's end.
    SessionEndRequested = "SP-3003" "session.end-requested" Notice Process Fails "2.6" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// Why, where that was said; not there in older entries.
        reason: Option<String>,
    }
    /// A session was found open when its broker started: the broker had been cut off.
    SessionInterrupted = "SP-3004" "session.interrupted" Warning Process Fails "2.8, 2.10" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// To which asset.
        asset: String,
        /// When the broker was last heard of before.
        broker_seen_at: Option<Timestamp>,
    }
    /// A file passed through a session.
    FileTransferred = "SP-3005" "file.transferred" Info Identity Spools "2.8" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// To or from which asset.
        asset: String,
        /// upload or download.
        direction: String,
        /// sftp or scp.
        via: String,
        /// The path on the asset.
        path: String,
        /// How many bytes.
        size: u64,
        /// SHA-256 of the content, where it passed in order and whole.
        sha256: Option<String>,
        /// Whether all of it passed.
        complete: bool,
    }
    /// A file act was refused by the session's terms.
    FileRefused = "SP-3006" "file.refused" Notice Identity Spools "2.1" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// On which asset.
        asset: String,
        /// sftp or scp.
        via: String,
        /// What was tried.
        operation: String,
        /// The path on the asset.
        path: String,
    }
    /// A channel or request was refused: what the broker carries for nobody, and what the session's terms do not allow.
    RequestRefused = "SP-3007" "request.refused" Notice Identity Spools "2.1, 7.7" {
        /// The session, if it had begun.
        session: Option<String>,
        /// Whose.
        identity: String,
        /// What was asked for.
        request: String,
        /// Why not.
        reason: String,
    }
    /// Refusals of one kind, in one session or of one person who asks too fast or again and again, have become too many to be entered
    /// one by one. Entered at every doubling; a session's recording has each of its own.
    RefusalsCounted = "SP-3015" "refusals.counted" Notice Identity Spools "2.8, 2.9" {
        /// The session, if they are one's.
        session: Option<String>,
        /// Whose.
        identity: String,
        /// The name of the event that is no longer entered one by one.
        kind: String,
        /// How many there were so far.
        refusals: u64,
    }
    /// The asset showed another host key than the plant file pins. The session ended before a credential was sent.
    HostKeyMismatch = "SP-3008" "asset.host-key-mismatch" Alert Identity Spools "1.2, 3.1" {
        /// The session.
        session: Option<String>,
        /// Whose.
        identity: String,
        /// The asset.
        asset: String,
        /// Fingerprints of the pinned keys.
        expected: Vec<String>,
        /// Fingerprint of the key it showed.
        presented: String,
    }
    /// The asset did not take the account's credential.
    AssetLoginRefused = "SP-3009" "asset.login-refused" Warning Identity Spools "1.2" {
        /// The session.
        session: Option<String>,
        /// Whose.
        identity: String,
        /// The asset.
        asset: String,
        /// The account.
        account: String,
        /// What the asset said.
        reason: String,
    }
    /// The recorder failed in the middle of a session; no further input reaches the asset.
    RecorderTrouble = "SP-3010" "session.recorder-trouble" Alert Process Spools "2.10" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// What went wrong.
        detail: String,
        /// What the terms make of it: view-only or end.
        action: String,
    }
    /// The time of a session is over: input is refused, output goes on for a grace, then it ends.
    SessionViewOnly = "SP-3012" "session.view-only" Notice Process Spools "2.6, 2.10" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// The word of the end that it comes to.
        reason: String,
        /// In so many seconds.
        seconds: u64,
    }
    /// The time of a session was extended in its grace: input passes again.
    SessionInputBack = "SP-3013" "session.input-back" Notice Process Spools "2.6, 2.10" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
    }
    /// The asset used the session's connection for itself (opened channels, again and again) and was cut off.
    AssetMisbehaved = "SP-3011" "asset.misbehaved" Alert Process Spools "7.1" {
        /// The session.
        session: String,
        /// Whose.
        identity: String,
        /// The asset.
        asset: String,
        /// What it did.
        reason: String,
    }

    /// Somebody replayed a recording.
    RecordingReplayed = "SP-4001" "recording.replayed" Notice Process Fails "3.9, 6.1" {
        /// The recording.
        session: String,
    }
    /// Somebody exported a recording.
    RecordingExported = "SP-4002" "recording.exported" Notice Process Fails "3.9, 6.1" {
        /// The recording.
        session: String,
        /// The format.
        format: String,
    }
    /// Somebody searched in recordings.
    RecordingSearched = "SP-4003" "recording.searched" Notice Process Fails "3.9, 6.1" {
        /// The recording, if only one.
        session: Option<String>,
        /// Empty. Entries made before there was a digest hold what was looked for.
        text: String,
        /// What for, as a keyed digest: who holds the evidence key can tell whether it was a given text.
        digest: Option<String>,
        /// How many characters it has.
        length: Option<u64>,
        /// How many recordings were looked at.
        recordings: u64,
    }
    /// A recording was removed because its time was up.
    RecordingRemoved = "SP-4004" "recording.removed" Notice Process Fails "2.9" {
        /// The recording.
        session: String,
        /// Which retention rule.
        reason: String,
        /// Its head hash, as the chain has it.
        recording_head: Option<String>,
        /// Its length, as the chain has it.
        recording_bytes: u64,
        /// When it was closed, as the chain has it.
        closed_at: Option<Timestamp>,
        /// The days that its zone keeps, when it went by age.
        keep_days: Option<u64>,
        /// The bytes that its zone keeps on this broker, when it went by size.
        keep_bytes: Option<u64>,
    }
    /// A recording is held: retention leaves it alone.
    RecordingHeld = "SP-4005" "recording.held" Notice Process Fails "2.9" {
        /// The recording.
        session: String,
        /// Why.
        reason: String,
    }
    /// A recording is no longer held.
    RecordingReleased = "SP-4006" "recording.released" Notice Process Fails "2.9" {
        /// The recording.
        session: String,
        /// Why.
        reason: String,
    }
    /// A recording that the catalogue has as open was found when the broker started, and closed.
    RecordingInterrupted = "SP-4007" "recording.interrupted" Warning Process Fails "2.10" {
        /// The recording.
        session: String,
        /// Its head hash after closing.
        recording_head: Option<String>,
        /// Its length.
        recording_bytes: u64,
        /// What was found.
        detail: String,
    }
    /// A recording does not verify, is not the one whose end is in the chain, or is gone. It stays as it is.
    RecordingDamaged = "SP-4008" "recording.damaged" Alert Process Fails "3.4, 3.9" {
        /// The recording.
        session: String,
        /// The fault.
        fault: String,
    }
    /// Somebody read a recording's list of operations or files.
    RecordingRead = "SP-4009" "recording.read" Notice Process Fails "3.9, 6.1" {
        /// The recording.
        session: String,
        /// What was read.
        what: String,
    }
    /// Catalogue, file and chain do not agree about a recording that retention looked at: it is not removed.
    RecordingDisputed = "SP-4010" "recording.disputed" Alert Process Fails "3.9" {
        /// The recording.
        session: String,
        /// What does not agree.
        fault: String,
    }
    /// The audit chain does not verify: retention removes nothing until the broker has been started on one that does.
    RetentionStopped = "SP-4011" "retention.stopped" Alert Process Fails "2.9, 3.9" {
        /// The chain's first fault.
        fault: String,
    }

    /// Somebody outside was given one recording, and the key that opens it and no other.
    RecordingShared = "SP-4012" "recording.shared" Warning Process Fails "3.9, 6.1" {
        /// The recording.
        session: String,
        /// The age public keys of those who can read it now.
        recipients: Vec<String>,
        /// Its head hash.
        recording_head: String,
        /// Its length.
        recording_bytes: u64,
        /// The entries of this chain that were handed over with it, each as number and hash.
        entries: Vec<String>,
    }

    /// A stream moved so much, so fast, that its record goes on with lengths and hashes instead of bytes wherever the budget for
    /// bulk is spent. Once for each direction of a channel.
    RecordingHashesOnly = "SP-4015" "recording.hashes-only" Notice Process Spools "2.9" {
        /// The recording.
        session: String,
        /// The channel's track.
        track: u64,
        /// Which way: input, output or error-output.
        direction: String,
    }

    /// A plant file is in force.
    PlantApplied = "SP-5001" "plant.applied" Notice Process Fails "2.1, 7.6" {
        /// Its version.
        version: i64,
        /// SHA-256 over names and texts of its files.
        sha256: String,
        /// The names of its files.
        files: Vec<String>,
        /// What changed against the version before.
        diff: String,
    }
    /// A stored plant file cannot be read; the policy before stays in force.
    PlantRefused = "SP-5002" "plant.refused" Alert Process Spools "7.6" {
        /// Its version.
        version: i64,
        /// What is wrong with it.
        reason: String,
    }
    /// An identity was added.
    IdentityAdded = "SP-5101" "identity.added" Notice Process Fails "1.3" {
        /// Who.
        identity: String,
    }
    /// An identity was locked: no login, no lease, live sessions end.
    IdentityLocked = "SP-5102" "identity.locked" Notice Process Fails "1.3, 2.6" {
        /// Who.
        identity: String,
        /// Why.
        reason: String,
    }
    /// An identity may log in again.
    IdentityUnlocked = "SP-5103" "identity.unlocked" Notice Process Fails "1.3" {
        /// Who.
        identity: String,
    }
    /// An identity was removed for good. Its name is never given again.
    IdentityRemoved = "SP-5104" "identity.removed" Notice Process Fails "1.3, 1.4" {
        /// Who.
        identity: String,
        /// Why.
        reason: String,
    }
    /// Something else about an identity changed: groups, name, validity.
    IdentityChanged = "SP-5105" "identity.changed" Notice Process Fails "1.3" {
        /// Who.
        identity: String,
        /// What changed, from what to what.
        change: String,
    }
    /// An identity was given a factor, or a new one in place of the old.
    FactorEnrolled = "SP-5106" "factor.enrolled" Notice Process Fails "1.5" {
        /// Whose.
        identity: String,
        /// Its kind.
        factor: String,
        /// Which one: a key's fingerprint, `webauthn:` and the id of a passkey, or the kind again.
        credential: String,
        /// What assertions of a passkey can be checked with: its public key, as JSON of a COSE key.
        public_key: Option<String>,
        /// Of an authenticator, whether a code of it proved that its owner has it; not there in older entries.
        proven: Option<bool>,
    }
    /// A factor was taken from an identity.
    FactorRemoved = "SP-5107" "factor.removed" Notice Process Fails "1.5" {
        /// Whose.
        identity: String,
        /// Its kind.
        factor: String,
        /// Which one.
        credential: String,
    }
    /// Somebody was invited to enrol a factor in the portal. Earlier invitations of theirs count no more.
    InvitationMade = "SP-5108" "invitation.made" Notice Process Fails "1.5" {
        /// Who.
        identity: String,
        /// Which one: SHA-256 of what its link holds.
        invitation: String,
        /// The first moment at which it counts no more.
        expires_at: Timestamp,
    }
    /// An invitation was used. It counts no more.
    InvitationUsed = "SP-5109" "invitation.used" Notice Identity Fails "1.5" {
        /// Who.
        identity: String,
        /// The address of the browser.
        source: String,
        /// Which one: SHA-256 of what its link holds.
        invitation: String,
    }
    /// A credential for an account on an asset was put into the vault.
    AccountChanged = "SP-5201" "account.changed" Notice Process Fails "1.5" {
        /// The asset.
        asset: String,
        /// The account.
        account: String,
        /// password or key.
        kind: String,
    }
    /// A credential was taken out of the vault.
    AccountRemoved = "SP-5202" "account.removed" Notice Process Fails "1.5" {
        /// The asset.
        asset: String,
        /// The account.
        account: String,
    }
    /// The broker's own keys were made.
    SecretsCreated = "SP-5301" "secrets.created" Notice Process Fails "1.8, 4.3" {
        /// Their names.
        names: Vec<String>,
        /// `under MACs from the start`. Entries of releases before MACs lack it.
        rows: String,
    }
    /// Somebody was let write certain points of an asset for a time.
    WindowOpened = "SP-5401" "window.opened" Notice Process Fails "2.1" {
        /// The window.
        window: String,
        /// Who may write.
        identity: String,
        /// On which asset.
        asset: String,
        /// By which service.
        service: String,
        /// What.
        points: String,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Who opened it.
        opened_by: String,
        /// The work permit or ticket it is for.
        ticket: Option<String>,
        /// The rule that let them.
        rule: String,
    }
    /// A write window was closed before its time.
    WindowClosed = "SP-5402" "window.closed" Notice Process Fails "2.1" {
        /// The window.
        window: String,
        /// Who could write.
        identity: String,
        /// On which asset.
        asset: String,
    }
    /// A zone was isolated: every session into it ends, and none begins, until two people have lifted it.
    ZoneIsolated = "SP-5501" "zone.isolated" Alert Process Fails "5.2 RE 2" {
        /// The isolation. While no lift of it is confirmed, this entry alone keeps the zone isolated.
        isolation: String,
        /// The zone.
        zone: String,
        /// Why.
        reason: String,
    }
    /// Somebody proposes that the isolation of a zone be lifted. It stands until another person confirms that, within an hour.
    ZoneLiftProposed = "SP-5502" "zone.lift-proposed" Warning Process Fails "2.1 RE 4" {
        /// The isolation.
        isolation: String,
        /// The zone.
        zone: String,
        /// Why.
        reason: String,
    }
    /// The isolation of a zone was lifted.
    ZoneLifted = "SP-5503" "zone.lifted" Alert Process Fails "2.1 RE 4, 5.2 RE 2" {
        /// The isolation.
        isolation: String,
        /// The zone.
        zone: String,
        /// Who had proposed it.
        proposed_by: String,
        /// Why, as whoever confirmed it says.
        reason: String,
    }
    /// Somebody asks others to approve what a grant of theirs gives only then.
    RequestMade = "SP-5601" "request.made" Warning Identity Fails "2.1 RE 4" {
        /// Who.
        identity: String,
        /// The address they came from.
        source: String,
        /// The request.
        request: String,
        /// For which asset.
        asset: String,
        /// For which of its services.
        services: Vec<String>,
        /// For how long, in seconds, from the moment at which enough have approved it.
        seconds: i64,
        /// Why, in their own words.
        reason: String,
        /// The permit to work, or ticket.
        permit: Option<String>,
        /// The grant, whose approval it asks for and of how many.
        rule: String,
        /// The first moment at which nobody can approve it any more.
        waits_until: Timestamp,
    }
    /// Somebody approves the request of somebody else.
    RequestApproved = "SP-5602" "request.approved" Notice Process Fails "2.1 RE 4" {
        /// Who had asked. The actor is who approves.
        identity: String,
        /// The request.
        request: String,
        /// For which asset.
        asset: String,
        /// The address that the approver came from.
        source: String,
        /// By which second factor they were known, proven for this.
        factor: String,
        /// How many have approved it by now.
        given: u64,
        /// How many must.
        needed: u64,
        /// Where enough have: the first moment at which it is over.
        until: Option<Timestamp>,
    }
    /// Somebody who might have approved a request, or an administrator, denies it, also after others had approved it. It gives nothing any more.
    RequestDenied = "SP-5603" "request.denied" Notice Process Fails "2.1 RE 4" {
        /// Who had asked. The actor is who denies.
        identity: String,
        /// The request.
        request: String,
        /// For which asset.
        asset: String,
        /// Why, in their own words.
        reason: String,
    }
    /// Whoever asked does not ask any more, or a restore has ended it. The request gives nothing any more.
    RequestWithdrawn = "SP-5604" "request.withdrawn" Notice Process Fails "2.1 RE 4" {
        /// Who had asked.
        identity: String,
        /// The request.
        request: String,
        /// For which asset.
        asset: String,
    }
    /// A session begins by what others have approved.
    RequestUsed = "SP-5605" "request.used" Info Identity Fails "2.1 RE 4" {
        /// Who.
        identity: String,
        /// The session.
        session: String,
        /// The request.
        request: String,
    }
    /// Everything sealed was sealed again with a new master key.
    SecretsRekeyed = "SP-5302" "secrets.rekeyed" Notice Process Fails "4.3" {
        /// How many values.
        count: u64,
    }

    /// One of the broker's own keys was changed, or its next one made. Of the evidence key this entry is the old one's last signature: from
    /// the next entry on, the new one signs.
    SecretsRotated = "SP-5305" "secrets.rotated" Warning Process Fails "1.8, 4.3" {
        /// Which: `host-key`, `host-ca`, `user-ca` or `evidence`.
        key: String,
        /// What was done: `staged`, `in use`, `in use at once` or `old ones dropped`.
        step: String,
        /// The public half of the key in use until then, or of the one that was dropped.
        old: Option<String>,
        /// The public half of the new one.
        new: Option<String>,
    }

    /// Rows from before there were MACs over rows carry one now: those that the audit chain tells of. Written once.
    RowsAdopted = "SP-5303" "rows.adopted" Notice Process Fails "3.4" {
        /// How many of each table.
        rows: Vec<String>,
        /// How many of each table were left out, because the audit chain does not tell of them as they are. They count as not there.
        left: Vec<String>,
    }
    /// An administrator had rows without a MAC adopted.
    RowsAdoptedByHand = "SP-5304" "rows.adopted-by-hand" Warning Process Fails "3.4" {
        /// How many.
        count: u64,
        /// Which, by table and key; the first thousand.
        rows: Vec<String>,
    }

    /// A broker has started.
    BrokerStarted = "SP-6001" "broker.started" Notice Process Fails "2.8" {
        /// Its release.
        version: String,
        /// When it was last heard of before; none for its first start.
        broker_seen_at: Option<Timestamp>,
    }
    /// The installation was restored from a backup, and what was open at the time of that is closed. What happened between the
    /// last entry of the backup and this one is not in this chain: people locked, factors taken, codes spent since then are as before.
    InstallationRestored = "SP-6010" "installation.restored" Alert Process Fails "7.3, 7.4" {
        /// The last entry of the backup, as number and hash.
        head: Option<String>,
        /// When that happened.
        backup_of: Option<Timestamp>,
        /// Leases that count no more.
        leases: u64,
        /// Write windows that are closed.
        windows: u64,
        /// Requests for an approval that were open or approved.
        requests: u64,
        /// Logins that waited for a confirmation.
        confirmations: u64,
        /// Invitations that were not used.
        invitations: u64,
    }
    /// A broker stops in good order.
    BrokerStopped = "SP-6002" "broker.stopped" Notice Process Spools "2.8" {
        /// Why.
        reason: String,
    }
    /// A broker took its name from another of which it was not known whether it lives, as the administrator asked
    /// (`serve --takeover`); the other's sessions are closed.
    BrokerTakenOver = "SP-6005" "broker.taken_over" Warning Process Fails "2.8" {
        /// When a broker of that name was last heard of.
        broker_seen_at: Option<Timestamp>,
    }
    /// A broker did not start, because another of its name lives or runs beside the same state. It is the one that was refused
    /// that says so.
    BrokerRefused = "SP-6006" "broker.refused" Warning Process Fails "2.8" {
        /// When the other was last heard of, where that is known.
        broker_seen_at: Option<Timestamp>,
        /// Why, in full.
        reason: String,
    }
    /// A broker started while the database was away: until it is back, only emergencies are served, by what was kept on local disk.
    EmergenciesOnly = "SP-6007" "broker.emergencies-only" Alert Process Spools "2.1 RE 3, 2.10" {
        /// Why the database is away.
        reason: String,
        /// When what was kept was read from the database.
        snapshot_of: Timestamp,
    }
    /// A broker that runs has taken these from its configuration anew (SIGHUP).
    BrokerReloaded = "SP-6009" "broker.reloaded" Notice Process Spools "2.8, 7.6" {
        /// What its host certificate is for.
        names: Vec<String>,
        /// The fingerprints of the authorities whose user certificates count.
        user_authorities: Vec<String>,
        /// The keys and certificates that no longer count.
        revoked: Vec<String>,
    }
    /// The clock moved otherwise than time passed.
    ClockJumped = "SP-6003" "clock.jumped" Warning Process Spools "2.11" {
        /// By how much, in microseconds; negative is backwards.
        micros: i64,
    }
    /// The space for recordings crossed a mark.
    DiskWatermark = "SP-6004" "disk.watermark" Warning Process Spools "2.9 RE 1" {
        /// ok, low, very-low or critical. At critical no new session begins.
        level: String,
        /// Bytes free.
        free_bytes: u64,
        /// When it will be full at this pace, if it fills.
        full_at: Option<Timestamp>,
    }
    /// The recordings of an emergency found the disk full, and the room that is kept for them is being spent: no ordinary session can
    /// be recorded until there is room again.
    ReserveOpened = "SP-6008" "disk.reserve-opened" Alert Process Spools "2.9 RE 1" {
        /// Bytes that are left of it.
        left_bytes: u64,
    }

    /// `check --live` has tried on a canary what must fail, and it failed; what must succeed did.
    LiveCheckHeld = "SP-6101" "check.held" Notice Process Fails "3.3" {
        /// The release of the program.
        version: String,
        /// How many tries.
        tried: u64,
        /// What came of each, with the requirement that it is evidence for.
        results: Vec<String>,
    }
    /// `check --live` has tried on a canary what must fail, and some of it succeeded; or what must succeed did not, so that nothing is proven.
    LiveCheckFailed = "SP-6102" "check.failed" Alert Process Fails "3.3" {
        /// The release of the program.
        version: String,
        /// How many tries.
        tried: u64,
        /// Those that came otherwise than they must.
        failed: Vec<String>,
        /// What came of each, with the requirement that it is evidence for.
        results: Vec<String>,
    }
    /// `check --assets` has tried a service of an asset: whether it answers, shows the pinned key, and takes its accounts' credentials.
    AssetTried = "SP-6103" "asset.tried" Notice Process Fails "1.2, 3.3" {
        /// The asset.
        asset: String,
        /// Its service.
        service: String,
        /// Where that is.
        address: String,
        /// Whether everything that was tried is as it must be.
        fits: bool,
        /// What came of each try.
        results: Vec<String>,
        /// What stands for the session in the asset's own log, where certificates were tried.
        trial: String,
    }

    /// Events that waited on disk while the database was away are now in the chain.
    AuditReconciled = "SP-7001" "audit.reconciled" Warning Process Fails "2.10" {
        /// How many events entered.
        events: u64,
        /// How many were in the chain already.
        known: u64,
        /// The first one's time.
        first_at: Timestamp,
        /// The last one's time.
        last_at: Timestamp,
    }
    /// The file of waiting events was changed or damaged; it is kept aside. What stood before the damage has entered.
    AuditSpoolDamaged = "SP-7002" "audit.spool-damaged" Alert Process Fails "3.9" {
        /// The first line that is not as it was written.
        line: u64,
        /// What is wrong with it.
        detail: String,
        /// Where the file is kept.
        kept_as: String,
    }
    /// Entries this process had written are gone from the chain, or are others now.
    AuditRewritten = "SP-7003" "audit.rewritten" Alert Process Fails "3.9" {
        /// The number of the entry that is missing or different.
        seq: i64,
        /// The hash it had.
        expected: String,
    }
    /// Somebody exported the audit chain.
    AuditExported = "SP-7004" "audit.exported" Notice Process Fails "6.1" {
        /// The first entry's number.
        first: i64,
        /// The last entry's number.
        last: i64,
    }
    /// A row that would let somebody in is not as a broker wrote it, or not the last that a broker wrote: it counts as not there.
    /// Somebody else writes the database. Written once per row in a quarter of an hour.
    RowRefused = "SP-7005" "row.refused" Alert Process Fails "3.4" {
        /// The table.
        table: String,
        /// The row's key.
        row: String,
        /// What is wrong with it.
        reason: String,
    }

    /// A receiver of events takes them more slowly than they come, or its queue on disk takes none: from here on events are lost
    /// for it. They are in the chain all the same.
    OutboundLossBegan = "SP-7101" "outbound.loss-began" Alert Process Spools "2.10" {
        /// The receiver.
        receiver: String,
        /// What its queue lacks: room, or a disk that can be written.
        reason: String,
    }
    /// The queue of a receiver takes events again.
    OutboundLossEnded = "SP-7102" "outbound.loss-ended" Warning Process Spools "2.10" {
        /// The receiver.
        receiver: String,
        /// How many events were lost for it.
        lost: u64,
    }
    /// The queue of a receiver was cut, changed or removed by somebody else: events that waited in it are lost for the receiver.
    OutboundQueueDamaged = "SP-7103" "outbound.queue-damaged" Alert Process Spools "3.9" {
        /// The receiver.
        receiver: String,
        /// In how many places.
        places: u64,
    }
    /// A receiver has refused an event again and again, for what it is: it was passed over, so that later ones come through.
    OutboundRefused = "SP-7104" "outbound.refused" Warning Process Spools "2.10" {
        /// The receiver.
        receiver: String,
        /// The event's id; nothing for a head of the chain.
        id: Option<String>,
        /// What it said.
        reason: String,
    }

    /// **Somebody has broken the glass**: an emergency was opened, by sealed envelopes (`identity` is `glass`, whoever it was) or by somebody
    /// known with their own factors. It goes on until `ends_at`, and stays due for review by somebody else until then and after.
    GlassBroken = "SP-8001" "break-glass.opened" Alert Identity Spools "2.1 RE 3" {
        /// Who, or `glass`.
        identity: String,
        /// The address they came from.
        source: String,
        /// The name of this opening.
        opening: String,
        /// The break-glass section.
        rule: String,
        /// The numbers of the envelopes; none where somebody known used their own factors.
        envelopes: Vec<i64>,
        /// Why, in their own words.
        reason: String,
        /// When it is over.
        ends_at: Timestamp,
        /// How soon somebody else must have looked at it.
        review_until: Timestamp,
        /// Whether the clock was believed then: it had not jumped.
        clock_trusted: bool,
        /// Whether the database answered then; without it, the envelope was checked against the snapshot.
        database: bool,
    }
    /// The same person, or somebody at the same address with the same code, came back into an emergency that goes on.
    GlassEnteredAgain = "SP-8002" "break-glass.entered-again" Warning Identity Spools "2.1 RE 3" {
        /// Who, or `glass`.
        identity: String,
        /// The address they came from.
        source: String,
        /// The opening.
        opening: String,
    }
    /// What was offered as an envelope's code opens nothing.
    GlassRefused = "SP-8003" "break-glass.refused" Warning Identity Fails "1.11" {
        /// `glass`.
        identity: String,
        /// The address it came from.
        source: String,
        /// The envelope, where its code was right.
        envelope: Option<i64>,
        /// Why it opens nothing, in full.
        reason: String,
    }
    /// One envelope opened two emergencies, on brokers that could not see each other. One of the two knew a code that it should not have.
    GlassBrokenTwice = "SP-8004" "break-glass.opened-twice" Alert Process Spools "1.5, 2.1 RE 3" {
        /// The envelope.
        envelope: i64,
        /// The opening that was entered first.
        first: String,
        /// The other.
        second: String,
    }
    /// An envelope that had been revoked opened an emergency on a broker that could not know of it.
    GlassBrokenRevoked = "SP-8005" "break-glass.opened-revoked" Alert Process Spools "1.5, 2.1 RE 3" {
        /// The envelope.
        envelope: i64,
        /// The opening.
        opening: String,
    }
    /// Somebody else has looked at an emergency, and says what they think of it.
    GlassReviewed = "SP-8006" "break-glass.reviewed" Notice Process Fails "2.1 RE 3" {
        /// The opening.
        opening: String,
        /// `justified` or `unjustified`.
        verdict: String,
        /// What they say.
        note: String,
    }
    /// Nobody has looked at an emergency in time. Written once a day for as long as that is so.
    GlassReviewOverdue = "SP-8007" "break-glass.review-overdue" Alert Process Fails "2.1 RE 3" {
        /// The opening.
        opening: String,
        /// The break-glass section.
        rule: String,
        /// Until when it was due.
        review_until: Timestamp,
    }

    /// An envelope was spent on a broker that was cut off before its opening was on record. Nobody was let in by it, and it opens nothing any
    /// more; but somebody had typed its code and a reason. Found at the next start of that broker.
    GlassCutOff = "SP-8008" "break-glass.cut-off" Alert Process Spools "2.1 RE 3" {
        /// The envelope.
        envelope: i64,
        /// The name that the opening would have had.
        opening: String,
        /// When it was begun.
        begun_at: Timestamp,
    }

    /// An envelope was sealed: its code was printed once, and is kept nowhere.
    EnvelopeSealed = "SP-8101" "envelope.sealed" Notice Process Fails "1.5, 2.1 RE 3" {
        /// `glass`: under this name the chain keeps what happens to envelopes.
        identity: String,
        /// Its number.
        envelope: i64,
        /// The break-glass section that it opens.
        rule: String,
        /// Who keeps it.
        holder: Option<String>,
        /// When it opens nothing more.
        expires_at: Option<Timestamp>,
    }
    /// An envelope opens nothing any more.
    EnvelopeRevoked = "SP-8102" "envelope.revoked" Notice Process Fails "1.5, 2.1 RE 3" {
        /// `glass`.
        identity: String,
        /// Its number.
        envelope: i64,
        /// Why.
        reason: String,
    }
    /// When an envelope opens nothing more was set anew.
    EnvelopeExpires = "SP-8103" "envelope.expires" Notice Process Fails "1.5, 2.1 RE 3" {
        /// `glass`.
        identity: String,
        /// Its number.
        envelope: i64,
        /// When.
        expires_at: Timestamp,
    }

    /// Somebody tries many different things in a short time: looks for what there is. Told when the number is met, and at each doubling of it.
    ScanDetected = "SP-9001" "detection.scan" Alert Process Spools "6.2" {
        /// Who, where it is one person's doing.
        identity: Option<String>,
        /// From where, where it is one source's doing.
        source: Option<String>,
        /// Many of what: `refused targets`, `refused requests`, `assets`, `names`, `units of` or `functions of` an asset.
        of: String,
        /// How many different ones, at least, within the window.
        count: u64,
        /// The window, in seconds.
        within: u64,
        /// Some of them.
        examples: Vec<String>,
    }
    /// Somebody does one thing again and again, faster than people work or devices are polled. Told when the number is met, and at each doubling
    /// of it.
    StormDetected = "SP-9002" "detection.storm" Warning Process Spools "6.2, 7.1" {
        /// Who.
        identity: Option<String>,
        /// From where, where that is known.
        source: Option<String>,
        /// What: `sessions to`, `requests to` an asset, or refusals of a kind.
        of: String,
        /// How many within the window.
        count: u64,
        /// The window, in seconds.
        within: u64,
    }
    /// Wrong passwords, codes or envelopes come again and again. Told when the number is met, and at each doubling of it.
    GuessingDetected = "SP-9003" "detection.guessing" Alert Process Spools "1.11, 6.2" {
        /// The name that is claimed, where all of them are under one name.
        identity: Option<String>,
        /// Where they come from, where all of them come from one source.
        source: Option<String>,
        /// How many within the window.
        count: u64,
        /// The window, in seconds.
        within: u64,
        /// The kinds of factors.
        factors: Vec<String>,
    }
    /// A first factor of one person is right again and again, and no second one follows: somebody else has their key or password, or wears them
    /// down with questions to confirm. Told when the number is met, and at each doubling of it.
    FactorAloneDetected = "SP-9004" "detection.factor-alone" Alert Process Spools "1.11, 6.2" {
        /// Whose.
        identity: String,
        /// How often within the window.
        count: u64,
        /// The window, in seconds.
        within: u64,
        /// Some of the addresses it came from.
        sources: Vec<String>,
    }
    /// One person has live sessions from two networks that are not one place. Told once a day for the same two networks.
    TwoPlacesDetected = "SP-9005" "detection.two-places" Alert Process Spools "2.7, 6.2" {
        /// Who.
        identity: String,
        /// From where the later session comes.
        source: String,
        /// The later session.
        session: String,
        /// From where the other comes.
        other_source: String,
        /// The other session.
        other_session: String,
        /// The broker that carries the other.
        other_broker: String,
    }
    /// Somebody changes something, or can, at an hour of the week at which they have not before. Told once a day for a person.
    UnusualHourDetected = "SP-9006" "detection.unusual-hour" Warning Process Spools "6.2" {
        /// Who.
        identity: String,
        /// The session.
        session: String,
        /// The asset.
        asset: String,
        /// The hour of the week.
        hour: String,
        /// How many earlier sessions the usual hours are known from.
        sessions: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_well_formed() {
        let mut codes = std::collections::BTreeSet::new();
        let mut names = std::collections::BTreeSet::new();
        for kind in AuditEvent::KINDS {
            let digits = kind.code.strip_prefix("SP-").unwrap_or_default();
            assert!(digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{}", kind.code);
            assert!(kind.name.split_once('.').is_some_and(|(noun, verb)| !noun.is_empty() && !verb.is_empty()));
            assert!(codes.insert(kind.code), "{} twice", kind.code);
            assert!(names.insert(kind.name), "{} twice", kind.name);
        }
    }

    /// `2.1`, or `2.1 RE 3`: of the seven foundational requirements.
    fn is_requirement(text: &str) -> bool {
        let (number, enhancement) = text.split_once(" RE ").unwrap_or((text, "1"));
        let Some((foundational, system)) = number.split_once('.') else { return false };
        let within = |text: &str, most: u8| text.parse::<u8>().is_ok_and(|number| (1..=most).contains(&number));
        within(foundational, 7) && within(system, 13) && within(enhancement, 4)
    }

    #[test]
    fn every_event_is_evidence_for_a_requirement_that_the_page_for_assessors_has() {
        let page = include_str!("../../../docs/requirements.md");
        // The first column of its first table: `SR 1.1, RE 1, 2, 3: …`.
        let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| SR ")?.split(" | ").next()).collect();
        for kind in AuditEvent::KINDS {
            let code = kind.code;
            if let Some(reason) = kind.serves.strip_prefix("none: ") {
                assert!(reason.len() > 10, "{code} says none, and not why");
                continue;
            }
            assert!(
                !kind.serves.is_empty(),
                "{code} has no requirement: a literal behind its outage, or `none: ` and why"
            );
            for requirement in kind.serves.split(", ") {
                assert!(is_requirement(requirement), "{code}: `{requirement}` is no requirement of IEC 62443-3-3");
                let number = requirement.split(' ').next().unwrap_or_default();
                let named = |row: &&str| {
                    row.split(|c: char| !c.is_ascii_digit() && c != '.')
                        .any(|word| word.trim_end_matches('.') == number)
                };
                assert!(rows.iter().any(named), "{code}: SR {number} has no row in docs/requirements.md");
            }
        }
        for wrong in ["", "none", "8.1", "2.14", "2.1 RE 5", "2", "SR 2.1", "2.1 RE"] {
            assert!(!is_requirement(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_event_carries_its_name_and_finds_its_kind() {
        let event = AuditEvent::IdentityLocked { identity: "alice".into(), reason: "left".into() };
        assert_eq!(event.kind().code, "SP-5102");
        let json = serde_json::to_value(&event).unwrap_or_default();
        assert_eq!(json, serde_json::json!({"event": "identity.locked", "identity": "alice", "reason": "left"}));
    }
}

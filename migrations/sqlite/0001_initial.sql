-- Sallyport, first schema. Types are TEXT, BIGINT and BLOB (BYTEA) only: the one set that both engines read alike.
-- Times are microseconds since the Unix epoch, UTC. Flags are 0 or 1. Sealed columns are encrypted with the master key.

CREATE TABLE identities (
    id             TEXT   PRIMARY KEY,           -- never reused: removed identities keep their row
    display_name   TEXT   NOT NULL DEFAULT '',
    state          TEXT   NOT NULL,              -- active | locked | removed
    state_reason   TEXT   NOT NULL DEFAULT '',
    member_of      TEXT   NOT NULL DEFAULT '[]', -- groups, JSON list
    password_hash  TEXT,                         -- argon2id, PHC string
    valid_until    BIGINT,
    created_at     BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL
);

CREATE TABLE identity_keys (
    fingerprint    TEXT   PRIMARY KEY,           -- SHA256:…
    identity       TEXT   NOT NULL REFERENCES identities (id),
    public_key     TEXT   NOT NULL,              -- OpenSSH line
    kind           TEXT   NOT NULL,              -- key | security-key
    added_at       BIGINT NOT NULL,
    revoked_at     BIGINT
);
CREATE INDEX identity_keys_by_identity ON identity_keys (identity);

CREATE TABLE totp (
    identity       TEXT   PRIMARY KEY REFERENCES identities (id),
    sealed_seed    BLOB   NOT NULL,
    algorithm      TEXT   NOT NULL,
    digits         BIGINT NOT NULL,
    period         BIGINT NOT NULL,
    last_step      BIGINT NOT NULL DEFAULT -1,   -- a code's step must be greater: each code once, on every broker
    failures       BIGINT NOT NULL DEFAULT 0,
    failed_at      BIGINT,
    enrolled_at    BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    identity       TEXT   NOT NULL REFERENCES identities (id),
    code_hash      TEXT   NOT NULL,
    used_at        BIGINT,
    PRIMARY KEY (identity, code_hash)
);

CREATE TABLE leases (
    id             TEXT   PRIMARY KEY,
    identity       TEXT   NOT NULL REFERENCES identities (id),
    credential     TEXT   NOT NULL,              -- fingerprint of the first factor's key, or `password`
    source         TEXT   NOT NULL,              -- address
    factor         TEXT   NOT NULL,              -- the second factor that was proven
    proved_at      BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    revoked_at     BIGINT,
    revoked_by     TEXT
);
CREATE INDEX leases_by_identity ON leases (identity, credential, source);

CREATE TABLE accounts (
    asset          TEXT   NOT NULL,
    account        TEXT   NOT NULL,
    kind           TEXT   NOT NULL,              -- password | key
    sealed         BLOB   NOT NULL,
    public_part    TEXT   NOT NULL DEFAULT '',
    changed_at     BIGINT NOT NULL,
    PRIMARY KEY (asset, account)
);

CREATE TABLE secrets (
    name           TEXT   PRIMARY KEY,           -- check | host-key | host-ca | user-ca | evidence
    sealed         BLOB   NOT NULL,
    public_part    TEXT   NOT NULL DEFAULT '',
    created_at     BIGINT NOT NULL
);

CREATE TABLE plants (
    version        BIGINT PRIMARY KEY,
    files          TEXT   NOT NULL,              -- JSON list of {name, text}: exactly what was applied
    sha256         TEXT   NOT NULL,
    applied_by     TEXT   NOT NULL,
    applied_at     BIGINT NOT NULL
);

CREATE TABLE brokers (
    name           TEXT   PRIMARY KEY,
    started_at     BIGINT NOT NULL,
    seen_at        BIGINT NOT NULL
);

CREATE TABLE sessions (
    id             TEXT   PRIMARY KEY,
    broker         TEXT   NOT NULL,
    identity       TEXT   NOT NULL,
    asset          TEXT   NOT NULL,
    zone           TEXT   NOT NULL,
    service        TEXT   NOT NULL,
    account        TEXT   NOT NULL,
    form           TEXT   NOT NULL,              -- jump | direct | lobby
    source         TEXT   NOT NULL,
    rule           TEXT   NOT NULL,
    terms          TEXT   NOT NULL,              -- JSON
    started_at     BIGINT NOT NULL,
    ended_at       BIGINT,
    ended          TEXT,                         -- the word of its one end
    end_detail     TEXT,
    end_asked_at   BIGINT,
    end_asked_by   TEXT
);
CREATE INDEX sessions_live ON sessions (ended_at, broker);
CREATE INDEX sessions_by_time ON sessions (started_at);

CREATE TABLE recordings (
    session        TEXT   PRIMARY KEY REFERENCES sessions (id),
    broker         TEXT   NOT NULL,
    path           TEXT   NOT NULL,              -- below the recordings directory
    zone           TEXT   NOT NULL,
    state          TEXT   NOT NULL,              -- open | sealed | interrupted | failed | removed
    bytes          BIGINT NOT NULL DEFAULT 0,
    head           TEXT,
    legal_hold     BIGINT NOT NULL DEFAULT 0,
    started_at     BIGINT NOT NULL,
    closed_at      BIGINT,
    removed_at     BIGINT
);
CREATE INDEX recordings_by_time ON recordings (started_at);

CREATE TABLE files (
    session        TEXT   NOT NULL REFERENCES sessions (id),
    number         BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    direction      TEXT   NOT NULL,              -- upload | download
    via            TEXT   NOT NULL,
    path           TEXT   NOT NULL,
    size           BIGINT NOT NULL,
    sha256         TEXT,
    complete       BIGINT NOT NULL,
    PRIMARY KEY (session, number)
);

CREATE TABLE audit (
    seq            BIGINT PRIMARY KEY,           -- 1, 2, 3 …: one chain per database, without gaps
    id             TEXT   NOT NULL UNIQUE,       -- given when the event happens; an event that waited on disk enters once
    at             BIGINT NOT NULL,
    code           TEXT   NOT NULL,
    broker         TEXT   NOT NULL,
    actor          TEXT   NOT NULL,              -- who did it
    identity       TEXT,                         -- whom it is about
    session        TEXT,
    event          TEXT   NOT NULL,              -- canonical JSON
    previous       TEXT   NOT NULL,              -- hash of the entry before
    hash           TEXT   NOT NULL,              -- SHA-256 over every column above
    signature      TEXT                          -- over `hash`, on the last entry of each batch
);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_identity ON audit (identity, seq);
CREATE INDEX audit_by_session ON audit (session, seq);

CREATE TABLE changes (
    only_row       BIGINT PRIMARY KEY,           -- 1
    number         BIGINT NOT NULL               -- grows with every announced write
);
INSERT INTO changes (only_row, number) VALUES (1, 0);

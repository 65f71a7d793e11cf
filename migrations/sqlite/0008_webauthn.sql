-- What the portal needs: passkeys and security keys of people, invitations to enrol the first, and logins that wait for a
-- confirmation there. All of it under MACs, as everything that lets somebody in (0005).

CREATE TABLE webauthn (
    credential TEXT PRIMARY KEY,
    identity   TEXT NOT NULL,
    name       TEXT NOT NULL,
    passkey    TEXT NOT NULL,
    added_at   BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT,
    event      TEXT,
    mac        BLOB
);
CREATE INDEX webauthn_by_identity ON webauthn (identity);

CREATE TABLE invitations (
    hash       TEXT PRIMARY KEY,
    identity   TEXT NOT NULL,
    made_by    TEXT NOT NULL,
    made_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    event      TEXT,
    mac        BLOB
);
CREATE INDEX invitations_by_identity ON invitations (identity);

CREATE TABLE confirmations (
    id          TEXT PRIMARY KEY,
    code        TEXT NOT NULL UNIQUE,
    identity    TEXT NOT NULL,
    credential  TEXT NOT NULL,
    source      TEXT NOT NULL,
    client      TEXT NOT NULL,
    target      TEXT NOT NULL,
    number      BIGINT NOT NULL,
    broker      TEXT NOT NULL,
    asked_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    state       TEXT NOT NULL,
    tries       BIGINT NOT NULL,
    turned_away BIGINT NOT NULL,
    decided_at  BIGINT,
    proven_by   TEXT,
    mac         BLOB
);
CREATE INDEX confirmations_by_identity ON confirmations (identity, state);

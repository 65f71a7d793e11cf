-- Sealed codes for emergencies: what a code is checked against, never the code. Under MACs, as everything that lets somebody in (0005).

CREATE TABLE envelopes (
    number     TEXT PRIMARY KEY,
    rule       TEXT NOT NULL,
    holder     TEXT,
    verifier   TEXT NOT NULL UNIQUE,
    sealed_by  TEXT NOT NULL,
    sealed_at  BIGINT NOT NULL,
    expires_at BIGINT,
    opened_at  BIGINT,
    opening    TEXT,
    revoked_at BIGINT,
    revoked_by TEXT,
    event      TEXT,
    mac        BLOB
);

-- Zones that nobody may reach: the kill switch. What isolates is believed as it stands, here or in the audit chain: what takes away
-- needs no MAC. What lifts it goes under one, with two people behind it (0005).

CREATE TABLE isolations (
    id          TEXT PRIMARY KEY,
    zone        TEXT NOT NULL,
    isolated_at BIGINT NOT NULL,
    isolated_by TEXT NOT NULL,
    reason      TEXT NOT NULL
);

CREATE TABLE isolation_lifts (
    isolation    TEXT NOT NULL,
    zone         TEXT NOT NULL,
    proposed_at  BIGINT NOT NULL,
    proposed_by  TEXT NOT NULL,
    proposed_for TEXT NOT NULL,
    lifted_at    BIGINT,
    lifted_by    TEXT,
    lifted_for   TEXT,
    event        TEXT,
    mac          BYTEA,
    PRIMARY KEY (isolation, zone)
);

-- Write windows: one person may write certain points of an asset for a time. Whether one still holds is for the plant file
-- to say; the row says only who asked for it and when.

CREATE TABLE write_windows (
    id             TEXT   PRIMARY KEY,           -- a ULID
    identity       TEXT   NOT NULL REFERENCES identities (id),
    asset          TEXT   NOT NULL,
    service        TEXT   NOT NULL,
    points         TEXT   NOT NULL,              -- as `register 100-109, tag NAME`
    unit           BIGINT,
    opens_at       BIGINT NOT NULL,
    closes_at      BIGINT NOT NULL,              -- the first moment after it
    opened_by      TEXT   NOT NULL REFERENCES identities (id),
    ticket         TEXT,
    closed_at      BIGINT,                       -- closed before its time
    closed_by      TEXT
);
CREATE INDEX write_windows_by_identity ON write_windows (identity, asset, service);

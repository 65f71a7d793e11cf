-- What people ask others to approve, and who has. Both under MACs, as everything that lets somebody in (0005); what closes a request
-- takes away, and needs none.

CREATE TABLE access_requests (
    id           TEXT PRIMARY KEY,
    identity     TEXT NOT NULL,
    asset        TEXT NOT NULL,
    services     TEXT NOT NULL,
    role         TEXT NOT NULL,
    grant_number BIGINT NOT NULL,
    reason       TEXT NOT NULL,
    permit       TEXT,
    duration     BIGINT NOT NULL,
    source       TEXT NOT NULL,
    asked_at     BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    closed_at    BIGINT,
    closed_by    TEXT,
    closing      TEXT,
    closed_for   TEXT,
    event        TEXT,
    mac          BLOB
);
CREATE INDEX access_requests_by_identity ON access_requests (identity, ends_at);

CREATE TABLE access_approvals (
    request     TEXT NOT NULL,
    approver    TEXT NOT NULL,
    identity    TEXT NOT NULL,
    approved_at BIGINT NOT NULL,
    factor      TEXT NOT NULL,
    event       TEXT,
    mac         BLOB,
    PRIMARY KEY (request, approver)
);

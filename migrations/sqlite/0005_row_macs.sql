-- What lets somebody in carries a MAC under the master key, which is not in the database. Rows from before have none and count
-- as not there until they are adopted, once.
--
-- `mac` is `version (1) | key id (8) | HMAC-SHA-256 (32)` over table, key and every column that counts. What is revoked, used or
-- closed carries none, so that clearing the date does not bring it back. `event` names the entry of the audit chain that the row
-- goes with: a row that is put back to what it was before no longer fits the chain.

ALTER TABLE identities     ADD COLUMN event TEXT;
ALTER TABLE identities     ADD COLUMN mac BLOB;
ALTER TABLE identity_keys  ADD COLUMN event TEXT;
ALTER TABLE identity_keys  ADD COLUMN mac BLOB;
ALTER TABLE totp           ADD COLUMN event TEXT;
ALTER TABLE totp           ADD COLUMN mac BLOB;
ALTER TABLE recovery_codes ADD COLUMN event TEXT;
ALTER TABLE recovery_codes ADD COLUMN mac BLOB;
ALTER TABLE leases         ADD COLUMN event TEXT;
ALTER TABLE leases         ADD COLUMN mac BLOB;
ALTER TABLE write_windows  ADD COLUMN event TEXT;
ALTER TABLE write_windows  ADD COLUMN mac BLOB;
ALTER TABLE plants         ADD COLUMN event TEXT;
ALTER TABLE plants         ADD COLUMN mac BLOB;

-- The chain is asked at every login what it holds of one person's enrolment.
CREATE INDEX audit_by_code ON audit (code, identity, seq);

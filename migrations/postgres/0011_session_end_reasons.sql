-- Why somebody asked for a session's end: its person reads it.

ALTER TABLE sessions ADD COLUMN end_asked_for TEXT;

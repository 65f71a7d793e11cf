-- Which run of which installation bears a broker's name; empty once it has stopped in good order.

ALTER TABLE brokers ADD COLUMN instance TEXT NOT NULL DEFAULT 'unknown';

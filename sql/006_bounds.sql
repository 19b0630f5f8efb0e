-- Sessions are looked up by their end: those that are open, since nginx may have lost them, and
-- the oldest closed ones, which go as the audit's rows do. MariaDB repeats these safely.
ALTER TABLE sessions
  ADD KEY /*M! IF NOT EXISTS */ sessions_ended (ended_at);

-- Whether the recordings of this owner's streams take as much as DUOLU_REC_QUOTA, the share of
-- whoever has no rec_quota: then nothing more is recorded, and nothing deleted. duolu-auth sets it.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ rec_full TINYINT UNSIGNED NOT NULL DEFAULT 0;

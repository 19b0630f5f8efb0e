-- The service looks sessions up by their end: open ones, which nginx may have lost, and the
-- oldest closed ones, to delete them. MariaDB can safely repeat these.
ALTER TABLE sessions
  ADD KEY /*M! IF NOT EXISTS */ sessions_ended (ended_at);

-- The recordings of this owner, who has no rec_quota, have reached DUOLU_REC_QUOTA: recording
-- stops, nothing is deleted. duolu-auth sets it.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ rec_full TINYINT UNSIGNED NOT NULL DEFAULT 0;

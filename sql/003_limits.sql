-- revocations has taken the place of tokens_not_before; changed tells a row changed by hand
-- from one whose revocation is written already. MariaDB repeats these safely.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ max_publishers INT UNSIGNED NOT NULL DEFAULT 0,   -- at once; 0: no limit
  ADD COLUMN /*M! IF NOT EXISTS */ changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
    ON UPDATE CURRENT_TIMESTAMP(3),
  ADD KEY /*M! IF NOT EXISTS */ users_disabled (disabled),
  DROP COLUMN /*M! IF EXISTS */ tokens_not_before;

ALTER TABLE streams
  DROP COLUMN /*M! IF EXISTS */ tokens_not_before;

ALTER TABLE devices
  ADD COLUMN /*M! IF NOT EXISTS */ changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
    ON UPDATE CURRENT_TIMESTAMP(3),
  ADD KEY /*M! IF NOT EXISTS */ devices_changed (changed);

-- the keys that were revoked before there was anybody to tell
INSERT IGNORE INTO revocations (device_id, pending)
  SELECT id, 0 FROM devices WHERE revoked_at IS NOT NULL;

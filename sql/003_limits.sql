-- The table revocations replaces tokens_not_before. By `changed` the service recognises rows
-- that were changed by hand after their last revocation. MariaDB can safely repeat these.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ max_publishers INT UNSIGNED NOT NULL DEFAULT 0,   -- at the same time; 0: no limit
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

-- keys revoked before this table existed: their sessions have ended
INSERT IGNORE INTO revocations (device_id, pending)
  SELECT id, 0 FROM devices WHERE revoked_at IS NOT NULL;

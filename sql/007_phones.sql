-- The list of phones shows when each device was last there, from where and with which program,
-- and why its last session ended. An open session has the first three; when it ends, they go to
-- the device, whose row outlives the session's. MariaDB can safely repeat these.
ALTER TABLE devices
  ADD COLUMN /*M! IF NOT EXISTS */ last_seen DATETIME(3) NULL,
  ADD COLUMN /*M! IF NOT EXISTS */ address VARCHAR(45) NOT NULL DEFAULT '',
  ADD COLUMN /*M! IF NOT EXISTS */ agent VARCHAR(64) NOT NULL DEFAULT '',     -- as the program names itself
  ADD COLUMN /*M! IF NOT EXISTS */ end_reason VARCHAR(128) NOT NULL DEFAULT '';

ALTER TABLE sessions
  ADD COLUMN /*M! IF NOT EXISTS */ agent VARCHAR(64) NOT NULL DEFAULT '',
  ADD KEY /*M! IF NOT EXISTS */ sessions_device (device_id);

UPDATE devices d
  JOIN (SELECT device_id, MAX(id) AS id FROM sessions WHERE device_id IS NOT NULL GROUP BY device_id) n
    ON n.device_id = d.id
  JOIN sessions x ON x.id = n.id
  SET d.last_seen = COALESCE(x.ended_at, x.started_at), d.address = x.address, d.end_reason = x.reason,
    d.changed = d.changed
  WHERE d.last_seen IS NULL;

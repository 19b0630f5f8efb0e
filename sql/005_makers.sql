-- Keys and grants end when their maker loses the right to manage the stream: made_by is the
-- user who took the key or gave the grant by that right. 0 means no maker: keys made by duoluctl
-- or by hand; grants of the owner, an admin, duoluctl or made by hand. No foreign key: the gate
-- refuses a key whose maker was deleted, and duolu-auth revokes it. MariaDB can safely repeat these.
ALTER TABLE devices
  ADD COLUMN /*M! IF NOT EXISTS */ made_by BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD KEY /*M! IF NOT EXISTS */ devices_made_by (made_by);

-- if two managers give the same grant, each has a row, so that one can end without the other
ALTER TABLE grants
  ADD COLUMN /*M! IF NOT EXISTS */ made_by BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD KEY /*M! IF NOT EXISTS */ grants_made_by (made_by),
  ADD UNIQUE KEY /*M! IF NOT EXISTS */ grants_by_maker (who, what, made_by),
  DROP KEY /*M! IF EXISTS */ grants_once;

-- Find the makers of older keys in the audit, as far as it reaches back. A maker who was deleted
-- since then becomes an id that no user has, so that the key ends.
UPDATE devices d
  JOIN streams s ON s.id = d.stream_id
  JOIN audit a ON a.action IN ('key rotate', 'stream add') AND a.outcome = 'ok'
    AND a.at BETWEEN d.created_at AND d.created_at + INTERVAL 10 SECOND
    AND a.target = CONCAT(s.app, '/', s.name) AND a.actor <> 'duoluctl'
  LEFT JOIN users u ON u.name = a.actor
  SET d.made_by = COALESCE(u.id, 18446744073709551615), d.changed = d.changed
  WHERE d.made_by = 0 AND d.revoked_at IS NULL;

-- What a manager made ends with the manager: made_by is the user who took the key, or gave the
-- grant, by the right to manage the stream. 0 is nobody: a key of duoluctl or made by hand, a
-- grant of the owner, an admin, duoluctl or made by hand. No foreign key: a key whose maker was
-- deleted is refused, and duolu-auth ends it. MariaDB repeats these safely.
ALTER TABLE devices
  ADD COLUMN /*M! IF NOT EXISTS */ made_by BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD KEY /*M! IF NOT EXISTS */ devices_made_by (made_by);

-- each maker has a row of their own for the same grant, so that one ends without the other
ALTER TABLE grants
  ADD COLUMN /*M! IF NOT EXISTS */ made_by BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD KEY /*M! IF NOT EXISTS */ grants_made_by (made_by),
  ADD UNIQUE KEY /*M! IF NOT EXISTS */ grants_by_maker (who, what, made_by),
  DROP KEY /*M! IF EXISTS */ grants_once;

-- Keys that the page gave out before this: the audit knows to whom, as far as it reaches back.
-- Somebody who is deleted by now is nobody's id, so that the key ends.
UPDATE devices d
  JOIN streams s ON s.id = d.stream_id
  JOIN audit a ON a.action IN ('key rotate', 'stream add') AND a.outcome = 'ok'
    AND a.at BETWEEN d.created_at AND d.created_at + INTERVAL 10 SECOND
    AND a.target = CONCAT(s.app, '/', s.name) AND a.actor <> 'duoluctl'
  LEFT JOIN users u ON u.name = a.actor
  SET d.made_by = COALESCE(u.id, 18446744073709551615), d.changed = d.changed
  WHERE d.made_by = 0 AND d.revoked_at IS NULL;

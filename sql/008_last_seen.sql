-- When the last publisher of a stream left, in unix milliseconds; 0: there was none. The rows of
-- sessions, which have it too, are deleted after some months. MariaDB can safely repeat these.
ALTER TABLE streams
  ADD COLUMN /*M! IF NOT EXISTS */ last_seen_ms BIGINT UNSIGNED NOT NULL DEFAULT 0;

UPDATE streams s
  JOIN (SELECT stream_id, MAX(ended_at) AS at FROM sessions WHERE kind = 'publish' GROUP BY stream_id) x
    ON x.stream_id = s.id
  SET s.last_seen_ms = GREATEST(s.last_seen_ms, CAST(UNIX_TIMESTAMP(x.at) * 1000 AS UNSIGNED))
  WHERE x.at IS NOT NULL;

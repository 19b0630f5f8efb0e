-- Revocations of a user, a stream, a user on a stream, or a key; 0 matches any. Each has one
-- row, with its newest time. Media tokens made in that second or before are void, and
-- duolu-auth tells nginx of every pending row; nginx ends the sessions that began by then.
-- If you disable a user or revoke a key by hand, duolu-auth adds the row within a second.
-- Otherwise add it by hand, for a user, a stream, or, after deleting a grant, for both:
--   REPLACE INTO revocations (user_id)   SELECT id FROM users WHERE name = 'bob';
--   REPLACE INTO revocations (stream_id) SELECT id FROM streams WHERE app = 'live' AND name = 'demo';
--   REPLACE INTO revocations (user_id, stream_id) VALUES (7, 3);
-- No foreign keys, since no row has the id 0.
CREATE TABLE IF NOT EXISTS revocations (
  user_id   BIGINT UNSIGNED NOT NULL DEFAULT 0,
  stream_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  device_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  at        BIGINT UNSIGNED NOT NULL DEFAULT (UNIX_TIMESTAMP()),   -- unix seconds
  pending   TINYINT UNSIGNED NOT NULL DEFAULT 1,                   -- nginx does not know it yet
  changed   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (user_id, stream_id, device_id),
  KEY revocations_pending (pending, changed),
  KEY revocations_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO revocations (user_id, at)
  SELECT id, tokens_not_before FROM users WHERE tokens_not_before > 0;

INSERT IGNORE INTO revocations (stream_id, at)
  SELECT id, tokens_not_before FROM streams WHERE tokens_not_before > 0;

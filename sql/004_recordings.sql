-- Recordings, one row for each file. The files are the truth: `duoluctl reindex` makes the
-- rows anew from them, except for `keep`, which only this table has. A recording belongs to
-- the stream that has its app and name now, since nginx finds the file by them; stream_id is
-- the stream that made it, until that is deleted. Times are unix milliseconds, UTC.
CREATE TABLE IF NOT EXISTS recordings (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  stream_id  BIGINT UNSIGNED NULL,
  app        VARCHAR(32) NOT NULL,
  name       VARCHAR(128) NOT NULL,
  file       VARCHAR(255) NOT NULL,                 -- below the folder of recordings
  format     ENUM('mp4','flv') NOT NULL,
  session    BIGINT UNSIGNED NOT NULL DEFAULT 0,    -- the same for all files of one broadcast
  started_ms BIGINT UNSIGNED NOT NULL,
  ended_ms   BIGINT UNSIGNED NULL,                  -- NULL while it is being written
  bytes      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  state      ENUM('recording','complete','interrupted') NOT NULL,
  reason     VARCHAR(200) NOT NULL DEFAULT '',      -- why it ended
  keep       TINYINT UNSIGNED NOT NULL DEFAULT 0,   -- retention does not delete it
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY recordings_file (file),
  KEY recordings_started (started_ms),
  KEY recordings_name (app, name, started_ms),
  KEY recordings_stream (stream_id),
  CONSTRAINT recordings_stream FOREIGN KEY (stream_id) REFERENCES streams (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- With record_policy 'demand': recording is switched on. When you change it by hand, the
-- service tells nginx within seconds.
ALTER TABLE streams
  ADD COLUMN /*M! IF NOT EXISTS */ record_on TINYINT UNSIGNED NOT NULL DEFAULT 0;

-- Limit in bytes for the recordings of all streams of this owner; 0: no limit.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ rec_quota BIGINT UNSIGNED NOT NULL DEFAULT 0;

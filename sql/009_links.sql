-- A link shows a span of a stream's recordings (clip), or the stream live until the link expires
-- (live), to whoever has its address, without an account. A link's token is stored as its SHA-256,
-- as keys are. made_by is the user who made it: the link ends when that user may no longer share
-- the stream; 0: duoluctl or by hand. To end one by hand, which duolu-auth notices:
--   UPDATE links SET revoked_at = UTC_TIMESTAMP() WHERE id = 7;
CREATE TABLE IF NOT EXISTS links (
  id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  token_hash    BINARY(32) NOT NULL,
  stream_id     BIGINT UNSIGNED NOT NULL,
  kind          ENUM('clip','live') NOT NULL,
  from_ms       BIGINT UNSIGNED NOT NULL DEFAULT 0,     -- of a clip, unix milliseconds, as the others
  to_ms         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  expires_ms    BIGINT UNSIGNED NOT NULL,
  label         VARCHAR(200) NOT NULL DEFAULT '',       -- the title of its page, or '' for the stream's
  password_hash VARCHAR(128) NOT NULL DEFAULT '',       -- argon2id, or '' without a password
  views         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  made_by       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  revoked_at    DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY links_token (token_hash),
  KEY links_stream (stream_id),
  KEY links_made_by (made_by),
  KEY links_revoked (revoked_at),
  CONSTRAINT links_stream FOREIGN KEY (stream_id) REFERENCES streams (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

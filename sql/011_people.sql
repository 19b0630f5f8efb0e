-- Links by which a user sets a password: an invitation, or a reset of a forgotten password.
-- A user without a password (password_hash '') cannot log in until the link is used. Each user
-- has at most one row: a new link replaces the old one. The table stores a hash, never the link.
CREATE TABLE IF NOT EXISTS invites (
  token_hash BINARY(32) NOT NULL,
  user_id    BIGINT UNSIGNED NOT NULL,
  kind       ENUM('invite','reset') NOT NULL,
  made_by    BIGINT UNSIGNED NOT NULL DEFAULT 0,    -- the admin, without whom it is void (0: duoluctl)
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  expires_at DATETIME(3) NOT NULL,
  used_at    DATETIME(3) NULL,
  PRIMARY KEY (token_hash),
  UNIQUE KEY invites_user (user_id),
  CONSTRAINT invites_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A person's name in any language, for people to read; "": show the user name. Rights know only
-- the user name. MariaDB can safely repeat this.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ display_name VARCHAR(80) NOT NULL DEFAULT '';

-- The name of a deleted stream, whose old tokens must stay void when the name is taken again; ""
-- while the stream exists.
ALTER TABLE revocations
  ADD COLUMN /*M! IF NOT EXISTS */ stream_name VARCHAR(161) NOT NULL DEFAULT '';

-- Streams that were deleted with their recordings: duolu-auth deletes the files, also one that is
-- still being written, and then the row. Until then no new stream can take the name.
CREATE TABLE IF NOT EXISTS recording_deletions (
  app      VARCHAR(32) NOT NULL,
  name     VARCHAR(128) NOT NULL,
  asked_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (app, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The second step of a login, if the user has turned it on: the secret of an authenticator app
-- (RFC 6238, base32), and the time step of the newest code, which is taken only once.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ totp_secret VARCHAR(32) NOT NULL DEFAULT '',
  ADD COLUMN /*M! IF NOT EXISTS */ totp_on TINYINT UNSIGNED NOT NULL DEFAULT 0,     -- 0: not confirmed yet
  ADD COLUMN /*M! IF NOT EXISTS */ totp_step BIGINT UNSIGNED NOT NULL DEFAULT 0;

-- Codes for a login without the phone, each for one. The table stores hashes of 80 random bits.
CREATE TABLE IF NOT EXISTS recovery_codes (
  user_id   BIGINT UNSIGNED NOT NULL,
  code_hash BINARY(32) NOT NULL,
  PRIMARY KEY (user_id, code_hash),
  CONSTRAINT recovery_codes_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

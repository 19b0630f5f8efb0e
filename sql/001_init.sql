-- The data model. Every table has a primary key; ids may have gaps.
-- Text compares byte by byte (utf8mb4_bin), so names are case-sensitive.
-- Times are UTC. The service sets the session's time zone; do the same before you
-- change rows by hand: SET time_zone = '+00:00'.

CREATE TABLE IF NOT EXISTS users (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name              VARCHAR(64) NOT NULL,
  password_hash     VARCHAR(128) NOT NULL,          -- argon2id, as libsodium writes it
  admin             TINYINT UNSIGNED NOT NULL DEFAULT 0,
  disabled          TINYINT UNSIGNED NOT NULL DEFAULT 0,
  tokens_not_before BIGINT UNSIGNED NOT NULL DEFAULT 0,  -- unix seconds: media tokens made until then are void
  created_at        DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY users_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- "groups" is a reserved word in MySQL 8.
CREATE TABLE IF NOT EXISTS user_groups (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name       VARCHAR(64) NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY user_groups_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS group_members (
  group_id BIGINT UNSIGNED NOT NULL,
  user_id  BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (group_id, user_id),
  KEY group_members_user (user_id),
  CONSTRAINT group_members_group FOREIGN KEY (group_id) REFERENCES user_groups (id) ON DELETE CASCADE,
  CONSTRAINT group_members_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS streams (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  app               VARCHAR(32) NOT NULL,
  name              VARCHAR(128) NOT NULL,
  owner_id          BIGINT UNSIGNED NOT NULL,
  title             VARCHAR(200) NOT NULL DEFAULT '',
  visibility        ENUM('private','public') NOT NULL DEFAULT 'private',  -- public: every user who is logged in may view
  record_policy     ENUM('never','always','demand') NOT NULL DEFAULT 'never',
  max_kbps          INT UNSIGNED NOT NULL DEFAULT 0,      -- 0: no limit
  max_viewers       INT UNSIGNED NOT NULL DEFAULT 0,      -- 0: no limit
  tokens_not_before BIGINT UNSIGNED NOT NULL DEFAULT 0,
  created_at        DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY streams_name (app, name),
  KEY streams_owner (owner_id),
  CONSTRAINT streams_owner FOREIGN KEY (owner_id) REFERENCES users (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row is one revocable publishing key, held by one device of one user.
CREATE TABLE IF NOT EXISTS devices (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  stream_id  BIGINT UNSIGNED NOT NULL,
  user_id    BIGINT UNSIGNED NOT NULL,
  label      VARCHAR(64) NOT NULL DEFAULT '',
  key_hash   BINARY(32) NOT NULL,                   -- SHA-256 of the key's text
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  revoked_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY devices_key (key_hash),
  KEY devices_stream (stream_id),
  KEY devices_user (user_id),
  CONSTRAINT devices_stream FOREIGN KEY (stream_id) REFERENCES streams (id) ON DELETE CASCADE,
  CONSTRAINT devices_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The rights of a user or a group on a stream or a whole app.
CREATE TABLE IF NOT EXISTS grants (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id    BIGINT UNSIGNED NULL,
  group_id   BIGINT UNSIGNED NULL,
  stream_id  BIGINT UNSIGNED NULL,
  app        VARCHAR(32) NULL,
  rights     SET('publish','view','replay','manage') NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  -- a unique key never finds two NULLs equal, so it uses these two columns
  who        VARCHAR(24) AS (CONCAT(IF(user_id IS NULL, 'g', 'u'), COALESCE(user_id, group_id))) VIRTUAL,
  what       VARCHAR(40) AS (IF(stream_id IS NULL, CONCAT('a', app), CONCAT('s', stream_id))) VIRTUAL,
  PRIMARY KEY (id),
  UNIQUE KEY grants_once (who, what),
  KEY grants_user (user_id),
  KEY grants_group (group_id),
  KEY grants_stream (stream_id),
  KEY grants_app (app),
  CONSTRAINT grants_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT grants_group FOREIGN KEY (group_id) REFERENCES user_groups (id) ON DELETE CASCADE,
  CONSTRAINT grants_stream FOREIGN KEY (stream_id) REFERENCES streams (id) ON DELETE CASCADE,
  CONSTRAINT grants_one_who CHECK ((user_id IS NULL) <> (group_id IS NULL)),
  CONSTRAINT grants_one_what CHECK ((stream_id IS NULL) <> (app IS NULL))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Logins of the page. The table stores a hash, never the cookie itself.
CREATE TABLE IF NOT EXISTS web_sessions (
  token_hash BINARY(32) NOT NULL,
  user_id    BIGINT UNSIGNED NOT NULL,
  address    VARCHAR(45) NOT NULL DEFAULT '',
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  expires_at DATETIME(3) NOT NULL,
  PRIMARY KEY (token_hash),
  KEY web_sessions_user (user_id),
  KEY web_sessions_expiry (expires_at),
  CONSTRAINT web_sessions_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Publishers and RTMP players that the gate let in. No foreign keys: rows outlive their user and stream.
CREATE TABLE IF NOT EXISTS sessions (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  kind         ENUM('publish','play') NOT NULL,
  gate_session VARCHAR(64) NOT NULL,                -- nginx's id of the session
  user_id      BIGINT UNSIGNED NOT NULL,
  stream_id    BIGINT UNSIGNED NOT NULL,
  device_id    BIGINT UNSIGNED NULL,
  address      VARCHAR(45) NOT NULL DEFAULT '',
  started_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  ended_at     DATETIME(3) NULL,
  bytes        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  seconds      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  reason       VARCHAR(128) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY sessions_gate (gate_session),
  KEY sessions_stream (stream_id, started_at),
  KEY sessions_user (user_id, started_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row per login, publish, play, refusal and change.
CREATE TABLE IF NOT EXISTS audit (
  id      BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  actor   VARCHAR(64) NOT NULL DEFAULT '',          -- user name, or "duoluctl"
  action  VARCHAR(32) NOT NULL,
  outcome ENUM('ok','denied') NOT NULL,
  target  VARCHAR(200) NOT NULL DEFAULT '',
  address VARCHAR(45) NOT NULL DEFAULT '',
  reason  VARCHAR(200) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY audit_at (at),
  KEY audit_action (action, at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

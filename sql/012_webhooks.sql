-- Webhooks: duolu-auth posts events to these addresses. MariaDB can safely repeat these.
-- The secret signs each request, so the service needs it as it is: whoever reads this table can
-- forge events.
CREATE TABLE IF NOT EXISTS webhooks (
  id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  url             VARCHAR(500) NOT NULL,
  secret          VARCHAR(64) NOT NULL,
  events          SET('published','ended','gap','recorded','disk_alarm','login_refused','phone_offline') NOT NULL,
  enabled         TINYINT UNSIGNED NOT NULL DEFAULT 1,
  offline_minutes INT UNSIGNED NOT NULL DEFAULT 5,        -- for phone_offline
  offline_until   BIGINT UNSIGNED NOT NULL DEFAULT 0,     -- unix ms: phones that were due until then are told
  made_by         BIGINT UNSIGNED NOT NULL DEFAULT 0,     -- the admin who made it, 0: duoluctl
  created_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row for each event that a webhook has not taken yet, in the order of their ids. A receiver
-- drops what it gets twice by event_id, which the payload has, too.
CREATE TABLE IF NOT EXISTS webhook_outbox (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  webhook_id BIGINT UNSIGNED NOT NULL,
  event      VARCHAR(32) NOT NULL,
  event_id   CHAR(32) NOT NULL,
  payload    VARCHAR(2000) NOT NULL,                      -- JSON, sent as it is
  state      ENUM('waiting','test','dead') NOT NULL DEFAULT 'waiting',
  since      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),   -- when it began to wait, or died
  next_try   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  tries      INT UNSIGNED NOT NULL DEFAULT 0,
  status     INT UNSIGNED NOT NULL DEFAULT 0,             -- of the last answer, 0: none
  error      VARCHAR(200) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  UNIQUE KEY webhook_outbox_once (webhook_id, event_id),
  KEY webhook_outbox_order (webhook_id, state, id),
  KEY webhook_outbox_share (webhook_id, event, state),
  KEY webhook_outbox_dead (state, since),
  CONSTRAINT webhook_outbox_of FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The newest delivery of each webhook. Not in `webhooks`, whose rows every new event locks.
CREATE TABLE IF NOT EXISTS webhook_results (
  webhook_id BIGINT UNSIGNED NOT NULL,
  delivery   BIGINT UNSIGNED NOT NULL DEFAULT 0,          -- its id in webhook_outbox
  event      VARCHAR(32) NOT NULL DEFAULT '',
  at         DATETIME(3) NULL,
  status     INT UNSIGNED NOT NULL DEFAULT 0,
  error      VARCHAR(200) NOT NULL DEFAULT '',
  took_ms    INT UNSIGNED NOT NULL DEFAULT 0,
  dropped    BIGINT UNSIGNED NOT NULL DEFAULT 0,          -- events beyond the webhook's share
  PRIMARY KEY (webhook_id),
  CONSTRAINT webhook_results_of FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The streams as duolu-auth saw them last, so that it finds what changed while it was down.
CREATE TABLE IF NOT EXISTS webhook_streams (
  stream_id BIGINT UNSIGNED NOT NULL,
  state     ENUM('live','grace','offline') NOT NULL,
  session   VARCHAR(24) NOT NULL DEFAULT '',              -- nginx's id of the publisher
  live_ms   BIGINT UNSIGNED NOT NULL DEFAULT 0,           -- unix ms: when it went live
  away_ms   BIGINT UNSIGNED NOT NULL DEFAULT 0,           -- when its publisher left, 0: it is there
  PRIMARY KEY (stream_id),
  KEY webhook_streams_away (away_ms),
  CONSTRAINT webhook_streams_of FOREIGN KEY (stream_id) REFERENCES streams (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- 'watching': the table above is current. 'disk': the alarm for the disk is on.
CREATE TABLE IF NOT EXISTS webhook_marks (
  name VARCHAR(16) NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The audit by actor, target and outcome, newest first.
ALTER TABLE audit
  ADD KEY /*M! IF NOT EXISTS */ audit_actor (actor, at),
  ADD KEY /*M! IF NOT EXISTS */ audit_target (target, at),
  ADD KEY /*M! IF NOT EXISTS */ audit_outcome (outcome, at);

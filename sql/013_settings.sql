-- Settings that the page and duoluctl change at once. A setting without a row has the value of
-- its variable in the service's environment: rec_days that of DUOLU_REC_DAYS. Values are texts, as in
-- the environment; a value that is invalid counts as none, and the log says so.
CREATE TABLE IF NOT EXISTS settings (
  name    VARCHAR(32) NOT NULL,
  value   VARCHAR(32) NOT NULL,
  changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- open: everybody who has the address may view, without an account
ALTER TABLE streams
  MODIFY COLUMN visibility ENUM('private','public','open') NOT NULL DEFAULT 'private';

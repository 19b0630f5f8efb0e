-- Walls that users have saved by name: the JSON of the page, which only the page reads. One user
-- has at most 50 (store_layout.c).
CREATE TABLE IF NOT EXISTS layouts (
  user_id BIGINT UNSIGNED NOT NULL,
  name    VARCHAR(64) NOT NULL,
  layout  VARBINARY(4096) NOT NULL,
  PRIMARY KEY (user_id, name),
  CONSTRAINT layouts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

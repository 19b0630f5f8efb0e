-- revocations has taken the place of tokens_not_before. MariaDB repeats these safely.
ALTER TABLE users
  ADD COLUMN /*M! IF NOT EXISTS */ max_publishers INT UNSIGNED NOT NULL DEFAULT 0,   -- at once; 0: no limit
  DROP COLUMN /*M! IF EXISTS */ tokens_not_before;

ALTER TABLE streams
  DROP COLUMN /*M! IF EXISTS */ tokens_not_before;

-- Which shard answers for which vnodes (metadata.md §13.1). The highest version is the current assignment; inserting the
-- next one is the compare-and-swap; rows are never changed, so they are the history too.

CREATE TABLE ring (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  installation uuid NOT NULL, vnodes int NOT NULL, algorithm text NOT NULL,
  created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ring_version (
  version bigint PRIMARY KEY,
  ranges jsonb NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  move_id uuid, created timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT ON ring, ring_version TO manta_webapi;

-- Directories, entries and what follows from them, for the vnodes this database answers for (metadata.md §12.4).
-- Every key begins with the vnode, so that routing, moves and cleanup need no index of their own.

CREATE TABLE shard_range (
  lo int PRIMARY KEY, hi int NOT NULL CHECK (lo <= hi),
  state text NOT NULL CHECK (state IN ('rw', 'ro', 'incoming', 'moved')),
  epoch bigint NOT NULL
);

-- Lives with its children: the permit to create entries below `path`, derived from the directory's own entry.
CREATE TABLE directory (
  vnode int NOT NULL, dir_id uuid NOT NULL,
  path text COLLATE "C" NOT NULL,
  path_hash bytea NOT NULL CHECK (octet_length(path_hash) = 32),
  owner uuid NOT NULL,
  implicit boolean NOT NULL DEFAULT false,
  state text NOT NULL CHECK (state IN ('pending', 'live', 'deleting')),
  attempt uuid NOT NULL,
  changed timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (vnode, dir_id)
);
CREATE UNIQUE INDEX directory_by_path ON directory (vnode, path_hash) INCLUDE (dir_id, state);
CREATE INDEX directory_unsettled ON directory (changed) WHERE state <> 'live';

CREATE TABLE entry (
  vnode int NOT NULL, dir_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 1024),
  kind "char" NOT NULL CHECK (kind IN ('o', 'd')),
  owner uuid NOT NULL, creator uuid NOT NULL,
  rev uuid NOT NULL,
  mtime timestamptz(3) NOT NULL,
  roles uuid[] NOT NULL DEFAULT '{}',
  headers jsonb,
  object_id uuid, etag uuid,
  content_length bigint, content_md5 bytea,
  content_type text, content_disposition text,
  copies int[] NOT NULL DEFAULT '{}',
  single_path boolean NOT NULL DEFAULT false,
  created_from text,
  child_dir uuid,
  PRIMARY KEY (vnode, dir_id, name),
  FOREIGN KEY (vnode, dir_id) REFERENCES directory (vnode, dir_id),
  CHECK ((kind = 'o') = (object_id IS NOT NULL)),
  CHECK ((kind = 'd') = (child_dir IS NOT NULL)),
  CHECK (kind <> 'o' OR (content_length >= 0 AND octet_length(content_md5) = 16 AND content_type IS NOT NULL)),
  CHECK (content_length IS DISTINCT FROM 0 OR copies = '{}')
);
CREATE INDEX entry_by_mtime ON entry (vnode, dir_id, mtime, name);
CREATE INDEX entry_linked ON entry (object_id) WHERE object_id IS NOT NULL AND NOT single_path;

-- Striped by session, so that writers of one directory do not queue on one counter.
CREATE TABLE directory_usage (
  vnode int NOT NULL, dir_id uuid NOT NULL, stripe smallint NOT NULL,
  entries bigint NOT NULL, bytes bigint NOT NULL,
  PRIMARY KEY (vnode, dir_id, stripe)
) WITH (fillfactor = 50);

-- Outbox of freed objects, written in the transaction that freed them.
CREATE TABLE garbage (
  vnode int NOT NULL, garbage_id uuid NOT NULL DEFAULT gen_random_uuid(),
  queue text NOT NULL CHECK (queue IN ('fast', 'slow', 'abandoned')),
  object_id uuid NOT NULL, creator uuid NOT NULL, owner uuid NOT NULL,
  path text, copies int[] NOT NULL, bytes bigint NOT NULL,
  removed jsonb NOT NULL,
  queued timestamptz NOT NULL DEFAULT clock_timestamp(),
  leased_until timestamptz, attempts int NOT NULL DEFAULT 0, parked text,
  PRIMARY KEY (vnode, garbage_id)
);
CREATE INDEX garbage_due ON garbage (queue, queued) WHERE parked IS NULL;
CREATE INDEX garbage_object ON garbage (vnode, object_id);

-- Ledger of links, on the vnode of `object:<object id>` (metadata.md §8.4).
CREATE TABLE object_state (
  vnode int NOT NULL, object_id uuid NOT NULL, ref_version bigint NOT NULL,
  condemned_at timestamptz, condemned_run text, purged_at timestamptz,
  PRIMARY KEY (vnode, object_id)
);
CREATE TABLE object_ref (
  vnode int NOT NULL, object_id uuid NOT NULL,
  path_hash bytea NOT NULL,
  path text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'committed')),
  deadline timestamptz, op_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (vnode, object_id, path_hash)
);

-- The only writer of fast and slow garbage. It depends on nothing that a caller remembers to send.
CREATE FUNCTION entry_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO garbage (vnode, queue, object_id, creator, owner, path, copies, bytes, removed)
  SELECT OLD.vnode, CASE WHEN OLD.single_path THEN 'fast' ELSE 'slow' END, OLD.object_id, OLD.creator, OLD.owner,
         d.path || '/' || OLD.name, OLD.copies, OLD.content_length, to_jsonb(OLD)
  FROM directory d WHERE d.vnode = OLD.vnode AND d.dir_id = OLD.dir_id;  -- directory_pkey
  RETURN NULL;
END $$;
CREATE TRIGGER entry_object_deleted AFTER DELETE ON entry FOR EACH ROW
  WHEN (OLD.object_id IS NOT NULL) EXECUTE FUNCTION entry_freed();
CREATE TRIGGER entry_object_replaced AFTER UPDATE ON entry FOR EACH ROW
  WHEN (OLD.object_id IS NOT NULL AND OLD.object_id IS DISTINCT FROM NEW.object_id) EXECUTE FUNCTION entry_freed();

GRANT SELECT ON ALL TABLES IN SCHEMA public TO manta_webapi;

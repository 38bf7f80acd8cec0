-- A second name for an object (metadata.md §8.4). link_v1 where source, target and the ledger are all served here; else
-- link_register_v1 (ledger), link_unflag_v1 (source), link_put_v1 (target), link_settle_v1 (ledger), in this order.

CREATE TYPE link_v1 AS (
  object_id uuid, op_id uuid,                        -- op_id becomes the rev of the new entry
  deadline timestamptz,
  repeated boolean, began timestamptz,               -- a repeat asks the outbox what became of its first attempt
  home_vnode int,
  source_vnode int, source_hash bytea, source_name text, source_path text, source_path_hash bytea, source_rev uuid,
  target_vnode int, target_hash bytea, target_root_path text, target_name text,
  target_path text, target_path_hash bytea,
  owner uuid, roles uuid[],
  -- what the target takes over from the source; filled in by link_v1 itself
  creator uuid, etag uuid, content_length bigint, content_md5 bytea, content_type text, content_disposition text,
  headers jsonb, copies int[]
);

-- The ledger's part: both names are registered before the linked entry exists. Stored deadlines only grow.
CREATE FUNCTION register_link(r link_v1) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_condemned timestamptz;
BEGIN
  INSERT INTO object_state AS s (vnode, object_id, ref_version) VALUES (r.home_vnode, r.object_id, 1)
  ON CONFLICT (vnode, object_id) DO UPDATE SET ref_version = s.ref_version + 1
  RETURNING s.condemned_at INTO v_condemned;
  IF v_condemned IS NOT NULL THEN
    RAISE EXCEPTION 'object % is condemned', r.object_id USING ERRCODE = 'MR003';
  END IF;
  INSERT INTO object_ref AS f (vnode, object_id, path_hash, path, state, deadline, op_id)
  SELECT r.home_vnode, r.object_id, v.path_hash, v.path, 'pending', v.deadline, r.op_id
  FROM (VALUES (r.source_path_hash, r.source_path, NULL::timestamptz), (r.target_path_hash, r.target_path, r.deadline))
    AS v(path_hash, path, deadline)
  ORDER BY v.path_hash
  ON CONFLICT (vnode, object_id, path_hash)
  DO UPDATE SET op_id = excluded.op_id, deadline = greatest(f.deadline, excluded.deadline);
END $$;

-- The target's part, with the object's lock held and the directory locked. result: created, replaced, unchanged,
-- superseded, is_directory, retry (somebody else created the name; lock again).
CREATE FUNCTION put_link(r link_v1, p_dir uuid, OUT result text, OUT mtime timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  e entry;
BEGIN
  SELECT x.* INTO e FROM entry x
  WHERE x.vnode = r.target_vnode AND x.dir_id = p_dir AND x.name = r.target_name FOR UPDATE;  -- entry_pkey
  IF e.rev = r.op_id THEN result := 'unchanged'; mtime := e.mtime; RETURN; END IF;
  -- The id is shared with other names, so only a row of this very name, queued since the operation began, says that an
  -- earlier attempt was committed and overwritten. garbage_object
  IF r.repeated AND EXISTS (SELECT 1 FROM garbage g WHERE g.vnode = r.target_vnode AND g.object_id = r.object_id
      AND g.path = r.target_path AND g.queued >= r.began) THEN
    result := 'superseded'; RETURN;
  END IF;
  IF e.kind = 'd' THEN result := 'is_directory'; RETURN; END IF;
  mtime := clock_timestamp()::timestamptz(3);
  IF e.rev IS NOT NULL THEN
    UPDATE entry x SET owner = r.owner, creator = r.creator, rev = r.op_id, mtime = put_link.mtime, roles = r.roles,
      headers = r.headers, object_id = r.object_id, etag = r.etag, content_length = r.content_length,
      content_md5 = r.content_md5, content_type = r.content_type, content_disposition = r.content_disposition,
      copies = r.copies, single_path = false, created_from = r.source_path
    WHERE x.vnode = r.target_vnode AND x.dir_id = p_dir AND x.name = r.target_name;
    PERFORM add_usage(r.target_vnode, p_dir, 0, r.content_length - e.content_length);
    result := 'replaced'; RETURN;
  END IF;
  INSERT INTO entry (vnode, dir_id, name, kind, owner, creator, rev, mtime, roles, headers, object_id, etag,
    content_length, content_md5, content_type, content_disposition, copies, single_path, created_from)
  VALUES (r.target_vnode, p_dir, r.target_name, 'o', r.owner, r.creator, r.op_id, put_link.mtime, r.roles, r.headers,
    r.object_id, r.etag, r.content_length, r.content_md5, r.content_type, r.content_disposition, r.copies, false,
    r.source_path)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN result := 'retry'; RETURN; END IF;
  PERFORM add_usage(r.target_vnode, p_dir, 1, r.content_length);
  result := 'created';
END $$;

-- Everything in one transaction. Further results: expired, no_directory, unsettled, source_changed. A condemned object
-- raises MR003.
CREATE FUNCTION link_v1(p_link json) RETURNS TABLE (result text, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  r link_v1 := json_populate_record(NULL::link_v1, p_link);
  v_dir uuid;
  v_problem text;
  v_source uuid;
  s entry;
  v_result text;
  v_mtime timestamptz;
BEGIN
  PERFORM shard_enter(r.home_vnode, r.source_vnode, r.target_vnode);
  PERFORM pg_advisory_xact_lock(1296957442, object_key(r.object_id));
  IF clock_timestamp() > r.deadline THEN RETURN QUERY SELECT 'expired', NULL::float8; RETURN; END IF;
  SELECT o.dir, o.problem INTO v_dir, v_problem
  FROM open_directory(r.target_vnode, r.target_hash, r.target_root_path, r.owner) AS o;
  IF v_problem IS NOT NULL THEN RETURN QUERY SELECT v_problem, NULL::float8; RETURN; END IF;
  v_source := (SELECT d.dir_id FROM directory d WHERE d.vnode = r.source_vnode AND d.path_hash = r.source_hash);
  LOOP
    PERFORM 1 FROM entry x  -- entry_pkey
    WHERE (x.vnode = r.source_vnode AND x.dir_id = v_source AND x.name = r.source_name)
       OR (x.vnode = r.target_vnode AND x.dir_id = v_dir AND x.name = r.target_name)
    ORDER BY x.vnode, x.dir_id, x.name FOR UPDATE;
    -- A statement of its own: it must see what was committed while the locks were awaited.
    SELECT x.* INTO s FROM entry x
    WHERE x.vnode = r.source_vnode AND x.dir_id = v_source AND x.name = r.source_name;
    IF s.object_id IS DISTINCT FROM r.object_id THEN
      RETURN QUERY SELECT 'source_changed', NULL::float8;
      RETURN;
    END IF;
    r.creator := s.creator; r.etag := s.etag; r.content_length := s.content_length; r.content_md5 := s.content_md5;
    r.content_type := s.content_type; r.content_disposition := s.content_disposition; r.headers := s.headers;
    r.copies := s.copies;
    SELECT p.result, p.mtime INTO v_result, v_mtime FROM put_link(r, v_dir) AS p;
    EXIT WHEN v_result <> 'retry';
  END LOOP;
  IF v_result IN ('created', 'replaced') THEN
    PERFORM register_link(r);
    -- Its rev stays: clients did not write it.
    UPDATE entry x SET single_path = false
    WHERE x.vnode = r.source_vnode AND x.dir_id = v_source AND x.name = r.source_name AND x.single_path;
  END IF;
  RETURN QUERY SELECT v_result, epoch_ms(v_mtime);
END $$;

CREATE FUNCTION link_register_v1(p_link json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  r link_v1 := json_populate_record(NULL::link_v1, p_link);
BEGIN
  PERFORM shard_enter(r.home_vnode);
  PERFORM register_link(r);
END $$;

-- False: the source is no longer what was read.
CREATE FUNCTION link_unflag_v1(p_link json) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  r link_v1 := json_populate_record(NULL::link_v1, p_link);
BEGIN
  PERFORM shard_enter(r.source_vnode);
  UPDATE entry x SET single_path = false FROM directory d
  WHERE d.vnode = r.source_vnode AND d.path_hash = r.source_hash AND x.vnode = d.vnode AND x.dir_id = d.dir_id
    AND x.name = r.source_name AND x.object_id = r.object_id AND x.rev = r.source_rev;  -- directory_by_path, entry_pkey
  RETURN FOUND;
END $$;

CREATE FUNCTION link_put_v1(p_link json) RETURNS TABLE (result text, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  r link_v1 := json_populate_record(NULL::link_v1, p_link);
  v_dir uuid;
  v_problem text;
  v_result text := 'retry';
  v_mtime timestamptz;
BEGIN
  PERFORM shard_enter(r.target_vnode);
  PERFORM pg_advisory_xact_lock(1296957442, object_key(r.object_id));
  -- After the lock: a collector that takes it sees every commit that can still happen.
  IF clock_timestamp() > r.deadline THEN RETURN QUERY SELECT 'expired', NULL::float8; RETURN; END IF;
  SELECT o.dir, o.problem INTO v_dir, v_problem
  FROM open_directory(r.target_vnode, r.target_hash, r.target_root_path, r.owner) AS o;
  IF v_problem IS NOT NULL THEN RETURN QUERY SELECT v_problem, NULL::float8; RETURN; END IF;
  WHILE v_result = 'retry' LOOP
    SELECT p.result, p.mtime INTO v_result, v_mtime FROM put_link(r, v_dir) AS p;
  END LOOP;
  RETURN QUERY SELECT v_result, epoch_ms(v_mtime);
END $$;

-- Informational; the deadline stays.
CREATE FUNCTION link_settle_v1(p_vnode int, p_object uuid, p_op uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  UPDATE object_ref f SET state = 'committed'
  WHERE f.vnode = p_vnode AND f.object_id = p_object AND f.op_id = p_op;  -- object_ref_pkey
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION link_v1(json), link_register_v1(json), link_unflag_v1(json), link_put_v1(json),
  link_settle_v1(int, uuid, uuid) TO manta_webapi;

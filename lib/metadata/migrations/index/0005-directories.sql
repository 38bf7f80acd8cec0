-- Creating and removing directories (metadata.md §12.8). Where the directory's entry (parent's vnode) and its row
-- (children's vnode) are both served here, mkdir_v1 and rmdir_v1 do everything in one transaction; the other functions
-- are the single steps of the protocol between two shards. Order of locks: children's directory row, parent's
-- directory row, entry, counters.

CREATE TYPE directory_put_v1 AS (
  vnode int, path_hash bytea,                  -- the directory that holds the entry
  root_path text,                              -- its path, where it may come into being implicitly
  name text, owner uuid, creator uuid, rev uuid,
  headers jsonb, roles uuid[],
  expect "char", expect_rev uuid,              -- as in mutation_v1
  child_vnode int, child_hash bytea, child_path text,
  child_dir uuid, attempt uuid,
  must_exist boolean,                          -- the entry must be there already
  always boolean                               -- write even if nothing but the roles differs
);

-- Puts the entry of a directory under a parent that is locked. A directory's child_dir never changes, so the one that is
-- returned may differ from the one offered. result: created, replaced, unchanged, precondition, absent.
CREATE FUNCTION put_directory_entry(
  r directory_put_v1, p_dir uuid, OUT result text, OUT child_dir uuid, OUT rev uuid, OUT mtime timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  e entry;
BEGIN
  LOOP
    SELECT x.* INTO e FROM entry x
    WHERE x.vnode = r.vnode AND x.dir_id = p_dir AND x.name = r.name FOR UPDATE;  -- entry_pkey
    child_dir := COALESCE(e.child_dir, r.child_dir);
    IF e.rev = r.rev THEN
      result := 'unchanged'; rev := e.rev; mtime := e.mtime; RETURN;
    END IF;
    IF r.must_exist AND e.kind IS DISTINCT FROM 'd' THEN result := 'absent'; RETURN; END IF;
    IF r.expect = 'r' AND e.rev IS DISTINCT FROM r.expect_rev OR r.expect = 'n' AND e.rev IS NOT NULL THEN
      result := 'precondition'; RETURN;
    END IF;
    IF e.kind = 'd' AND NOT r.always AND e.owner = r.owner AND e.headers IS NOT DISTINCT FROM r.headers THEN
      result := 'unchanged'; rev := e.rev; mtime := e.mtime; RETURN;
    END IF;
    rev := r.rev;
    mtime := clock_timestamp()::timestamptz(3);
    IF e.rev IS NOT NULL THEN
      UPDATE entry x SET kind = 'd', owner = r.owner, creator = r.creator, rev = r.rev,
        mtime = put_directory_entry.mtime, roles = r.roles, headers = r.headers, object_id = NULL, etag = NULL,
        content_length = NULL, content_md5 = NULL, content_type = NULL, content_disposition = NULL, copies = '{}',
        single_path = false, created_from = NULL, child_dir = put_directory_entry.child_dir
      WHERE x.vnode = r.vnode AND x.dir_id = p_dir AND x.name = r.name;
      PERFORM add_usage(r.vnode, p_dir, 0, -COALESCE(e.content_length, 0));
      result := 'replaced'; RETURN;
    END IF;
    INSERT INTO entry (vnode, dir_id, name, kind, owner, creator, rev, mtime, roles, headers, child_dir)
    VALUES (r.vnode, p_dir, r.name, 'd', r.owner, r.creator, r.rev, put_directory_entry.mtime, r.roles, r.headers,
      r.child_dir)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      PERFORM add_usage(r.vnode, p_dir, 1, 0);
      result := 'created'; RETURN;
    END IF;
  END LOOP;
END $$;

-- Step 2 of mkdir, on the parent's shard. Further results: no_directory, unsettled.
CREATE FUNCTION put_directory_v1(p_put json)
RETURNS TABLE (result text, child_dir uuid, rev uuid, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  r directory_put_v1 := json_populate_record(NULL::directory_put_v1, p_put);
  v_dir uuid;
  v_problem text;
BEGIN
  PERFORM shard_enter(r.vnode);
  SELECT o.dir, o.problem INTO v_dir, v_problem FROM open_directory(r.vnode, r.path_hash, r.root_path, r.owner) AS o;
  IF v_problem IS NOT NULL THEN
    RETURN QUERY SELECT v_problem, NULL::uuid, NULL::uuid, NULL::float8;
    RETURN;
  END IF;
  RETURN QUERY SELECT p.result, p.child_dir, p.rev, epoch_ms(p.mtime) FROM put_directory_entry(r, v_dir) AS p;
END $$;

-- mkdir with both sides here. Further results: no_directory, unsettled (nothing was changed).
CREATE FUNCTION mkdir_v1(p_put json)
RETURNS TABLE (result text, child_dir uuid, rev uuid, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  r directory_put_v1 := json_populate_record(NULL::directory_put_v1, p_put);
  c directory;
  v_made boolean := false;
  v_dir uuid;
  v_problem text;
  v_result text; v_child uuid; v_rev uuid; v_mtime timestamptz;
BEGIN
  PERFORM shard_enter(r.vnode, r.child_vnode);
  LOOP
    -- KEY SHARE keeps rmdir away and lets the directory's writers go on.
    SELECT x.* INTO c FROM directory x
    WHERE x.vnode = r.child_vnode AND x.path_hash = r.child_hash FOR KEY SHARE;  -- directory_by_path
    EXIT WHEN FOUND;
    INSERT INTO directory (vnode, dir_id, path, path_hash, owner, state, attempt)
    VALUES (r.child_vnode, r.child_dir, r.child_path, r.child_hash, r.owner, 'live', r.attempt)
    ON CONFLICT DO NOTHING;
    v_made := FOUND;
    EXIT WHEN v_made;
  END LOOP;
  IF NOT v_made AND c.state <> 'live' THEN
    RETURN QUERY SELECT 'unsettled', NULL::uuid, NULL::uuid, NULL::float8;
    RETURN;
  END IF;
  SELECT o.dir, o.problem INTO v_dir, v_problem FROM open_directory(r.vnode, r.path_hash, r.root_path, r.owner) AS o;
  IF v_problem IS NULL THEN
    IF NOT v_made THEN r.child_dir := c.dir_id; END IF;
    SELECT p.result, p.child_dir, p.rev, p.mtime INTO v_result, v_child, v_rev, v_mtime
    FROM put_directory_entry(r, v_dir) AS p;
  ELSE
    v_result := v_problem;
  END IF;
  IF v_made AND v_result IN ('no_directory', 'unsettled', 'precondition', 'absent') THEN
    DELETE FROM directory x WHERE x.vnode = r.child_vnode AND x.dir_id = r.child_dir;
  ELSIF v_made AND v_child <> r.child_dir THEN
    -- An entry whose row was missing, left by a crash between two shards: the entry is the truth.
    UPDATE directory x SET dir_id = v_child WHERE x.vnode = r.child_vnode AND x.dir_id = r.child_dir;
  ELSIF NOT v_made AND v_child <> c.dir_id THEN
    RAISE EXCEPTION 'directory % is live as % but its entry says %', r.child_path, c.dir_id, v_child;
  ELSIF c.implicit THEN
    UPDATE directory x SET implicit = false WHERE x.vnode = r.child_vnode AND x.dir_id = c.dir_id;
  END IF;
  RETURN QUERY SELECT v_result, v_child, v_rev, epoch_ms(v_mtime);
END $$;

-- rmdir with both sides here. result: deleted, absent, is_object, precondition, not_empty, unsettled.
CREATE FUNCTION rmdir_v1(p_vnode int, p_path_hash bytea, p_name text, p_child_vnode int, p_child_hash bytea,
  p_expect "char", p_expect_rev uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  c directory;
  e entry;
BEGIN
  PERFORM shard_enter(p_vnode, p_child_vnode);
  -- Waits for writers in flight below the directory, which hold KEY SHARE.
  SELECT x.* INTO c FROM directory x
  WHERE x.vnode = p_child_vnode AND x.path_hash = p_child_hash FOR UPDATE;  -- directory_by_path
  SELECT x.* INTO e FROM directory d JOIN entry x ON x.vnode = d.vnode AND x.dir_id = d.dir_id AND x.name = p_name
  WHERE d.vnode = p_vnode AND d.path_hash = p_path_hash FOR UPDATE OF x;  -- directory_by_path, entry_pkey
  IF e.rev IS NULL THEN RETURN 'absent'; END IF;
  IF e.kind <> 'd' THEN RETURN 'is_object'; END IF;
  IF p_expect = 'r' AND e.rev <> p_expect_rev OR p_expect = 'n' THEN RETURN 'precondition'; END IF;
  IF c.state = 'deleting' OR c.dir_id <> e.child_dir THEN RETURN 'unsettled'; END IF;
  -- A statement of its own: its snapshot must not be from before the wait for the lock. entry_pkey
  IF EXISTS (SELECT 1 FROM entry x WHERE x.vnode = p_child_vnode AND x.dir_id = e.child_dir) THEN
    RETURN 'not_empty';
  END IF;
  DELETE FROM entry x WHERE x.vnode = e.vnode AND x.dir_id = e.dir_id AND x.name = e.name;
  DELETE FROM directory_usage x WHERE x.vnode = p_child_vnode AND x.dir_id = e.child_dir;
  DELETE FROM directory x WHERE x.vnode = p_child_vnode AND x.dir_id = e.child_dir;
  PERFORM add_usage(e.vnode, e.dir_id, -1, 0);
  RETURN 'deleted';
END $$;

-- The steps on the children's shard. Each answers with the row as it is afterwards, NULL when there is none.

CREATE FUNCTION directory_json(d directory) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('dirId', d.dir_id, 'state', d.state, 'attempt', d.attempt)
$$;

-- The row of the path, as it is.
CREATE FUNCTION directory_look_v1(p_vnode int, p_path_hash bytea) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  RETURN (SELECT directory_json(d) FROM directory d WHERE d.vnode = p_vnode AND d.path_hash = p_path_hash);
END $$;

-- Makes a pending row, unless the path has a row; a pending row of the same id gets the new attempt if `p_refresh`.
CREATE FUNCTION directory_claim_v1(p_vnode int, p_path_hash bytea, p_path text, p_owner uuid, p_dir uuid,
  p_attempt uuid, p_refresh boolean) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  c directory;
BEGIN
  PERFORM shard_enter(p_vnode);
  LOOP
    INSERT INTO directory AS x (vnode, dir_id, path, path_hash, owner, state, attempt)
    VALUES (p_vnode, p_dir, p_path, p_path_hash, p_owner, 'pending', p_attempt)
    ON CONFLICT DO NOTHING RETURNING x.* INTO c;
    EXIT WHEN FOUND;
    IF p_refresh THEN
      UPDATE directory x SET attempt = p_attempt, changed = clock_timestamp()
      WHERE x.vnode = p_vnode AND x.path_hash = p_path_hash AND x.dir_id = p_dir AND x.state = 'pending'
      RETURNING x.* INTO c;  -- directory_pkey
      EXIT WHEN FOUND;
    END IF;
    SELECT x.* INTO c FROM directory x WHERE x.vnode = p_vnode AND x.path_hash = p_path_hash;  -- directory_by_path
    EXIT WHEN FOUND;
  END LOOP;
  RETURN directory_json(c);
END $$;

-- pending -> live, by compare-and-swap on (id, attempt). A row that is live already counts only for the same attempt.
CREATE FUNCTION directory_promote_v1(p_vnode int, p_dir uuid, p_attempt uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  UPDATE directory x SET state = 'live', changed = clock_timestamp()
  WHERE x.vnode = p_vnode AND x.dir_id = p_dir AND x.attempt = p_attempt AND x.state IN ('pending', 'live');
  RETURN FOUND;
END $$;

-- Removes a row that is still pending with this attempt.
CREATE FUNCTION directory_withdraw_v1(p_vnode int, p_dir uuid, p_attempt uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  DELETE FROM directory x
  WHERE x.vnode = p_vnode AND x.dir_id = p_dir AND x.attempt = p_attempt AND x.state = 'pending';
  RETURN FOUND;
END $$;

-- Step 1 of rmdir: an empty directory becomes `deleting`, for good. A missing row is made. result: marked, not_empty,
-- other (the path's row belongs to another id).
CREATE FUNCTION directory_mark_v1(p_vnode int, p_path_hash bytea, p_path text, p_owner uuid, p_dir uuid,
  p_attempt uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  c directory;
BEGIN
  PERFORM shard_enter(p_vnode);
  LOOP
    SELECT x.* INTO c FROM directory x WHERE x.vnode = p_vnode AND x.path_hash = p_path_hash FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO directory (vnode, dir_id, path, path_hash, owner, state, attempt)
    VALUES (p_vnode, p_dir, p_path, p_path_hash, p_owner, 'deleting', p_attempt) ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN json_build_object('result', 'marked'); END IF;
  END LOOP;
  IF c.dir_id <> p_dir THEN
    RETURN json_build_object('result', 'other', 'row', directory_json(c));
  END IF;
  -- A statement of its own: its snapshot must not be from before the wait for the lock. entry_pkey
  IF EXISTS (SELECT 1 FROM entry x WHERE x.vnode = p_vnode AND x.dir_id = p_dir) THEN
    RETURN json_build_object('result', 'not_empty');
  END IF;
  UPDATE directory x SET state = 'deleting', attempt = p_attempt, changed = clock_timestamp()
  WHERE x.vnode = p_vnode AND x.dir_id = p_dir AND x.state <> 'deleting';
  RETURN json_build_object('result', 'marked');
END $$;

-- Step 2 of rmdir, on the parent's shard: whether there was such an entry decides the answer.
CREATE FUNCTION remove_directory_entry_v1(p_vnode int, p_path_hash bytea, p_name text, p_dir uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_parent uuid;
BEGIN
  PERFORM shard_enter(p_vnode);
  DELETE FROM entry x USING directory d
  WHERE d.vnode = p_vnode AND d.path_hash = p_path_hash
    AND x.vnode = d.vnode AND x.dir_id = d.dir_id AND x.name = p_name AND x.child_dir = p_dir
  RETURNING x.dir_id INTO v_parent;  -- directory_by_path, entry_pkey
  IF v_parent IS NULL THEN RETURN false; END IF;
  PERFORM add_usage(p_vnode, v_parent, -1, 0);
  RETURN true;
END $$;

-- Step 3 of rmdir.
CREATE FUNCTION directory_forget_v1(p_vnode int, p_dir uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  DELETE FROM directory x WHERE x.vnode = p_vnode AND x.dir_id = p_dir AND x.state = 'deleting';
  IF FOUND THEN
    DELETE FROM directory_usage x WHERE x.vnode = p_vnode AND x.dir_id = p_dir;
  END IF;
END $$;

-- A root that got an entry of its own.
CREATE FUNCTION directory_explicit_v1(p_vnode int, p_dir uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  UPDATE directory x SET implicit = false WHERE x.vnode = p_vnode AND x.dir_id = p_dir AND x.implicit;
END $$;

-- What a crash left behind, oldest first, on the vnodes that are served here.
CREATE FUNCTION unsettled_directories_v1(p_older_than_ms float8, p_limit int) RETURNS TABLE (path text, owner uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  -- directory_unsettled; now() and not clock_timestamp(), which could not use the index
  SELECT d.path, d.owner FROM directory d
  WHERE d.state <> 'live' AND d.changed < now() - p_older_than_ms * interval '1 ms' AND range_state(d.vnode) = 'rw'
  ORDER BY d.changed LIMIT p_limit
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION put_directory_v1(json), mkdir_v1(json),
  rmdir_v1(int, bytea, text, int, bytea, "char", uuid), directory_look_v1(int, bytea),
  directory_claim_v1(int, bytea, text, uuid, uuid, uuid, boolean), directory_promote_v1(int, uuid, uuid),
  directory_withdraw_v1(int, uuid, uuid), directory_mark_v1(int, bytea, text, uuid, uuid, uuid),
  remove_directory_entry_v1(int, bytea, text, uuid), directory_forget_v1(int, uuid), directory_explicit_v1(int, uuid),
  unsettled_directories_v1(float8, int) TO manta_webapi;

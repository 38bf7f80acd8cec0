-- Mutations of one entry: put of an object, update of metadata, delete. Single (waits for locks) and in batches
-- (never waits on a row). metadata.md §12.7, §12.16.

CREATE TYPE mutation_v1 AS (
  ord int,               -- the caller's number of the row
  op "char",             -- p put, u update of metadata, d delete
  vnode int, path_hash bytea,
  root_path text,        -- only where the directory may come into being implicitly: its path
  name text,
  owner uuid, creator uuid, rev uuid,
  expect "char",         -- of a put: a any, n absent, r the rev below; of an update: o object, d directory
  expect_rev uuid,
  deadline timestamptz,
  object_id uuid, content_length bigint, content_md5 bytea,
  content_type text, content_disposition text,
  headers jsonb, roles uuid[], copies int[]
);

-- Key of the advisory lock that everybody takes who commits a reference to the object, and the collector.
CREATE FUNCTION object_key(p_object uuid) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || left(p_object::text, 8))::bit(32)::int
$$;

CREATE FUNCTION epoch_ms(p_time timestamptz) RETURNS float8 LANGUAGE sql STABLE AS $$
  SELECT round(date_part('epoch', p_time) * 1000)
$$;

-- The directory to create entries in, locked against removal. problem: no_directory, unsettled, or NULL.
CREATE FUNCTION open_directory(
  p_vnode int, p_path_hash bytea, p_root_path text, p_owner uuid, OUT dir uuid, OUT problem text
) LANGUAGE plpgsql AS $$
DECLARE
  v_state text;
BEGIN
  LOOP
    SELECT d.dir_id, d.state INTO dir, v_state FROM directory d
    WHERE d.vnode = p_vnode AND d.path_hash = p_path_hash FOR KEY SHARE;  -- directory_by_path
    IF FOUND THEN
      IF v_state <> 'live' THEN problem := 'unsettled'; END IF;
      RETURN;
    END IF;
    IF p_root_path IS NULL THEN
      problem := 'no_directory';
      RETURN;
    END IF;
    INSERT INTO directory (vnode, dir_id, path, path_hash, owner, implicit, state, attempt)
    VALUES (p_vnode, gen_random_uuid(), p_root_path, p_path_hash, p_owner, true, 'live', gen_random_uuid())
    ON CONFLICT DO NOTHING;
  END LOOP;
END $$;

-- Always the last write of a transaction: two sessions that share a stripe then cannot hold it and an entry crosswise.
CREATE FUNCTION add_usage(p_vnode int, p_dir uuid, p_entries bigint, p_bytes bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_entries = 0 AND p_bytes = 0 THEN RETURN; END IF;
  INSERT INTO directory_usage AS u (vnode, dir_id, stripe, entries, bytes)
  VALUES (p_vnode, p_dir, pg_backend_pid() % 16, p_entries, p_bytes)
  ON CONFLICT (vnode, dir_id, stripe)
  DO UPDATE SET entries = u.entries + excluded.entries, bytes = u.bytes + excluded.bytes;
END $$;

CREATE FUNCTION put_object(r mutation_v1, OUT result text, OUT rev uuid, OUT mtime timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_dir uuid;
  v_problem text;
  e entry;
BEGIN
  PERFORM pg_advisory_xact_lock(1296957442, object_key(r.object_id));
  IF clock_timestamp() > r.deadline THEN result := 'expired'; RETURN; END IF;
  SELECT o.dir, o.problem INTO v_dir, v_problem FROM open_directory(r.vnode, r.path_hash, r.root_path, r.owner) AS o;
  IF v_problem IS NOT NULL THEN result := v_problem; RETURN; END IF;
  LOOP
    SELECT x.* INTO e FROM entry x
    WHERE x.vnode = r.vnode AND x.dir_id = v_dir AND x.name = r.name FOR UPDATE;  -- entry_pkey
    IF e.rev = r.rev OR e.object_id = r.object_id THEN
      result := 'unchanged'; rev := e.rev; mtime := e.mtime; RETURN;
    END IF;
    -- After the row lock and before both branches: our id in the outbox means that our first attempt was committed
    -- and overwritten since; writing the id again would reference bytes that are queued for deletion.
    IF EXISTS (SELECT 1 FROM garbage g WHERE g.vnode = r.vnode AND g.object_id = r.object_id) THEN  -- garbage_object
      result := 'superseded'; RETURN;
    END IF;
    IF e.kind = 'd' THEN result := 'is_directory'; RETURN; END IF;
    IF r.expect = 'r' AND e.rev IS DISTINCT FROM r.expect_rev OR r.expect = 'n' AND e.rev IS NOT NULL THEN
      result := 'precondition'; RETURN;
    END IF;
    rev := r.rev;
    mtime := clock_timestamp()::timestamptz(3);
    IF e.rev IS NOT NULL THEN
      UPDATE entry x SET owner = r.owner, creator = r.creator, rev = r.rev, mtime = put_object.mtime, roles = r.roles,
        headers = r.headers, object_id = r.object_id, etag = NULL, content_length = r.content_length,
        content_md5 = r.content_md5, content_type = r.content_type, content_disposition = r.content_disposition,
        copies = r.copies, single_path = true, created_from = NULL
      WHERE x.vnode = r.vnode AND x.dir_id = v_dir AND x.name = r.name;
      PERFORM add_usage(r.vnode, v_dir, 0, r.content_length - e.content_length);
      result := 'replaced'; RETURN;
    END IF;
    INSERT INTO entry (vnode, dir_id, name, kind, owner, creator, rev, mtime, roles, headers, object_id,
      content_length, content_md5, content_type, content_disposition, copies, single_path)
    VALUES (r.vnode, v_dir, r.name, 'o', r.owner, r.creator, r.rev, put_object.mtime, r.roles, r.headers, r.object_id,
      r.content_length, r.content_md5, r.content_type, r.content_disposition, r.copies, true)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      PERFORM add_usage(r.vnode, v_dir, 1, r.content_length);
      result := 'created'; RETURN;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION change_entry(r mutation_v1, OUT result text, OUT rev uuid, OUT mtime timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  e entry;
BEGIN
  SELECT x.* INTO e FROM directory d JOIN entry x ON x.vnode = d.vnode AND x.dir_id = d.dir_id AND x.name = r.name
  WHERE d.vnode = r.vnode AND d.path_hash = r.path_hash FOR UPDATE OF x;  -- directory_by_path, entry_pkey
  IF e.rev IS NULL THEN result := 'absent'; RETURN; END IF;
  IF r.op = 'd' AND e.kind = 'd' THEN result := 'is_directory'; RETURN; END IF;
  IF r.op = 'u' AND e.rev = r.rev THEN result := 'updated'; rev := e.rev; mtime := e.mtime; RETURN; END IF;
  -- Without expect_rev any version of the expected kind will do.
  IF e.rev <> r.expect_rev OR r.op = 'u' AND e.kind <> r.expect THEN result := 'precondition'; RETURN; END IF;
  IF r.op = 'd' THEN
    DELETE FROM entry x WHERE x.vnode = e.vnode AND x.dir_id = e.dir_id AND x.name = e.name;
    PERFORM add_usage(e.vnode, e.dir_id, -1, -e.content_length);
    result := 'deleted'; RETURN;
  END IF;
  rev := r.rev;
  mtime := clock_timestamp()::timestamptz(3);
  UPDATE entry x SET rev = r.rev, mtime = change_entry.mtime, roles = r.roles, headers = r.headers,
    content_type = CASE WHEN x.kind = 'o' THEN COALESCE(r.content_type, x.content_type) END,
    content_disposition = CASE WHEN x.kind = 'o' THEN r.content_disposition END
  WHERE x.vnode = e.vnode AND x.dir_id = e.dir_id AND x.name = e.name;
  result := 'updated';
END $$;

-- One mutation that waits for whatever stands in its way.
CREATE FUNCTION mutate_one_v1(p_row json) RETURNS TABLE (result text, rev uuid, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  r mutation_v1 := json_populate_record(NULL::mutation_v1, p_row);
BEGIN
  PERFORM shard_enter(r.vnode);
  IF r.op = 'p' THEN
    RETURN QUERY SELECT m.result, m.rev, epoch_ms(m.mtime) FROM put_object(r) AS m;
  ELSE
    RETURN QUERY SELECT m.result, m.rev, epoch_ms(m.mtime) FROM change_entry(r) AS m;
  END IF;
END $$;

-- Many mutations of different names in one transaction, each with its own result. Nothing waits on a row lock: what
-- cannot be had at once is answered `alone`, and the caller sends it through mutate_one_v1. Order of locks: slices,
-- object ids, directories, entries, then inserts, then updates and deletes, then counters, each ascending.
-- The planner settings keep every row an index lookup, whatever the statistics of a young table say, and planned once.
CREATE FUNCTION mutate_v1(p_rows json) RETURNS TABLE (ord int, result text, rev uuid, mtime_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_rows mutation_v1[];
  v_now timestamptz;
  v_mtime timestamptz(3);
  v_fence text[];
  v_rank int[];             -- row -> its position among the distinct directories
  v_dirs uuid[];            -- the distinct directories; NULL: not live, or locked by somebody
  v_rev uuid[]; v_time timestamptz[]; v_kind "char"[]; v_object uuid[]; v_bytes bigint[];  -- the entries found
  v_act text[];
  v_done uuid[];
BEGIN
  v_rows := ARRAY(SELECT m FROM json_populate_recordset(NULL::mutation_v1, p_rows) AS m
                  ORDER BY m.vnode, m.path_hash, m.name);

  PERFORM pg_advisory_xact_lock_shared(1296957441, s.slice)
  FROM (SELECT DISTINCT m.vnode >> 7 AS slice FROM unnest(v_rows) AS m ORDER BY 1) AS s;
  PERFORM pg_advisory_xact_lock(1296957442, k.key)
  FROM (SELECT DISTINCT object_key(m.object_id) AS key FROM unnest(v_rows) AS m WHERE m.op = 'p' ORDER BY 1) AS k;
  v_now := clock_timestamp();
  v_mtime := v_now;

  -- range_state, written out: a call per row would cost as much as the rest of the row. shard_range_pkey
  SELECT array_agg(COALESCE((SELECT CASE WHEN s.hi >= m.vnode THEN s.state END FROM shard_range s
                             WHERE s.lo <= m.vnode ORDER BY s.lo DESC LIMIT 1), 'none') ORDER BY m.i),
         array_agg(m.rank ORDER BY m.i)
  INTO v_fence, v_rank
  FROM (SELECT u.vnode, u.i, (dense_rank() OVER (ORDER BY u.vnode, u.path_hash))::int AS rank
        FROM unnest(v_rows) WITH ORDINALITY AS u(ord, op, vnode, path_hash, root_path, name, owner, creator, rev,
          expect, expect_rev, deadline, object_id, content_length, content_md5, content_type, content_disposition,
          headers, roles, copies, i)) AS m;

  -- directory_by_path
  v_dirs := ARRAY(
    SELECT d.dir_id FROM (SELECT DISTINCT m.vnode, m.path_hash FROM unnest(v_rows) AS m ORDER BY 1, 2) AS k
    LEFT JOIN LATERAL (
      SELECT x.dir_id FROM directory x
      WHERE x.vnode = k.vnode AND x.path_hash = k.path_hash AND x.state = 'live' FOR KEY SHARE SKIP LOCKED
    ) AS d ON true
    ORDER BY k.vnode, k.path_hash);

  -- entry_pkey
  SELECT array_agg(e.rev ORDER BY m.i), array_agg(e.mtime ORDER BY m.i), array_agg(e.kind ORDER BY m.i),
         array_agg(e.object_id ORDER BY m.i), array_agg(e.content_length ORDER BY m.i)
  INTO v_rev, v_time, v_kind, v_object, v_bytes
  FROM (SELECT (u.m).vnode AS vnode, v_dirs[v_rank[u.i]] AS dir_id, (u.m).name AS name, u.i
        FROM (SELECT v_rows[i] AS m, i FROM generate_subscripts(v_rows, 1) AS i) AS u
        ORDER BY 1, 2, 3) AS m
  LEFT JOIN LATERAL (
    SELECT x.rev, x.mtime, x.kind, x.object_id, x.content_length FROM entry x
    WHERE x.vnode = m.vnode AND x.dir_id = m.dir_id AND x.name = m.name FOR UPDATE SKIP LOCKED
  ) AS e ON true;

  -- A statement of its own, after the row locks: see put_object for why the outbox is asked here. garbage_object
  SELECT array_agg(CASE
      WHEN v_fence[u.i] = 'ro' THEN 'read_only'
      WHEN v_fence[u.i] <> 'rw' THEN 'moved'
      WHEN u.op = 'p' AND v_now > u.deadline THEN 'expired'
      WHEN v_dirs[v_rank[u.i]] IS NULL THEN 'alone'
      WHEN u.op <> 'p' THEN CASE
        WHEN v_rev[u.i] IS NULL THEN 'alone'
        WHEN u.op = 'd' AND v_kind[u.i] = 'd' THEN 'is_directory'
        WHEN u.op = 'u' AND v_rev[u.i] = u.rev THEN 'updated'
        WHEN v_rev[u.i] <> u.expect_rev OR u.op = 'u' AND v_kind[u.i] <> u.expect THEN 'precondition'
        WHEN u.op = 'd' THEN '-delete'
        ELSE '-update' END
      WHEN v_rev[u.i] = u.rev OR v_object[u.i] = u.object_id THEN 'unchanged'
      WHEN EXISTS (SELECT 1 FROM garbage g WHERE g.vnode = u.vnode AND g.object_id = u.object_id) THEN 'superseded'
      WHEN v_kind[u.i] = 'd' THEN 'is_directory'
      WHEN u.expect = 'r' AND v_rev[u.i] IS DISTINCT FROM u.expect_rev
        OR u.expect = 'n' AND v_rev[u.i] IS NOT NULL THEN 'precondition'
      WHEN v_rev[u.i] IS NULL THEN '-insert'
      ELSE '-replace' END ORDER BY u.i)
  INTO v_act
  FROM unnest(v_rows) WITH ORDINALITY AS u(ord, op, vnode, path_hash, root_path, name, owner, creator, rev,
    expect, expect_rev, deadline, object_id, content_length, content_md5, content_type, content_disposition,
    headers, roles, copies, i);

  IF '-insert' = ANY (v_act) THEN
    WITH made AS (
      INSERT INTO entry (vnode, dir_id, name, kind, owner, creator, rev, mtime, roles, headers, object_id,
        content_length, content_md5, content_type, content_disposition, copies, single_path)
      SELECT u.vnode, v_dirs[v_rank[u.i]], u.name, 'o', u.owner, u.creator, u.rev, v_mtime, u.roles, u.headers,
        u.object_id, u.content_length, u.content_md5, u.content_type, u.content_disposition, u.copies, true
      FROM unnest(v_rows) WITH ORDINALITY AS u(ord, op, vnode, path_hash, root_path, name, owner, creator, rev,
        expect, expect_rev, deadline, object_id, content_length, content_md5, content_type, content_disposition,
        headers, roles, copies, i)
      WHERE v_act[u.i] = '-insert'
      ORDER BY 1, 2, 3
      ON CONFLICT DO NOTHING
      RETURNING rev)
    SELECT array_agg(made.rev) INTO v_done FROM made;
    IF COALESCE(cardinality(v_done), 0) < cardinality(array_positions(v_act, '-insert')) THEN
      v_act := ARRAY(
        SELECT CASE WHEN v_act[i] = '-insert' AND (v_done IS NULL OR NOT (v_rows[i].rev = ANY (v_done))) THEN 'alone'
          ELSE v_act[i] END
        FROM generate_subscripts(v_act, 1) AS i ORDER BY i);
    END IF;
  END IF;

  IF '-replace' = ANY (v_act) THEN
    UPDATE entry x SET owner = u.owner, creator = u.creator, rev = u.rev, mtime = v_mtime, roles = u.roles,
      headers = u.headers, object_id = u.object_id, etag = NULL, content_length = u.content_length,
      content_md5 = u.content_md5, content_type = u.content_type, content_disposition = u.content_disposition,
      copies = u.copies, single_path = true, created_from = NULL
    FROM unnest(v_rows) WITH ORDINALITY AS u(ord, op, vnode, path_hash, root_path, name, owner, creator, rev,
      expect, expect_rev, deadline, object_id, content_length, content_md5, content_type, content_disposition,
      headers, roles, copies, i)
    WHERE v_act[u.i] = '-replace' AND x.vnode = u.vnode AND x.dir_id = v_dirs[v_rank[u.i]] AND x.name = u.name;
  END IF;

  IF '-update' = ANY (v_act) THEN
    UPDATE entry x SET rev = u.rev, mtime = v_mtime, roles = u.roles, headers = u.headers,
      content_type = CASE WHEN x.kind = 'o' THEN COALESCE(u.content_type, x.content_type) END,
      content_disposition = CASE WHEN x.kind = 'o' THEN u.content_disposition END
    FROM unnest(v_rows) WITH ORDINALITY AS u(ord, op, vnode, path_hash, root_path, name, owner, creator, rev,
      expect, expect_rev, deadline, object_id, content_length, content_md5, content_type, content_disposition,
      headers, roles, copies, i)
    WHERE v_act[u.i] = '-update' AND x.vnode = u.vnode AND x.dir_id = v_dirs[v_rank[u.i]] AND x.name = u.name;
  END IF;

  IF '-delete' = ANY (v_act) THEN
    DELETE FROM entry x
    USING (SELECT v_rows[i].vnode AS vnode, v_dirs[v_rank[i]] AS dir_id, v_rows[i].name AS name
           FROM generate_subscripts(v_act, 1) AS i WHERE v_act[i] = '-delete') AS u
    WHERE x.vnode = u.vnode AND x.dir_id = u.dir_id AND x.name = u.name;
  END IF;

  INSERT INTO directory_usage AS c (vnode, dir_id, stripe, entries, bytes)
  SELECT t.vnode, t.dir_id, pg_backend_pid() % 16, sum(t.entries), sum(t.bytes)
  FROM (SELECT v_rows[i].vnode AS vnode, v_dirs[v_rank[i]] AS dir_id,
          CASE v_act[i] WHEN '-insert' THEN 1 WHEN '-delete' THEN -1 ELSE 0 END AS entries,
          CASE v_act[i] WHEN '-insert' THEN v_rows[i].content_length WHEN '-delete' THEN -v_bytes[i]
            ELSE v_rows[i].content_length - v_bytes[i] END AS bytes
        FROM generate_subscripts(v_act, 1) AS i
        WHERE v_act[i] IN ('-insert', '-replace', '-delete')) AS t
  GROUP BY 1, 2 HAVING sum(t.entries) <> 0 OR sum(t.bytes) <> 0
  ORDER BY 1, 2
  ON CONFLICT (vnode, dir_id, stripe)
  DO UPDATE SET entries = c.entries + excluded.entries, bytes = c.bytes + excluded.bytes;

  RETURN QUERY SELECT v_rows[i].ord,
    CASE v_act[i] WHEN '-insert' THEN 'created' WHEN '-replace' THEN 'replaced' WHEN '-update' THEN 'updated'
      WHEN '-delete' THEN 'deleted' ELSE v_act[i] END,
    CASE WHEN v_act[i] LIKE '-%' THEN v_rows[i].rev ELSE v_rev[i] END,
    epoch_ms(CASE WHEN v_act[i] LIKE '-%' THEN v_mtime ELSE v_time[i] END)
  FROM generate_subscripts(v_act, 1) AS i;
END $$;

-- Bytes that may lie on storage nodes without an entry (metadata.md §14.6).
CREATE FUNCTION abandon_v1(p_vnode int, p_object uuid, p_creator uuid, p_owner uuid, p_path text, p_copies int[],
  p_bytes bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM shard_enter(p_vnode);
  INSERT INTO garbage (vnode, queue, object_id, creator, owner, path, copies, bytes, removed)
  VALUES (p_vnode, 'abandoned', p_object, p_creator, p_owner, p_path, p_copies, p_bytes, '{}');
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mutate_v1(json), mutate_one_v1(json),
  abandon_v1(int, uuid, uuid, uuid, text, int[], bigint) TO manta_webapi;

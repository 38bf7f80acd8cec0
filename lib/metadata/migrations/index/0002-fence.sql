-- Who may write here (metadata.md §13.2). Writers hold the slice's lock shared; whoever changes a range takes it
-- exclusively first, so that no writer that saw the old state is in flight when the change commits.

-- rw, ro, or the reason why this database does not answer for the vnode.
CREATE FUNCTION range_state(p_vnode int) RETURNS text LANGUAGE sql STABLE AS $$
  -- shard_range_pkey
  SELECT COALESCE((SELECT CASE WHEN s.hi >= p_vnode THEN s.state END
                   FROM shard_range s WHERE s.lo <= p_vnode ORDER BY s.lo DESC LIMIT 1), 'none')
$$;

CREATE FUNCTION refuse_vnode(p_vnode int, p_state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_state = 'ro' THEN
    RAISE EXCEPTION 'vnode % is read-only', p_vnode USING ERRCODE = 'MR001';
  END IF;
  RAISE EXCEPTION 'vnode % is not served here', p_vnode USING ERRCODE = 'MR002',
    DETAIL = COALESCE((SELECT s.epoch::text FROM shard_range s WHERE s.lo <= p_vnode AND s.hi >= p_vnode), '');
END $$;

CREATE FUNCTION shard_enter(VARIADIC p_vnodes int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_vnode int;
  v_state text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1296957441, s.slice)
  FROM (SELECT DISTINCT v >> 7 AS slice FROM unnest(p_vnodes) AS v ORDER BY 1) AS s;
  -- A statement of its own: it must see what committed while the lock was awaited.
  FOREACH v_vnode IN ARRAY p_vnodes LOOP
    v_state := range_state(v_vnode);
    IF v_state <> 'rw' THEN
      PERFORM refuse_vnode(v_vnode, v_state);
    END IF;
  END LOOP;
END $$;

-- Reads are served from a read-only range too.
CREATE FUNCTION check_readable(p_vnode int, p_state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_state IS NULL OR p_state NOT IN ('rw', 'ro') THEN
    PERFORM refuse_vnode(p_vnode, 'moved');
  END IF;
END $$;

-- Gives a new, empty database its first range. False when it has ranges already.
CREATE FUNCTION first_range_v1(p_lo int, p_hi int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  LOCK TABLE shard_range IN EXCLUSIVE MODE;
  IF EXISTS (SELECT 1 FROM shard_range) THEN
    RETURN false;
  END IF;
  INSERT INTO shard_range (lo, hi, state, epoch) VALUES (p_lo, p_hi, 'rw', 1);
  RETURN true;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION first_range_v1(int, int) TO manta_webapi;

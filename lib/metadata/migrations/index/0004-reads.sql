-- Reads. Each asks in the same statement whether this database answers for the vnode, so that a stale router gets
-- MR002 and never stale rows (metadata.md §12.5, §12.9, §13.2).

CREATE FUNCTION entry_json(e entry) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_strip_nulls(json_build_object(
    'kind', e.kind, 'owner', e.owner, 'creator', e.creator, 'rev', e.rev, 'mtime', epoch_ms(e.mtime),
    'roles', e.roles, 'headers', e.headers, 'objectId', e.object_id, 'etag', COALESCE(e.etag, e.object_id),
    'size', e.content_length, 'md5', encode(e.content_md5, 'base64'), 'type', e.content_type,
    'disposition', e.content_disposition, 'copies', e.copies, 'single', e.single_path, 'childDir', e.child_dir))
$$;

-- One row always. siblings: entries of the directory, 0 unless asked for.
CREATE FUNCTION get_entry_v1(p_vnode int, p_path_hash bytea, p_name text, p_count boolean)
RETURNS TABLE (entry json, siblings float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_state text;
BEGIN
  -- shard_range_pkey, directory_by_path, entry_pkey, directory_usage_pkey
  SELECT range_state(p_vnode), CASE WHEN e.rev IS NOT NULL THEN entry_json(e) END,
    CASE WHEN p_count THEN COALESCE((SELECT sum(u.entries) FROM directory_usage u
                                     WHERE u.vnode = p_vnode AND u.dir_id = d.dir_id), 0) ELSE 0 END
  INTO v_state, entry, siblings
  FROM (SELECT 1) AS one
  LEFT JOIN directory d ON d.vnode = p_vnode AND d.path_hash = p_path_hash
  LEFT JOIN entry e ON e.vnode = p_vnode AND e.dir_id = d.dir_id AND e.name = p_name;
  PERFORM check_readable(p_vnode, v_state);
  RETURN NEXT;
END $$;

CREATE FUNCTION list_item(e entry) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(e.name, e.kind, epoch_ms(e.mtime), COALESCE(e.etag, e.object_id), e.content_length,
    e.content_type, e.content_disposition, encode(e.content_md5, 'base64'), cardinality(e.copies))
$$;

-- One row always: the page as an array of items, and the number of all entries. The bounds are inclusive; NULL is none.
-- Each branch is one index range in the order asked for, so that a page costs its own rows at any depth.
CREATE FUNCTION list_v1(p_vnode int, p_path_hash bytea, p_sort text, p_descending boolean, p_name text,
  p_mtime_ms float8, p_limit int, p_kind "char", p_owner uuid)
RETURNS TABLE (page json, total float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_dir uuid;
  v_state text;
  -- Above every name: names end at 1,024 bytes.
  v_name text := COALESCE(p_name, CASE WHEN p_descending THEN repeat(chr(1114111), 257) ELSE '' END);
  v_mtime timestamptz := CASE WHEN p_mtime_ms IS NOT NULL THEN to_timestamp(p_mtime_ms / 1000)
    WHEN p_descending THEN 'infinity' ELSE '-infinity' END;
BEGIN
  SELECT range_state(p_vnode), d.dir_id,
    COALESCE((SELECT sum(u.entries) FROM directory_usage u WHERE u.vnode = p_vnode AND u.dir_id = d.dir_id), 0)
  INTO v_state, v_dir, total
  FROM (SELECT 1) AS one
  LEFT JOIN directory d ON d.vnode = p_vnode AND d.path_hash = p_path_hash;  -- directory_by_path
  PERFORM check_readable(p_vnode, v_state);

  IF p_sort = 'mtime' AND p_descending THEN  -- entry_by_mtime
    page := (SELECT json_agg(list_item(e)) FROM (SELECT x FROM entry x WHERE x.vnode = p_vnode AND x.dir_id = v_dir
      AND x.mtime <= v_mtime AND (p_kind IS NULL OR x.kind = p_kind) AND (p_owner IS NULL OR x.owner = p_owner)
      ORDER BY x.mtime DESC, x.name DESC LIMIT p_limit) AS q(e));
  ELSIF p_sort = 'mtime' THEN  -- entry_by_mtime
    page := (SELECT json_agg(list_item(e)) FROM (SELECT x FROM entry x WHERE x.vnode = p_vnode AND x.dir_id = v_dir
      AND x.mtime >= v_mtime AND (p_kind IS NULL OR x.kind = p_kind) AND (p_owner IS NULL OR x.owner = p_owner)
      ORDER BY x.mtime, x.name LIMIT p_limit) AS q(e));
  ELSIF p_descending THEN  -- entry_pkey
    page := (SELECT json_agg(list_item(e)) FROM (SELECT x FROM entry x WHERE x.vnode = p_vnode AND x.dir_id = v_dir
      AND x.name <= v_name AND (p_kind IS NULL OR x.kind = p_kind) AND (p_owner IS NULL OR x.owner = p_owner)
      ORDER BY x.name DESC LIMIT p_limit) AS q(e));
  ELSE  -- entry_pkey
    page := (SELECT json_agg(list_item(e)) FROM (SELECT x FROM entry x WHERE x.vnode = p_vnode AND x.dir_id = v_dir
      AND x.name >= v_name AND (p_kind IS NULL OR x.kind = p_kind) AND (p_owner IS NULL OR x.owner = p_owner)
      ORDER BY x.name LIMIT p_limit) AS q(e));
  END IF;
  RETURN NEXT;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION get_entry_v1(int, bytea, text, boolean),
  list_v1(int, bytea, text, boolean, text, float8, int, "char", uuid) TO manta_webapi;

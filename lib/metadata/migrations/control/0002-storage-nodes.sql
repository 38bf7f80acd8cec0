-- The registry of storage nodes and their last heartbeats (metadata.md §14.3).

CREATE TABLE storage_node (
  node_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  storage_id text UNIQUE NOT NULL,
  compute_id text, datacenter text NOT NULL, failure_domain text NOT NULL,
  base_url text NOT NULL, incarnation uuid NOT NULL,
  writes text NOT NULL DEFAULT 'enabled' CHECK (writes IN ('enabled', 'disabled')),
  lifecycle text NOT NULL DEFAULT 'active' CHECK (lifecycle IN ('active', 'draining', 'drained', 'retired')),
  registered timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- `incarnation` is the one that sent the heartbeat: while it is not the accepted one, nothing is placed on the node.
CREATE TABLE storage_capacity (
  node_no int PRIMARY KEY REFERENCES storage_node,
  incarnation uuid NOT NULL, total_bytes bigint NOT NULL, avail_bytes bigint NOT NULL,
  inodes_free bigint NOT NULL, writes_inflight int NOT NULL,
  out_of_service boolean NOT NULL, layout int NOT NULL, version text NOT NULL,
  received timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);

CREATE TYPE heartbeat_v1 AS (
  storage_id text, incarnation uuid, layout int, base_url text, datacenter text, failure_domain text, compute_id text,
  total_bytes bigint, avail_bytes bigint, inodes_free bigint, writes_inflight int, out_of_service boolean, version text
);

-- The only writer of storage_node rows' birth. result: accepted, incarnation_mismatch, retired.
CREATE FUNCTION heartbeat_v1(p_heartbeat json)
RETURNS TABLE (result text, node_no int, writes text, lifecycle text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  h heartbeat_v1 := json_populate_record(NULL::heartbeat_v1, p_heartbeat);
  n storage_node;
BEGIN
  LOOP
    -- Looked for before inserting: a conflicting insert would use up a number.
    SELECT x.* INTO n FROM storage_node x WHERE x.storage_id = h.storage_id FOR UPDATE;  -- storage_node_storage_id_key
    EXIT WHEN FOUND;
    INSERT INTO storage_node (storage_id, compute_id, datacenter, failure_domain, base_url, incarnation)
    VALUES (h.storage_id, h.compute_id, h.datacenter, h.failure_domain, h.base_url, h.incarnation)
    ON CONFLICT DO NOTHING;
  END LOOP;
  IF n.lifecycle = 'retired' THEN
    RETURN QUERY SELECT 'retired', n.node_no, n.writes, n.lifecycle;
    RETURN;
  END IF;
  IF n.incarnation = h.incarnation AND (n.base_url, n.datacenter, n.failure_domain, n.compute_id)
      IS DISTINCT FROM (h.base_url, h.datacenter, h.failure_domain, h.compute_id) THEN
    UPDATE storage_node x SET base_url = h.base_url, datacenter = h.datacenter, failure_domain = h.failure_domain,
      compute_id = h.compute_id WHERE x.node_no = n.node_no;
  END IF;
  INSERT INTO storage_capacity (node_no, incarnation, total_bytes, avail_bytes, inodes_free, writes_inflight,
    out_of_service, layout, version, received)
  VALUES (n.node_no, h.incarnation, h.total_bytes, h.avail_bytes, h.inodes_free, h.writes_inflight,
    h.out_of_service, h.layout, h.version, clock_timestamp())
  ON CONFLICT (node_no) DO UPDATE SET incarnation = excluded.incarnation, total_bytes = excluded.total_bytes,
    avail_bytes = excluded.avail_bytes, inodes_free = excluded.inodes_free, writes_inflight = excluded.writes_inflight,
    out_of_service = excluded.out_of_service, layout = excluded.layout, version = excluded.version,
    received = excluded.received;
  RETURN QUERY SELECT CASE WHEN n.incarnation = h.incarnation THEN 'accepted' ELSE 'incarnation_mismatch' END,
    n.node_no, n.writes, n.lifecycle;
END $$;

CREATE FUNCTION storage_nodes_v1() RETURNS TABLE (node json)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  -- storage_node_pkey; the table is small and read whole
  SELECT json_build_object('nodeNo', n.node_no, 'storageId', n.storage_id, 'datacenter', n.datacenter,
    'failureDomain', n.failure_domain, 'baseUrl', n.base_url, 'writes', n.writes, 'lifecycle', n.lifecycle,
    'outOfService', c.out_of_service OR c.incarnation <> n.incarnation,
    'totalBytes', c.total_bytes, 'availBytes', c.avail_bytes, 'inodesFree', c.inodes_free,
    'heartbeatAgeMs', greatest(0, (extract(epoch FROM clock_timestamp() - c.received) * 1000)::float8))
  FROM storage_node n JOIN storage_capacity c USING (node_no) ORDER BY n.node_no
$$;

-- NULL keeps what is stored. False when the node is unknown.
CREATE FUNCTION set_storage_node_v1(p_storage_id text, p_writes text, p_lifecycle text, p_incarnation uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE storage_node x SET writes = COALESCE(p_writes, x.writes), lifecycle = COALESCE(p_lifecycle, x.lifecycle),
    incarnation = COALESCE(p_incarnation, x.incarnation)
  WHERE x.storage_id = p_storage_id;  -- storage_node_storage_id_key
  RETURN FOUND;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heartbeat_v1(json), storage_nodes_v1(), set_storage_node_v1(text, text, text, uuid)
  TO manta_webapi;
GRANT SELECT ON storage_node, storage_capacity TO manta_webapi;

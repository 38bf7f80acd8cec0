-- The registry of storage nodes for people and for the region's operator: with what placement does not look at.

CREATE FUNCTION storage_report_v1() RETURNS TABLE (node json)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  -- storage_node_pkey; the table is small and read whole
  SELECT json_build_object('nodeNo', n.node_no, 'storageId', n.storage_id, 'datacenter', n.datacenter,
    'failureDomain', n.failure_domain, 'computeId', n.compute_id, 'baseUrl', n.base_url, 'writes', n.writes,
    'lifecycle', n.lifecycle, 'outOfService', c.out_of_service OR c.incarnation <> n.incarnation,
    'incarnation', n.incarnation, 'reportedIncarnation', c.incarnation, 'version', c.version,
    'totalBytes', c.total_bytes, 'availBytes', c.avail_bytes, 'inodesFree', c.inodes_free,
    'heartbeatAgeMs', greatest(0, (extract(epoch FROM clock_timestamp() - c.received) * 1000)::float8))
  FROM storage_node n JOIN storage_capacity c USING (node_no) ORDER BY n.node_no
$$;

REVOKE ALL ON FUNCTION storage_report_v1() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION storage_report_v1() TO manta_webapi;

/**
 * A line of JSON for each request, in the shape of the programs' other logs. Times are in seconds, as nginx measures them;
 * what upstreams did is a list where there were several.
 */
const FIELDS: ReadonlyArray<readonly [name: string, value: string]> = [
  ['level', '30'],
  ['time', '"$time_iso8601"'],
  ['name', '"loadbalancer"'],
  ['msg', '"access"'],
  ['req_id', '"$logged_request_id"'],
  ['status', '$status'],
  ['method', '"$request_method"'],
  ['url', '"$logged_uri"'],
  ['httpVersion', '"$server_protocol"'],
  ['tls', '"$ssl_protocol"'],
  ['remoteAddress', '"$remote_addr"'],
  ['remotePort', '"$remote_port"'],
  ['forwardedFor', '"$logged_forwarded"'],
  ['userAgent', '"$logged_agent"'],
  ['bytesIn', '$request_length'],
  ['bytesOut', '$body_bytes_sent'],
  ['seconds', '$request_time'],
  ['upstream', '"$upstream_addr"'],
  ['upstreamStatus', '"$upstream_status"'],
  ['upstreamConnectSeconds', '"$upstream_connect_time"'],
  ['upstreamHeaderSeconds', '"$upstream_header_time"'],
  ['storageNode', '"$storage_node"'],
  ['instance', '"$webapi_instance"'],
  ['handedId', '"$webapi_request_id"'],
  ['completed', '"$request_completion"'],
];

/** nginx's `log_format` directive of that line, named `record`. */
export const ACCESS_LOG_FORMAT = `log_format record escape=json '{${FIELDS.map(([name, value]) => `"${name}":${value}`).join(',')}}';`;

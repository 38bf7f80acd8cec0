import { isIP } from 'node:net';
import { join } from 'node:path';
import { ACCESS_LOG_FORMAT } from './access-log-format.ts';
import type { Backend, LoadbalancerConfig } from './config.ts';

/** What nginx is told besides the program's configuration. */
export interface NginxSettings {
  readonly backends: readonly Backend[];
  /** Files of the checked certificate. */
  readonly certificate: { readonly certificateFile: string; readonly keyFile: string };
  /** Whom the workers run as, where nginx runs as root and would choose `nobody`, who has no way to `stateDir`. */
  readonly user?: string | undefined;
  readonly config: Pick<LoadbalancerConfig, 'listen' | 'limits' | 'stateDir' | 'timers' | 'trustedProxies'>;
}

/** The files in `stateDir` by which follower and nginx speak. */
export function stateFiles(stateDir: string) {
  return {
    config: join(stateDir, 'nginx.conf'),
    candidate: join(stateDir, 'candidate.conf'),
    pid: join(stateDir, 'nginx.pid'),
    /** Unix socket: which configuration is in force, and how many connections there are. */
    status: join(stateDir, 'status.sock'),
    /** Named pipe that nginx writes a line of JSON to for each request. */
    accessLog: join(stateDir, 'access.log'),
    temporary: join(stateDir, 'tmp'),
  } as const;
}

/** While it exists, answers of this configuration's workers close their connection. */
export function turnOverFile(stateDir: string, generation: string): string {
  return join(stateDir, `turn-over-${generation}`);
}

/** Longest that a worker of an old configuration goes on with its transfers. */
const OLD_WORKERS_END_AFTER = '12h';
/** The largest response headers are those of an object with all its metadata. */
const RESPONSE_HEADERS = '32k';

/**
 * nginx's configuration. `generation` is what `/generation` on the status socket answers, to tell when it is in force.
 *
 * The request line reaches webapi byte for byte, because signatures cover it: `proxy_pass` has no path, and locations that
 * requests are moved to are named ones. Bodies stream both ways. Only reads are tried on a second webapi: a write whose
 * webapi went away may have happened. http-api.md §13.3.
 */
export function renderNginxConfig(settings: NginxSettings, generation: string): string {
  const { limits, stateDir } = settings.config;
  const files = stateFiles(stateDir);
  return `${settings.user === undefined ? '' : `user ${settings.user};\n`}daemon off;
pid ${files.pid};
error_log stderr warn;
worker_processes ${limits.workers};
worker_rlimit_nofile ${limits.workerConnections + 64};
worker_shutdown_timeout ${OLD_WORKERS_END_AFTER};
events {
  worker_connections ${limits.workerConnections};
}
http {
${indented(
  [
    general(settings),
    variables(settings),
    upstream(settings.backends),
    publicServer(settings, generation),
    statusServer(files, generation),
  ].join('\n\n'),
)}
}
`;
}

function general({ config: { stateDir, timers } }: NginxSettings): string {
  const files = stateFiles(stateDir);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    kind => `${kind}_temp_path ${join(files.temporary, kind)};`,
  );
  return `${temporary.join('\n')}
${ACCESS_LOG_FORMAT}
access_log ${files.accessLog} record;
default_type application/json;
server_tokens off;
# Neither header names nor lengths are judged here: webapi knows its limits, and signatures may cover any header.
ignore_invalid_headers off;
underscores_in_headers on;
client_header_buffer_size 4k;
large_client_header_buffers 4 72k;
client_max_body_size 0;
client_body_buffer_size 64k;
client_header_timeout ${timers.client}ms;
client_body_timeout ${timers.client}ms;
send_timeout ${timers.client}ms;
keepalive_timeout ${timers.client}ms;
keepalive_requests 1000000;
reset_timedout_connection on;
# Which lane a request takes is decided by pages for codes that nobody else uses.
recursive_error_pages on;
# Requests that are malformed get no further than the access log.
uninitialized_variable_warn off;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256;
ssl_prefer_server_ciphers off;
ssl_session_cache shared:tls:10m;
ssl_session_timeout 1h;`;
}

function variables({ config }: NginxSettings): string {
  const trusted = config.trustedProxies.map(item => `  ${item} 1;`);
  return `geo $trusted_proxy {
${['  default 0;', ...trusted].join('\n')}
}
map $trusted_proxy:$http_x_forwarded_proto $forwarded_proto {
  default $scheme;
  1:http http;
  1:https https;
}
map $http_request_id$http_x_request_id $passed_request_id {
  default $http_x_request_id;
  "" $request_id;
}
map $request_method $is_read {
  default 0;
  GET 1;
  HEAD 1;
  OPTIONS 1;
}
# A signature in a URL is a credential.
map $request_uri $unsigned_uri {
  default $request_uri;
  "~^(?<before_signature>.*[?&]signature=)[^&]*(?<after_signature>.*)$" "$before_signature…$after_signature";
}
# Lines of more than 4,096 bytes could be torn apart by those of other workers.
map $unsigned_uri $logged_uri {
  default $unsigned_uri;
  "~^(?<first_of_uri>.{1000})." "$first_of_uri…";
}
map $http_user_agent $logged_agent {
  default $http_user_agent;
  "~^(?<first_of_agent>.{200})." "$first_of_agent…";
}
map $http_x_forwarded_for $logged_forwarded {
  default $http_x_forwarded_for;
  "~^(?<first_of_forwarded>.{200})." "$first_of_forwarded…";
}
map $passed_request_id $logged_request_id {
  default $passed_request_id;
  "~^(?<first_of_id>.{128})." "$first_of_id…";
}`;
}

function upstream(backends: readonly Backend[]): string {
  if (backends.length === 0) return '# No webapi.';
  const servers = backends.map(
    ({ address, port }) =>
      `  server ${isIP(address) === 6 ? `[${address}]` : address}:${port} max_fails=2 fail_timeout=5s;`,
  );
  return `upstream webapi {
  zone webapi 512k;
  least_conn;
${servers.join('\n')}
  keepalive 256;
  keepalive_requests 1000000;
  # Less than webapi's own, so that it never closes a connection that a request has just been sent on.
  keepalive_timeout 60s;
}`;
}

function publicServer({ backends, certificate, config }: NginxSettings, generation: string): string {
  const { addresses, tlsPort, clearPort } = config.listen;
  const listen = addresses.flatMap(address => {
    const host = isIP(address) === 6 ? `[${address}]` : address;
    return [`listen ${host}:${tlsPort} ssl;`, `listen ${host}:${clearPort};`];
  });
  return `server {
${indented(listen.join('\n'))}
  ssl_certificate ${certificate.certificateFile};
  ssl_certificate_key ${certificate.keyFile};
  error_page 400 405 411 413 414 417 421 494 495 496 497 501 505 =400 //malformed;
  error_page 500 502 503 504 =503 //unavailable;
  error_page 460 = @read;
  error_page 461 = @write;
  error_page 462 = @last-read;
  error_page 463 = @last-write;

  set $storage_node "";
  set $webapi_instance "";
  set $webapi_request_id "";
  set $skipped_nodes "";

  location / {
    set $lane $is_read;
    if (-f ${turnOverFile(config.stateDir, generation)}) {
      set $lane $lane:last;
    }
    if ($lane = 1) {
      return 460;
    }
    if ($lane = 0) {
      return 461;
    }
    if ($lane = 1:last) {
      return 462;
    }
    return 463;
  }
${indented(lanes(backends, config.timers))}

  # Clients cannot ask for these: in what they ask for, slashes are merged.
${indented(cannedAnswers())}
}`;
}

/** One location for each way that a request goes: what may be retried, and whether its connection is used again. */
function lanes(backends: readonly Backend[], timers: LoadbalancerConfig['timers']): string {
  const lane = (name: string, extra: readonly string[]) =>
    `location @${name} {\n${indented([...extra, backends.length === 0 ? 'return 503;' : proxying(timers)].join('\n'))}\n}`;
  const read = [
    'proxy_next_upstream error timeout;',
    'proxy_next_upstream_tries 3;',
    'proxy_next_upstream_timeout 10s;',
    'proxy_set_header X-Manta-Accel 1;',
    'proxy_set_header X-Manta-Skip-Node $skipped_nodes;',
  ];
  const write = [
    'proxy_next_upstream off;',
    'proxy_set_header X-Manta-Accel "";',
    'proxy_set_header X-Manta-Skip-Node "";',
  ];
  const last = ['keepalive_timeout 0;'];
  return [
    lane('read', read),
    lane('write', write),
    lane('last-read', [...last, ...read]),
    lane('last-write', [...last, ...write]),
    storageLane(timers),
  ].join('\n');
}

/**
 * Where webapi sends nginx for an object's bytes: status and headers of the answer are the storage node's, as webapi has
 * granted them. Whatever else it answers sends the request back to webapi, which then knows which node to leave out.
 */
function storageLane(timers: LoadbalancerConfig['timers']): string {
  return `location @storage {
  set $storage_node $upstream_http_x_manta_node;
  set $storage_object $upstream_http_x_manta_object;
  set $storage_grant $upstream_http_x_manta_grant;
  set $webapi_instance $upstream_http_x_server_name;
  set $webapi_request_id $upstream_http_x_request_id;
  set $skipped_nodes "$skipped_nodes $storage_node";
  error_page 400 401 403 404 405 408 409 413 416 429 431 500 502 503 504 507 = @read;
  proxy_intercept_errors on;
  proxy_pass http://$storage_node$storage_object;
  proxy_http_version 1.1;
  proxy_connect_timeout ${timers.connect}ms;
  proxy_read_timeout ${timers.server}ms;
  proxy_socket_keepalive on;
  proxy_buffering off;
  proxy_buffer_size 128k;
  proxy_buffers 4 128k;
  proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
  proxy_pass_header Server;
  proxy_pass_header Date;
  proxy_pass_request_headers off;
  proxy_pass_request_body off;
  proxy_set_header Host $storage_node;
  proxy_set_header Connection "";
  proxy_set_header Content-Length "";
  proxy_set_header Authorization "Bearer $storage_grant";
}`;
}

function proxying(timers: LoadbalancerConfig['timers']): string {
  return `proxy_pass http://webapi;
proxy_http_version 1.1;
proxy_connect_timeout ${timers.connect}ms;
proxy_read_timeout ${timers.server}ms;
proxy_send_timeout ${timers.server}ms;
proxy_socket_keepalive on;
proxy_request_buffering off;
proxy_buffering off;
proxy_buffer_size ${RESPONSE_HEADERS};
proxy_buffers 4 ${RESPONSE_HEADERS};
proxy_ignore_headers X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
proxy_pass_header Server;
proxy_pass_header Date;
proxy_set_header Connection "";
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $forwarded_proto;
proxy_set_header X-Request-Id $passed_request_id;
proxy_set_header X-Manta-Grant "";`;
}

/** The bodies are those of Manta's load balancer. */
function cannedAnswers(): string {
  const answer = (path: string, headers: readonly string[], status: number, body: string) =>
    `location = ${path} {\n${indented(
      [
        'internal;',
        'keepalive_timeout 0;',
        'add_header Cache-Control no-cache always;',
        'add_header X-Request-Id $passed_request_id always;',
        ...headers,
        `return ${status} '${body}';`,
      ].join('\n'),
    )}\n}`;
  return [
    answer('//malformed', [], 400, '{"BadHTTPRequest": "Request was malformed"}'),
    answer(
      '//unavailable',
      ['add_header Retry-After 60 always;'],
      503,
      '{"NoApiServersAvailable": "Manta is unavailable to serve requests at this time"}',
    ),
  ].join('\n');
}

function statusServer(files: ReturnType<typeof stateFiles>, generation: string): string {
  return `server {
  listen unix:${files.status};
  access_log off;
  location = /generation {
    default_type text/plain;
    return 200 ${generation};
  }
  location = /connections {
    stub_status;
  }
}`;
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

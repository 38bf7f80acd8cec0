import type { IncomingHttpHeaders } from 'node:http';

type Headers = Readonly<Record<string, string>>;

const PREFIX = 'access-control-';

/**
 * The stored headers of an entry as a GET or HEAD replays them: http-api.md §6.8. Without `Origin`, as they are; with an
 * allowed one, that origin and what may be exposed; with any other, no CORS header at all.
 */
export function replayedHeaders(stored: Headers, method: string, origin: string | undefined): Record<string, string> {
  if (origin === undefined) return { ...stored };
  const replayed: Record<string, string> = {};
  for (const name in stored) {
    if (!name.startsWith(PREFIX)) replayed[name] = stored[name] as string;
  }
  const methods = stored['access-control-allow-methods'];
  if (!allowsOrigin(stored, origin) || (methods !== undefined && !isListed(methods, method))) return replayed;
  replayed['access-control-allow-origin'] = origin;
  for (const name of ['access-control-allow-methods', 'access-control-expose-headers']) {
    const value = stored[name];
    if (value !== undefined) replayed[name] = value;
  }
  return replayed;
}

/** The CORS headers of a preflight's answer, from the stored headers that govern it; empty when it is refused. */
export function preflightHeaders(stored: Headers, request: IncomingHttpHeaders): Record<string, string> {
  const { origin } = request;
  const method = request['access-control-request-method'];
  const methods = stored['access-control-allow-methods'];
  if (origin === undefined || method === undefined || methods === undefined) return {};
  if (!allowsOrigin(stored, origin) || !isListed(methods, method)) return {};
  const allowedHeaders = stored['access-control-allow-headers'];
  const wanted = listOf(request['access-control-request-headers']);
  if (!wanted.every(name => isListed(allowedHeaders ?? '', name))) return {};
  const answer: Record<string, string> = {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': methods,
  };
  if (allowedHeaders !== undefined) answer['access-control-allow-headers'] = allowedHeaders;
  const maxAge = stored['access-control-max-age'];
  if (maxAge !== undefined) answer['access-control-max-age'] = maxAge;
  return answer;
}

function allowsOrigin(stored: Headers, origin: string): boolean {
  const allowed = stored['access-control-allow-origin'];
  return allowed !== undefined && listOf(allowed).some(item => item === '*' || item === origin);
}

function isListed(list: string, name: string): boolean {
  const wanted = name.toLowerCase();
  return listOf(list).some(item => item.toLowerCase() === wanted);
}

function listOf(list: string | undefined): string[] {
  return (list ?? '')
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '');
}

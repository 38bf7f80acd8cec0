import type { Action } from './auth/authorize.ts';
import { cleanContentType, type PutIntent, putIntentOf } from './content-type.ts';
import { queryParameter, type Target } from './target.ts';

/** Trees that hold entries. `uploads` joins them with multipart uploads. http-api.md §1.1. */
export const STORAGE_ROOTS = ['jobs', 'public', 'reports', 'stor'] as const;
export type StorageRoot = (typeof STORAGE_ROOTS)[number];

type EntryVerb = 'get' | 'head' | 'delete' | 'options' | 'putobject' | 'putmetadata' | 'putdirectory' | 'putlink';

/** What a request asks for, decided from method, target and `Content-Type` alone. http-api.md §1.4 and §1.5. */
export type Endpoint =
  | { readonly kind: 'ping'; readonly operation: 'ping' }
  | { readonly kind: 'accountRoot'; readonly method: string; readonly operation: string }
  | {
      readonly kind: 'entry';
      readonly verb: EntryVerb;
      readonly root: StorageRoot;
      /** True for `/:account/<root>` itself, which exists without an entry. */
      readonly isRoot: boolean;
      /** Route name, for the request record and metrics: a closed set. */
      readonly operation: string;
    };

export type Routing =
  | { readonly kind: 'found'; readonly endpoint: Endpoint; readonly contentType: string | undefined }
  /** 404 ResourceNotFound. */
  | { readonly kind: 'unknown' }
  /** 405 MethodNotAllowed. */
  | { readonly kind: 'wrongMethod'; readonly allow: string };

const LOGIN = /^[A-Za-z][\w.@-]*$/;
const PING: Endpoint = { kind: 'ping', operation: 'ping' };

/** How each tree's route names are built; the policies' action names of OPTIONS follow them. */
const ROUTE_INFIX: Readonly<Record<StorageRoot, string>> = {
  jobs: 'job',
  public: 'public',
  reports: 'report',
  stor: '',
};

/** Action of OPTIONS per tree: its route name. http-api.md §1.5. */
export const OPTIONS_ACTIONS: Readonly<Record<StorageRoot, Action>> = {
  jobs: 'optionsjobstorage',
  public: 'optionspublicstorage',
  reports: 'optionsreportstorage',
  stor: 'optionsstorage',
};

/** Routes are few and closed, so each is made once and shared by all requests. */
const ENTRY_ENDPOINTS = new Map<string, Endpoint>();
for (const root of STORAGE_ROOTS) {
  for (const isRoot of [false, true]) {
    for (const verb of ['get', 'head', 'delete', 'options'] as const) {
      const operation = `${verb}${ROUTE_INFIX[root]}storage`;
      ENTRY_ENDPOINTS.set(`${root} ${isRoot} ${verb}`, { kind: 'entry', verb, root, isRoot, operation });
    }
    for (const verb of ['putobject', 'putmetadata', 'putdirectory', 'putlink'] as const) {
      const noun = verb === 'putmetadata' ? 'object' : verb.slice(3);
      const operation = `put${ROUTE_INFIX[root]}${noun}`;
      ENTRY_ENDPOINTS.set(`${root} ${isRoot} ${verb}`, { kind: 'entry', verb, root, isRoot, operation });
    }
  }
}

const ACCOUNT_ROOT_ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  GET: { kind: 'accountRoot', method: 'GET', operation: 'getrootdir' },
  HEAD: { kind: 'accountRoot', method: 'HEAD', operation: 'headrootdir' },
  PUT: { kind: 'accountRoot', method: 'PUT', operation: 'putrootdir' },
  POST: { kind: 'accountRoot', method: 'POST', operation: 'postrootdir' },
  DELETE: { kind: 'accountRoot', method: 'DELETE', operation: 'deleterootdir' },
};

/**
 * The route of a request, or why there is none; nothing is looked up. Paths of features that this region does not have
 * (jobs, multipart uploads, tokens, interactive sessions) are unknown, which is what clients probe for (http-api.md
 * §16.5); archived jobs are ordinary entries below `/:account/jobs`.
 */
export function route(method: string, target: Target, contentTypeHeader: string | undefined): Routing {
  const { login, segments } = target;
  if (login === 'ping' && segments.length === 0) {
    return method === 'GET' || method === 'HEAD' ? found(PING, undefined) : { kind: 'wrongMethod', allow: 'GET, HEAD' };
  }
  if (!LOGIN.test(login)) return { kind: 'unknown' };
  const root = segments[0];
  if (root === undefined) {
    const endpoint = ACCOUNT_ROOT_ENDPOINTS[method];
    return endpoint ? found(endpoint, undefined) : { kind: 'wrongMethod', allow: 'GET, HEAD, PUT, POST, DELETE' };
  }
  if (!isStorageRoot(root)) return { kind: 'unknown' };
  if (root === 'jobs' && isJobsCall(method, target)) return { kind: 'unknown' };

  const isRoot = segments.length === 1;
  const contentType = cleanContentType(contentTypeHeader);
  const verb = verbOf(method, target, contentType);
  if (verb === undefined) return { kind: 'wrongMethod', allow: 'GET, HEAD, PUT, DELETE, OPTIONS' };
  return found(ENTRY_ENDPOINTS.get(`${root} ${isRoot} ${verb}`) as Endpoint, contentType);
}

function found(endpoint: Endpoint, contentType: string | undefined): Routing {
  return { kind: 'found', endpoint, contentType };
}

function isStorageRoot(name: string): name is StorageRoot {
  return (STORAGE_ROOTS as readonly string[]).includes(name);
}

/** True for what only a job engine could answer. */
function isJobsCall(method: string, target: Target): boolean {
  if (method === 'POST') return true;
  if (method !== 'GET' || target.segments.length !== 1) return false;
  return ['state', 'status', 'name'].some(name => queryParameter(target.query, name) !== undefined);
}

const VERBS: Readonly<Record<string, EntryVerb>> = { GET: 'get', HEAD: 'head', DELETE: 'delete', OPTIONS: 'options' };
const PUT_VERBS: Readonly<Record<Exclude<PutIntent, 'object'>, EntryVerb>> = {
  directory: 'putdirectory',
  link: 'putlink',
};

function verbOf(method: string, target: Target, contentType: string | undefined): EntryVerb | undefined {
  if (method !== 'PUT') return VERBS[method];
  const intent = putIntentOf(contentType);
  if (intent !== 'object') return PUT_VERBS[intent];
  return queryParameter(target.query, 'metadata') ? 'putmetadata' : 'putobject';
}

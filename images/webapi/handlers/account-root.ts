import { MantaError } from '../../../lib/errors/manta-error.ts';
import { STORAGE_ROOTS } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { Responder } from '../respond.ts';
import { queryParameter, type Target } from '../target.ts';
import { LISTING_TYPE } from './list-directory.ts';

/** Roots have no time of their own; clients know this one: http-api.md §5.5. */
const ROOT_MTIME = '2013-05-22T17:39:43.714Z';

/** `/:account`: lists the enabled roots, and refuses to be anything else. The marker is exclusive here, and only here. */
export function answerAccountRoot(exchange: Exchange, target: Target, responder: Responder): void {
  const { method = '' } = exchange.request;
  if (method !== 'GET' && method !== 'HEAD') {
    throw new MantaError('OperationNotAllowedOnRootDirectory', `${method} is not allowed on ${target.path}`);
  }
  const marker = queryParameter(target.query, 'marker') ?? '';
  const names = STORAGE_ROOTS.filter(name => name > marker);
  const body = names.map(name => `${JSON.stringify({ name, type: 'directory', mtime: ROOT_MTIME })}\n`).join('');
  exchange.isListing = true;
  exchange.bytesOut = method === 'HEAD' ? 0 : body.length;
  responder.start(
    exchange,
    200,
    responder.headersOf(exchange, { 'content-type': LISTING_TYPE, 'result-set-size': names.length }),
  );
  exchange.response.end(method === 'HEAD' ? undefined : body);
}

/** Action of each method, for policies: http-api.md §1.5. */
export const ACCOUNT_ROOT_ACTIONS = {
  GET: 'getdirectory',
  HEAD: 'getdirectory',
  PUT: 'putdirectory',
  POST: 'postrootdir',
  DELETE: 'deletedirectory',
} as const;

export type AccountRootMethod = keyof typeof ACCOUNT_ROOT_ACTIONS;

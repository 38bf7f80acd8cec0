import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { json, type Request, type RequestHandler, type Response, Router, text } from 'express';
import type { Logger } from 'pino';
import { type AccountAdmin, type AccountSummary, parseAccountChange } from '../../../lib/auth/account-admin.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { TokenVerifier } from '../../../lib/region-token/region-token.ts';

/** What administration stands on. */
export interface AdminDeps {
  readonly admin: AccountAdmin;
  /** For tokens whose audience is `webapi`. */
  readonly tokens: Pick<TokenVerifier, 'verify'>;
  readonly logger: Logger;
}

const ACCOUNTS = '/admin/v1/accounts';
/** Accounts read from the database at a time. */
const PAGE = 1000;

/**
 * Administration of accounts and keys on the internal listener: `/admin/v1/accounts…` of auth.md §13.9. Every request
 * needs a region token for the operation `admin`; users, roles and policies are not there yet and answer
 * ResourceNotFound. Errors are thrown for `answerErrors`, which the control server has as its last handler.
 */
export function createAdminRouter(deps: AdminDeps): Router {
  const { admin, logger } = deps;
  const router = Router({ caseSensitive: true, strict: true });
  router.use(ACCOUNTS, proveCaller(deps));

  router
    .route(ACCOUNTS)
    .get(async (_request, response) => {
      const first = await admin.list('', PAGE);
      response.type('application/x-ndjson');
      await pipeline(Readable.from(linesOf(admin, first)), response);
    })
    .all(refuseMethod('GET'));

  router
    .route(`${ACCOUNTS}/:login`)
    .get(async (request, response) => {
      const account = await admin.get(request.params.login);
      if (account === undefined) throw new MantaError('ResourceNotFound', `${request.params.login} does not exist`);
      response.json(account);
    })
    .put(json({ limit: 65_536, type: () => true }), async (request, response) => {
      const { login } = request.params;
      const change = parseAccountChange(request.body);
      const { kind, uuid } = await admin.put(login, change);
      logger.info(
        { login, change, by: callerOf(response) },
        kind === 'created' ? 'account created' : 'account changed',
      );
      response.status(kind === 'created' ? 201 : 200).json({ uuid, login: change.login ?? login });
    })
    .all(refuseMethod('GET, PUT'));

  router
    .route(`${ACCOUNTS}/:login/keys/:name`)
    .put(text({ limit: 65_536, type: () => true }), async (request, response) => {
      const { login, name } = request.params;
      const key = await admin.putKey(login, name, typeof request.body === 'string' ? request.body : '');
      logger.info({ login, key, by: callerOf(response) }, 'key put');
      response.json(key);
    })
    .delete(async (request, response) => {
      const { login, name } = request.params;
      await admin.deleteKey(login, name);
      logger.info({ login, name, by: callerOf(response) }, 'key deleted');
      response.status(204).end();
    })
    .all(refuseMethod('PUT, DELETE'));

  router.use(ACCOUNTS, request => {
    throw new MantaError('ResourceNotFound', `${rawPathOf(request)} does not exist`);
  });
  return router;
}

/**
 * Before any body is read. metadata.md §14.5. Through the API server, which keeps Authorization for itself, the token comes
 * in X-Manta-Access (operations.md §5.4).
 */
function proveCaller({ tokens }: AdminDeps): RequestHandler {
  return (request, response, next) => {
    const expected = { operation: 'admin', path: rawPathOf(request) };
    const proof = request.get('x-manta-access') ?? request.headers.authorization;
    response.locals.caller = tokens.verify(proof, expected).subject;
    next();
  };
}

function callerOf(response: Response): unknown {
  return response.locals.caller;
}

function refuseMethod(allow: string): RequestHandler {
  return (request, response) => {
    response.set('allow', allow);
    throw new MantaError('MethodNotAllowed', `${request.method} is not allowed`);
  };
}

function rawPathOf(request: Request): string {
  const [path = ''] = request.originalUrl.split('?', 1);
  return path;
}

async function* linesOf(admin: AccountAdmin, first: readonly AccountSummary[]): AsyncGenerator<string> {
  for (let page = first; page.length > 0; ) {
    yield page.map(account => `${JSON.stringify(account)}\n`).join('');
    page = await admin.list(page[page.length - 1]?.login ?? '', PAGE);
  }
}

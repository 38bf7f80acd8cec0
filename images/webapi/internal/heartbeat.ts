import express, { type Request, type Router } from 'express';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { StorageNodes } from '../../../lib/metadata/types.ts';
import {
  NODE_TOKEN_LIFETIME_S,
  signNodeToken,
  type TokenSigner,
  type TokenVerifier,
} from '../../../lib/region-token/region-token.ts';

const heartbeatSchema = z.object({
  storageId: z.string().min(1).max(256),
  incarnation: z.uuid(),
  layout: z.number().int(),
  baseUrl: z.url(),
  datacenter: z.string().min(1),
  failureDomain: z.string().min(1),
  computeId: z.string().optional(),
  totalBytes: z.number().int().nonnegative(),
  availBytes: z.number().int().nonnegative(),
  inodesFree: z.number().int().nonnegative(),
  writesInflight: z.number().int().nonnegative(),
  outOfService: z.boolean(),
  version: z.string(),
});

const changeSchema = z.strictObject({
  writes: z.enum(['enabled', 'disabled']).exactOptional(),
  lifecycle: z.enum(['active', 'draining', 'drained', 'retired']).exactOptional(),
  acceptIncarnation: z.uuid().exactOptional(),
});

/**
 * What storage nodes and their operator say to webapi (metadata.md §14.3), mounted at `/internal/v1`: `POST /heartbeat`
 * with a node token of the node it speaks for, `GET /storage` and `PUT /storage/:storageId` with an `admin` token.
 */
export function createHeartbeatRouter(deps: {
  readonly storageNodes: StorageNodes;
  /** Of audience `webapi`. */
  readonly verifier: TokenVerifier;
  readonly signer: TokenSigner;
  readonly clock: Clock;
}): Router {
  const router = express.Router();
  router.use(express.json({ limit: '64kb' }));

  router.post('/heartbeat', async (request, response) => {
    const claims = deps.verifier.verify(request.headers.authorization, {
      operation: 'heartbeat',
      path: pathOf(request),
      maxLifetimeS: NODE_TOKEN_LIFETIME_S,
      anyPath: true,
    });
    const heartbeat = parse(heartbeatSchema, request.body);
    const subject = `storage/${heartbeat.storageId}`;
    if (claims.subject !== subject) throw new MantaError('TokenMismatch', 'the token speaks for another node');
    const result = await deps.storageNodes.heartbeat(heartbeat);
    switch (result.kind) {
      case 'incarnation_mismatch':
        throw new MantaError('IncarnationMismatch', `${heartbeat.storageId} is known with another volume`);
      case 'retired':
        throw new MantaError('NodeRetired', `${heartbeat.storageId} is retired`);
      case 'accepted':
        response.json({
          nodeNo: result.nodeNo,
          writes: result.writes,
          lifecycle: result.lifecycle,
          nowMs: deps.clock.now(),
          ...(isHalfSpent(claims, deps.clock) ? { token: signNodeToken(deps.signer, heartbeat.storageId) } : {}),
        });
    }
  });

  router.get('/storage', async (request, response) => {
    deps.verifier.verify(request.headers.authorization, { operation: 'admin', path: pathOf(request) });
    response.json(await deps.storageNodes.report());
  });

  router.put('/storage/:storageId', async (request, response) => {
    deps.verifier.verify(request.headers.authorization, { operation: 'admin', path: pathOf(request) });
    const { storageId } = request.params;
    if (!(await deps.storageNodes.set(storageId, parse(changeSchema, request.body)))) {
      throw new MantaError('ResourceNotFound', `no storage node is called ${storageId}`);
    }
    response.status(204).end();
  });
  return router;
}

function isHalfSpent({ issuedAtS, expiresAtS }: { issuedAtS: number; expiresAtS: number }, clock: Clock): boolean {
  return clock.now() / 1000 > (issuedAtS + expiresAtS) / 2;
}

function pathOf(request: Request): string {
  return request.originalUrl.split('?')[0] ?? '';
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new MantaError('BadRequest', z.prettifyError(parsed.error), { cause: parsed.error });
}

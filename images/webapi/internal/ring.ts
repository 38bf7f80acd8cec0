import express, { type Request, Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { RingRange } from '../../../lib/metadata/ring.ts';
import type { TokenVerifier } from '../../../lib/region-token/region-token.ts';

/** The newest version of the slot map, as the control database has it. */
export interface RingView {
  readonly version: number;
  /** SHA-256 of the canonical JSON of `ranges`, hexadecimal. */
  readonly digest: string;
  readonly ranges: readonly RingRange[];
}

/** The slot map as the region's controller sees it. Both throw DatabaseError while a database cannot be reached. */
export interface RingAdmin {
  /** Undefined until there is one. */
  read(): Promise<RingView | undefined>;
  /** Create-only: false when there was one already. Throws MantaError `InvalidParameter` for a shard it does not know. */
  create(shards: readonly number[]): Promise<boolean>;
}

const creationSchema = z.strictObject({ shards: z.array(z.int().positive()).min(1).max(1024) });

/**
 * The slot map on the internal listener, mounted at `/internal/v1` (metadata.md §12.18): `GET /ring`, and `POST /ring` with
 * the index shards that are to share it, which makes the first one and never changes another. Both need an `admin` token.
 */
export function createRingRouter(deps: {
  readonly ring: RingAdmin;
  /** Of audience `webapi`. */
  readonly verifier: Pick<TokenVerifier, 'verify'>;
  readonly logger: Logger;
}): Router {
  const router = Router({ caseSensitive: true, strict: true });
  const prove = (request: Request) =>
    deps.verifier.verify(request.headers.authorization, {
      operation: 'admin',
      path: request.originalUrl.split('?')[0] ?? '',
    });

  router.get('/ring', async (request, response) => {
    prove(request);
    const ring = await deps.ring.read();
    if (ring === undefined) throw new MantaError('ResourceNotFound', 'the region has no slot map yet');
    response.json(ring);
  });

  router.post('/ring', express.json({ limit: '64kb' }), async (request, response) => {
    const { subject } = prove(request);
    const parsed = creationSchema.safeParse(request.body);
    if (!parsed.success) throw new MantaError('BadRequest', z.prettifyError(parsed.error), { cause: parsed.error });
    const shards = [...new Set(parsed.data.shards)].sort((a, b) => a - b);
    const isNew = await deps.ring.create(shards);
    if (isNew) deps.logger.info({ shards, by: subject }, 'slot map created');
    response.status(isNew ? 201 : 200).json(await deps.ring.read());
  });
  return router;
}

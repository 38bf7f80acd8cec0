import { type KeyObject, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';

/** What a token allows: one operation, at one receiver, on one path. metadata.md §14.5. */
export interface Grant {
  /** `storage/<storage id>`, or a program's name. */
  readonly audience: string;
  /** One word, as the receiver's route names it. */
  readonly operation: string;
  /** Raw path of the request, without its query. Absent in node tokens only. */
  readonly path?: string;
  /** For logs. */
  readonly requestId?: string;
  /** Of `get` grants: what the storage node answers (metadata.md §14.7). */
  readonly delivery?: Delivery;
}

/** The answer a storage node gives to a `get`, decided by webapi. */
export interface Delivery {
  readonly status: 200 | 206;
  /** Size of the whole object: a file of another size is not it. */
  readonly sizeBytes: number;
  /** Inclusive positions; absent for the whole object. */
  readonly range?: readonly [first: number, last: number];
  readonly headers: Readonly<Record<string, string>>;
}

/** A verified token. */
export interface Claims extends Grant {
  /** `<program>/<instance>`. */
  readonly subject: string;
  readonly issuedAtS: number;
  readonly expiresAtS: number;
}

export interface TokenSigner {
  /** Seconds of validity: 60 unless given. */
  sign(grant: Grant, options?: { readonly subject?: string; readonly lifetimeS?: number }): string;
}

export interface TokenVerifier {
  /**
   * Checks signature, region, audience, operation, path and time. `maxLifetimeS` is how long a token for this operation
   * may be valid in all, 60 s unless given; `anyPath` accepts one without a path. Throws MantaError `InvalidToken`
   * (nobody, or not now) or `TokenMismatch` (valid, but for something else).
   */
  verify(
    authorization: string | undefined,
    expected: {
      readonly operation: string;
      readonly path: string;
      readonly maxLifetimeS?: number;
      readonly anyPath?: boolean;
    },
  ): Claims;
}

/** Seconds a token is accepted beyond its end, for clocks that differ. */
const LEEWAY_S = 5;
const LIFETIME_S = 60;
/** Of tokens by which storage nodes authenticate their heartbeats. */
export const NODE_TOKEN_LIFETIME_S = 7 * 86_400;
/** A read grant carries all headers of an object: 64 KiB of them, which JSON and base64 make longer. */
const MAX_TOKEN_BYTES = 192 * 1024;

const headerSchema = z.object({ alg: z.literal('EdDSA'), kid: z.string() });
const payloadSchema = z.object({
  iss: z.string(),
  sub: z.string(),
  aud: z.string(),
  op: z.string(),
  path: z.string().optional(),
  iat: z.number(),
  exp: z.number(),
  rid: z.string().optional(),
  status: z.union([z.literal(200), z.literal(206)]).optional(),
  size: z.number().int().nonnegative().optional(),
  range: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]).optional(),
  headers: z.record(z.string(), z.string()).optional(),
});
type Payload = z.infer<typeof payloadSchema>;

/** Signs for one program: compact JWS with the region's Ed25519 key. */
export function createTokenSigner(deps: {
  readonly region: string;
  readonly subject: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly clock: Clock;
}): TokenSigner {
  const header = encode({ alg: 'EdDSA', kid: deps.kid });
  return {
    sign(grant, { subject = deps.subject, lifetimeS = LIFETIME_S } = {}) {
      const iat = Math.floor(deps.clock.now() / 1000);
      const payload: Payload = {
        iss: deps.region,
        sub: subject,
        aud: grant.audience,
        op: grant.operation,
        iat,
        exp: iat + lifetimeS,
        ...(grant.path === undefined ? {} : { path: grant.path }),
        ...(grant.requestId === undefined ? {} : { rid: grant.requestId }),
        ...(grant.delivery === undefined ? {} : claimsOf(grant.delivery)),
      };
      const text = `${header}.${encode(payload)}`;
      return `${text}.${sign(null, Buffer.from(text), deps.privateKey).toString('base64url')}`;
    },
  };
}

/** The token by which storage node `storageId` authenticates its heartbeats to webapi. */
export function signNodeToken(signer: TokenSigner, storageId: string): string {
  const subject = `storage/${storageId}`;
  return signer.sign({ audience: 'webapi', operation: 'heartbeat' }, { subject, lifetimeS: NODE_TOKEN_LIFETIME_S });
}

/** Verifies for one receiver. `publicKeys` maps key ids to the region's public keys. */
export function createTokenVerifier(deps: {
  readonly region: string;
  readonly audience: string;
  readonly publicKeys: ReadonlyMap<string, KeyObject>;
  readonly clock: Clock;
}): TokenVerifier {
  return {
    verify(authorization, expected) {
      const payload = readToken(authorization, deps.publicKeys);
      if (payload.iss !== deps.region) throw invalid('another region issued it');
      checkTime(payload, deps.clock.now() / 1000, expected.maxLifetimeS ?? LIFETIME_S);
      if (payload.aud !== deps.audience) throw mismatch('it is for another receiver');
      if (payload.op !== expected.operation) throw mismatch('it is for another operation');
      if (payload.path === undefined ? !expected.anyPath : payload.path !== expected.path) {
        throw mismatch('it is for another path');
      }
      return toClaims(payload);
    },
  };
}

function readToken(authorization: string | undefined, publicKeys: ReadonlyMap<string, KeyObject>): Payload {
  const token = /^bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(authorization ?? '');
  if (token === null || token[0].length > MAX_TOKEN_BYTES) throw invalid('there is none, or it is malformed');
  const [, head = '', body = '', signature = ''] = token;
  const header = headerSchema.safeParse(decode(head));
  if (!header.success) throw invalid('its header is not one of ours');
  const key = publicKeys.get(header.data.kid);
  if (key === undefined) throw invalid('its key is unknown');
  if (!verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) {
    throw invalid('its signature is wrong');
  }
  const payload = payloadSchema.safeParse(decode(body));
  if (!payload.success) throw invalid('its claims are malformed');
  return payload.data;
}

function checkTime({ iat, exp }: Payload, nowS: number, maxLifetimeS: number): void {
  if (exp - iat > maxLifetimeS) throw invalid('it is valid for too long');
  if (exp + LEEWAY_S < nowS) throw invalid('it has expired');
}

function claimsOf({ status, sizeBytes, range, headers }: Delivery): Partial<Payload> {
  return { status, size: sizeBytes, headers, ...(range === undefined ? {} : { range: [range[0], range[1]] }) };
}

function toClaims(payload: Payload): Claims {
  const { status, size, headers, range } = payload;
  return {
    subject: payload.sub,
    audience: payload.aud,
    operation: payload.op,
    issuedAtS: payload.iat,
    expiresAtS: payload.exp,
    ...(payload.path === undefined ? {} : { path: payload.path }),
    ...(payload.rid === undefined ? {} : { requestId: payload.rid }),
    ...(status === undefined || size === undefined || headers === undefined
      ? {}
      : { delivery: { status, sizeBytes: size, headers, ...(range === undefined ? {} : { range }) } }),
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

function invalid(why: string): MantaError {
  return new MantaError('InvalidToken', `the token is not accepted: ${why}`);
}

function mismatch(why: string): MantaError {
  return new MantaError('TokenMismatch', `the token does not allow this: ${why}`);
}

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type Clock, systemClock } from '../../lib/lifecycle/clock.ts';
import {
  createTokenSigner,
  createTokenVerifier,
  signNodeToken,
  type TokenSigner,
} from '../../lib/region-token/region-token.ts';
import { type StorageConfig, storageConfigSchema } from './config.ts';
import { createStorageNode, type StorageDeps, type StorageNode } from './storage-node.ts';

const keys = generateKeyPairSync('ed25519');
const publicKeys = new Map([['test', keys.publicKey]]);

/** A region's signer, for tests that speak to storage nodes as webapi does. */
export const testSigner: TokenSigner = createTokenSigner({
  region: 'test',
  subject: 'webapi/test',
  kid: 'test',
  privateKey: keys.privateKey,
  clock: systemClock,
});

export const testVerifier = (audience: string, clock: Clock = systemClock) =>
  createTokenVerifier({ region: 'test', audience, publicKeys, clock });

/** A real storage node on a volume of its own. */
export interface TestStorageNode {
  readonly node: StorageNode;
  readonly storageId: string;
  readonly baseUrl: string;
  readonly dir: string;
  /** Names in `tmp/`. */
  temporaries(): Promise<string[]>;
  close(): Promise<void>;
}

/** Without a webapi that takes them, its heartbeats fail, which a node survives. */
export async function startTestStorageNode(
  options: { number?: number } & Partial<StorageConfig> = {},
  deps: Partial<StorageDeps> = {},
): Promise<TestStorageNode> {
  const { number = 1, ...settings } = options;
  const dir = settings.dir ?? (await mkdtemp(join(tmpdir(), 'manta-storage-')));
  const storageId = `${number}.stor.test`;
  const config = storageConfigSchema.parse({
    storageId,
    dir,
    failureDomain: `f${number}`,
    webapiUrl: 'http://127.0.0.1:9',
    floorBytes: 0,
    drainMs: 500,
    ...settings,
  });
  const node = createStorageNode(
    {
      logger: pino({ level: 'silent' }),
      registry: new Registry(),
      clock: systemClock,
      verifier: testVerifier(`storage/${storageId}`),
      nodeToken: signNodeToken(testSigner, storageId),
      version: 'test',
      ...deps,
    },
    config,
  );
  const { baseUrl } = await node.listen();
  return {
    node,
    storageId,
    baseUrl,
    dir,
    temporaries: () => readdir(join(dir, 'tmp')),
    close: async () => {
      await node.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** An object's path and the Authorization header for one operation on it. */
export function aGrant(
  storageId: string,
  operation: string,
  object = { creator: randomUUID(), objectId: randomUUID() },
) {
  const path = `/${object.creator}/${object.objectId}`;
  const token = testSigner.sign({ audience: `storage/${storageId}`, operation, path });
  return { ...object, path, authorization: `Bearer ${token}` };
}

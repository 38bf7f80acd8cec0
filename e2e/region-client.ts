import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MantaError } from '../lib/errors/manta-error.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import { secrets, services } from '../lib/kubernetes/resources.ts';
import { run } from './cluster/command.ts';

/** The commands of the unmodified npm package `manta`, as the region's own account, through the Service of its front door. */
export interface RegionClient {
  /** A line of shell; resolves with what it printed. Throws MantaError `CommandFailed`. */
  sh(text: string): Promise<string>;
  close(): void;
}

const BIN = join(import.meta.dirname, '..', 'node_modules', 'manta', 'bin');

/** For the region of a namespace whose front door and Secrets are there. Throws MantaError `NoRegion`. */
export async function createRegionClient(kubernetes: Kubernetes, namespace: string): Promise<RegionClient> {
  const service = await kubernetes.get(services, { namespace, name: 'manta' });
  const poseidon = await kubernetes.get(secrets, { namespace, name: 'manta-poseidon' });
  const entry = (name: string) => Buffer.from(poseidon?.data?.[name] ?? '', 'base64').toString('utf8');
  if (service?.spec?.clusterIP === undefined || entry('id_rsa') === '') {
    throw new MantaError('NoRegion', `namespace ${namespace} has no region with a front door`);
  }
  const home = mkdtempSync(join(tmpdir(), 'manta-e2e-home-'));
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  writeFileSync(join(home, '.ssh', 'id_rsa'), entry('id_rsa'), { mode: 0o600 });
  writeFileSync(join(home, '.ssh', 'id_rsa.pub'), entry('id_rsa.pub'));
  const env = {
    ...process.env,
    HOME: home,
    PATH: `${BIN}:${process.env.PATH}`,
    MANTA_URL: `https://${service.spec.clusterIP}`,
    MANTA_TLS_INSECURE: '1',
    MANTA_USER: 'poseidon',
    MANTA_KEY_ID: entry('key-id'),
    NODE_NO_WARNINGS: '1',
  };
  return {
    sh: text => run(['bash', '-euo', 'pipefail', '-c', text], { env, withinMs: 120_000 }),
    close: () => rmSync(home, { recursive: true, force: true }),
  };
}

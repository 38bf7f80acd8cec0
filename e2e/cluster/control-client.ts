import { Client } from 'undici';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { CommandEnd } from './command.ts';
import { controlSocket } from './control.ts';
import { type ClusterStatus, clusterStatusSchema, type Order, orderAnswerSchema } from './orders.ts';

/** A running cluster, from another process: what tests and the command line do to it. */
export interface ClusterControl {
  status(): Promise<ClusterStatus>;
  /** Resolves when it is carried out. Throws MantaErrors, as the supervisor does. */
  order(order: Order): Promise<void>;
  /** Runs a command on a node. */
  exec(node: string, argv: readonly string[]): Promise<CommandEnd>;
  close(): Promise<void>;
}

const WITHIN_MS = 300_000;

/** `dir` is the cluster's directory. Throws MantaError `NoCluster` with the first call when none runs. */
export function controlCluster(dir: string): ClusterControl {
  const client = new Client('http://cluster', { socketPath: controlSocket(dir), headersTimeout: WITHIN_MS });

  async function call(method: 'GET' | 'POST', path: string, body?: Order): Promise<unknown> {
    const answer = await client
      .request({
        method,
        path,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      .catch((cause: unknown) => {
        throw new MantaError('NoCluster', `no cluster answers in ${dir}`, { cause });
      });
    const said = await answer.body.json();
    if (answer.statusCode === 200) return said;
    const { code, message } = said as { code: string; message: string };
    throw new MantaError(code, message);
  }

  return {
    status: async () => clusterStatusSchema.parse(await call('GET', '/status')),
    order: async order => void (await call('POST', '/orders', order)),
    async exec(node, argv) {
      const answer = orderAnswerSchema.parse(await call('POST', '/orders', { kind: 'exec', node, argv: [...argv] }));
      return { code: answer.code ?? 0, stdout: answer.stdout ?? '', stderr: answer.stderr ?? '' };
    },
    close: () => client.close(),
  };
}

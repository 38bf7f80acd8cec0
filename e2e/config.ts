import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MantaError } from '../lib/errors/manta-error.ts';
import type { Order } from './cluster/orders.ts';

/** What the command line asks for. */
export type E2eCommand =
  | { readonly kind: 'help' | 'down' | 'status' }
  | { readonly kind: 'up'; readonly nodes: number; readonly images: readonly string[] | undefined }
  | { readonly kind: 'order'; readonly order: Order }
  | { readonly kind: 'run'; readonly argv: readonly string[] }
  | { readonly kind: 'test'; readonly args: readonly string[] };

export const USAGE = `A real Kubernetes cluster on this machine, without Docker, and the tests that run on it. Needs root and Linux.

  npm run e2e [-- jest options]     the tests; on the cluster that is up, else on one that goes with them
  npm run e2e -- up                 a cluster that stays: prints how to use it
      --nodes 3                       nodes n1, n2, n3
      --image FILE                    an archive of images for its nodes, any number of times; without: the newest of
                                      each name that "npm run images" has made
      --bare                          no images but those that the cluster itself needs
  npm run e2e -- down               ends it and removes all of it, also what a killed one has left
  npm run e2e -- status             what runs, and how much memory it holds
  npm run e2e -- run COMMAND …      runs a command in the cluster's network, with kubectl, helm and the cluster's names
  npm run e2e -- load FILE …        gives the nodes more images

  npm run e2e -- node crash n2      cuts its power; start brings it back
  npm run e2e -- node cut n2        pulls its network cable; heal plugs it in
  npm run e2e -- node stop n2 kubelet      kills a program and keeps it down; resume brings it back
                                    (containerd kube-proxy kube-router kubelet; of node control-plane:
                                    etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy)
  npm run e2e -- node exec n2 COMMAND …    runs a command on it
`;

/** Without: nodes of the tests, and of a cluster that nobody says more about. */
export const DEFAULT_NODES = 3;

/**
 * Reads the command line; relative paths start at `baseDir`. What is no command is for the tests. Throws MantaError
 * `Usage`.
 */
export function parseCommandLine(args: readonly string[], baseDir: string): E2eCommand {
  const [command, ...rest] = args;
  switch (command) {
    case 'help':
    case '--help':
      return { kind: 'help' };
    case 'down':
    case 'status':
      if (rest.length > 0) throw usage(`${command} takes nothing more`);
      return { kind: command };
    case 'up':
      return up(rest, baseDir);
    case 'run':
      if (rest.length === 0) throw usage('run what?');
      return { kind: 'run', argv: rest };
    case 'load':
      if (rest.length === 0) throw usage('load which archives?');
      return { kind: 'order', order: { kind: 'load', archives: rest.map(file => resolve(baseDir, file)) } };
    case 'node':
      return { kind: 'order', order: nodeOrder(rest) };
    default:
      return { kind: 'test', args };
  }
}

function up(args: readonly string[], baseDir: string): E2eCommand {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        nodes: { type: 'string' },
        image: { type: 'string', multiple: true },
        bare: { type: 'boolean', default: false },
      },
    });
    const nodes = Number(values.nodes ?? DEFAULT_NODES);
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9) throw new Error('--nodes must be a number from 1 to 9');
    return { kind: 'up', nodes, images: values.bare ? [] : values.image?.map(file => resolve(baseDir, file)) };
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function nodeOrder(args: readonly string[]): Order {
  const [kind = '', node, ...rest] = args;
  if (node === undefined) throw usage('node WHAT WHICH');
  switch (kind) {
    case 'start':
    case 'crash':
    case 'cut':
    case 'heal':
      if (rest.length > 0) throw usage(`node ${kind} takes one node`);
      return { kind, node };
    case 'stop':
    case 'resume':
      if (rest.length !== 1) throw usage(`node ${kind} takes a node and one program`);
      return { kind, node, program: rest[0] as string };
    case 'exec':
      if (rest.length === 0) throw usage(`node exec takes a node and a command`);
      return { kind, node, argv: rest };
    default:
      throw usage(`node ${kind}?`);
  }
}

function usage(message: string): MantaError {
  return new MantaError('Usage', message);
}

import { createServer } from 'node:http';
import { join } from 'node:path';
import express, { type NextFunction, type Request, type Response } from 'express';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { memoryOf } from './cgroups.ts';
import type { CommandEnd } from './command.ts';
import type { Daemon } from './daemon.ts';
import type { ClusterNode } from './node.ts';
import { type ClusterStatus, type Order, orderSchema } from './orders.ts';
import { archiveName } from './place.ts';
import { type ClusterPlan, cgroupOf } from './plan.ts';
import type { RunningCluster } from './supervisor.ts';
import { importArchive } from './template.ts';

/** The name of the control plane where a node's is asked for. */
export const CONTROL_PLANE = 'control-plane';

/** Where the supervisor of a cluster takes orders: a unix socket in its directory. */
export function controlSocket(dir: string): string {
  return join(dir, 'control.sock');
}

/** Serves `GET /status` and `POST /orders` on the control socket; `cluster` is undefined while it comes up. */
export function serveControl(plan: ClusterPlan, cluster: () => RunningCluster | undefined): void {
  const app = express();
  app.use(express.json({ limit: '1mb' }));
  app.get('/status', (_request, response) => {
    response.json(statusOf(plan, cluster()));
  });
  app.post('/orders', async (request, response) => {
    const running = cluster();
    if (running === undefined) throw new MantaError('ClusterStarting', 'the cluster is still coming up');
    response.json((await carryOut(running, orderSchema.parse(request.body), plan)) ?? {});
  });
  app.use((thrown: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    response.status(500).json({ code: codeOf(thrown) ?? 'OrderFailed', message });
  });
  createServer(app).listen(controlSocket(plan.dir));
}

async function carryOut(cluster: RunningCluster, order: Order, plan: ClusterPlan): Promise<CommandEnd | undefined> {
  switch (order.kind) {
    case 'start':
    case 'crash':
    case 'cut':
    case 'heal':
      await find(cluster.nodes, order.node, 'node')[order.kind]();
      return undefined;
    case 'stop':
      await programOf(cluster, order.node, order.program).kill();
      return undefined;
    case 'resume':
      programOf(cluster, order.node, order.program).start();
      return undefined;
    case 'exec':
      return find(cluster.nodes, order.node, 'node').exec(order.argv);
    case 'load':
      for (const archive of order.archives) {
        await Promise.all(cluster.nodes.filter(({ isUp }) => isUp).map(node => load(node, archive, plan)));
        const others = cluster.archives.filter(other => archiveName(other) !== archiveName(archive));
        cluster.archives = [...others, archive];
      }
      return undefined;
  }
}

/** The archive is read here, where this machine's files are, and by the containerd of the node. */
async function load(node: ClusterNode, archive: string, plan: ClusterPlan): Promise<void> {
  const pid = node.programs.find(({ name }) => name === 'containerd')?.pid;
  if (pid === undefined) throw new MantaError('NodeDown', `containerd does not run on ${node.name}`);
  const socket = `/proc/${pid}/root/run/containerd/containerd.sock`;
  await importArchive(join(plan.dir, 'programs', 'bin', 'ctr'), socket, archive);
}

function programOf(cluster: RunningCluster, node: string, program: string): Daemon {
  const { programs } = node === CONTROL_PLANE ? cluster.controlPlane : find(cluster.nodes, node, 'node');
  return find(programs, program, 'program');
}

function find<T extends { readonly name: string }>(all: readonly T[], name: string, what: string): T {
  const found = all.find(one => one.name === name);
  if (found !== undefined) return found;
  throw new MantaError('NoSuchName', `there is no ${what} ${name}, only ${all.map(one => one.name).join(', ')}`);
}

function statusOf(plan: ClusterPlan, cluster: RunningCluster | undefined): ClusterStatus {
  const { name, isKept, apiPort, proxyPort } = plan;
  const programs = (daemons: readonly Daemon[]) =>
    daemons.map(daemon => ({ name: daemon.name, ...(daemon.pid === undefined ? {} : { pid: daemon.pid }) }));
  const memory = (part: string) => {
    const memoryBytes = memoryOf(cgroupOf(plan, part));
    return memoryBytes === undefined ? {} : { memoryBytes };
  };
  return {
    ...{ name, isKept, apiPort, proxyPort, isUp: cluster !== undefined, archives: [...(cluster?.archives ?? [])] },
    controlPlane: { programs: programs(cluster?.controlPlane.programs ?? []), ...memory(CONTROL_PLANE) },
    nodes: (cluster?.nodes ?? []).map(node => ({
      ...{ name: node.name, zone: node.zone, isUp: node.isUp },
      programs: programs(node.programs),
      ...memory(node.name),
    })),
  };
}

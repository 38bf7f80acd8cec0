import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { EtcdGateway } from './etcd-gateway.ts';

/** One member of etcd, as it and the others say. Ids are hexadecimal. */
export interface MemberLook {
  /** Name of the pod. */
  readonly name: string;
  readonly endpoint: string;
  /** In the cluster's list of members; undefined when it is not in it. */
  readonly id: string | undefined;
  readonly isLearner: boolean;
  /** It answers, and knows a leader. */
  readonly isHealthy: boolean;
  readonly isLeader: boolean;
  readonly dbBytes: number | undefined;
  /** Of `dbBytes`, those that hold something. */
  readonly usedBytes: number | undefined;
}

/** The region's etcd as it is now. */
export interface NameserviceLook {
  /** Hexadecimal; undefined while no quorum answers. */
  readonly clusterId: string | undefined;
  readonly members: readonly MemberLook[];
  /** Members in etcd's list that no pod here stands for. */
  readonly strangers: readonly { readonly id: string; readonly name: string }[];
}

const uint64 = z.string().regex(/^\d+$/);
const headerSchema = z.object({ cluster_id: uint64, member_id: uint64 });
const statusSchema = z.object({
  header: headerSchema,
  leader: uint64.default('0'),
  dbSize: uint64.optional(),
  dbSizeInUse: uint64.optional(),
  isLearner: z.boolean().default(false),
  errors: z.array(z.string()).default([]),
});
const listSchema = z.object({
  header: headerSchema,
  members: z.array(
    z.object({
      ID: uint64,
      // Empty until the member has started for the first time; then the URL is how to know it.
      name: z.string().default(''),
      peerURLs: z.array(z.string()).default([]),
      isLearner: z.boolean().default(false),
    }),
  ),
});

/** How one member is to be found: its pod's name, its client URL, its peer URL. */
export interface MemberPlace {
  readonly name: string;
  readonly endpoint: string;
  readonly peerUrl: string;
}

/** Asks each member for itself, and the cluster who its members are. Never throws: silence is what it reports. */
export async function lookAtNameservice(
  gateway: EtcdGateway,
  places: readonly MemberPlace[],
): Promise<NameserviceLook> {
  const [listed, ...statuses] = await Promise.all([
    silently(async () => listSchema.parse(await gateway.call('cluster/member/list'))),
    ...places.map(({ endpoint }) =>
      silently(async () => statusSchema.parse(await gateway.callAt(endpoint, 'maintenance/status'))),
    ),
  ]);
  const entries = listed?.members ?? [];
  const isOf =
    ({ name, peerUrl }: MemberPlace) =>
    (entry: (typeof entries)[number]) =>
      entry.name === name || entry.peerURLs.includes(peerUrl);
  return {
    clusterId: listed === undefined ? undefined : hex(listed.header.cluster_id),
    members: places.map((place, index) => {
      const status = statuses[index];
      const entry = entries.find(isOf(place));
      return {
        name: place.name,
        endpoint: place.endpoint,
        id: entry === undefined ? undefined : hex(entry.ID),
        isLearner: entry?.isLearner ?? false,
        isHealthy:
          status !== undefined && status.leader !== '0' && !status.errors.some(error => /CORRUPT/i.test(error)),
        isLeader: status !== undefined && status.leader === status.header.member_id,
        dbBytes: status?.dbSize === undefined ? undefined : Number(status.dbSize),
        usedBytes: status?.dbSizeInUse === undefined ? undefined : Number(status.dbSizeInUse),
      };
    }),
    strangers: entries
      .filter(entry => !places.some(place => isOf(place)(entry)))
      .map(({ ID, name }) => ({ id: hex(ID), name })),
  };
}

async function silently<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof MantaError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

function hex(decimal: string): string {
  return BigInt(decimal).toString(16);
}

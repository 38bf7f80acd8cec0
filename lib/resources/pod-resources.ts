import type { DefaultResources } from './profile-defaults.ts';
import { amountOf } from './quantity.ts';
import type { PodResources } from './types.ts';

/** Amounts as a container has them. */
export interface ContainerResources {
  readonly requests: Readonly<Record<string, string>>;
  readonly limits: Readonly<Record<string, string>>;
}

/** The default of a profile as a container has it. */
export function containerResourcesOf({ memoryMiB, requested, cpu }: DefaultResources): ContainerResources {
  return {
    requests: { cpu, memory: `${memoryMiB * requested}Mi` },
    limits: { memory: `${memoryMiB}Mi` },
  };
}

/**
 * `base` with single values replaced. A value that is not replaced gives way where a request would exceed its limit: a
 * larger request raises the limit, a smaller limit lowers the request.
 */
export function withResources(base: ContainerResources, wanted: PodResources = {}): ContainerResources {
  const requests = { ...base.requests, ...texts(wanted.requests) };
  const limits = { ...base.limits, ...texts(wanted.limits) };
  for (const [name, limit] of Object.entries(limits)) {
    const request = requests[name];
    if (request === undefined || amountOf(request) <= amountOf(limit)) continue;
    if (wanted.limits?.[name] === undefined) limits[name] = request;
    else if (wanted.requests?.[name] === undefined) requests[name] = limit;
  }
  return { requests, limits };
}

function texts(amounts: PodResources['requests'] = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
}

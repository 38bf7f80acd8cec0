import type { MantaClient } from '../faults/manta-client.ts';

/** One figure of a benchmark: how many of something, how long, and the spread of single requests. */
export interface Figure {
  readonly what: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Throughput and latency of the public API at a fixed number of requests in flight. */
export async function measureApi(
  client: MantaClient,
  options: { inFlight: number; seconds: number },
): Promise<Figure[]> {
  const base = `/${client.login}/stor`;
  const mkdir = { headers: { 'content-type': 'application/json; type=directory' }, body: Buffer.alloc(0) };
  for (let i = 0; i < 16; i += 1) await client.request('PUT', `${base}/bench${i}`, mkdir);
  const small = Buffer.alloc(4096, 'm');
  const name = (i: number) => `${base}/bench${i % 16}/o${i}`;
  const put = await measure('put 4 KiB, two copies', options, i => client.request('PUT', name(i), { body: small }));
  return [
    put,
    await measure('put empty', options, i => client.request('PUT', `${name(i)}e`, { body: Buffer.alloc(0) })),
    await measure('get 4 KiB', options, i => client.request('GET', name(i % put.count))),
    await measure('head', options, i => client.request('HEAD', name(i % put.count))),
    await measure('list 100', options, i => client.request('GET', `${base}/bench${i % 16}?limit=100`)),
    await measure('mkdir', options, i => client.request('PUT', `${base}/bench${i % 16}/d${i}`, mkdir)),
    await measure('delete', options, i => client.request('DELETE', `${name(i)}e`)),
  ];
}

async function measure(
  what: string,
  { inFlight, seconds }: { inFlight: number; seconds: number },
  send: (index: number) => Promise<{ status: number }>,
): Promise<Figure & { count: number }> {
  const times: number[] = [];
  let next = 0;
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (performance.now() < until) {
        const index = next++;
        const sentAt = performance.now();
        const { status } = await send(index);
        if (status >= 500) throw new Error(`${what}: answered ${status}`);
        times.push(performance.now() - sentAt);
      }
    }),
  );
  const elapsed = (performance.now() - startedAt) / 1000;
  times.sort((a, b) => a - b);
  const quantile = (q: number) => Math.round((times[Math.floor(q * (times.length - 1))] ?? 0) * 10) / 10;
  return {
    what,
    perSecond: Math.round(times.length / elapsed),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    count: times.length,
  };
}

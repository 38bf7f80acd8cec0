import { randomInt } from 'node:crypto';
import { checkNamespace } from './consistency.ts';
import type { Region } from './region.ts';
import type { Report } from './report.ts';

const MKDIR = { 'content-type': 'application/json; type=directory' };

/** Six writers create and delete children while two loops remove and re-make their directories: no child is orphaned. */
export async function race(region: Region, seconds: number): Promise<Report> {
  const { client } = region;
  const directories = Array.from({ length: 4 }, (_, index) => `/${client.login}/stor/race${index}`);
  const until = performance.now() + seconds * 1000;
  const counts: Record<string, number> = { created: 0, removed: 0, 'no parent': 0, 'not empty': 0, unavailable: 0 };
  const problems: string[] = [];

  async function send(method: string, path: string, headers: Record<string, string>, expected: Record<string, string>) {
    const answer = await client.request(method, path, { headers, body: Buffer.alloc(0) });
    const what = expected[answer.code ?? String(answer.status)];
    if (what === undefined) problems.push(`${method} ${path} answered ${answer.status} ${answer.body}`);
    else counts[what] = (counts[what] ?? 0) + 1;
  }

  const writer = async (id: number) => {
    while (performance.now() < until) {
      const child = `${directories[randomInt(directories.length)]}/c${id}-${randomInt(3)}`;
      await send(
        'PUT',
        child,
        {},
        { 204: 'created', DirectoryDoesNotExist: 'no parent', ServiceUnavailable: 'unavailable' },
      );
      await send(
        'DELETE',
        child,
        {},
        { 204: 'removed', ResourceNotFound: 'no parent', ServiceUnavailable: 'unavailable' },
      );
    }
  };
  const remover = async () => {
    while (performance.now() < until) {
      const directory = directories[randomInt(directories.length)] as string;
      await send('PUT', directory, MKDIR, { 204: 'made', ServiceUnavailable: 'unavailable' });
      await send(
        'DELETE',
        directory,
        {},
        {
          204: 'unmade',
          DirectoryNotEmpty: 'not empty',
          ResourceNotFound: 'no parent',
          ServiceUnavailable: 'unavailable',
        },
      );
    }
  };
  await Promise.all([...Array.from({ length: 6 }, (_, id) => writer(id)), remover(), remover()]);
  const insides = await region.open();
  problems.push(...(await checkNamespace(insides)));
  return { name: 'race', figures: { seconds, ...counts }, problems };
}

import { once } from 'node:events';
import { pino } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { createFailures } from './failures.ts';
import { createJobs } from './jobs.ts';

function aRunner() {
  const deps = { logger: pino({ level: 'silent' }), now: () => performance.now() };
  const failures = createFailures(deps);
  let ends = 0;
  const jobs = createJobs({ ...deps, failures }, () => {
    ends += 1;
  });
  return { jobs, failures, ends: () => ends };
}

const untilAborted = async (signal: AbortSignal) => {
  await once(signal, 'abort');
  throw new Error('aborted');
};

test('there is one job at a time', async () => {
  const { jobs } = aRunner();
  jobs.start('base-backup', untilAborted);
  expect(jobs.current()?.kind).toBe('base-backup');
  expect(() => jobs.start('stop', untilAborted)).toThrow(expect.objectContaining({ code: 'JobRunning' }));
  await jobs.stop();
  expect(jobs.current()).toBeUndefined();
});

test('a job that fails, also before its first wait, is counted until one of its kind succeeds', async () => {
  const { jobs, failures, ends } = aRunner();
  for (const count of [1, 2]) {
    jobs.start('start', () => {
      throw new Error('no');
    });
    await eventually(() => ends() === count);
    expect(failures.current.start).toMatchObject({ count, message: 'no' });
    expect(jobs.current()).toBeUndefined();
  }
  jobs.start('start', async () => {});
  await eventually(() => ends() === 3);
  expect(failures.current.start).toBeUndefined();
  failures.failed('rewind', new MantaError('SourceUnreachable', 'no answer'));
  expect(failures.current.rewind).toMatchObject({ count: 0, isUnreachable: true });
});

test('an aborted job has not failed', async () => {
  const { jobs, failures } = aRunner();
  jobs.start('rewind', untilAborted);
  await jobs.stop();
  expect(failures.current).toEqual({});
});

test('progress is of the running job only', async () => {
  const { jobs } = aRunner();
  jobs.start('base-backup', (signal, onProgress) => {
    onProgress(0.5);
    return untilAborted(signal);
  });
  await eventually(() => jobs.progress() === 0.5);
  await jobs.stop();
  expect(jobs.progress()).toBeUndefined();
});

test('a checkpoint that ended is remembered with what it took, one that failed is not', async () => {
  const { jobs, ends } = aRunner();
  jobs.start('checkpoint', () => Promise.reject(new Error('no')));
  await eventually(() => ends() === 1);
  expect(jobs.lastCheckpoint()).toBeUndefined();
  jobs.start('checkpoint', async () => {});
  await eventually(() => ends() === 2);
  expect(jobs.lastCheckpoint()?.tookMs).toBeGreaterThanOrEqual(0);
});

test('a base backup that succeeds ends the count of failed rewinds too: their directory is current no more', async () => {
  const { jobs, failures, ends } = aRunner();
  jobs.start('rewind', async () => {
    throw new Error('no');
  });
  await eventually(() => ends() === 1);
  jobs.start('base-backup', async () => {});
  await eventually(() => ends() === 2);
  expect(failures.current).toEqual({});
});

import { createProgress } from './progress.ts';

function record() {
  let text = '';
  let now = 0;
  const clock = { now: () => now, monotonic: () => now };
  const progress = createProgress({ clock, write: more => (text += more) });
  return { progress, text: () => text, pass: (ms: number) => (now += ms) };
}

describe('what a person is told while a region starts', () => {
  it('is one line for a step that says nothing', async () => {
    const { progress, text, pass } = record();
    expect(await progress.step('schemas', async () => pass(1_500))).toBe(1_500);
    expect(text()).toBe(`  schemas ${'.'.repeat(21)} 1.5 s\n`);
  });

  it('has what a step waits for below its title, and the time in a line of its own', async () => {
    const { progress, text } = record();
    await progress.step('shard', async say => {
      say('etcd');
      say('the primary is not open');
    });
    const head = `  shard ${'.'.repeat(23)} `;
    expect(text()).toBe(`${head}\n    … etcd\n    … the primary is not open\n${head}0.0 s\n`);
  });

  it('says which step failed', async () => {
    const { progress, text } = record();
    await expect(progress.step('database', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(text()).toBe(`  database ${'.'.repeat(20)} failed\n`);
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { canMakeNetworks, createNetwork, type Network, OWN_HOST } from './network.ts';

const SERVER = `require('node:net').createServer(s => { s.on('error', () => {}); s.end('x'); }).listen(9000)`;
const CLIENT = `require('node:net').connect(9000, process.argv[1]).on('error', e => { console.log(e.code); process.exit(1); })
  .setTimeout(300, () => process.exit(2)).on('data', () => process.exit(0))`;

/** Where the machine forbids namespaces there is nothing to test. */
const testHere = canMakeNetworks() ? test : test.skip;

describe('a network of namespaces', () => {
  const children: ChildProcess[] = [];
  let network: Network;

  beforeAll(async () => {
    if (!canMakeNetworks()) return;
    network = await createNetwork({ hosts: ['a', 'b'] });
    for (const host of ['a', 'b']) {
      const [program = '', ...args] = [...network.command(host), process.execPath, '-e', SERVER];
      children.push(spawn(program, args, { stdio: 'ignore' }));
    }
    for (const host of ['a', 'b']) await eventually(() => reaches(host));
  });

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await network?.remove();
  });

  function reaches(host: string): Promise<boolean> {
    return new Promise(resolve => {
      const socket = connect(9000, network.address(host));
      const end = (answer: boolean) => {
        socket.destroy();
        resolve(answer);
      };
      socket.setTimeout(300, () => end(false));
      socket.once('data', () => end(true));
      socket.once('error', () => end(false));
    });
  }

  function hears(from: string, to: string): Promise<boolean> {
    const [program = '', ...args] = [...network.command(from), process.execPath, '-e', CLIENT, network.address(to)];
    const child = spawn(program, args, { stdio: 'ignore' });
    return new Promise(resolve => child.once('exit', code => resolve(code === 0)));
  }

  testHere('carries everything until it is cut, and nothing over a cut, whichever way', async () => {
    expect(await hears('a', 'b')).toBe(true);
    await network.cut('a', 'b');
    expect(await hears('a', 'b')).toBe(false);
    expect(await hears('b', 'a')).toBe(false);
    expect([await reaches('a'), await reaches('b')]).toEqual([true, true]);
    await network.heal('a', 'b');
    await eventually(() => hears('a', 'b'));
    await network.cut(OWN_HOST, 'a');
    expect([await reaches('a'), await reaches('b')]).toEqual([false, true]);
    await network.healAll();
    await eventually(() => reaches('a'));
  });

  testHere('isolates a host without its noticing', async () => {
    await network.isolate('a');
    expect([await reaches('a'), await reaches('b'), await hears('a', 'b')]).toEqual([false, true, false]);
    await network.rejoin('a');
    await eventually(() => reaches('a'));
  });

  testHere('lets an address lead to another host, and back', async () => {
    expect(await reaches('a')).toBe(true);
    children[0]?.kill('SIGKILL');
    await eventually(async () => !(await reaches('a')));
    await network.giveAddress('a', 'b');
    await eventually(() => reaches('a'));
    await network.healAll();
    await eventually(async () => !(await reaches('a')));
  });
});

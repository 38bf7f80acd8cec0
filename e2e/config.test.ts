import { parseCommandLine } from './config.ts';

const parse = (line: string) => parseCommandLine(line.split(' ').filter(Boolean), '/home/me');

describe('parseCommandLine', () => {
  it.each([
    ['up', { kind: 'up', nodes: 3, images: undefined }],
    ['up --nodes 1 --image a.tar --image /b.tar', { kind: 'up', nodes: 1, images: ['/home/me/a.tar', '/b.tar'] }],
    ['up --bare', { kind: 'up', nodes: 3, images: [] }],
    ['down', { kind: 'down' }],
    ['node crash n2', { kind: 'order', order: { kind: 'crash', node: 'n2' } }],
    ['node stop n2 kubelet', { kind: 'order', order: { kind: 'stop', node: 'n2', program: 'kubelet' } }],
    ['node exec n2 ip route', { kind: 'order', order: { kind: 'exec', node: 'n2', argv: ['ip', 'route'] } }],
    ['load a.tar', { kind: 'order', order: { kind: 'load', archives: ['/home/me/a.tar'] } }],
    ['run kubectl get nodes', { kind: 'run', argv: ['kubectl', 'get', 'nodes'] }],
    ['', { kind: 'test', args: [] }],
    ['cluster -t NetworkPolicies', { kind: 'test', args: ['cluster', '-t', 'NetworkPolicies'] }],
  ])('understands: %s', (line, command) => {
    expect(parse(line)).toEqual(command);
  });

  it.each([
    'up --nodes 0',
    'up --nodes many',
    'up more',
    'down now',
    'run',
    'load',
    'node',
    'node explode n2',
    'node stop n2',
  ])('refuses: %s', line => {
    expect(() => parse(line)).toThrow(expect.objectContaining({ code: 'Usage' }));
  });
});

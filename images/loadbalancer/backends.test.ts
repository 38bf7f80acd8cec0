import type { EndpointSlice } from '../../lib/kubernetes/resources.ts';
import { backendsOf } from './backends.ts';

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number];

function aSlice(endpoints: readonly Endpoint[], overrides: Partial<EndpointSlice> = {}): EndpointSlice {
  const ports = [
    { name: 'control', port: 9090 },
    { name: 'http', port: 8080 },
  ];
  return { addressType: 'IPv4', ports, endpoints, ...overrides };
}
const ready = (address: string): Endpoint => ({ addresses: [address], conditions: { ready: true, serving: true } });
const ending = (address: string, serving: boolean): Endpoint => ({
  addresses: [address],
  conditions: { ready: false, serving, terminating: true },
});
const addresses = (...slices: EndpointSlice[]) => backendsOf(slices, 'http').map(({ address }) => address);

describe('the backends of a Service', () => {
  it('are its ready endpoints, with the port of that name', () => {
    expect(backendsOf([aSlice([ready('10.0.0.1'), ending('10.0.0.2', true)])], 'http')).toEqual([
      { address: '10.0.0.1', port: 8080 },
    ]);
  });

  it('are in the same order however slices and endpoints come, each once', () => {
    const one = aSlice([ready('10.0.0.9'), ready('10.0.0.1')]);
    const two = aSlice([ready('10.0.0.5'), ready('10.0.0.1')]);
    expect(addresses(one, two)).toEqual(['10.0.0.1', '10.0.0.5', '10.0.0.9']);
    expect(addresses(two, one)).toEqual(addresses(one, two));
  });

  it('count an endpoint that says nothing as ready', () => {
    expect(addresses(aSlice([{ addresses: ['10.0.0.1'] }]))).toEqual(['10.0.0.1']);
  });

  it('are those that end but still serve, when no other is left', () => {
    expect(addresses(aSlice([ending('10.0.0.1', true), ending('10.0.0.2', false)]))).toEqual(['10.0.0.1']);
  });

  it.each([
    ['without endpoints', aSlice([])],
    ['with null for endpoints, as the API server writes an empty list', { ...aSlice([]), endpoints: null as never }],
    ['of host names', aSlice([ready('a.example')], { addressType: 'FQDN' })],
    ['without that port', aSlice([ready('10.0.0.1')], { ports: [{ name: 'control', port: 9090 }] })],
    ['with nothing ready or serving', aSlice([ending('10.0.0.1', false)])],
  ])('are none in a slice %s', (_, slice) => {
    expect(addresses(slice)).toEqual([]);
  });
});

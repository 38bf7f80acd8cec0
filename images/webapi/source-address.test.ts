import { createSourceAddresses, normalizeAddress } from './source-address.ts';

describe('the source address', () => {
  const sources = createSourceAddresses(['10.0.0.0/8', '2001:db8::1']);

  test.each([
    ['is the peer when no proxy is trusted there', '192.0.2.1', '198.51.100.7', '192.0.2.1'],
    ['is the right-most hop behind a trusted proxy', '10.1.1.1', '203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['is behind a chain of trusted proxies', '10.1.1.1', '198.51.100.7, 10.2.2.2, 2001:db8::1', '198.51.100.7'],
    ['is v4 when mapped', '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    ['loses ports and brackets', '10.1.1.1', '[2001:DB8:0::7]:443', '2001:db8::7'],
    ['stops at what is no address', '10.1.1.1', '198.51.100.7, junk', '10.1.1.1'],
    ['is the proxy when nothing was forwarded', '10.1.1.1', undefined, '10.1.1.1'],
    ['is always there', undefined, undefined, 'unknown'],
  ])('%s', (_, peer, forwarded, expected) => {
    expect(sources.sourceOf(peer, forwarded)).toBe(expected);
  });

  test('ignores what was forwarded when no proxy is configured', () => {
    expect(createSourceAddresses([]).sourceOf('10.1.1.1', '198.51.100.7')).toBe('10.1.1.1');
    expect(createSourceAddresses([]).isTrusted('10.1.1.1')).toBe(false);
  });

  test('behind a load balancer at any address is what that one appended, and trusted proxies before it', () => {
    const behind = createSourceAddresses(['203.0.113.0/24'], { trustsPeers: true });
    expect(behind.isTrusted('172.16.5.5')).toBe(true);
    expect(behind.sourceOf('172.16.5.5', '192.0.2.66, 198.51.100.7')).toBe('198.51.100.7');
    expect(behind.sourceOf('172.16.5.5', '198.51.100.7, 203.0.113.9')).toBe('198.51.100.7');
    expect(behind.sourceOf('172.16.5.5', '198.51.100.7, 172.16.5.5')).toBe('172.16.5.5');
    expect(behind.sourceOf('172.16.5.5', undefined)).toBe('172.16.5.5');
  });

  test('refuses a proxy list that holds anything else', () => {
    expect(() => createSourceAddresses(['loadbalancer'])).toThrow(RangeError);
  });
});

test('an address with a port loses it', () => {
  expect(normalizeAddress('192.0.2.1:80')).toBe('192.0.2.1');
  expect(normalizeAddress('2001:db8::1')).toBe('2001:db8::1');
  expect(normalizeAddress('')).toBeUndefined();
});

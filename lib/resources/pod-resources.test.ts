import { withResources } from './pod-resources.ts';
import { amountOf } from './quantity.ts';

const base = { requests: { cpu: '50m', memory: '384Mi' }, limits: { memory: '768Mi' } };

describe('resources of a pod', () => {
  it('are those of the profile where nothing is said', () => {
    expect(withResources(base)).toEqual(base);
  });

  it('a single value is replaced alone, and a number is as good as a text', () => {
    expect(withResources(base, { requests: { cpu: 2 } })).toEqual({
      requests: { cpu: '2', memory: '384Mi' },
      limits: { memory: '768Mi' },
    });
  });

  it('a request above the default limit raises the limit', () => {
    expect(withResources(base, { requests: { memory: '64Gi' } }).limits).toEqual({ memory: '64Gi' });
  });

  it('a limit below the default request lowers the request', () => {
    expect(withResources(base, { limits: { memory: '100Mi' } }).requests).toEqual({ cpu: '50m', memory: '100Mi' });
  });

  it('further resources are passed on', () => {
    expect(withResources(base, { limits: { 'hugepages-2Mi': '1Gi' } }).limits).toEqual({
      memory: '768Mi',
      'hugepages-2Mi': '1Gi',
    });
  });
});

describe('quantities', () => {
  it.each([
    ['8Gi', 8 * 2 ** 30],
    ['1.5Ti', 1.5 * 2 ** 40],
    ['500m', 0.5],
    ['5G', 5e9],
    ['12e6', 12e6],
    [4, 4],
    ['1E', 1e18],
  ])('%s is %d', (quantity, amount) => {
    expect(amountOf(quantity)).toBe(amount);
  });

  it.each(['', 'Gi', '8 Gi', '-1', '8gi', '1Zi'])('"%s" is none', quantity => {
    expect(() => amountOf(quantity)).toThrow(expect.objectContaining({ code: 'InvalidParameter' }));
  });
});

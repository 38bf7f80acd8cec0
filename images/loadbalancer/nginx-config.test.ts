import { loadbalancerConfigSchema } from './config.ts';
import { type NginxSettings, renderNginxConfig } from './nginx-config.ts';

function settings(overrides: Partial<NginxSettings> = {}): NginxSettings {
  const config = loadbalancerConfigSchema.parse({
    listen: { addresses: ['0.0.0.0', '::'] },
    backends: { kind: 'service', namespace: 'manta' },
    certificate: { certificateFile: '/etc/manta/tls.crt', keyFile: '/etc/manta/tls.key' },
    trustedProxies: ['192.0.2.0/24', '2001:db8::1'],
  });
  return {
    backends: [
      { address: '10.1.2.3', port: 8080 },
      { address: 'fd00::3', port: 8080 },
    ],
    certificate: { certificateFile: '/run/loadbalancer/tls-1.crt', keyFile: '/run/loadbalancer/tls-1.key' },
    config,
    ...overrides,
  };
}

describe('the configuration of nginx', () => {
  it('is this, for two backends', () => {
    expect(renderNginxConfig(settings(), 'g1')).toMatchSnapshot();
  });

  it('answers by itself while there is no backend', () => {
    const text = renderNginxConfig(settings({ backends: [] }), 'g1');
    expect(text).not.toContain('http://webapi');
    expect(text).not.toContain('upstream webapi');
    expect(text).toContain('return 503;');
  });

  it.each([
    ['a trusted proxy that is none', { trustedProxies: ['10.0.0.0/33'] }],
    ['a trusted proxy with more than an address', { trustedProxies: ['10.0.0.1; include /etc/passwd'] }],
    ['a directory with a quote', { stateDir: '/run/"; x' }],
    ['a directory with a variable', { stateDir: '/run/$uri' }],
    ['a host name as an address', { listen: { addresses: ['localhost'] } }],
    ['a key that it does not know', { backend: [] }],
  ])('cannot be broken out of: %s is refused', (_, wrong) => {
    const base = { backends: { kind: 'fixed', list: [] }, certificate: { certificateFile: 'a', keyFile: 'b' } };
    expect(loadbalancerConfigSchema.safeParse(base).success).toBe(true);
    expect(loadbalancerConfigSchema.safeParse({ ...base, ...wrong }).success).toBe(false);
  });
});

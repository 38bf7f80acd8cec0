import { parseProgramConfig } from './program-config.ts';

const file = (storage: object = {}) => ({
  storage: {
    storageId: '1.stor.test',
    dir: '/data',
    port: 8080,
    webapiUrl: 'http://webapi:9090',
    ...storage,
  },
  region: 'test',
  nodeTokenFile: '/token',
  publicKeyFiles: {},
});

describe('the configuration of a storage node', () => {
  it('takes address and node from the pod', () => {
    const { storage } = parseProgramConfig(file(), { POD_IP: '10.1.2.3', NODE_NAME: 'node-s01' });
    expect(storage).toMatchObject({
      baseUrl: 'http://10.1.2.3:8080',
      computeId: 'node-s01',
      failureDomain: 'node-s01',
    });
    expect(parseProgramConfig(file(), { POD_IP: 'fd00::7', NODE_NAME: 'n' }).storage.baseUrl).toBe(
      'http://[fd00::7]:8080',
    );
  });

  it('leaves the address to the listener where the file names no port', () => {
    const { storage } = parseProgramConfig(file({ port: undefined }), { POD_IP: '10.1.2.3', NODE_NAME: 'n' });
    expect(storage).toMatchObject({ port: 0 });
    expect(storage.baseUrl).toBeUndefined();
  });

  it('prefers what the file says', () => {
    const { storage } = parseProgramConfig(file({ failureDomain: 'rack-4', baseUrl: 'http://s1:1' }), {
      POD_IP: '10.1.2.3',
      NODE_NAME: 'node-s01',
    });
    expect(storage).toMatchObject({ baseUrl: 'http://s1:1', computeId: 'node-s01', failureDomain: 'rack-4' });
  });

  it('refuses a node that fails together with nobody knows what', () => {
    expect(() => parseProgramConfig(file(), {})).toThrow(/failureDomain/);
  });
});

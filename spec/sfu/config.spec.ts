import { SfuConfigError, readSfuConfig } from '../../sfu/config.ts';

const GOOD = {
  HANSETAG_SFU_CONTROL: '/run/hansetag/sfu.sock',
  HANSETAG_SFU_SECRET: 'sixteen letters!',
};

describe('the settings of the SFU', () => {
  it('need a control address and a secret; the rest has defaults', () => {
    const config = readSfuConfig(GOOD);
    expect(config.control).toEqual({ path: '/run/hansetag/sfu.sock' });
    expect(config.listenIp).toBe('127.0.0.1');
    expect(config.workers).toBeGreaterThan(0);
    expect(config.linkPorts).toEqual({ min: 40000, max: 40999 });
  });

  it('take a control address of loopback TCP', () => {
    expect(readSfuConfig({ ...GOOD, HANSETAG_SFU_CONTROL: '127.0.0.1:7000' }).control).toEqual({
      host: '127.0.0.1',
      port: 7000,
    });
    expect(readSfuConfig({ ...GOOD, HANSETAG_SFU_CONTROL: '[::1]:7000' }).control).toEqual({ host: '::1', port: 7000 });
  });

  it('take further addresses for clients', () => {
    expect(readSfuConfig(GOOD).clientIps).toEqual([]);
    const { clientIps } = readSfuConfig({ ...GOOD, HANSETAG_SFU_CLIENT_IPS: '192.0.2.1,2001:db8::1' });
    expect(clientIps).toEqual(['192.0.2.1', '2001:db8::1']);
  });

  const wrong: Record<string, Record<string, string>> = {
    HANSETAG_SFU_CONTROL: { HANSETAG_SFU_CONTROL: 'nowhere' },
    HANSETAG_SFU_SECRET: { HANSETAG_SFU_SECRET: 'hunter2' },
    HANSETAG_SFU_LISTEN_IP: { HANSETAG_SFU_LISTEN_IP: 'localhost' },
    HANSETAG_SFU_CLIENT_IPS: { HANSETAG_SFU_CLIENT_IPS: '192.0.2.1,lan' },
    HANSETAG_SFU_WORKERS: { HANSETAG_SFU_WORKERS: '0' },
    HANSETAG_SFU_PROBE_PORT: { HANSETAG_SFU_PROBE_PORT: '40500' },
    HANSETAG_SFU_ANNOUNCED_ADDRESS: { HANSETAG_SFU_LISTEN_IP: '0.0.0.0' },
    HANSETAG_SFU_WEBRTC_PORT: { HANSETAG_SFU_WEBRTC_PORT: '65535', HANSETAG_SFU_WORKERS: '2' },
    HANSETAG_SFU_LINK_PORTS: { HANSETAG_SFU_LINK_PORTS: '41000-40000' },
  };
  for (const [name, environment] of Object.entries(wrong)) {
    it(`name ${name} when it is wrong, and never a value`, () => {
      const read = () => readSfuConfig({ ...GOOD, ...environment });
      expect(read).toThrowError(SfuConfigError, new RegExp(name));
      expect(read).not.toThrowError(/hunter2/);
    });
  }

  it('refuse ports of links that overlap those of the workers', () => {
    expect(() => readSfuConfig({ ...GOOD, HANSETAG_SFU_WEBRTC_PORT: '40010' })).toThrowError(SfuConfigError, /overlap/);
  });
});

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

  /** The message about these settings; undefined when they are good. */
  function refusal(environment: Record<string, string>): string | undefined {
    try {
      readSfuConfig({ ...GOOD, ...environment });
      return undefined;
    } catch (error) {
      if (error instanceof SfuConfigError) return error.message;
      throw error;
    }
  }

  it('name all that are wrong at once, one in a line', () => {
    expect(
      refusal({
        HANSETAG_SFU_CONTROL: 'nowhere',
        HANSETAG_SFU_SECRET: 'hunter2',
        HANSETAG_SFU_LINK_PORTS: '40000',
      })?.split('\n'),
    ).toEqual([
      'HANSETAG_SFU_CONTROL: must be an absolute path of at most 107 bytes, or host:port',
      'HANSETAG_SFU_SECRET: must have at least 16 characters',
      'HANSETAG_SFU_LINK_PORTS: must be like 40000-40999',
    ]);
  });

  it('count as absent when they are empty', () => {
    expect(refusal({ HANSETAG_SFU_CONTROL: '', HANSETAG_SFU_SECRET: '' })?.split('\n')).toEqual([
      'HANSETAG_SFU_CONTROL: is missing',
      'HANSETAG_SFU_SECRET: is missing',
    ]);
    const empty = { HANSETAG_SFU_WEBRTC_PORT: '', HANSETAG_SFU_WORKER_BIN: '', HANSETAG_LOG_LEVEL: '' };
    const config = readSfuConfig({ ...GOOD, ...empty });
    expect(config.webRtcPort).toBe(44440);
    expect(config.workerBin).toBeUndefined();
    expect(config.logLevel).toBe('info');
  });

  it('take a secret of 16 to 512 characters', () => {
    for (const length of [16, 512]) expect(refusal({ HANSETAG_SFU_SECRET: 'x'.repeat(length) })).toBeUndefined();
    expect(refusal({ HANSETAG_SFU_SECRET: 'x'.repeat(15) })).toContain('at least 16 characters');
    expect(refusal({ HANSETAG_SFU_SECRET: 'x'.repeat(513) })).toContain('at most 512 characters');
  });

  for (const name of ['HANSETAG_SFU_WEBRTC_PORT', 'HANSETAG_SFU_PROBE_PORT']) {
    for (const value of ['0', '65536', '-1', '44440.5', 'many']) {
      it(`refuse ${value} as ${name} and say what a port is`, () => {
        expect(refusal({ [name]: value })).toBe(`${name}: must be a port, 1 to 65535`);
      });
    }
  }

  it('take 1 to 256 workers', () => {
    for (const workers of ['1', '256']) expect(refusal({ HANSETAG_SFU_WORKERS: workers })).toBeUndefined();
    for (const workers of ['0', '257', '1.5', 'all']) {
      expect(refusal({ HANSETAG_SFU_WORKERS: workers })).toBe('HANSETAG_SFU_WORKERS: must be a number from 1 to 256');
    }
  });

  for (const ports of ['40000', '40000-', '-40999', '40000-40999-41000', '40000–40999', '40000 - 40999', 'a-b']) {
    it(`refuse ${ports} as ports of links, which is no range`, () => {
      expect(refusal({ HANSETAG_SFU_LINK_PORTS: ports })).toContain('must be like 40000-40999');
    });
  }

  for (const ports of ['0-40999', '40000-65536', '40999-40000']) {
    it(`refuse ${ports} as ports of links, which is out of range or the wrong way round`, () => {
      expect(refusal({ HANSETAG_SFU_LINK_PORTS: ports })).toContain('must be two ports, the lower one first');
    });
  }

  it('take a range of one port, for one link', () => {
    expect(readSfuConfig({ ...GOOD, HANSETAG_SFU_LINK_PORTS: '40000-40000' }).linkPorts).toEqual({
      min: 40000,
      max: 40000,
    });
  });

  it('let the ports of workers be next to those of links, and not among them', () => {
    const links = { HANSETAG_SFU_LINK_PORTS: '40000-40999', HANSETAG_SFU_WORKERS: '4' };
    const from = (port: number) => refusal({ ...links, HANSETAG_SFU_WEBRTC_PORT: String(port) });
    expect(from(39996)).toBeUndefined();
    expect(from(39997)).toContain('overlaps');
    expect(from(40999)).toContain('overlaps');
    expect(from(41000)).toBeUndefined();
  });

  it('have a port for each worker, up to the last one there is', () => {
    const from = (port: number) => refusal({ HANSETAG_SFU_WORKERS: '4', HANSETAG_SFU_WEBRTC_PORT: String(port) });
    expect(from(65532)).toBeUndefined();
    expect(from(65533)).toContain('HANSETAG_SFU_WEBRTC_PORT: leaves no port for each worker');
  });

  it('let the port of probes be next to those of workers and links, and not among them', () => {
    const probesAt = (port: number) =>
      refusal({ HANSETAG_SFU_WORKERS: '2', HANSETAG_SFU_PROBE_PORT: String(port), HANSETAG_SFU_WEBRTC_PORT: '44440' });
    for (const free of [39999, 41000, 44439, 44442]) expect(probesAt(free)).toBeUndefined();
    for (const used of [40000, 40999, 44440, 44441]) expect(probesAt(used)).toContain('HANSETAG_SFU_PROBE_PORT');
  });

  for (const everywhere of ['0.0.0.0', '::', '::0', '0:0:0:0:0:0:0:0']) {
    it(`need an address to announce when they listen at every address, ${everywhere}`, () => {
      expect(refusal({ HANSETAG_SFU_LISTEN_IP: everywhere })).toContain('HANSETAG_SFU_ANNOUNCED_ADDRESS');
      const announced = { HANSETAG_SFU_ANNOUNCED_ADDRESS: 'sfu.luebeck.example' };
      expect(refusal({ HANSETAG_SFU_LISTEN_IP: everywhere, ...announced })).toBeUndefined();
    });

    it(`refuse ${everywhere} as a further address for clients, who would be told it`, () => {
      expect(refusal({ HANSETAG_SFU_CLIENT_IPS: everywhere })).toContain('HANSETAG_SFU_CLIENT_IPS');
    });
  }

  it('refuse an address for clients that is there already, on which a worker could not listen again', () => {
    expect(refusal({ HANSETAG_SFU_CLIENT_IPS: '192.0.2.1,192.0.2.1' })).toContain('HANSETAG_SFU_CLIENT_IPS');
    const listenIp = { HANSETAG_SFU_LISTEN_IP: '2001:db8::1' };
    expect(refusal({ ...listenIp, HANSETAG_SFU_CLIENT_IPS: '2001:DB8:0::1' })).toContain('HANSETAG_SFU_CLIENT_IPS');
    expect(refusal({ ...listenIp, HANSETAG_SFU_CLIENT_IPS: '192.0.2.1,192.0.2.2' })).toBeUndefined();
  });

  it('take as many addresses for clients as a client takes candidates for, of UDP and TCP each', () => {
    const ips = (count: number) => Array.from({ length: count }, (_, index) => `192.0.2.${String(index)}`).join(',');
    expect(refusal({ HANSETAG_SFU_CLIENT_IPS: ips(15) })).toBeUndefined();
    expect(refusal({ HANSETAG_SFU_CLIENT_IPS: ips(16) })).toBe('HANSETAG_SFU_CLIENT_IPS: must be at most 15 addresses');
  });

  it('have an announced address of at most 255 characters', () => {
    expect(refusal({ HANSETAG_SFU_ANNOUNCED_ADDRESS: 'x'.repeat(255) })).toBeUndefined();
    expect(refusal({ HANSETAG_SFU_ANNOUNCED_ADDRESS: 'x'.repeat(256) })).toBe(
      'HANSETAG_SFU_ANNOUNCED_ADDRESS: must have at most 255 characters',
    );
  });

  it('take known levels of the log only, and name them', () => {
    expect(refusal({ HANSETAG_LOG_LEVEL: 'silent' })).toBeUndefined();
    expect(refusal({ HANSETAG_LOG_LEVEL: 'loud' })).toMatch(/^HANSETAG_LOG_LEVEL: .*fatal.*silent/);
  });

  it('are not changed by what else is in the environment', () => {
    expect(readSfuConfig({ ...GOOD, HANSETAG_SFU_OTHER: 'x', PATH: '/bin' })).toEqual(readSfuConfig(GOOD));
  });

  it('repeat no value in a message', () => {
    const names = ['CONTROL', 'SECRET', 'LISTEN_IP', 'CLIENT_IPS', 'WEBRTC_PORT', 'LINK_PORTS', 'PROBE_PORT'];
    const environment = Object.fromEntries(names.map((name) => [`HANSETAG_SFU_${name}`, 'hunter2']));
    const told = refusal({ ...environment, HANSETAG_LOG_LEVEL: 'hunter2' });
    expect(told?.split('\n').length).toBe(8);
    expect(told).not.toContain('hunter2');
  });
});

import { findLanAddress, layout, listenAddresses, PORTS } from '../../deploy/quickstart/layout.ts';

describe('The addresses of the demonstration', () => {
  const { luebeck, hamburg } = layout(8440);

  it('give each organisation a name that browsers find and an address of its own', () => {
    expect(luebeck.url).toBe('http://luebeck.localhost:8440');
    expect(hamburg.url).toBe('http://hamburg.localhost:8441');
    expect(luebeck.serverName).toBe('luebeck.localhost:8448');
    expect(luebeck.address).not.toBe(hamburg.address);
    expect(luebeck.people.map(({ matrixId }) => matrixId)).toContain('@bert:luebeck.localhost:8448');
  });

  it('never clash, neither within the demonstration nor with one at the next base port', () => {
    const all = [layout(8440), layout(8440 + PORTS)].flatMap(Object.values).flatMap(listenAddresses);
    const names = all.map(({ host, port }) => `${host}:${String(port)}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('do not clash either where both organisations have media at the address of the machine', () => {
    const shared = layout(8440, '192.0.2.7');
    const names = Object.values(shared)
      .flatMap(listenAddresses)
      .map(({ host, port }) => `${host}:${String(port)}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { webRtcPort } of Object.values(shared)) expect(names).toContain(`192.0.2.7:${String(webRtcPort)}`);
  });

  it('are open to the network only when that is asked for', () => {
    for (const { lanAddress } of Object.values(layout(8440))) expect(lanAddress).toBeUndefined();
    for (const { host } of Object.values(layout(8440)).flatMap(listenAddresses)) expect(host).toMatch(/^127\./);
  });

  it('know the first address of the machine that is not loopback', () => {
    const entry = (address: string, internal: boolean) =>
      ({ address, internal, family: 'IPv4', netmask: '255.0.0.0', mac: '00:00:00:00:00:00', cidr: null }) as const;
    const six = { ...entry('2001:db8::1', false), family: 'IPv6', scopeid: 0 } as const;
    const found = findLanAddress({ lo: [entry('127.0.0.1', true)], eth0: [six, entry('192.0.2.7', false)] });
    expect(found).toBe('192.0.2.7');
    expect(findLanAddress({ lo: [entry('127.0.0.1', true)] })).toBeUndefined();
  });

  it('keep media, probes and links apart', () => {
    const [first, last] = luebeck.linkPorts.split('-').map(Number);
    expect(luebeck.webRtcPort + luebeck.workers).toBeLessThanOrEqual(first ?? 0);
    expect(luebeck.probePort).toBeLessThan(luebeck.webRtcPort);
    expect(last).toBe(8440 + PORTS - 1);
  });
});

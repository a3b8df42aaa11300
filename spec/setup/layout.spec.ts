import { layout, listenAddresses, PORTS } from '../../deploy/quickstart/layout.ts';

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

  it('keep media, probes and links apart', () => {
    const [first, last] = luebeck.linkPorts.split('-').map(Number);
    expect(luebeck.webRtcPort + luebeck.workers).toBeLessThanOrEqual(first ?? 0);
    expect(luebeck.probePort).toBeLessThan(luebeck.webRtcPort);
    expect(last).toBe(8440 + PORTS - 1);
  });
});

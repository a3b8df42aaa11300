/** The requests between links in this process behave like those between homeservers, where a link relies on them. */
import { pino } from 'pino';
import type { JsonObject } from '../../../federation/json.ts';
import type { SfuPort } from '../../../homeserver/meetings/conference/ports.ts';
import { LinkError } from '../../../homeserver/meetings/conference/link-error.ts';
import { mainNode } from '../../../homeserver/meetings/conference/link-node.ts';
import { sourceKey } from '../../../homeserver/meetings/conference/local-participant.ts';
import { linkPeers } from '../../../homeserver/meetings/conference/peers.ts';
import { Organisations } from '../../../homeserver/meetings/organisations.ts';
import { MeetingPlace } from '../../hostile/kit/meeting.ts';
import { at } from '../../support/homeservers.ts';
import { FakeClock } from '../../support/fakes/clock.ts';
import type { AskedLink } from '../../support/fakes/link-peers.ts';
import { discoveryOf, LinkedPair, OPENS, ROOM, WAITS } from '../../support/fakes/linked-pair.ts';
import { FakeSfu } from '../../support/fakes/sfu.ts';
import { BUILD_TIMEOUT, Instance, MICROPHONE, workerBin } from '../../sfu/support.ts';
import { describeLinkPeers } from './link-peers.contract.ts';

describeLinkPeers('the fake network', async () => {
  const clock = new FakeClock();
  const own = new FakeSfu({ clock, address: '127.0.0.2' });
  const other = new FakeSfu({ clock, address: '127.0.0.3' });
  const pair = new LinkedPair(clock, [other, own]);
  const source = sourceKey('@bert:hamburg.example|DEVICE', 'microphone');
  pair.publish(pair.opens, source, await microphone(other, ROOM, '@bert:hamburg.example|DEVICE'));
  // The spec has the links of this side, and wants nothing itself.
  const asked: AskedLink = {
    accept: () => Promise.reject(new LinkError('closed', 'the spec opens links itself')),
    serve: () => Promise.resolve([]),
    check: () => undefined,
    closedByPeer: () => undefined,
    reopen: () => undefined,
  };
  const peers = pair.network.add(WAITS, { discovery: () => discoveryOf(WAITS, own), link: () => asked });
  return {
    peers,
    peer: mainNode(OPENS),
    sfu: own,
    roomId: ROOM,
    source,
    close: () => Promise.resolve(pair.close()),
  };
});

describe('Between homeservers,', () => {
  beforeAll(workerBin, BUILD_TIMEOUT);

  describeLinkPeers('the real ones', async () => {
    const place = await MeetingPlace.start();
    const anna = await place.register('anna');
    const media = await Instance.start('127.0.0.4');
    const { roomId, peer } = await place.withPeerThat('opens links', anna);
    const { listenIp, linkPorts, probePort } = media.config;
    peer.sfu = { address: listenIp, min_port: linkPorts.min, max_port: linkPorts.max, probe_port: probePort };
    // The spec opens links itself, and wants nothing.
    peer.onLink = (_method, _roomId, _linkId, wants): JsonObject => (wants ? { sources: [] } : {});
    const session = await anna.session();
    await session.join(roomId);
    await session.publish('microphone');
    const { client, key, serverName } = peer.peer;
    const organisations = new Organisations({
      serverName,
      displayName: 'Peer',
      colour: '#102030',
      publicUrl: 'https://meet.luebeck.example',
      key,
      client,
      keyring: {
        async key(server, keyId) {
          const path = '/_matrix/key/v2/server';
          const document = await client.request({ destination: server, method: 'GET', path, signed: false });
          return String(at(document, 'verify_keys', keyId, 'key'));
        },
      },
      log: pino({ level: 'silent' }),
    });
    return {
      peers: linkPeers(client, organisations, () => undefined),
      peer: mainNode(place.server.serverName),
      sfu: media.client,
      roomId,
      source: sourceKey(anna.participantId, 'microphone'),
      async close() {
        await peer.close();
        await place.close();
        await media.close();
      },
    };
  });
});

/** A microphone of a participant. @returns its producer */
async function microphone(sfu: SfuPort, conferenceId: string, participantId: string): Promise<string> {
  await sfu.request('conference.open', { conferenceId });
  const { id: transportId } = await sfu.request('transport.create', { conferenceId, participantId, direction: 'send' });
  const made = await sfu.request('producer.create', {
    transportId,
    source: 'microphone',
    rtpParameters: MICROPHONE,
    paused: false,
  });
  return made.producerId;
}

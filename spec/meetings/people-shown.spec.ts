/** Participants as clients are told of them: what of our own and of others is shown, and what is not. */
import { describeLocal, describeRemote } from '../../homeserver/meetings/conference/people-shown.ts';
import { Remotes } from '../../homeserver/meetings/conference/remotes.ts';
import { participantSchema } from '../../protocol/session.ts';
import { membership, person, seated } from '../support/fakes/people.ts';

const ANNA = '@anna:luebeck.example';
const OTTO = '@otto:hamburg.example:8448';

describe('A participant, as clients are told of it', () => {
  it('is one of ours with what it sends, and without the ids that the media server has for that', () => {
    const { local } = seated(ANNA);
    local.displayName = 'Anna';
    local.role = 'moderator';
    local.media.sources.set('microphone', { producerId: 'producer-1', paused: true });
    local.signals = { hand: { raisedAt: 5 } };
    const shown = describeLocal(local, 'luebeck.example');
    expect(shown).toEqual({
      participantId: `${ANNA}|DESK`,
      userId: ANNA,
      deviceId: 'DESK',
      displayName: 'Anna',
      organisation: 'luebeck.example',
      role: 'moderator',
      guest: false,
      joinedAt: 1_000,
      sources: [{ source: 'microphone', paused: true }],
      presence: 'here',
      signals: { hand: { raisedAt: 5 } },
    });
    expect(participantSchema.parse(shown)).toEqual(shown);
  });

  it('is reconnecting while the client of one of ours is away', () => {
    const { local } = seated(ANNA);
    local.arrive(false);
    expect(describeLocal(local, 'luebeck.example').presence).toBe('reconnecting');
  });

  describe('of another organisation', () => {
    let remotes: Remotes;
    beforeEach(() => {
      remotes = new Remotes({ shown: ({ said }) => said.signals, silenced: () => undefined });
    });

    it('belongs to the server of its user id, port included, and is known only by its membership at first', () => {
      const { remote } = remotes.put(membership(OTTO), person('Otto', { role: 'guest', guest: true }));
      const shown = describeRemote(remote);
      expect(shown).toEqual({
        participantId: `${OTTO}|DESK`,
        userId: OTTO,
        deviceId: 'DESK',
        displayName: 'Otto',
        organisation: 'hamburg.example:8448',
        role: 'guest',
        guest: true,
        joinedAt: 2_000,
        sources: [],
        sourcesKnown: false,
        presence: 'here',
        signals: {},
      });
      expect(participantSchema.parse(shown)).toEqual(shown);
    });

    it('is shown as its own instance says, without the ids of its sources there', () => {
      remotes.put(membership(OTTO), person('Otto'));
      const remote = remotes.setState(`${OTTO}|DESK`, {
        sources: [{ source: 'camera', id: 'c1', paused: false }],
        reconnecting: true,
        signals: { hand: { raisedAt: 5 } },
      });
      const shown = remote && describeRemote(remote);
      expect(shown?.sources).toEqual([{ source: 'camera', paused: false }]);
      expect(shown?.presence).toBe('reconnecting');
      expect(shown?.signals).toEqual({ hand: { raisedAt: 5 } });
      expect(shown && 'sourcesKnown' in shown).toBeFalse();
    });

    it('is muted from the moment of the order on, before its instance has said so', () => {
      remotes.put(membership(OTTO), person('Otto'));
      remotes.setState(`${OTTO}|DESK`, {
        sources: [{ source: 'microphone', id: 'm1', paused: false }],
        reconnecting: false,
        signals: {},
      });
      const remote = remotes.silence(`${OTTO}|DESK`, 'microphone');
      expect(remote && describeRemote(remote).sources).toEqual([{ source: 'microphone', paused: true }]);
    });
  });
});

/** Lübeck, whose people Anna and Jens are, and Hamburg, whose people Otto and Olga are: two instances on fake parts. */
import { FakeCity, FakeClient } from './city.ts';
import { FakeClock } from './clock.ts';
import { FakeNetwork } from './link-peers.ts';
import { FakeRooms } from './rooms.ts';

export const ROOM = '!room:luebeck.example';
export const OTHER_ROOM = '!other:luebeck.example';
/** Owns the rooms; everybody else is in them. */
export const ANNA = '@anna:luebeck.example';
export const JENS = '@jens:luebeck.example';
export const OTTO = '@otto:hamburg.example';
export const OLGA = '@olga:hamburg.example';

export class TwoFakeCities {
  readonly clock = new FakeClock();
  readonly rooms = new FakeRooms(this.clock);
  readonly network = new FakeNetwork(this.clock);
  readonly home: FakeCity;
  readonly away: FakeCity;

  constructor() {
    const { clock, rooms, network } = this;
    const land = { clock, rooms, network, cities: new Map<string, FakeCity>() };
    for (const roomId of [ROOM, OTHER_ROOM]) {
      rooms.create(roomId, ANNA);
      for (const userId of [JENS, OTTO, OLGA]) rooms.setMember(roomId, userId, 'join');
    }
    this.home = new FakeCity('luebeck.example', '127.0.0.2', land);
    this.away = new FakeCity('hamburg.example', '127.0.0.3', land);
  }

  /** A session of each of Anna, Jens and Otto, none of them in a conference. */
  clients(): { anna: FakeClient; jens: FakeClient; otto: FakeClient } {
    return {
      anna: new FakeClient(this.home, ANNA, 'PHONE'),
      jens: new FakeClient(this.home, JENS, 'DESK'),
      otto: new FakeClient(this.away, OTTO, 'DESK'),
    };
  }

  close(): void {
    this.home.conferences.close();
    this.away.conferences.close();
  }
}

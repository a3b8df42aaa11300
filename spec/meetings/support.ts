/** Meetings of a real homeserver, without conferences and without other organisations. */
import { Standing } from '../../homeserver/accounts/standing.ts';
import { Meetings } from '../../homeserver/meetings/meetings.ts';
import { Rights } from '../../homeserver/meetings/rights.ts';
import { MeetingRules } from '../../homeserver/meetings/rules/meeting-rules.ts';
import { ServiceUser } from '../../homeserver/meetings/service-user.ts';
import { startServer } from '../messages/support.ts';
import type { TestServer } from '../messages/support.ts';

export interface TestMeetings {
  readonly server: TestServer;
  readonly service: ServiceUser;
  readonly rights: Rights;
  /** Not started. */
  readonly rules: MeetingRules;
  readonly meetings: Meetings;
}

export async function startMeetings(): Promise<TestMeetings> {
  const server = await startServer('hamburg.example');
  const { accounts, rooms, name: serverName } = server;
  const service = new ServiceUser({ accounts, rooms, organisation: 'Hamburg' });
  const rights = new Rights({ rooms, serverName, standing: new Standing(accounts) });
  const rules = new MeetingRules({
    rooms,
    rights,
    failed(error) {
      throw error;
    },
  });
  const known = (of: string) => ({ serverName: of, displayName: of, colour: '#000000' });
  const meetings = new Meetings({
    rooms,
    rights,
    rules,
    service,
    serverName,
    modulePowerLevels: {},
    conferences: { liveCount: () => 0 },
    organisations: { known, info: (of) => Promise.resolve(known(of)) },
  });
  return { server, service, rights, rules, meetings };
}

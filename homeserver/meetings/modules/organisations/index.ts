/** Which organisations may take part in a meeting. */
import { serverOf } from '../../../../federation/event.ts';
import type { Rooms } from '../../../engine/rooms/rooms.ts';
import { nameIn } from '../../people.ts';
import type { MeetingModule } from '../module.ts';

export interface OrganisationsModuleDeps {
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  readonly shuttingOut: {
    /** @returns the server names of the organisations that were not reached. @throws MatrixError 403 without the right */
    shutOut(roomId: string, by: string, server: string): Promise<{ unreached: string[] }>;
    letIn(roomId: string, by: string, server: string): Promise<{ unreached: string[] }>;
    shutOutOf(roomId: string): Promise<string[]>;
  };
}

export function organisationsModule({ rooms, shuttingOut }: OrganisationsModuleDeps): MeetingModule<'organisations'> {
  return {
    requests: {
      'organisations.shut-out': (asker, { serverName }) =>
        shuttingOut.shutOut(asker.place().context.roomId, asker.userId, serverName),
      'organisations.let-in': (asker, { serverName }) =>
        shuttingOut.letIn(asker.place().context.roomId, asker.userId, serverName),
      'organisations.list-shut-out': async (asker) => ({
        shutOut: await shuttingOut.shutOutOf(asker.place().context.roomId),
      }),
    },
    eventTypes: ['m.room.server_acl'],
    async onEvent(context, { pdu: { sender } }) {
      const { roomId } = context;
      const member = await rooms.stateEvent(roomId, 'm.room.member', sender);
      const by = nameIn(member?.pdu, sender);
      const shutOut = await shuttingOut.shutOutOf(roomId);
      context.notifyAll('organisations.shut-out-changed', { shutOut, by, organisation: serverOf(sender) });
    },
  };
}

/** Requests of modules: each is handed who asks, and not the session. */
import type { ModuleName, Modules } from '../../../protocol/modules/list.ts';
import type { Method } from '../../../protocol/session.ts';
import type { Conferences } from '../conference/conferences.ts';
import type { Seat } from '../conference/seat-media.ts';
import { SeatError } from '../conference/seat-turns.ts';
import type { ModuleHost } from '../modules/host.ts';
import type { Asker } from '../modules/module.ts';
import type { Handlers } from './handlers.ts';
import type { Session } from './session.ts';

type ModuleMethod = Method & { [N in ModuleName]: keyof Modules[N]['requests'] }[ModuleName];
type Handler = (asker: Asker, params: unknown) => unknown;

export function moduleHandlers(modules: ModuleHost, { seats }: Pick<Conferences, 'seats'>): Handlers<ModuleMethod> {
  const askerOf = (session: Session, name: ModuleName): Asker => {
    const { userId, deviceId } = session.owner;
    const seat = (): Seat => {
      const found = seats.of(session);
      if (!found) throw new SeatError('not-in-conference', 'Join the conference first.');
      return found;
    };
    return {
      userId,
      deviceId,
      place() {
        const { conference, local } = seat();
        return { context: modules.requireOn(conference, name), participantId: local.participantId };
      },
      permitted() {
        const { conference, local } = seat();
        modules.requirePermitted(conference, name, local);
        return this.place();
      },
      turnSwitch: (enabled) => modules.turnSwitch(seat().conference, name, userId, enabled),
    };
  };
  const bound = modules.all.flatMap(([name, { requests }]) =>
    Object.entries<Handler>(requests).map(([method, handle]) => [
      method,
      (session: Session, params: unknown) => handle(askerOf(session, name), params),
    ]),
  );
  // The type of the list says that there is a handler for each; TypeScript can not follow the pairs through the list.
  return Object.fromEntries(bound) as Handlers<ModuleMethod>;
}

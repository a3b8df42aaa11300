/** What moderators of this instance do about those who wait, of whichever organisation. */
import { serverOf } from '../../../federation/event.ts';
import { type Clock, within } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { ADMISSION } from '../../base/names.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { EntryRule } from '../conference/entry-rule.ts';
import type { MeetingLogPort } from '../log/meeting-log.ts';
import type { Rights } from '../rights.ts';

/** Moderators are answered after this time at the latest; what is left goes on. In ms. */
const ANSWER_MS = 5_000;
/** People who are admitted or refused at the same time. */
const AT_ONCE = 4;

interface Outcome {
  readonly failed: string[];
}

/** Somebody who waits. */
interface Found {
  readonly membership: string | undefined;
  readonly guest: boolean;
  /** Says in the log of the meeting what was done. */
  note(kind: 'admitted' | 'refused'): void;
}

export interface AdmittingDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'membership' | 'joinedServers' | 'send' | 'invite' | 'memberships'>;
  readonly rights: Pick<Rights, 'require'>;
  readonly entry: Pick<EntryRule, 'lock'>;
  readonly log: MeetingLogPort;
  readonly clock: Clock;
  /** Those who wait by a session, as far as this instance knows them, by user id. */
  waiting(roomId: string): ReadonlyMap<string, { readonly displayName: string; readonly guest: boolean }>;
  /** Everybody whom another instance names from now on, and who has waited since before, is to be admitted as well. */
  admitLater(roomId: string, admit: (userIds: readonly string[]) => void): void;
  failed(error: unknown): void;
}

export class Admitting {
  readonly #deps: AdmittingDeps;

  constructor(deps: AdmittingDeps) {
    this.#deps = deps;
  }

  /**
   * Admits people who wait.
   *
   * @param by user id of one of ours
   * @returns those of whom it was not done
   * @throws MatrixError 403 without the right `admit`
   */
  admit(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome> {
    return this.#each(roomId, by, userIds, (userId) => this.#admit(roomId, by, userId));
  }

  /** As `admit`: everybody who waits. */
  async admitAll(roomId: string, by: string, knocking: readonly string[]): Promise<Outcome> {
    const { waiting, admitLater, failed } = this.#deps;
    const all = [...new Set([...waiting(roomId).keys(), ...knocking])];
    const outcome = await this.admit(roomId, by, all);
    admitLater(roomId, (userIds) => {
      this.admit(roomId, by, userIds).catch(failed);
    });
    return outcome;
  }

  /** As `admit`: refuses people. Who is invited, has knocked or is in the room is taken out of it. */
  refuse(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome> {
    return this.#each(roomId, by, userIds, (userId) => this.#refuse(roomId, by, userId));
  }

  async #each(
    roomId: string,
    by: string,
    userIds: readonly string[],
    act: (userId: string) => Promise<void>,
  ): Promise<Outcome> {
    const { rights, clock, failed: unexpected } = this.#deps;
    await rights.require(roomId, by, 'admit');
    const left = [...new Set(userIds)];
    const failed: string[] = [];
    const next = async (): Promise<void> => {
      for (let userId = left.shift(); userId !== undefined; userId = left.shift()) {
        try {
          await act(userId);
        } catch (error) {
          failed.push(userId);
          if (!(error instanceof MatrixError)) unexpected(error);
        }
      }
    };
    await within(clock, ANSWER_MS, Promise.all(Array.from({ length: AT_ONCE }, next)));
    return { failed: [...failed] };
  }

  /** First the word that holds everywhere, then the invitation of who is outside. */
  async #admit(roomId: string, by: string, userId: string): Promise<void> {
    const { rooms, rights, entry, serverName } = this.#deps;
    const { membership, guest, note } = await this.#requireWaiting(roomId, by, userId);
    const lock = await entry.lock(roomId);
    await rights.require(roomId, by, 'admit');
    await rooms.send(roomId, by, {
      type: ADMISSION,
      stateKey: `_${userId}`,
      content: { admitted: true, ...(lock === undefined ? {} : { lock }) },
    });
    note('admitted');
    if (membership === 'join') return;
    const server = serverOf(userId);
    if (server === serverName) {
      // A client that waits is let in by the event above; another one has asked by a knock.
      if (membership === 'knock') await rooms.memberships.admit(roomId, by, userId);
      return;
    }
    const isInside = (await rooms.joinedServers(roomId)).has(server);
    // An instance in the room has the word above; one outside of it hears by an invitation, also of who has one already.
    if (isInside && (guest || membership === 'invite')) return;
    await rooms.invite(roomId, by, userId);
  }

  async #refuse(roomId: string, by: string, userId: string): Promise<void> {
    const { rooms, rights } = this.#deps;
    const { membership, note } = await this.#requireWaiting(roomId, by, userId);
    await rights.require(roomId, by, 'admit');
    if (membership === 'join' || membership === 'invite' || membership === 'knock') {
      await rooms.memberships.change('kick', { roomId, sender: by, target: userId });
    } else {
      await rooms.send(roomId, by, {
        type: ADMISSION,
        stateKey: `_${userId}`,
        content: { admitted: false, refused: true },
      });
    }
    note('refused');
  }

  /** @throws MatrixError 404 for who does not wait */
  async #requireWaiting(roomId: string, by: string, userId: string): Promise<Found> {
    const { rooms, waiting, log } = this.#deps;
    const membership = await rooms.membership(roomId, userId);
    const known = waiting(roomId).get(userId);
    if (membership === 'ban') throw new MatrixError(403, 'M_FORBIDDEN', 'This person is banned from the meeting.');
    if (membership !== 'knock' && !known) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'This person does not wait any more.');
    }
    const names = known ? new Map([[userId, known.displayName]]) : undefined;
    return {
      membership,
      guest: known?.guest ?? false,
      note: (kind) => log.note({ roomId, kind, by, whom: userId, names }),
    };
  }
}

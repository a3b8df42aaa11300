/**
 * Out-of-band memberships: invites to rooms that this server is not in, and knocks on them, with the signed event and
 * the stripped state that came with it. One that has ended stays as a leave, so that clients see the end.
 */
import type { Pdu } from '../../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../../federation/json.ts';
import type { JsonValue } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';

export interface Invitation {
  readonly roomId: string;
  readonly userId: string;
  /** Who sent the invite; for a knock only the server part is used. */
  readonly sender: string;
  readonly membership: string;
  readonly version: string;
  readonly event: Pdu;
  readonly state: Pdu[];
  readonly position: number;
  readonly since: number;
}

interface Row {
  room_id: string;
  user_id: string;
  sender: string;
  membership: string;
  version: string;
  event_json: string;
  state_json: string;
  position: number;
  since: number;
}

export class Invitations {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async put(invitation: Invitation): Promise<void> {
    await this.#put('invitations', invitation);
  }

  async #put(table: 'invitations' | 'early_invitations', invitation: Invitation): Promise<void> {
    await this.#db.query(
      `INSERT INTO ${table} (room_id, user_id, sender, version, event_json, state_json, position, since,
         membership)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       ON CONFLICT (room_id, user_id) DO UPDATE SET sender = excluded.sender, version = excluded.version,
         event_json = excluded.event_json, state_json = excluded.state_json, position = excluded.position,
         since = excluded.since, membership = excluded.membership`,
      [
        invitation.roomId,
        invitation.userId,
        invitation.sender,
        invitation.version,
        canonicalJson(invitation.event),
        canonicalJson(invitation.state),
        invitation.position,
        invitation.since,
        invitation.membership,
      ],
    );
  }

  /** An open invite or knock. */
  async find(roomId: string, userId: string): Promise<Invitation | undefined> {
    const found = await this.findAny(roomId, userId);
    return found?.membership === 'leave' ? undefined : found;
  }

  /** An open or ended invite or knock. */
  async findAny(roomId: string, userId: string): Promise<Invitation | undefined> {
    const [row] = await this.#db.query<Row>('SELECT * FROM invitations WHERE room_id = $1 AND user_id = $2', [
      roomId,
      userId,
    ]);
    return row && read(row);
  }

  async remove(roomId: string, userId: string, tx?: Tx): Promise<boolean> {
    const rows = await this.#db.query(
      'DELETE FROM invitations WHERE room_id = $1 AND user_id = $2 RETURNING user_id',
      [roomId, userId],
      tx,
    );
    return rows.length > 0;
  }

  /** Removes all of a room when the server joins it: from then on the room's own state applies. */
  async removeAll(roomId: string, tx: Tx): Promise<void> {
    await this.#db.query('DELETE FROM invitations WHERE room_id = $1', [roomId], tx);
    await this.#db.query('DELETE FROM early_invitations WHERE room_id = $1', [roomId], tx);
  }

  /** Keeps an invite of somebody who is still joined here: what it follows has not come yet. */
  async putEarly(invitation: Omit<Invitation, 'position'>): Promise<void> {
    await this.#put('early_invitations', { ...invitation, position: 0 });
  }

  /** Those of a room that came early. */
  async earlyOf(roomId: string): Promise<Invitation[]> {
    const rows = await this.#db.query<Row>('SELECT * FROM early_invitations WHERE room_id = $1', [roomId]);
    return rows.map(read);
  }

  async removeEarly(roomId: string, userId: string): Promise<void> {
    await this.#db.query('DELETE FROM early_invitations WHERE room_id = $1 AND user_id = $2', [roomId, userId]);
  }
}

function read(row: Row): Invitation {
  return {
    roomId: row.room_id,
    userId: row.user_id,
    sender: row.sender,
    membership: row.membership,
    version: row.version,
    event: parseStrict(row.event_json) as Pdu,
    state: parseStrict(row.state_json) as JsonValue as Pdu[],
    position: row.position,
    since: row.since,
  };
}

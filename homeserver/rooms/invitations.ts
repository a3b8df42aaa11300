/** Invitations to rooms that this server is not in: the signed event and the part of the state that came with it. */
import type { Pdu } from '../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../federation/json.ts';
import type { JsonValue } from '../../federation/json.ts';
import type { Database, Tx } from '../database/database.ts';

export interface Invitation {
  readonly roomId: string;
  readonly userId: string;
  readonly sender: string;
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
    await this.#db.query(
      `INSERT INTO invitations (room_id, user_id, sender, version, event_json, state_json, position, since)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (room_id, user_id) DO UPDATE SET sender = excluded.sender, version = excluded.version,
         event_json = excluded.event_json, state_json = excluded.state_json, position = excluded.position,
         since = excluded.since`,
      [
        invitation.roomId,
        invitation.userId,
        invitation.sender,
        invitation.version,
        canonicalJson(invitation.event),
        canonicalJson(invitation.state),
        invitation.position,
        invitation.since,
      ],
    );
  }

  async find(roomId: string, userId: string): Promise<Invitation | undefined> {
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

  /** All of a room go when the server enters it: from then on the room's own state says who is invited. */
  async removeAll(roomId: string, tx: Tx): Promise<void> {
    await this.#db.query('DELETE FROM invitations WHERE room_id = $1', [roomId], tx);
  }
}

function read(row: Row): Invitation {
  return {
    roomId: row.room_id,
    userId: row.user_id,
    sender: row.sender,
    version: row.version,
    event: parseStrict(row.event_json) as Pdu,
    state: parseStrict(row.state_json) as JsonValue as Pdu[],
    position: row.position,
    since: row.since,
  };
}

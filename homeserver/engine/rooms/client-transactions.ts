/** Transaction ids of clients: an event is sent once for each. */
import type { Write } from '../../database/writes.ts';

/** The event that a device sent with a transaction id. */
export interface ClientTransaction {
  readonly userId: string;
  readonly deviceId: string;
  readonly transactionId: string;
  /** Type of the event. */
  readonly type: string;
  readonly eventId: string;
}

/** Stores the transaction ids in the same commit as the events. Fails if one was already used. */
export function transactionWrites(roomId: string, transactions: readonly ClientTransaction[]): Write[] {
  if (transactions.length === 0) return [];
  const sql = `INSERT INTO client_transactions (user_id, device_id, transaction_id, event_id, scope, created_at)
    SELECT *, $6::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])`;
  const params = [
    transactions.map((one) => one.userId),
    transactions.map((one) => one.deviceId),
    transactions.map((one) => one.transactionId),
    transactions.map((one) => one.eventId),
    transactions.map((one) => transactionScope(roomId, one.type)),
    Date.now(),
  ];
  return [{ sql, params }];
}

/** The scope of a transaction id is one endpoint: the room and the type are part of its path. */
export function transactionScope(roomId: string, type: string): string {
  return `${roomId} ${type}`;
}

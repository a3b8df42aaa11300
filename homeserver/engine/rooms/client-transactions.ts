/** Transaction ids of clients: what was sent once under one is not sent again. */
import type { Write } from '../../database/writes.ts';

/** What a device has sent under a transaction id. */
export interface ClientTransaction {
  readonly userId: string;
  readonly deviceId: string;
  readonly transactionId: string;
  /** Type of the event. */
  readonly type: string;
  readonly eventId: string;
}

/** Notes them together with storing the events; fails when one of them was there before. */
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

/** A transaction id counts for one endpoint: the room and the type are part of its path. */
export function transactionScope(roomId: string, type: string): string {
  return `${roomId} ${type}`;
}

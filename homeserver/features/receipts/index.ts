/** Puts receipts together. */
import type { RequestHandler } from 'express';
import type { Edus } from '../../engine/federation/edus.ts';
import type { Feature } from '../../engine/feature.ts';
import { receiptsRouter } from './client-router.ts';
import { receiptsFromServers } from './from-servers.ts';
import { Receipts } from './receipts.ts';
import type { ReceiptsOptions } from './receipts.ts';
import { receiptsPart } from './sync-part.ts';

export interface ReceiptsDeps extends ReceiptsOptions {
  readonly edus: Edus;
  readonly requireSession: RequestHandler;
}

export function makeReceipts(deps: ReceiptsDeps): Feature {
  const receipts = new Receipts(deps);
  receiptsFromServers(deps.edus, deps.rooms, receipts);
  return {
    client: [receiptsRouter({ receipts, requireSession: deps.requireSession })],
    syncParts: [receiptsPart(receipts)],
  };
}

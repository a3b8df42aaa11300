/** Decisions about other servers as they are kept in the database, with the highest statement that each has shown. */
import { DataTypes } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import { z } from 'zod';
import { REASONS } from '../../../federation/trust/verdict.ts';
import type { Reason } from '../../../federation/trust/verdict.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import { REFUSED_STRANGERS } from '../../base/limits.ts';

export interface KeptDecision {
  readonly server: string;
  readonly trusted: boolean;
  readonly reason: Reason | null;
  readonly text: string | null;
  /** Number and digest of the highest statement that was accepted; null when none ever was. */
  readonly number: number | null;
  readonly digest: string | null;
  readonly organisation: string | null;
  /** When the certificate expires, Unix ms. */
  readonly notAfter: number | null;
  /** Since when the server is trusted or refused for this reason, Unix ms. */
  readonly since: number;
  readonly judgedAt: number;
  /** How long the judgement holds, Unix ms. */
  readonly until: number;
  /** The statement, and the keys in it. */
  readonly statement: string | null;
  readonly keys: Readonly<Record<string, string>> | null;
  /** Digest of the authorities by which it was judged. */
  readonly anchors: string;
}

interface DecisionRow extends Row<DecisionRow>, Omit<KeptDecision, 'reason' | 'keys'> {
  reason: string | null;
  keys: object | null;
}

const decisionModel = defineModel<DecisionRow>('trust_decisions', {
  server: { type: DataTypes.TEXT, primaryKey: true },
  trusted: DataTypes.BOOLEAN,
  reason: DataTypes.TEXT,
  text: DataTypes.TEXT,
  number: DataTypes.BIGINT,
  digest: DataTypes.TEXT,
  organisation: DataTypes.TEXT,
  notAfter: DataTypes.BIGINT,
  since: DataTypes.BIGINT,
  judgedAt: DataTypes.BIGINT,
  until: DataTypes.BIGINT,
  statement: DataTypes.TEXT,
  keys: DataTypes.JSONB,
  anchors: DataTypes.TEXT,
});

const reasonSchema = z.enum(REASONS).nullable();
const keysSchema = z.record(z.string(), z.string()).nullable();
/** Who was never trusted is removed from time to time: after so many new ones. */
const CLEAN_AFTER = 100;

export class Decisions {
  readonly #db: Database;
  readonly #decisions: ModelStatic<DecisionRow>;
  #strangers = 0;

  constructor(db: Database) {
    this.#db = db;
    this.#decisions = decisionModel(db);
  }

  async all(): Promise<KeptDecision[]> {
    return (await this.#decisions.findAll()).map(read);
  }

  async find(server: string): Promise<KeptDecision | undefined> {
    const row = await this.#decisions.findByPk(server);
    return row === null ? undefined : read(row);
  }

  /** Keeps a decision in place of an earlier one. Anybody can claim to be a server: of strangers the newest are kept. */
  async put(decision: KeptDecision): Promise<void> {
    await this.#decisions.upsert(decision, { returning: false });
    if (decision.number !== null) return;
    this.#strangers += 1;
    if (this.#strangers % CLEAN_AFTER !== 0) return;
    await this.#db.query(
      `DELETE FROM trust_decisions WHERE number IS NULL AND server NOT IN
         (SELECT server FROM trust_decisions WHERE number IS NULL ORDER BY judged_at DESC LIMIT $1)`,
      [REFUSED_STRANGERS],
    );
  }
}

function read(row: DecisionRow): KeptDecision {
  const kept = row.get();
  return { ...kept, reason: reasonSchema.catch('malformed').parse(kept.reason), keys: keysSchema.parse(kept.keys) };
}

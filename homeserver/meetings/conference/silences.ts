/**
 * Sources of other organisations' people that were ordered to be paused, and of which their instance has not said yet that
 * it has: kept in the database, so that neither a restart nor the end of the conference here lets them be heard again.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import { z } from 'zod';
import { type Source, sourceSchema } from '../../../protocol/media.ts';
import { Serial } from '../../base/serial.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';

/** Nobody is in a conference for longer, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

/** When each source was last resumed as its instance said by then: another time shows that it was paused since. */
export type Silenced = ReadonlyMap<Source, number>;

export interface Silence {
  readonly participantId: string;
  readonly sources: Silenced;
}

interface SilenceRow extends Row<SilenceRow> {
  roomId: string;
  participantId: string;
  sources: object;
  /** Unix ms. */
  silencedAt: number;
}

const silenceModel = defineModel<SilenceRow>('conference_silences', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  participantId: { type: DataTypes.TEXT, primaryKey: true },
  sources: DataTypes.JSONB,
  silencedAt: DataTypes.BIGINT,
});
const sourcesSchema = z.partialRecord(sourceSchema, z.number());

export class Silences {
  readonly #silences: ModelStatic<SilenceRow>;
  /** What is told last of a participant is written last. */
  readonly #turns = new Serial();

  constructor(db: Database) {
    this.#silences = silenceModel(db);
  }

  /** Keeps which sources of somebody are not taken. */
  async put(roomId: string, participantId: string, sources: Silenced): Promise<void> {
    await this.#turns.run(`${roomId} ${participantId}`, async () => {
      if (sources.size === 0) {
        await this.#silences.destroy({ where: { roomId, participantId } });
        return;
      }
      const row = { roomId, participantId, sources: Object.fromEntries(sources), silencedAt: Date.now() };
      await this.#silences.upsert(row, { returning: false });
      await this.#silences.destroy({ where: { silencedAt: { [Op.lt]: Date.now() - KEPT_MS } } });
    });
  }

  /** All of a room. */
  async of(roomId: string): Promise<Silence[]> {
    const rows = await this.#silences.findAll({ where: { roomId, silencedAt: { [Op.gte]: Date.now() - KEPT_MS } } });
    return rows.map(({ participantId, sources }) => ({
      participantId,
      sources: new Map(Object.entries(sourcesSchema.parse(sources)) as [Source, number][]),
    }));
  }
}

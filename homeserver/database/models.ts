/** Shared by the models of all features. Migrations own the schema; nothing here creates or changes a table. */
import { DataTypes, QueryTypes } from 'sequelize';
import type {
  Attributes,
  InferAttributes,
  InferCreationAttributes,
  Model,
  ModelAttributes,
  ModelStatic,
} from 'sequelize';
import type { ModelAttributeColumnOptions, Transaction } from 'sequelize';
import type { Database } from './database.ts';
import { STORABLE, UnstorableTextError } from './errors.ts';

/** A row of a table as a model: `interface Place extends Row<Place> { roomId: string; … }`. */
export type Row<M extends Model> = Model<InferAttributes<M>, InferCreationAttributes<M>>;

/**
 * Defines a model. Each database has its own, as several homeservers may run in one process.
 *
 * @param table the table name
 * @param attributes its columns, in camel case; the columns themselves are in snake case
 * @returns the model of a database
 */
export function defineModel<M extends Model>(
  table: string,
  attributes: ModelAttributes<M, Attributes<M>>,
): (db: Database) => ModelStatic<M> {
  return ({ models }) => {
    if (models.isDefined(table)) return models.model(table) as ModelStatic<M>;
    return models.define<M>(table, withRules(attributes), {
      tableName: table,
      timestamps: false,
      underscored: true,
    });
  };
}

/** Sequelize would silently change a NUL, which PostgreSQL cannot store in text: it is refused, as by statements. */
function withRules<M extends Model>(attributes: ModelAttributes<M, Attributes<M>>): ModelAttributes<M, Attributes<M>> {
  const entries = Object.entries<ModelAttributes[string]>(attributes).map(([name, attribute]) => {
    const column: ModelAttributeColumnOptions = isColumn(attribute) ? attribute : { type: attribute };
    const validate = { ...column.validate, [STORABLE]: requireStorable };
    return [name, column.type === DataTypes.TEXT ? { ...column, validate } : column];
  });
  return Object.fromEntries(entries) as ModelAttributes<M, Attributes<M>>;
}

function isColumn(attribute: ModelAttributes[string]): attribute is ModelAttributeColumnOptions {
  return typeof attribute === 'object' && 'type' in attribute;
}

function requireStorable(value: unknown): void {
  if (typeof value === 'string' && value.includes('\0')) throw new UnstorableTextError();
}

/**
 * Runs a statement with `$1` parameters in a transaction of models, for what they cannot express.
 *
 * @throws what models throw
 */
export async function queryIn<T extends object = Record<string, unknown>>(
  transaction: Transaction,
  db: Database,
  sql: string,
  params: readonly unknown[],
): Promise<T[]> {
  params.forEach(requireStorable);
  return db.models.query<T>(sql, { bind: [...params], type: QueryTypes.SELECT, transaction });
}

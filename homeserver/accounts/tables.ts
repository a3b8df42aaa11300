/** The tables of accounts. Those of tokens are read by statements as well, for each request: `token-holders.ts`. */
import { DataTypes } from 'sequelize';
import type { CreationOptional } from 'sequelize';
import { defineModel } from '../database/models.ts';
import type { Row } from '../database/models.ts';

export interface UserRow extends Row<UserRow> {
  localpart: string;
  issuer: CreationOptional<string | null>;
  subject: CreationOptional<string | null>;
  displayName: string | null;
  guest: boolean;
  /** What `Passwords` made of the password. */
  password: CreationOptional<string | null>;
  admin: CreationOptional<boolean>;
  locked: CreationOptional<boolean>;
  suspended: CreationOptional<boolean>;
  createdAt: number;
  deactivatedAt: CreationOptional<number | null>;
  outOfRooms: CreationOptional<boolean>;
}

export const userModel = defineModel<UserRow>('users', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  issuer: DataTypes.TEXT,
  subject: DataTypes.TEXT,
  displayName: DataTypes.TEXT,
  guest: DataTypes.BOOLEAN,
  password: DataTypes.TEXT,
  admin: DataTypes.BOOLEAN,
  locked: DataTypes.BOOLEAN,
  suspended: DataTypes.BOOLEAN,
  createdAt: DataTypes.BIGINT,
  deactivatedAt: DataTypes.BIGINT,
  outOfRooms: DataTypes.BOOLEAN,
});

/** A field of a profile apart from the name. */
export interface ProfileFieldRow extends Row<ProfileFieldRow> {
  localpart: string;
  field: string;
  json: string;
}

export const profileFieldModel = defineModel<ProfileFieldRow>('profile_fields', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  field: { type: DataTypes.TEXT, primaryKey: true },
  json: DataTypes.TEXT,
});
